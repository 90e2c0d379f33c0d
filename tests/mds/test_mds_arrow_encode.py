"""Arrow columns as MDS values, against `encodings.encode` value by value; and values that do not fit."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds import arrow_encode, encodings, layout


def _column(encoding: str) -> layout.Column:
    return layout.parse_columns({"x": encoding})[0]


def _stored(encoding: str, array: pa.Array, first_row: int = 0) -> list[bytes]:
    """The stored bytes of each value."""
    values = arrow_encode.encode_column(_column(encoding), array, first_row)
    return [value.tobytes() for value in values] if isinstance(values, np.ndarray) else values


CASES: list[tuple[str, pa.Array, list[Any]]] = [
    ("str", pa.array(["", "é\0"]), ["", "é\0"]),
    ("str", pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
    ("bytes", pa.array([b"", b"\xff"]), [b"", b"\xff"]),
    ("int", pa.array([-(2**63), 2**63 - 1]), [-(2**63), 2**63 - 1]),
    ("uint8", pa.array([True, False]), [1, 0]),
    ("uint64", pa.array([Decimal(2**64 - 1), Decimal(0)], pa.decimal128(20, 0)), [2**64 - 1, 0]),
    ("float16", pa.array([0.1, 1e9]), [0.1, 1e9]),
    ("float32", pa.array([3], pa.int16()), [3.0]),
    ("json", pa.array(['{"b": 1,  "a": 2}']), [b'{"b": 1,  "a": 2}']),
    ("json", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())), [{"a": 1}]),
    ("json", pa.array([{"a": [None, 1.5]}]), [{"a": [None, 1.5]}]),
    ("str_int", pa.array([5]), [5]),
    ("str_int", pa.array(["-7"]), [b"-7"]),
    ("str_float", pa.array([0.1]), [0.1]),
    ("str_decimal", pa.array([Decimal("1.50")]), [Decimal("1.50")]),
    ("ndarray:uint16:2", pa.array([[1, 65535], [0, 2]], pa.list_(pa.int32())), [[1, 65535], [0, 2]]),
    ("ndarray:int8:2,1", pa.array([[[1], [-2]]]), [[[1], [-2]]]),
    ("ndarray:uint16:2", pa.array([b"\1\0\2\0"]), [[1, 2]]),
    ("ndarray:uint32", pa.array([[1], [2, 2**32 - 1]]), [[1], [2, 2**32 - 1]]),
    ("ndarray:uint8", pa.array([b"\6\1\7", b"\4\1\7"][1:]), [b"\4\1\7"]),
]


@pytest.mark.parametrize(("encoding", "array", "values"), CASES)
def test_a_column_has_the_bytes_of_its_values(encoding: str, array: pa.Array, values: list[Any]) -> None:
    parsed = encodings.parse(encoding)
    if parsed.dtype is not None and isinstance(values[0], list):
        values = [np.array(value, parsed.dtype) for value in values]
    expected = [encodings.encode(parsed, value) for value in values]
    assert _stored(encoding, array) == expected
    padded = pa.concat_arrays([array, array, array])
    assert _stored(encoding, padded.slice(len(array), len(array))) == expected  # a slice of a larger array
    assert _stored(encoding, array.slice(0, 0)) == []


def test_an_array_column_without_dtype_takes_its_own() -> None:
    expected = encodings.encode(encodings.parse("ndarray"), np.array([1, 2], np.int16))
    assert _stored("ndarray", pa.array([[1, 2]], pa.list_(pa.int16()))) == [expected]


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from([name for name in encodings.DTYPES if "int" in name]),
    st.sampled_from([pa.int8(), pa.int16(), pa.int32(), pa.int64()]),
    st.data(),
)
def test_whole_numbers_fit_or_are_refused_as_one_by_one(dtype: str, kind: pa.DataType, data: st.DataObject) -> None:
    bound = 2 ** (kind.bit_width - 1)
    values = data.draw(st.lists(st.integers(-bound, bound - 1), max_size=5))
    expected: list[bytes] | str = []
    for i, value in enumerate(values):
        try:
            expected = [*expected, encodings.encode(encodings.parse(dtype), value)]
        except ValueError:
            expected = f"row {7 + i}, column 'x': {value} does not fit the encoding '{dtype}'"
            break
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            _stored(dtype, pa.array(values, kind), 7)
    else:
        assert _stored(dtype, pa.array(values, kind), 7) == expected


@pytest.mark.parametrize(
    ("encoding", "array", "message"),
    [
        ("str", pa.array(["a", None]), "row 11, column 'x': it is null, and MDS has no nulls"),
        ("ndarray:uint16:2", pa.array([[1, 2], [3, -1]]), "row 11, column 'x': -1 does not fit .* 0 and 65535"),
        ("ndarray:uint16:2", pa.array([[1, 2], [3]]), "row 11, column 'x': 1 values in an array, .* takes 2 there"),
        ("ndarray:uint16:2", pa.array([[1, 2], [3, None]]), "row 11, column 'x': it holds a null"),
        ("ndarray:uint16:1,2", pa.array([[[1, 2]], [[3, 4, 5]]]), "row 11, column 'x': 3 values in an array"),
        ("ndarray:uint16:1,1", pa.array([[[1]], [None]]), "row 11, column 'x': it holds a null"),
        ("ndarray:uint16:2", pa.array([b"1234", b"12345"]), "row 11, column 'x': 5 bytes, .* takes 4"),
        ("ndarray:uint8", pa.array([[1], [1, 2, 256]]), "row 11, column 'x': 256 does not fit"),
        ("ndarray:uint8", pa.array([[1], [], [None]]), "row 12, column 'x': it holds a null"),
        ("ndarray:uint8", pa.array([[1], []]), "row 11, column 'x': .* an array has 1 to 63 dimensions"),
        ("ndarray:uint8", pa.array([b"\4\1\7", b"\4\2\7"]), "row 11, column 'x': uint8 array of shape"),
        ("json", pa.array(["1", "{"]), "row 11, column 'x': Expecting property name"),
        ("str_int", pa.array(["1", "1.5"]), "row 11, column 'x': invalid literal"),
        (
            "uint64",
            pa.array([Decimal(0), Decimal(2**64)], pa.decimal128(38, 0)),
            "row 11, column 'x': 18446744073709551616",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named(encoding: str, array: pa.Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _stored(encoding, array, 10)
