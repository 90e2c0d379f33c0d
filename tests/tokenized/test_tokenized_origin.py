from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline import manifest, schema, storage
from pipeline.document import doc_id
from pipeline.manifest import Dataset, Spec
from pipeline.tables.sink import Sink
from pipeline.tokenized import origin
from pipeline.tokenized.where import NotThereError, Where

EMPTY: dict[str, Any] = {"string": "", "binary": b"", "int64": 0, "float64": 0.0, "bool": False}
Rows = dict[str, list[dict[str, Any]]]


def code(record: int) -> bytes:
    return doc_id("code", "a.jsonl", record)


def made(root: Path, stage: str, inputs: dict[str, Any], tables: Rows, **parameters: Any) -> Dataset:
    """A dataset of source `code`; columns that a row does not name are null or empty. Each table has a file for each
    two rows."""
    wanted = Spec(stage=stage, source="code", version=1, inputs=inputs, parameters=parameters)
    files = []
    for table, rows in tables.items():
        for task in range(0, len(rows), 2):
            with Sink(stage, storage.join(wanted.url(str(root)), "attempt-1"), task) as sink:
                empty = {
                    column["name"]: None if column["nullable"] else EMPTY[column["type"]]
                    for column in schema.columns(stage, table)
                }
                full = [empty | row for row in rows[task : task + 2]]
                sink.write(table, pa.RecordBatch.from_pylist(full, schema=schema.arrow(stage, table)))
            files += sink.files
    counts = {"samples": 0}
    return manifest.publish(str(root), wanted, attempt="attempt-1", files=files, counts=counts)


def kept(*records: int) -> list[dict[str, Any]]:
    return [
        {"doc_id": code(record), "file": "a.jsonl", "record": record, "n_bytes": 10 + record, "url": f"http://{record}"}
        for record in records
    ]


def lineage(root: Path, *, delined: bool = False) -> Dataset:
    """Records 0 to 6 of a.jsonl: 3 is quarantined, 4 rejected, 5 a duplicate, and with `delined` 6 has no line left."""
    bad: list[dict[str, Any]] = [
        {"file": "a.jsonl", "record": 3, "reason": "not_json"},
        {"file": "b.jsonl", "record": None, "reason": "gone"},
    ]
    raw: Rows = {"documents": kept(0, 1, 2, 4, 5, 6), "quarantine": bad}
    documents = made(root, "documents", {"raw": {}}, raw)
    rejected = [{"doc_id": code(4), "source": "code", "reason": "gopher_quality.min_words"}]
    before = made(
        root,
        "filtered",
        {"documents": documents.manifest.fingerprint},
        {"filtered": kept(0, 1, 2, 5, 6), "rejected": rejected},
    )
    if delined:
        gone = [{"doc_id": code(6), "source": "code", "reason": "repeated_lines"}]
        inputs = {"filtered": before.manifest.fingerprint}
        before = made(root, "delined", inputs, {"filtered": kept(0, 1, 2, 5), "rejected": gone})
    removed = [
        {"doc_id": code(5), "kept_doc_id": b"k" * 16, "kept_source": "docs", "kind": "near", "similarity": 0.875}
    ]
    last = (0, 1, 2) if delined else (0, 1, 2, 6)
    deduped = made(
        root,
        "deduped",
        {"code": before.manifest.fingerprint, "docs": "f" * 32},
        {"deduped": kept(*last), "removed": removed},
    )
    return tokenized(root, deduped.manifest.fingerprint)


def tokenized(root: Path, fingerprint: str) -> Dataset:
    """A dataset without samples: the range of which none of these documents is."""
    ranges = {"n_ranges": 2**20, "n_partitions": 1}
    return made(root, "tokenized", {"deduped": fingerprint, "tokenizer": "t"}, {}, range=0, ranges=ranges, shape={})


@pytest.mark.parametrize("delined", [False, True])
def test_the_raw_record_of_a_document(tmp_path: Path, delined: bool) -> None:
    dataset = lineage(tmp_path, delined=delined)
    names = ["deduped", "delined", "filtered", "documents"] if delined else ["deduped", "filtered", "documents"]
    assert [one.manifest.stage for one in origin.lineage(dataset)] == names
    found = origin.find(dataset, [code(2), code(0), b"?" * 16])
    assert {name: one.record for name, one in found.items()} == {code(2): 2, code(0): 0}
    assert found[code(2)] == origin.Origin(
        source="code", file="a.jsonl", record=2, url="http://2", n_bytes=12, found_in="deduped"
    )
    assert origin.find(dataset, [code(5)])[code(5)].found_in == names[1]
    assert origin.find(dataset, [code(4)])[code(4)].found_in == "documents"


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (3, "documents quarantined record 3 of a.jsonl of source code: not_json"),
        (4, "filtered rejected it from source code: gopher_quality.min_words"),
        (5, f"deduped removed it from source code (near, similarity 0.875); {(b'k' * 16).hex()} of source docs stays"),
        (6, "delined rejected it from source code: repeated_lines"),
        (0, None),
        (7, None),
    ],
)
def test_why_a_document_is_gone(tmp_path: Path, record: int, why: str | None) -> None:
    assert origin.gone(lineage(tmp_path, delined=True), code(record)) == why


def test_a_document_that_no_sample_holds_is_explained(tmp_path: Path) -> None:
    dataset = lineage(tmp_path)
    storage.write(storage.join(dataset.url, dataset.manifest.attempt, "shards.bin"), b"")
    where = Where(dataset.url)
    with pytest.raises(NotThereError, match=r"holds the document [0-9a-f]{32}: filtered rejected it from source code"):
        where.by_document(code(4))
    with pytest.raises(NotThereError, match=r"it lies in range \d+ \(of 1048576\) of source code, of which are here"):
        where.by_document(code(1))


def test_what_lies_below_another_root_is_not_known(tmp_path: Path) -> None:
    dataset = tokenized(tmp_path, "d" * 32)
    assert origin.lineage(dataset) == []
    assert origin.find(dataset, [code(0)]) == {}
    assert origin.gone(dataset, code(0)) is None
