"""The data source through Spark: round trips, the real package, modes, commits, and what users get wrong."""

import json
import pickle
import warnings
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, LongType, StringType, StructType

from pipeline.mds import datasource, reader, writer
from pipeline.mds.datasource import MdsDataSource, ShardGroup
from tests.real_streaming import import_streaming

TOKENS = {"tokens": "ndarray:uint16:8"}


@pytest.fixture(scope="module")
def mds(spark: SparkSession) -> SparkSession:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark says when a source is registered twice
        spark.dataSource.register(MdsDataSource)
    return spark


def _tokens(spark: SparkSession, n_rows: int, partitions: int = 1) -> DataFrame:
    column = "transform(sequence(0, 7), i -> cast((id * 131 + i) % 65536 as int)) as tokens"
    return spark.range(0, n_rows, 1, partitions).selectExpr(column)


def _token_rows(n_rows: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return ((np.arange(n_rows)[:, None] * 131 + np.arange(8)) % 65536).astype(np.uint16)


def _write(frame: DataFrame, url: object, mode: str = "append", **options: str) -> None:
    frame.write.format("mds").mode(mode).options(**options).save(str(url))


def _read(spark: SparkSession, url: object) -> DataFrame:
    return spark.read.format("mds").load(str(url))


def _read_here(url: object, schema: StructType | None = None) -> list[dict[str, Any]]:
    """The rows as a task gives them to Spark, without Spark."""
    source = MdsDataSource(CaseInsensitiveDict(path=str(url)))
    opened = source.reader(schema or source.schema())
    sent = pickle.loads(pickle.dumps(opened))
    return [row for group in opened.partitions() for batch in sent.read(group) for row in batch.to_pylist()]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _write_real(folder: Path, columns: Mapping[str, str], rows: Any, **options: Any) -> None:
    with import_streaming().MDSWriter(out=str(folder), columns=dict(columns), **options) as out:
        for row in rows:
            out.write(row)


def test_one_partition_is_what_the_real_writer_writes(mds: SparkSession, tmp_path: Path) -> None:
    options = {"columns": json.dumps(TOKENS), "size_limit": "700", "hashes": "sha1,xxh3_64"}
    _write(_tokens(mds, 50), tmp_path / "ours", **options)
    rows = [{"tokens": row} for row in _token_rows(50)]
    _write_real(tmp_path / "real", TOKENS, rows, size_limit=700, hashes=["sha1", "xxh3_64"])
    assert _files(tmp_path / "ours") == _files(tmp_path / "real")
    assert len(_files(tmp_path / "ours")) > 3


def test_rows_of_variable_size_are_what_the_real_writer_writes(mds: SparkSession, tmp_path: Path) -> None:
    rows = [(i, "é" * i, bytes([i]) * (i % 3), i / 3, [i, -i, 7]) for i in range(100)]
    frame = mds.createDataFrame(rows, "n long, text string, raw binary, x double, ids array<int>").coalesce(1)
    _write(frame, tmp_path / "ours", size_limit="2000", hashes="")
    columns = {"n": "int", "text": "str", "raw": "bytes", "x": "float64", "ids": "ndarray:int32"}
    real = [
        {"n": n, "text": text, "raw": raw, "x": np.float64(x), "ids": np.array(ids, np.int32)}
        for n, text, raw, x, ids in rows
    ]
    _write_real(tmp_path / "real", columns, real, size_limit=2000)
    assert _files(tmp_path / "ours") == _files(tmp_path / "real")
    found = _read(mds, tmp_path / "ours").select("n", "text", "raw", "x", "ids").collect()
    assert [tuple(row) for row in found] == [(n, text, bytearray(raw), x, ids) for n, text, raw, x, ids in rows]


def test_partitions_follow_each_other_and_empty_ones_leave_no_gap(
    mds: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = _tokens(mds, 40, 4).where("tokens[0] < 1310 or tokens[0] >= 2620")  # partition 1 is empty
    folder = tmp_path / "data"
    _write(frame, folder, columns=json.dumps(TOKENS), size_limit="500")
    names = sorted(set(_files(folder)) - {"index.json"})
    assert names == [f"shard.{number:05d}.mds" for number in range(len(names))]
    expected = _token_rows(40)[[*range(10), *range(20, 40)]]
    assert [row.tokens for row in _read(mds, folder).collect()] == expected.tolist()
    np.testing.assert_array_equal(_read_real(folder, tmp_path, monkeypatch), expected, strict=True)


def _read_real(folder: Path, locks: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The tokens that `StreamingDataset` finds in a folder; its locks lie in `locks`."""
    streaming = import_streaming()
    monkeypatch.setattr("tempfile.tempdir", str(locks))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package divides by zero, and numpy says so
        dataset = streaming.StreamingDataset(
            local=str(folder), shuffle=False, batch_size=1, num_canonical_nodes=1, validate_hash="xxh3_64"
        )
        return np.stack([dataset[i]["tokens"] for i in range(len(dataset))])


REAL: dict[str, tuple[str, list[Any], list[Any] | None]] = {  # encoding, values, how Spark shows them
    "a": ("str", ["", "é\0"], None),
    "b": ("bytes", [b"\xff", b""], None),
    "c": ("int", [-(2**63), 2**63 - 1], None),
    "d": ("uint8", [0, 255], None),
    "e": ("uint64", [0, 2**64 - 1], [Decimal(0), Decimal(2**64 - 1)]),
    "f": ("float16", [0.5, float("-inf")], None),
    "g": ("json", [{"k": [1, None]}, "x"], ['{"k": [1, null]}', '"x"']),
    "h": ("str_int", [10**40, -1], [str(10**40), "-1"]),
    "i": ("str_float", [0.1, float("inf")], None),
    "j": ("str_decimal", [Decimal("1.50"), Decimal("-1E+99")], ["1.50", "-1E+99"]),
    "k": ("ndarray:uint16:3", [np.array([1, 2, 65535], np.uint16), np.zeros(3, np.uint16)], None),
    "l": ("ndarray:float32:2,2", [np.eye(2, dtype=np.float32), np.ones((2, 2), np.float32)], None),
    "m": ("ndarray:uint32", [np.array([2**32 - 1], np.uint32), np.arange(300, dtype=np.uint32)], None),
    "n": ("ndarray", [np.arange(6, dtype=np.int16).reshape(2, 3), np.ones((1, 1), np.int16)], None),
    "o": ("ndarray:uint64:1", [np.array([2**64 - 1], np.uint64)] * 2, [[Decimal(2**64 - 1)]] * 2),
}


@pytest.mark.parametrize("compression", [None, "zstd", "gz"])
def test_whatever_the_real_writer_writes_is_read(tmp_path: Path, compression: str | None) -> None:
    columns = {name: encoding for name, (encoding, _, _) in REAL.items()}
    rows = [{name: values[i] for name, (_, values, _) in REAL.items()} for i in range(2)]
    _write_real(tmp_path, columns, rows, hashes=["xxh64"], compression=compression)
    found = _read_here(tmp_path)
    for i, row in enumerate(found):
        for name, (_, values, shown) in REAL.items():
            expected = values[i] if shown is None else shown[i]
            expected = expected.tolist() if isinstance(expected, np.ndarray) else expected
            assert row[name] == expected, name
    assert len(found) == 2


def test_a_schema_reads_its_columns_only_and_as_its_types(mds: SparkSession, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a": i, "b": f"{i}", "c": np.array([i, 300 + i], np.uint16)} for i in range(3)]
    writer.write_folder(str(tmp_path), {"a": "uint8", "b": "str", "c": "ndarray:uint16:2"}, rows)
    found = mds.read.format("mds").schema("c array<bigint>, a double").load(str(tmp_path))
    assert found.columns == ["c", "a"]
    assert [tuple(row) for row in found.collect()] == [([i, 300 + i], float(i)) for i in range(3)]
    stored = _read_here(tmp_path, StructType().add("c", BinaryType()))
    assert [row["c"] for row in stored] == [row["c"].tobytes() for row in rows]


def test_small_shards_are_read_together_and_large_ones_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"x": bytes(n)} for n in (10, 50, 300, 10, 50, 10, 50)]
    writer.write_folder(str(tmp_path), {"x": "bytes"}, rows, size_limit=240)
    monkeypatch.setattr(datasource, "PARTITION_BYTES", 500)
    source = MdsDataSource(CaseInsensitiveDict(path=str(tmp_path)))
    groups = source.reader(source.schema()).partitions()
    sizes = [[entry.raw.bytes for entry in group.entries] for group in groups if isinstance(group, ShardGroup)]
    assert all(sum(size) <= 500 for size in sizes if len(size) > 1)
    assert 1 < len(sizes) < sum(map(len, sizes))
    assert _read_here(tmp_path) == rows


def test_no_rows_make_an_index_without_shards(mds: SparkSession, tmp_path: Path) -> None:
    _write(_tokens(mds, 5).where("false"), tmp_path, columns=json.dumps(TOKENS))
    assert _files(tmp_path) == {"index.json": writer.index([])}
    assert _read_here(tmp_path, StructType().add("tokens", ArrayType(IntegerType()))) == []
    with pytest.raises(ValueError, match="lists no shards, so it has no columns"):
        _read_here(tmp_path)


def test_the_default_mode_is_refused_by_spark(mds: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="ErrorIfExists"):
        _tokens(mds, 5).write.format("mds").save(str(tmp_path))


def test_a_dataset_can_be_overwritten_by_rows_read_from_itself(mds: SparkSession, tmp_path: Path) -> None:
    rows = _token_rows(20)
    writer.write_folder(str(tmp_path), TOKENS, [{"tokens": row} for row in rows], size_limit=500)
    (tmp_path / "notes.txt").write_text("mine")
    kept = _read(mds, tmp_path).where(f"tokens[0] < {131 * 10}")
    _write(kept.repartition(2), tmp_path, "overwrite", columns=json.dumps(TOKENS))
    listed = [entry.file.basename for entry in reader.read_index((tmp_path / "index.json").read_bytes(), "")]
    assert sorted([*listed, "index.json", "notes.txt"]) == sorted(_files(tmp_path))
    assert sorted(row["tokens"] for row in _read_here(tmp_path)) == rows[:10].tolist()


def test_a_failed_write_leaves_the_dataset_and_nothing_else(mds: SparkSession, tmp_path: Path) -> None:
    writer.write_folder(str(tmp_path), {"x": "int"}, [{"x": 5}])
    before = _files(tmp_path)
    options = {"columns": '{"id": "uint8"}', "size_limit": "300"}  # so that some shards are written already
    with pytest.raises(Exception, match=r"partition 0, row 256, column 'id': 256 does not fit the encoding 'uint8'"):
        _write(mds.range(0, 300, 1, 1), tmp_path, "overwrite", **options)
    assert _files(tmp_path) == before


def test_a_corrupt_shard_is_an_error_that_names_the_file(mds: SparkSession, tmp_path: Path) -> None:
    rows = [{"tokens": row} for row in _token_rows(20)]
    writer.write_folder(str(tmp_path), TOKENS, rows, size_limit=500)
    path = tmp_path / "shard.00001.mds"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Exception, match=r"shard\.00001\.mds.* has hashes"):
        _read(mds, tmp_path).collect()


def test_an_object_store_has_one_name_for_equal_bytes(mds: SparkSession, tmp_path: Path) -> None:
    url, fs_options = f"local://{tmp_path}", '{"auto_mkdir": true}'  # by the path that object stores take
    (tmp_path / "shard.00009.00000.0123456789abcdef.mds").write_bytes(b"left by a run that failed")
    _write(_tokens(mds, 30, 3), url, columns=json.dumps(TOKENS), storage=fs_options)
    first = _files(tmp_path)
    assert sorted(name[:18] for name in first) == ["index.json", *(f"shard.{i:05d}.00000." for i in range(3))]
    _write(_tokens(mds, 10, 1), url, "overwrite", columns=json.dumps(TOKENS), storage=fs_options)
    assert len(_files(tmp_path)) == 2
    assert [row["tokens"] for row in _read_here(tmp_path)] == _token_rows(10).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "{}"}, "option 'column' is unknown here; known are path, storage, columns, size_limit, hashes"),
        ({"columns": '{"token": "int"}'}, "option 'columns' names 'token'; the columns are tokens"),
        ({"columns": '{"tokens": "pkl"}'}, "column 'tokens': encoding 'pkl' can run any code"),
        ({"columns": '{"tokens": "int"}'}, r"column 'tokens' of type list<.*> does not fit the encoding 'int'"),
        ({"columns": "tokens"}, "option 'columns' is 'tokens', which is not JSON"),
        ({"size_limit": "64mb"}, "option 'size_limit' is '64mb'; it takes a number of bytes, or none"),
        ({"hashes": "xxh3_64,md4"}, "hash 'md4' is unknown"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(tmp_path: Path, options: dict[str, str], message: str) -> None:
    source = MdsDataSource(CaseInsensitiveDict(options, path=str(tmp_path)))
    with pytest.raises(ValueError, match=message):
        source.writer(StructType().add("tokens", ArrayType(IntegerType())), overwrite=False)


def test_appending_to_a_dataset_is_an_error_that_says_so(tmp_path: Path) -> None:
    writer.write_folder(str(tmp_path), {"x": "int"}, [{"x": 5}])
    source = MdsDataSource(CaseInsensitiveDict(path=str(tmp_path)))
    with pytest.raises(ValueError, match=r"holds an MDS dataset already, and one cannot be appended to"):
        source.writer(StructType().add("x", LongType()), overwrite=False)


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    source = MdsDataSource(CaseInsensitiveDict(path=str(tmp_path)))
    with pytest.raises(ValueError, match=r"column names \['x', 'x'\] repeat"):
        source.writer(StructType().add("x", LongType()).add("x", IntegerType()), overwrite=False)


def test_wrong_schemas_and_folders_are_refused(tmp_path: Path) -> None:
    writer.write_folder(str(tmp_path), {"x": "ndarray:int32"}, [{"x": np.ones(3, np.int32)}])
    with pytest.raises(ValueError, match=r"has no column 'y'; it has x"):
        _read_here(tmp_path, StructType().add("y", IntegerType()))
    with pytest.raises(ValueError, match=r"column 'x' \(ndarray:int32\) cannot be read as string"):
        _read_here(tmp_path, StructType().add("x", StringType()))
    with pytest.raises(ValueError, match=r"index\.json does not exist: no MDS dataset, or one whose write"):
        _read_here(tmp_path / "other")
    with pytest.raises(ValueError, match="option 'columns' is unknown here; known are path, storage"):
        MdsDataSource(CaseInsensitiveDict(path=str(tmp_path), columns="{}")).schema()
    with pytest.raises(ValueError, match="the folder is missing"):
        MdsDataSource(CaseInsensitiveDict()).schema()
