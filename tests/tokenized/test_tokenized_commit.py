from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.alarms import StageError
from pipeline.manifest import Dataset, Spec, find
from pipeline.mds.checksums import granule_hashes, parse_table
from pipeline.mds.reader import open_entry, read_index
from pipeline.tables.sink import Sink
from pipeline.tokenized.commit import commit
from pipeline.tokenized.shards import Shape, documents_of, write_shard

SPEC = Spec(stage="tokenized", source="code", version=1, inputs={}, parameters={"range": 0})
Documents = list[tuple[int, int]]  # (document, its tokens)


def doc_id(number: int) -> bytes:
    return bytes([number]) * 16


def dataset_of(
    root: Path,
    partitions: list[Documents],
    packing: str = "concat",
    *,
    lost_tokens: int = 0,
    reverse: bool = False,
    attempt: str = "attempt-1",
) -> Dataset:
    """Write each partition as its task would, and commit. Token t of document d is 100 d + t."""
    shape = Shape(sequence_length=4, dtype="uint16", packing=packing, pad_id=9, vocab_size=2**16)
    files, counts = [], Counter[str]()
    for number, documents in enumerate(partitions):
        with Sink("tokenized", storage.join(SPEC.url(str(root)), attempt), number) as sink:
            if documents:
                tokens = [(100 * doc + np.arange(n)).astype("<u2").tobytes() for doc, n in documents]
                ids = pa.array([doc_id(doc) for doc, _ in documents], pa.binary())
                given = documents_of(ids, pa.array(tokens, pa.binary()), "uint16")
                write_shard(sink, shape, number, f"code/0/{number}", given)
        files += sink.files
        counts.update(sink.counts)
    counts["tokens"] += lost_tokens
    files = files[::-1] if reverse else files
    return commit(
        str(root), SPEC, attempt, files, counts, [], shape, n_partitions=len(partitions), engine={"name": "tokenizers"}
    )


def rows_in(folder: str) -> list[list[int]]:
    """The rows of all shards of a folder."""
    entries = read_index(storage.read(f"{folder}/index.json"), "here")
    return [row for entry in entries for row in open_entry(folder, entry).array("tokens").tolist()]


def tokens_of(dataset: Dataset) -> dict[int, list[int]]:
    """The tokens of each document, put together from rows and tails by what provenance says."""
    folder = storage.join(dataset.url, dataset.manifest.attempt)
    table = parse_table(storage.read(f"{folder}/shards.bin"), "here")
    rows = rows_in(folder)
    first = dict(zip(table.number.tolist(), table.first_sample.tolist(), strict=False))
    pieces: dict[int, dict[int, list[int]]] = {}
    for url in dataset.urls("provenance"):
        for piece in pq.read_table(url).to_pylist():
            row = rows[first[piece["shard"]] + piece["row"]]
            run = row[piece["token_from"] : piece["token_to"]]
            pieces.setdefault(piece["doc_id"][0], {})[piece["doc_token_from"]] = run
    for url in dataset.urls("tails"):
        for piece in pq.read_table(url).to_pylist():
            run = np.frombuffer(piece["tokens"], "<u2").tolist()
            pieces.setdefault(piece["doc_id"][0], {})[piece["doc_token_from"]] = run
    return {doc: [token for start in sorted(runs) for token in runs[start]] for doc, runs in sorted(pieces.items())}


@pytest.mark.parametrize("packing", ["concat", "best_fit", "none"])
def test_every_token_of_every_document_is_found_again(tmp_path: Path, packing: str) -> None:
    partitions: list[Documents] = [[(1, 11), (2, 2)], [], [(3, 1)], [(4, 7), (5, 3), (6, 9)]]
    dataset = dataset_of(tmp_path, partitions, packing)
    assert tokens_of(dataset) == {
        doc: [100 * doc + token for token in range(n)] for documents in partitions for doc, n in documents
    }
    counts = dataset.manifest.counts
    assert (counts["documents"], counts["tokens"]) == (6, 33)
    assert 4 * counts["samples"] - counts["padding_tokens"] + counts["left_over_tokens"] == 33
    assert counts["left_over_tokens"] == (1 if packing == "concat" else 0)


def test_tails_become_a_shard_after_the_last_partition(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [[(1, 5)], [(2, 4)], [(3, 6)], [(4, 2)]])
    folder = Path(dataset.url) / dataset.manifest.attempt
    table = parse_table((folder / "shards.bin").read_bytes(), "here")
    assert table.number.tolist() == [0, 1, 2, 4]  # partition 3 has no full row; 4 holds the tails
    assert (folder / "shard.00004.mds").read_bytes().endswith(np.array([104, 304, 305, 400], "<u2").tobytes())
    assert dataset.manifest.counts["left_over_tokens"] == 1
    rows = np.array(rows_in(str(folder)), np.uint16)
    hashes = np.concatenate([granule_hashes(row.reshape(1, 4).view(np.uint8)) for row in rows])
    assert (folder / "granules.bin").read_bytes() == hashes.astype("<u8").tobytes()


def test_the_folder_holds_the_listed_files_and_no_others(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [[(1, 5)], [(2, 6)], [(3, 3)]])
    listed = {f"attempt-1/{file.path}" for file in dataset.manifest.files} | {"_manifest.json"}
    assert {info.path for info in storage.list_files(dataset.url)} == listed
    assert {file.table for file in dataset.manifest.files} == {
        "shards",
        "index",
        "tables",
        "provenance",
        "tails",
        "usage",
    }
    for file in dataset.manifest.files:
        assert len(storage.read(dataset.file_url(file))) == file.bytes


def test_too_few_tokens_for_a_row(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [[(1, 1)], [(2, 2)]])
    assert tokens_of(dataset) == {1: [100], 2: [200, 201]}
    assert dataset.manifest.counts["samples"] == 0
    assert dataset.manifest.counts["left_over_tokens"] == 3
    assert dataset.files("shards") == []


def test_no_document_at_all(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, [[], []])
    assert dataset.manifest.counts["samples"] == 0
    assert {file.table for file in dataset.manifest.files} == {"index", "tables", "usage"}


def test_equal_documents_give_equal_bytes(tmp_path: Path) -> None:
    partitions: list[Documents] = [[(1, 11), (2, 4)], [(3, 10)]]
    one = dataset_of(tmp_path / "a", partitions)
    other = dataset_of(tmp_path / "b", partitions, reverse=True)  # whatever the order of the files is
    assert [(file.path, file.xxh3) for file in one.manifest.files if file.table in ("shards", "index", "tables")] == [
        (file.path, file.xxh3) for file in other.manifest.files if file.table in ("shards", "index", "tables")
    ]


def test_a_lost_token_stops_the_stage(tmp_path: Path) -> None:
    message = "tokenized code does not balance: 6 tokens in, 4 kept, 1 not kept"
    with pytest.raises(StageError, match=message):
        dataset_of(tmp_path, [[(1, 5)]], lost_tokens=1)
    assert find(SPEC.url(str(tmp_path))) is None


def test_the_second_of_two_runs_takes_the_firsts_dataset(tmp_path: Path) -> None:
    one, other = (dataset_of(tmp_path, [[(1, 5)]], attempt=name) for name in ("attempt-1", "attempt-2"))
    assert other.manifest == one.manifest
    assert not (Path(one.url) / "attempt-2").exists()
