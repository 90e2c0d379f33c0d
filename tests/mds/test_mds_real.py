"""Against the real mosaicml-streaming: the same bytes as its `MDSWriter`, and each reads what the other writes."""

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds import checksums, encodings, layout, reader, writer
from tests.real_streaming import import_streaming

Row = dict[str, Any]


def _write_real(
    folder: Path,
    columns: Mapping[str, str],
    rows: Sequence[Row],
    hashes: Sequence[str] = (),
    size_limit: int | None = 1 << 26,
    compression: str | None = None,
) -> None:
    streaming = import_streaming()
    with streaming.MDSWriter(
        out=str(folder), columns=dict(columns), hashes=list(hashes), size_limit=size_limit, compression=compression
    ) as out:
        for row in rows:
            out.write(row)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _assert_same_bytes(
    columns: Mapping[str, str], rows: Sequence[Row], hashes: Sequence[str] = (), size_limit: int | None = 1 << 26
) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        real, ours = Path(name, "real"), Path(name, "ours")
        _write_real(real, columns, rows, hashes, size_limit)
        writer.write_folder(str(ours), columns, rows, hashes=hashes, size_limit=size_limit)
        assert _files(ours) == _files(real)
        return _files(ours)


def _rows(url: str) -> list[Row]:
    index = Path(url, "index.json").read_bytes()
    entries = reader.read_index(index, "index.json")
    return [row for entry in entries for row in reader.open_entry(url, entry).rows()]


def _assert_same_rows(found: Sequence[Row], expected: Sequence[Row]) -> None:
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        assert list(row) == sorted(other)
        for name, value in row.items():
            np.testing.assert_array_equal(value, other[name])


ARRAYS = {
    "ndarray": np.arange(6, dtype=np.int16).reshape(2, 3),
    "ndarray:uint32": np.arange(300, dtype=np.uint32),
    "ndarray:float16:2,1,2": np.array([[[1, 2]], [[3, -0.5]]], np.float16),
}
SAMPLES: dict[str, list[Any]] = {
    "str": ["", "é", "\0\n", "text" * 99],
    "bytes": [b"", b"\xff\0"],
    "int": [0, -1, 2**63 - 1, -(2**63), True],
    "json": [None, [1, 2.5, "é", {"b": 1, "a": float("inf")}], "x", np.arange(3)],
    "str_int": [0, -(10**40)],
    "str_float": [0.1, float("-inf")],
    "str_decimal": [Decimal("1.500"), Decimal("-1E+99")],
    **{name: [0, np.iinfo(name).max, np.int8(7)] for name in encodings.DTYPES if "int" in name},
    **{name: [0, -1.5, 0.1, 1e-30, np.float32(3), float("inf")] for name in ("float16", "float32", "float64")},
    **{text: [array] for text, array in ARRAYS.items()},
    "ndarray:uint8": [np.full((1,) * 31 + (300,), 5, np.uint8), np.zeros((1, 70_000), np.uint8)],
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_every_encoding_has_the_real_bytes_and_is_read_back(encoding: str, tmp_path: Path) -> None:
    rows = [{"x": value} for value in SAMPLES[encoding]]
    _assert_same_bytes({"x": encoding}, rows)
    _write_real(tmp_path / "real", {"x": encoding}, rows)
    decoded = import_streaming().base.format.mds.encodings.mds_decode
    real = [{"x": decoded(encoding, encodings.encode(encodings.parse(encoding), row["x"]))} for row in rows]
    _assert_same_rows(_rows(str(tmp_path / "real")), real)


def test_a_value_given_as_bytes_is_taken_as_encoded() -> None:
    _assert_same_bytes({"a": "uint16", "b": "str", "c": "ndarray:uint8:2"}, [{"a": b"\1\2", "b": b"hi", "c": b"\3\4"}])


@pytest.mark.parametrize("hashes", [[], ["xxh3_64"], list(checksums.HASHES)])
def test_all_hashes_are_the_real_ones(hashes: list[str]) -> None:
    _assert_same_bytes({"x": "int"}, [{"x": 5}], hashes)


def test_all_hashes_of_the_real_package_are_known() -> None:
    assert set(import_streaming().base.hashing.get_hashes()) == set(checksums.HASHES)


def test_no_rows_make_an_index_alone() -> None:
    assert list(_assert_same_bytes({"x": "int"}, [])) == ["index.json"]


def test_a_first_row_larger_than_the_limit_follows_an_empty_shard(tmp_path: Path) -> None:
    rows = [{"x": b"\1" * 500}, {"x": b"\2" * 500}, {"x": b""}]
    files = _assert_same_bytes({"x": "bytes"}, rows, size_limit=300)
    assert [shard["samples"] for shard in json.loads(files["index.json"])["shards"]] == [0, 1, 1, 1]
    writer.write_folder(str(tmp_path), {"x": "bytes"}, rows, size_limit=300)
    assert _rows(str(tmp_path)) == rows


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_rows_split_by_any_limit_are_the_same_files(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
    columns = {name: data.draw(st.sampled_from(sorted(SAMPLES))) for name in names}
    row = st.fixed_dictionaries({name: st.sampled_from(SAMPLES[columns[name]]) for name in names})
    rows = data.draw(st.lists(row, max_size=12))
    hashes = sorted(data.draw(st.sets(st.sampled_from(["md5", "sha1", "xxh3_64", "xxh64"]), max_size=2)))
    _assert_same_bytes(columns, rows, hashes, data.draw(st.none() | st.integers(200, 2000)))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_a_shard_assembled_from_an_array_has_the_real_bytes(tmp_path: Path, dtype: Any) -> None:
    tokens = np.random.default_rng(5).integers(0, 60_000, (50, 128)).astype(dtype)
    columns = {"tokens": f"ndarray:{tokens.dtype.name}:128"}
    _write_real(tmp_path, columns, [{"tokens": row} for row in tokens], ["xxh3_64"], size_limit=None)
    data = writer.fixed_shard(columns, {"tokens": tokens})
    entry = writer.index_entry(columns, checksums.shard_name(0), data, len(tokens))
    assert _files(tmp_path) == {"shard.00000.mds": data, "index.json": writer.index([entry])}
    shard = reader.open_shard(str(tmp_path / "shard.00000.mds"))
    np.testing.assert_array_equal(shard.array("tokens"), tokens, strict=True)
    assert shard.offsets[0] == layout.fixed_row_offset(columns, 50)
    np.testing.assert_array_equal(np.diff(shard.offsets), layout.row_bytes(columns))


@pytest.mark.parametrize("compression", ["zstd", "zstd:22", "gz", "gz:1", "bz2:3", "br:5", "snappy"])
def test_compressed_shards_are_read(tmp_path: Path, compression: str) -> None:
    columns = {"text": "str", "tokens": "ndarray:uint16"}
    rows = [{"text": f"row {i}" * i, "tokens": np.arange(i + 1, dtype=np.uint16)} for i in range(200)]
    _write_real(tmp_path, columns, rows, ["sha1", "xxh64"], 20_000, compression)
    assert len(list(tmp_path.iterdir())) > 3
    _assert_same_rows(_rows(str(tmp_path)), rows)


def test_a_truncated_compressed_shard_is_refused_by_name(tmp_path: Path) -> None:
    _write_real(tmp_path, {"x": "str"}, [{"x": "abc"}], compression="zstd")
    path = tmp_path / "shard.00000.mds.zstd"
    fields = json.loads((tmp_path / "index.json").read_bytes())
    path.write_bytes(path.read_bytes()[:-1])
    fields["shards"][0]["zip_data"]["bytes"] -= 1
    (entry,) = reader.read_index(json.dumps(fields).encode(), "index.json")
    with pytest.raises(ValueError, match=r"shard\.00000\.mds\.zstd: the zstd data"):
        reader.open_entry(str(tmp_path), entry)


def test_pickles_that_the_real_writer_wrote_are_refused(tmp_path: Path) -> None:
    _write_real(tmp_path, {"x": "pkl"}, [{"x": {1, 2}}])
    with pytest.raises(ValueError, match=r"index\.json: shard 0: column 'x': encoding 'pkl' can run any code"):
        _rows(str(tmp_path))
    with pytest.raises(ValueError, match=r"shard\.00000\.mds: .* encoding 'pkl' can run any code"):
        reader.open_shard(str(tmp_path / "shard.00000.mds"))


@pytest.fixture
def real_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Any]]:
    """Opens a folder with `StreamingDataset`; its locks lie in `tmp_path`."""
    streaming = import_streaming()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package divides by zero, and numpy says so
        yield lambda folder: streaming.StreamingDataset(
            local=str(folder), shuffle=False, batch_size=1, num_canonical_nodes=1, validate_hash="xxh3_64"
        )


