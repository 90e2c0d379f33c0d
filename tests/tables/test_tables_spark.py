from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from pipeline.tables import spark as tables
from pipeline.tables.sink import Sink


def test_receipts_come_back_in_the_order_of_the_tasks_and_are_small(tmp_path: Path) -> None:
    batches = []
    for task in (1, 0):
        with Sink("filtered", str(tmp_path), task) as sink:
            rows: dict[str, object] = {"doc_id": [bytes(16)], "source": ["a"], "n_bytes": [1], "reason": ["why"]}
            sink.write("rejected", rows)
            for number in range(500):
                sink.count(f"hits:a_rule.of_a_long_name_{number}", task + number)
        sink.notes = {"of": task}
        batches.append(tables.receipt_batch(task, sink))
    found: Any = SimpleNamespace(toArrow=lambda: pa.Table.from_batches(batches))
    receipts = tables.collect(found)
    assert [(one.task, one.notes, len(one.files)) for one in receipts] == [(0, {"of": 0}, 1), (1, {"of": 1}, 1)]
    assert tables.all_counts(receipts)["hits:a_rule.of_a_long_name_7"] == 15
    names = [next(name for name in one.counts if name.endswith("_499")) for one in receipts]
    assert names[0] is names[1]
    assert batches[0].nbytes < 5_000 < sum(map(len, receipts[0].counts))
