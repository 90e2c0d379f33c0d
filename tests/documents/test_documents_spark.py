"""The job `documents` over a folder of everything that can be wrong with raw files."""

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import recipe
from pipeline.alarms import StageError, raise_unless_acknowledged
from pipeline.documents import cuts
from pipeline.documents import spark as stage
from pipeline.flow import Flow
from pipeline.manifest import Dataset
from pipeline.tables import spark as tables
from pipeline.tables.reading import read_batches

GOOD = b'{"text": "a good document", "n": 1}\n'
TRUNCATED = gzip.compress(GOOD * 2000, mtime=0)[:-40]
WINDOW_2_GB = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0xA8]) + b"\x00" * 16  # a frame header with a window of 2 GiB

FILES: Mapping[str, bytes] = {
    "00-good.jsonl": GOOD * 3 + b"\n" + GOOD,
    "01-empty.jsonl": b"",
    "02-not-gzip.jsonl.gz": GOOD,
    "03-truncated.jsonl.gz": TRUNCATED,
    "04-broken.jsonl": GOOD + b'{"text": "cut of\n' + GOOD + b"[1, 2]\n",
    "05-fields.jsonl": b'{"txt": "x"}\n{"text": null}\n{"text": 5}\n{"text": ""}\n',
    "06-utf8.jsonl": b'{"text": "caf\xe9"}\n' + GOOD,
    "07-surrogate.jsonl": b'{"text": "\\ud800"}\n' + GOOD,
    "08-window.jsonl.zst": WINDOW_2_GB,
    "09-zstd.jsonl.zst": zstandard.compress(GOOD * 2) + zstandard.compress(GOOD),
}


def documents_of(folder: Path, root: Path, spark: SparkSession | None, **fields: str) -> Dataset:
    more = "".join(f", {name}: {value}" for name, value in fields.items())
    text = f"""
name: bad
sequence_length: 16
budget_tokens: 1K
max_quarantined: {1 if "max_quarantined" not in fields else 0}
tokenizer: {{train: {{vocab_size: 300}}}}
sources:
  bad: {{root: "{folder}", files: ["*"], weight: 1{more.replace(", max_quarantined: 0", "")}}}
"""
    mix = recipe.parse(text, "the test's recipe")
    return Flow(mix, str(root), console=Console(quiet=True), makes=("documents",), spark=spark).documents["bad"]


def rows_of(dataset: Dataset, table: str) -> list[dict[str, Any]]:
    return [row for url in dataset.urls(table) for batch in read_batches(url) for row in batch.to_pylist()]


def test_every_fault_is_quarantined_and_counted(tmp_path: Path, spark: SparkSession) -> None:
    for name, data in FILES.items():
        (tmp_path / "raw" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "raw" / name).write_bytes(data)
    dataset = documents_of(tmp_path / "raw", tmp_path / "root", spark)
    reasons = {(row["file"][:2], row["record"], row["reason"]) for row in rows_of(dataset, "quarantine")}
    assert reasons - {row for row in reasons if row[0] == "03"} == {
        ("02", None, "not_compressed"),
        ("04", 1, "broken_json"),
        ("04", 3, "not_an_object"),
        ("05", 0, "missing_text"),
        ("05", 1, "null_text"),
        ("05", 2, "text_not_string"),
        ("05", 3, "empty_text"),
        ("06", 0, "invalid_utf8"),
        ("07", 0, "lone_surrogate"),
        ("08", None, "window_too_large"),
    }
    assert {row[2] for row in reasons if row[0] == "03"} == {"truncated"}
    counts = dataset.manifest.counts
    kept = rows_of(dataset, "documents")
    assert counts["records"] == len(kept) + sum(counts["quarantined"].values())
    assert [row["record"] for row in kept if row["file"] == "00-good.jsonl"] == [0, 1, 2, 4]
    assert len({row["doc_id"] for row in kept}) == len(kept) == counts["kept_documents"]
    assert json.loads(kept[0]["meta"]) == {"n": 1}
    with pytest.raises(
        StageError, match=r"could not become documents, .*; max_quarantined is 0\.0% .*max_quarantined:bad"
    ):
        documents_of(tmp_path / "raw", tmp_path / "root", None, max_quarantined="0")


def test_a_document_of_50_mb_is_a_document_like_others(tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "big.jsonl").write_bytes(GOOD + json.dumps({"text": "big words " * 5_000_000}).encode() + b"\n")
    dataset = documents_of(tmp_path / "raw", tmp_path / "root", spark)
    assert dataset.manifest.counts["kept_bytes"] == 50_000_000 + len("a good document")
    small = documents_of(tmp_path / "raw", tmp_path / "root", spark, max_document_bytes="10M")
    assert small.manifest.counts["quarantined"] == {"too_large": 1}


