from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline import manifest, schema, storage
from pipeline.manifest import Spec
from pipeline.tables import sink as sinks
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink


def rejected(n: int, text: str = "why") -> dict[str, object]:
    """n rows of the table `filtered.rejected`."""
    return {
        "doc_id": [number.to_bytes(16, "big") for number in range(n)],
        "source": ["code"] * n,
        "n_bytes": np.arange(n),
        "reason": pa.array([text] * n),
    }


def rows_of(sink: Sink, path: str) -> list[dict[str, object]]:
    return [row for batch in read_batches(f"{sink.attempt_url}/{path}") for row in batch.to_pylist()]


def test_rows_come_back_with_the_tables_schema(tmp_path: Path) -> None:
    with Sink("filtered", str(tmp_path), 7) as sink:
        sink.write("rejected", rejected(2))
        sink.write("rejected", pa.record_batch(rejected(1, "other")))
        sink.count("documents")
        sink.count("documents", 2)
    (file,) = sink.files
    data = (tmp_path / file.path).read_bytes()
    assert file.path.startswith("rejected/part-000007-")
    assert (file.table, file.rows, file.bytes) == ("rejected", 3, len(data))
    assert file.xxh3 == xxhash.xxh3_64_hexdigest(data)
    assert sink.counts == {"documents": 3}
    assert pq.read_schema(tmp_path / file.path).equals(schema.arrow("filtered", "rejected"))
    assert rows_of(sink, file.path) == [
        {"doc_id": bytes(16), "source": "code", "n_bytes": 0, "reason": "why"},
        {"doc_id": bytes(15) + b"\x01", "source": "code", "n_bytes": 1, "reason": "why"},
        {"doc_id": bytes(16), "source": "code", "n_bytes": 0, "reason": "other"},
    ]
    assert [batch.schema.names for batch in read_batches(str(tmp_path / file.path), ["reason"])] == [["reason"]] * 1


def test_two_tries_of_a_task_share_no_name(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with Sink("filtered", str(tmp_path), 7) as sink:
            sink.write("rejected", rejected(1))
        names.add(sink.files[0].path)
    assert len(names) == 2


def test_columns_that_repeat_themselves_alone_have_dictionaries(tmp_path: Path) -> None:
    with Sink("filtered", str(tmp_path), 0) as sink:
        sink.write("rejected", rejected(5))
    row_group = pq.read_metadata(tmp_path / sink.files[0].path).row_group(0)
    columns = [row_group.column(number) for number in range(row_group.num_columns)]
    with_dictionary = {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert with_dictionary == {"source", "n_bytes", "reason"}


def test_the_first_of_many_long_texts_is_read_alone(tmp_path: Path) -> None:
    long = [chr(97 + number % 26) * 20_000 for number in range(1000)]
    with Sink("deduped", str(tmp_path), 0) as sink:
        ids = [number.to_bytes(16, "big") for number in range(1000)]
        own = {"source": ["s"] * 1000, "file": ["f"] * 1000, "meta": ["{}"] * 1000, "url": pa.nulls(1000, pa.string())}
        counts = {name: np.arange(1000) for name in ("record", "n_bytes", "cluster_size")}
        sink.write("deduped", {"doc_id": ids, "text": long, **own, **counts})
    file = pq.ParquetFile(tmp_path / sink.files[0].path)
    before = pa.total_allocated_bytes()
    batches = file.iter_batches(1, row_groups=[0], columns=["text"], use_threads=False)
    assert next(batches).column("text").to_pylist() == [long[0]]
    assert pa.total_allocated_bytes() - before < 4 * 2**20  # of 8 MiB that the row group has


def test_files_and_row_groups_have_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "ROW_GROUP_BYTES", 1000)
    monkeypatch.setattr(sinks, "FILE_BYTES", 4000)
    with Sink("filtered", str(tmp_path), 0) as sink:
        sink.write("rejected", rejected(100, "x" * 200))  # one batch of about 24 kB
        for number in range(30):
            sink.write("rejected", rejected(1, f"{number}" * 50))
    rows = [row for file in sink.files for row in rows_of(sink, file.path)]
    assert [row["reason"] for row in rows] == ["x" * 200] * 100 + [f"{number}" * 50 for number in range(30)]
    assert sorted(file.path for file in sink.files) == [file.path for file in sink.files]
    assert 6 <= len(sink.files) <= 9
    for file in sink.files:
        metadata = pq.read_metadata(tmp_path / file.path)
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        assert sum(sizes) == file.rows
        assert max(sizes) <= 12


def test_a_table_without_rows_makes_no_file(tmp_path: Path) -> None:
    with Sink("filtered", str(tmp_path), 0) as sink:
        sink.write("rejected", rejected(0))
    assert sink.files == []
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_fails_finishes_no_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="fault"), Sink("filtered", str(tmp_path), 0) as sink:
        sink.write("rejected", rejected(1))
        raise RuntimeError("fault")
    assert sink.files == []
    assert list(tmp_path.iterdir()) == []


def test_a_try_that_was_killed_in_the_middle_of_its_input_spoils_no_published_file(tmp_path: Path) -> None:
    spec = Spec(stage="tokenized", source="notes", version=1, inputs={}, parameters={})
    attempt_url = storage.join(spec.url(str(tmp_path)), "attempt-1")

    def tried(data: bytes) -> Sink:
        with Sink("tokenized", attempt_url, 0) as sink:
            sink.put("shards", "shard.00000.mds", memoryview(data), 5)
        return sink

    accepted = tried(b"whole")
    tried(b"half")
    dataset = manifest.publish(str(tmp_path), spec, attempt="attempt-1", files=accepted.files, counts={})
    tried(b"ha")
    (file,) = dataset.files("shards")
    assert (file.path, file.bytes, file.rows) == ("shard.00000.mds", 5, 5)
    assert storage.read(dataset.file_url(file)) == b"whole"
    assert len(storage.list_files(attempt_url)) == 2  # the second was removed, the third came after the end
    manifest.sweep(dataset.url, dataset)
    assert [info.path for info in storage.list_files(attempt_url)] == ["shard.00000.mds"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_bytes": ["many"]}, r"filtered\.rejected: column 'n_bytes' must be int64"),
        ({"source": [None]}, r"filtered\.rejected: column 'source' has 1 nulls"),
        ({"words": [1]}, r"filtered\.rejected: column 'words' is not in the schema"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message), Sink("filtered", str(tmp_path), 0) as sink:
        sink.write("rejected", rejected(1) | changes)
