"""Tasks on Spark: what they leave comes back as receipts."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.manifest import settled
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


def test_each_of_a_groups_sinks_leaves_a_receipt(spark: SparkSession, tmp_path: Path) -> None:
    def leave(numbers: list[int]) -> Iterator[tuple[int, Sink]]:  # workers do not find a test's module by its name
        for number in numbers:
            with Sink("tokenized", f"{root}/{number % 2}", number) as sink:
                sink.put("shards", f"{number}.bin", bytes(number), 1)
                sink.count("samples", number)
            yield number, sink

    root = str(tmp_path)
    receipts = tables.run_groups(spark, [[3, 1], [], [2]], leave, stage="tokenized")
    files = {one.task: [settled(f"{root}/{one.task % 2}", file).path for file in one.files] for one in receipts}
    assert [one.counts["samples"] for one in receipts] == [1, 2, 3]
    assert files == {1: ["1.bin"], 2: ["2.bin"], 3: ["3.bin"]}
    assert (tmp_path / "1" / "3.bin").read_bytes() == bytes(3)
    assert tables.run_groups(spark, [], leave, stage="tokenized") == []