def test_a_broken_file_counts_as_lost_however_little_of_it_is_known(tmp_path: Path, spark: SparkSession) -> None:
    """Of a file that was cut off nobody knows what it held: a lost half was once one record of 44 bytes."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "whole.jsonl").write_bytes(GOOD * 5000)
    (tmp_path / "raw" / "half.jsonl.gz").write_bytes(TRUNCATED)
    dataset = documents_of(tmp_path / "raw", tmp_path / "root", spark)
    counts = dataset.manifest.counts
    assert (counts["broken_files"], counts["broken_bytes"]) == (1, len(TRUNCATED))
    assert sum(counts["quarantined"].values()) == 1
    with pytest.raises(
        StageError,
        match=r"1 of \d+ records \(0\.\d% by number or bytes\) could not become documents, and 1 of 2 files \(50\.0% "
        r"by number or bytes\) are broken: what they held is not known; max_quarantined is 1\.0% \(1 truncated\)",
    ):
        raise_unless_acknowledged(stage.alarms(dataset, 0.01), ())


def test_damaged_notes_on_raw_files_are_told(tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_bytes(GOOD)
    documents_of(tmp_path / "raw", tmp_path / "root", spark)
    notes = tmp_path / "root" / "documents" / "bad" / "_raw_contents.json"
    for damage in (b"", b"[]", b"[1]", b'{"x": 1}', b'{"x": {"digest": "5a", "lines": 1}}'):
        notes.write_bytes(damage)
        with pytest.raises(StageError, match=r"_raw_contents\.json is damaged \(.*\); delete it, then the raw files"):
            documents_of(tmp_path / "raw", tmp_path / "root", spark)
    notes.unlink()
    documents_of(tmp_path / "raw", tmp_path / "root", spark)


def test_other_bytes_of_the_same_size_and_time_are_another_dataset(tmp_path: Path, spark: SparkSession) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.jsonl").write_bytes(GOOD)
    first = documents_of(raw, tmp_path / "root", spark)
    time = (raw / "a.jsonl").stat().st_mtime_ns
    (raw / "a.jsonl").write_bytes(GOOD.replace(b"good", b"evil"))
    os.utime(raw / "a.jsonl", ns=(time, time))
    second = documents_of(raw, tmp_path / "root", spark)
    assert [row["text"] for row in rows_of(second, "documents")] == ["a evil document"]
    assert second.url != first.url


def test_another_mode_is_no_change_while_files_are_read_and_other_bytes_are(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, build = tmp_path / "raw", tables.run_tasks
    raw.mkdir()
    (raw / "a.jsonl").write_bytes(GOOD)

    def touching(*given: Any, **named: Any) -> Any:
        (raw / "a.jsonl").chmod(0o600)
        return build(*given, **named)

    def changing(*given: Any, **named: Any) -> Any:
        (raw / "a.jsonl").write_bytes(GOOD.replace(b"good", b"evil"))
        return build(*given, **named)

    monkeypatch.setattr(tables, "run_tasks", changing)
    with pytest.raises(StageError, match=r"1 files below .* changed while they were read, as a\.jsonl; nothing was"):
        documents_of(raw, tmp_path / "root", spark)
    monkeypatch.setattr(tables, "run_tasks", touching)
    assert documents_of(raw, tmp_path / "root", spark).manifest.counts["kept_documents"] == 1


def test_an_empty_source_is_an_error_that_nobody_can_acknowledge(tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "nothing.jsonl").write_bytes(b"")
    with pytest.raises(StageError, match="source bad is empty: 1 files with 0 bytes gave no document"):
        documents_of(tmp_path / "raw", tmp_path / "root", spark)


def test_a_changed_file_is_read_again_and_a_moved_one_is_not(tmp_path: Path, spark: SparkSession) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.jsonl").write_bytes(GOOD)
    first = documents_of(raw, tmp_path / "root", spark)
    moved = raw.rename(tmp_path / "elsewhere")
    assert documents_of(moved, tmp_path / "root", spark) == first
    (moved / "a.jsonl").write_bytes(GOOD * 2)
    assert documents_of(moved, tmp_path / "root", spark).manifest.counts["kept_documents"] == 2


def test_a_file_that_is_cut_gives_the_same_documents(
    tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_bytes(b"".join(b'{"text": "%d"}\n' % number for number in range(200)) + b"no")
    whole = documents_of(tmp_path / "raw", tmp_path / "whole", spark)
    monkeypatch.setattr(cuts, "PIECE_BYTES", 1_000)
    pieces = documents_of(tmp_path / "raw", tmp_path / "pieces", spark)
    assert (len(whole.files("documents")), len(pieces.files("documents"))) == (1, 4)
    for table in ("documents", "quarantine"):
        assert rows_of(pieces, table) == rows_of(whole, table)
