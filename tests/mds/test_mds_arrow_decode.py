"""Shards as Arrow record batches, against `Shard.row`; columns and types that are asked for."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds import arrow_decode, writer
from pipeline.mds.reader import Shard


def _shard(columns: dict[str, str], rows: list[dict[str, Any]]) -> Shard:
    return Shard(writer.shard(columns, rows), "shard.00000.mds")


def _rows(shard: Shard, **kinds: pa.DataType) -> list[dict[str, Any]]:
    return [row for batch in arrow_decode.batches(shard, pa.schema(kinds.items())) for row in batch.to_pylist()]


FIXED = {"a": "uint16", "b": "ndarray:float32:2,2"}
VARIABLE = {"a": "str", "b": "uint16", "c": "ndarray:uint8", "d": "bytes"}


@pytest.mark.parametrize("batch_bytes", [1, 40, 1 << 24])
def test_batches_have_all_rows_in_order(batch_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_decode, "BATCH_BYTES", batch_bytes)
    rows: list[dict[str, Any]] = [{"a": i, "b": np.full((2, 2), i / 2, np.float32)} for i in range(9)]
    nested = pa.list_(pa.list_(pa.float64()))
    found = _rows(_shard(FIXED, rows), b=nested, a=pa.int32())
    assert found == [{"b": row["b"].tolist(), "a": row["a"]} for row in rows]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.text(max_size=5),
                "b": st.integers(0, 65535),
                "c": st.lists(st.integers(0, 255), min_size=1, max_size=5),
                "d": st.binary(max_size=5),
            }
        ),
        max_size=8,
    ),
    st.integers(1, 60),
)
def test_rows_of_variable_size_are_found(rows: list[dict[str, Any]], batch_bytes: int) -> None:
    shard = _shard(VARIABLE, [{**row, "c": np.array(row["c"], np.uint8)} for row in rows])
    kinds = {"a": pa.string(), "b": pa.int32(), "c": pa.list_(pa.int16()), "d": pa.binary()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_decode, "BATCH_BYTES", batch_bytes)
        assert _rows(shard, **kinds) == rows
        assert _rows(shard, c=kinds["c"]) == [{"c": row["c"]} for row in rows]


def test_binary_is_the_stored_bytes() -> None:
    shard = _shard({"a": "ndarray:uint16", "b": "int"}, [{"a": np.array([5], np.uint16), "b": -2}])
    assert _rows(shard, a=pa.binary(), b=pa.binary()) == [{"a": b"\4\1\5\0", "b": b"\xfe" + b"\xff" * 7}]


def test_arrays_of_several_dtypes_are_read_as_one() -> None:
    values = [np.array([2**63 - 1]), np.array([1], np.uint8), np.array([2.0])]
    shard = _shard({"x": "ndarray"}, [{"x": value} for value in values])
    assert _rows(shard, x=pa.list_(pa.int64())) == [{"x": [2**63 - 1]}, {"x": [1]}, {"x": [2]}]


def test_nested_arrays_of_any_shape_are_read() -> None:
    values = [np.arange(6, dtype=np.uint8).reshape(1, 3, 2), np.ones((2, 1, 1), np.uint8)]
    shard = _shard({"x": "ndarray:uint8"}, [{"x": value} for value in values])
    found = _rows(shard, x=pa.list_(pa.list_(pa.list_(pa.int16()))))
    assert found == [{"x": value.tolist()} for value in values]


def test_digits_are_read_as_numbers_where_asked() -> None:
    shard = _shard({"a": "str_int", "b": "str_float"}, [{"a": 12, "b": float("inf")}])
    assert _rows(shard, a=pa.int32(), b=pa.float64()) == [{"a": 12, "b": float("inf")}]
    assert _rows(shard, a=pa.string(), b=pa.string()) == [{"a": "12", "b": "inf"}]


@pytest.mark.parametrize(
    ("encoding", "value", "kind", "message"),
    [
        ("int", 300, pa.int8(), "Integer value 300 not in range"),
        ("float64", 0.5, pa.int32(), "truncated"),
        ("ndarray:uint64:1", np.array([2**64 - 1], np.uint64), pa.list_(pa.int64()), "not in range"),
        ("ndarray", np.ones((2, 3)), pa.list_(pa.float64()), r"value 0 has the shape \(2, 3\); read it as binary"),
        ("str_int", 300, pa.int8(), "too large"),
        ("str_int", 10**40, pa.int64(), "too large"),
        ("ndarray", np.array([0.1]), pa.list_(pa.float32()), "float64 would be rounded"),
        ("ndarray", np.array([0.1]), pa.list_(pa.decimal128(3, 1)), "float64 would be rounded"),
        ("ndarray", np.array([[0.5]]), pa.list_(pa.list_(pa.int32())), "truncated"),
    ],
)
def test_a_number_that_would_change_is_refused(encoding: str, value: Any, kind: pa.DataType, message: str) -> None:
    shard = _shard({"x": encoding}, [{"x": value}])
    with pytest.raises(ValueError, match=r"shard\.00000\.mds: rows 0 to 0, column 'x' read as .*: .*" + message):
        _rows(shard, x=kind)


def test_corrupt_rows_are_named() -> None:
    data = bytearray(writer.shard({"x": "str", "y": "str"}, [{"x": "a", "y": "b"}, {"x": "abc", "y": ""}]))
    at = bytes(data).index(b"abc") - 8
    wrong_size = data.copy()
    wrong_size[at] = 200
    with pytest.raises(ValueError, match=r"shard\.00000\.mds: row 1 has 11 bytes, its values another number"):
        _rows(Shard(bytes(wrong_size), "shard.00000.mds"), y=pa.string())
    data[at + 8] = 0xFF
    with pytest.raises(ValueError, match=r"shard\.00000\.mds: rows 0 to 1, column 'x' read as string: .*UTF"):
        _rows(Shard(bytes(data), "shard.00000.mds"), x=pa.string())