def test_the_real_dataset_reads_our_shards_sample_by_sample(
    tmp_path: Path, real_dataset: Callable[[Path], Any]
) -> None:
    tokens = np.random.default_rng(6).integers(0, 65_536, (70, 64), np.uint16)
    columns = {"tokens": "ndarray:uint16:64"}
    folder = tmp_path / "data"
    folder.mkdir()
    entries = []
    for number, rows in ((0, tokens[:30]), (2, tokens[30:31]), (5, tokens[31:])):  # empty partitions leave gaps
        data, name = writer.fixed_shard(columns, {"tokens": rows}), checksums.shard_name(number)
        (folder / name).write_bytes(data)
        entries.append(writer.index_entry(columns, name, data, len(rows)))
    (folder / "index.json").write_bytes(writer.index(entries))
    dataset = real_dataset(folder)
    assert len(dataset) == 70
    by_id = [dataset[i]["tokens"] for i in range(70)]
    in_order = [sample["tokens"] for sample in dataset]
    for found in (by_id, in_order):
        assert {array.dtype for array in found} == {np.dtype(np.uint16)}
        np.testing.assert_array_equal(np.stack(found), tokens)


def test_the_real_dataset_reads_our_rows_of_variable_length(
    tmp_path: Path, real_dataset: Callable[[Path], Any]
) -> None:
    columns = {"text": "str", "tokens": "ndarray", "meta": "json", "n": "int64"}
    rows = [
        {"text": "é" * i, "tokens": np.arange(i + 1, dtype=np.uint16), "meta": {"i": [i]}, "n": -i} for i in range(20)
    ]
    writer.write_folder(str(tmp_path / "data"), columns, rows, size_limit=700)
    dataset = real_dataset(tmp_path / "data")
    _assert_same_rows([dataset[i] for i in range(len(dataset))], rows)
