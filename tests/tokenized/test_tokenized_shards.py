import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline import manifest
from pipeline.manifest import File
from pipeline.mds.checksums import parse_table
from pipeline.mds.reader import open_entry, read_index
from pipeline.tables.sink import Sink
from pipeline.tokenized import shards
from pipeline.tokenized.packing import row_order
from pipeline.tokenized.shards import Documents, Shape, documents_of, shard_files, write_shard

IDS = [bytes([number]) * 16 for number in range(5)]
LENGTHS = (5, 9, 0, 3, 1)


def binary(values: list[bytes]) -> pa.BinaryArray:
    return pa.array(values, pa.binary())


def shape(packing: str = "concat", dtype: str = "uint16") -> Shape:
    return Shape(sequence_length=4, dtype=dtype, packing=packing, pad_id=99, vocab_size=100)


def five_documents(dtype: str = "uint16") -> Documents:
    """Token t of document d is 10 d + t; the documents start at their token 0, 100, 200, …"""
    tokens = [
        (10 * doc + np.arange(n)).astype(np.dtype(dtype).newbyteorder("<")).tobytes() for doc, n in enumerate(LENGTHS)
    ]
    return documents_of(binary(IDS), binary(tokens), dtype, 100 * np.arange(5))


def written(tmp_path: Path, how: Shape, number: int = 3) -> Sink:
    with Sink("tokenized", str(tmp_path), number) as sink:
        write_shard(sink, how, number, "code/0/3", five_documents(how.dtype))
    sink.files = [manifest.settled(str(tmp_path), file) for file in sink.files]
    return sink


def rows_in(folder: Path) -> list[list[int]]:
    """The rows of all shards of a folder."""
    entries = read_index((folder / "index.json").read_bytes(), "here")
    return [row for entry in entries for row in open_entry(str(folder), entry).array("tokens").tolist()]


def rows_of(tmp_path: Path, files: list[File], table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in files:
        if file.table == table:
            found += pq.read_table(tmp_path / file.path).to_pylist()
    return found


def test_documents_of_bytes() -> None:
    documents = five_documents("uint32")
    assert documents.tokens.dtype == np.uint32
    assert documents.tokens.tolist() == [0, 1, 2, 3, 4, *range(10, 19), 30, 31, 32, 40]
    assert documents.lengths.tolist() == list(LENGTHS)
    empty = documents_of(binary([]), binary([]), "uint16")
    assert (len(empty.tokens), len(empty.lengths), str(empty.tokens.dtype)) == (0, 0, "uint16")
    assert documents_of(binary(IDS[:1]), binary([b"\x01\x02"]), "uint16").starts.tolist() == [0]
    sliced = documents_of(binary(IDS[1:3]), binary([b"\x07\x00", b"\x01\x00\x02\x00", b"\x03\x00"])[1:], "uint16")
    assert (sliced.tokens.tolist(), sliced.lengths.tolist()) == ([1, 2, 3], [2, 1])


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("packing", ["concat", "best_fit", "none"])
def test_a_shard_holds_the_rows_and_provenance_tells_whose_they_are(tmp_path: Path, packing: str, dtype: str) -> None:
    sink = written(tmp_path, shape(packing, dtype))
    entry = json.loads((tmp_path / "entries/00003.json").read_bytes())
    files = shard_files({3: json.dumps(entry).encode()}, {3: (tmp_path / "granules/00003.bin").read_bytes()}, 4 * 4)
    (tmp_path / "index.json").write_bytes(files["index.json"])
    rows = rows_in(tmp_path)
    assert len(rows) == sink.counts["samples"] == entry["samples"]
    assert entry["column_encodings"] == [f"ndarray:{dtype}:4"]
    filled = [[99] * 4 for _ in rows]
    pieces = rows_of(tmp_path, sink.files, "provenance")
    for piece in pieces:
        assert piece["shard"] == 3
        doc = IDS.index(piece["doc_id"])
        for offset, place in enumerate(range(piece["token_from"], piece["token_to"])):
            filled[piece["row"]][place] = 10 * doc + piece["doc_token_from"] - 100 * doc + offset
    assert filled == rows
    tails = rows_of(tmp_path, sink.files, "tails")
    in_tails = sum(len(tail["tokens"]) // np.dtype(dtype).itemsize for tail in tails)
    assert 4 * len(rows) - sink.counts["padding_tokens"] + in_tails == sink.counts["tokens"] == sum(LENGTHS)
    assert sink.counts["documents"] == 5
    assert bool(tails) == (packing == "concat")


def test_rows_are_permuted_by_the_key(tmp_path: Path) -> None:
    sink = written(tmp_path, shape())
    order = row_order(4, "code/0/3")
    stream = five_documents().tokens[:16].reshape(4, 4)
    data = (tmp_path / "shard.00003.mds").read_bytes()
    assert data.endswith(stream[order].astype("<u2").tobytes())
    assert [file.xxh3 for file in sink.files if file.table == "shards"] == [xxhash.xxh3_64_hexdigest(data)]


def test_tails_keep_tokens_and_place(tmp_path: Path) -> None:
    sink = written(tmp_path, shape())
    tails = rows_of(tmp_path, sink.files, "tails")
    assert tails == [
        {"partition": 3, "doc_id": IDS[3], "doc_token_from": 302, "tokens": b"\x20\x00"},
        {"partition": 3, "doc_id": IDS[4], "doc_token_from": 400, "tokens": b"\x28\x00"},
    ]


def test_a_partition_without_a_full_row_has_no_shard(tmp_path: Path) -> None:
    with Sink("tokenized", str(tmp_path), 0) as sink:
        write_shard(sink, shape(), 0, "k", documents_of(binary(IDS[:1]), binary([b"\x01\x00" * 3]), "uint16"))
    assert [file.table for file in sink.files] == ["tails"]
    with Sink("tokenized", str(tmp_path), 1) as sink:
        write_shard(sink, shape(), 1, "k", documents_of(binary(IDS[:1]), binary([b""]), "uint16"))
    assert sink.files == []


def test_the_tables_of_a_dataset_leave_out_numbers_without_a_shard() -> None:
    entries = {7: b'{"samples": 9}', 2: b'{"samples": 8}', 4: b'{"samples": 1}'}
    granules = {2: b"2" * 8, 4: b"4" * 8, 7: b"7" * 16}
    files = shard_files(entries, granules, row_bytes=32)
    table = parse_table(files["shards.bin"], "here")
    assert table.number.tolist() == [2, 4, 7]
    assert table.first_sample.tolist() == [0, 8, 9, 18]
    assert table.first_granule.tolist() == [0, 1, 2, 4]
    assert files["granules.bin"] == b"2" * 8 + b"4" * 8 + b"7" * 16
    assert [shard["samples"] for shard in json.loads(files["index.json"])["shards"]] == [8, 1, 9]
    assert parse_table(shard_files({}, {}, 32)["shards.bin"], "here").n_samples == 0


def test_roles_in_the_manifest() -> None:
    assert [shards.table_of(path) for path in ("index.json", "shards.bin", "granules.bin")] == [
        "index",
        "tables",
        "tables",
    ]
