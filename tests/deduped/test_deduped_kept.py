"""What a task writes at the end, where the signatures do not belong to the documents."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.deduped.kept import write_file
from pipeline.tables.sink import Sink
from tests.deduped.test_deduped_spark import documents, filtered


def test_a_decision_on_a_document_that_is_not_in_the_file_is_no_silent_loss(tmp_path: Path) -> None:
    own = documents("web", "one", "two")
    urls = filtered(tmp_path, "web", [own]).urls("filtered")
    decision = {"kept_doc_id": own[0].id, "kept_src": 0, "kind": "exact", "similarity": 1.0, "cluster_size": 2}
    rows = [{"doc_id": doc_id, "earlier": False} | decision for doc_id in (own[0].id, own[1].id)]
    with Sink("deduped", str(tmp_path / "out"), 0) as sink:
        write_file(urls, ["web"], 0, iter([pa.RecordBatch.from_pylist(rows)]), sink)
    assert sink.counts["kept_documents"] == 1
    rows[1]["doc_id"] = b"x" * 16
    with (
        pytest.raises(RuntimeError, match=r"1 documents that were decided on are not in .*parquet, where their sign"),
        Sink("deduped", str(tmp_path / "out"), 0) as sink,
    ):
        write_file(urls, ["web"], 0, iter([pa.RecordBatch.from_pylist(rows)]), sink)


def test_clusters_are_shown_by_the_row_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.tables.sink.ROW_GROUP_BYTES", 1)  # each row a batch of its own
    own = documents("web", "alone", "kept", "copy", "gone for an earlier one", "gone for it too")
    old = b"\xff" * 16
    place = {own[1].id: (own[1].id, 0, 2), own[2].id: (own[1].id, 0, 2), own[3].id: (old, 1, 3), own[4].id: (old, 1, 3)}
    rows = [
        {"doc_id": i, "kept_doc_id": to, "kept_src": src, "cluster_size": size, "earlier": src == 1}
        | {"kind": "exact", "similarity": 1.0}
        for i, (to, src, size) in place.items()
    ]
    urls = filtered(tmp_path, "web", [own]).urls("filtered")
    with Sink("deduped", str(tmp_path / "out"), 0) as sink:
        write_file(urls, ["web", "old"], 0, iter([pa.RecordBatch.from_pylist(rows)]), sink)
    assert sink.notes == {"largest": [[3, old.hex(), 1, 3], [2, own[1].id.hex(), 0, 1]]}
