"""One value ⇄ its bytes: literals, limits, and corrupt bytes. Comparison with the real package: test_mds_real.py."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pipeline.mds import encodings


def _encode(text: str, value: Any) -> bytes:
    return encodings.encode(encodings.parse(text), value)


def _decode(text: str, data: bytes) -> Any:
    return encodings.decode(encodings.parse(text), data)


@pytest.mark.parametrize(
    ("text", "value", "data"),
    [
        ("bytes", b"\x00\xff", b"\x00\xff"),
        ("str", "é", b"\xc3\xa9"),
        ("str", "", b""),
        ("int", -2, b"\xfe" + b"\xff" * 7),
        ("int", 2**63 - 1, b"\xff" * 7 + b"\x7f"),
        ("uint8", 255, b"\xff"),
        ("uint16", 258, b"\x02\x01"),
        ("int16", -2, b"\xfe\xff"),
        ("uint64", 2**64 - 1, b"\xff" * 8),
        ("float16", 1.0, b"\x00\x3c"),
        ("float64", -2.0, b"\0\0\0\0\0\0\0\xc0"),
        ("json", {"b": [1, None], "a": "é"}, b'{"b": [1, null], "a": "\\u00e9"}'),
        ("str_int", -(10**30), b"-1000000000000000000000000000000"),
        ("str_float", 0.1, b"0.1"),
        ("str_decimal", Decimal("1.50"), b"1.50"),
    ],
)
def test_values_and_their_bytes(text: str, value: Any, data: bytes) -> None:
    assert _encode(text, value) == data
    assert _decode(text, data) == value


@pytest.mark.parametrize(
    ("text", "array", "data"),
    [
        ("ndarray:uint16:3", np.array([1, 2, 3], np.uint16), b"\1\0\2\0\3\0"),
        ("ndarray:uint8:2,2", np.array([[1, 2], [3, 4]], np.uint8), b"\1\2\3\4"),
        ("ndarray:int8", np.array([[1], [-1]], np.int8), b"\x08\2\1\1\xff"),
        ("ndarray", np.array([7, 8], np.uint16), b"\x10\x04\2\7\0\x08\0"),
        ("ndarray", np.full(300, 9, np.uint8), b"\x08\x05\x2c\x01" + b"\x09" * 300),
    ],
)
def test_arrays_and_their_bytes(text: str, array: np.ndarray[Any, Any], data: bytes) -> None:
    assert _encode(text, array) == data
    again = _decode(text, data)
    assert again.dtype == array.dtype
    assert again.tolist() == array.tolist()
    assert again.flags.writeable


@pytest.mark.parametrize(
    ("text", "size"), [("str", None), ("int", 8), ("float16", 2), ("ndarray:int32", None), ("ndarray:int32:5,2", 40)]
)
def test_sizes(text: str, size: int | None) -> None:
    assert encodings.parse(text).size == size


@pytest.mark.parametrize("text", ["pkl", "pkl:5"])
def test_what_runs_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can run any code"):
        encodings.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpeg", "holds images"),
        ("list[png]", "holds images"),
        ("text", "'text' is unknown; known are bytes, str, int"),
        ("uint8:3", "'uint8:3' is unknown"),
        ("scalar", "'scalar' is unknown"),
        ("ndarray:bool", "array dtype 'bool' is unknown"),
        ("ndarray::3", "array dtype '' is unknown"),
        ("ndarray:uint8:", "at least 1"),
        ("ndarray:uint8:0", "at least 1"),
        ("ndarray:uint8:-1,-1", "at least 1"),
        ("ndarray:uint8:2,x", "at least 1"),
        ("ndarray:uint8:99999999999", "at most 4294967295 bytes"),
    ],
)
def test_encodings_that_do_not_exist(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        encodings.parse(text)


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("str", 5, "5 does not fit the encoding 'str': it is a int"),
        ("str", "\ud800", "surrogates not allowed"),
        ("str", b"\xff", "invalid start byte"),
        ("bytes", "text", "it is a str"),
        ("int", 2**63, "limits are"),
        ("uint8", 256, "256 does not fit the encoding 'uint8': the limits are 0 and 255"),
        ("uint8", np.int64(-1), "limits are 0 and 255"),
        ("uint8", 1.5, "does not fit"),
        ("uint16", b"\1", "takes 2 bytes, here are 1"),
        ("float32", "1.5", "it is a str"),
        ("float32", 10**400, "too large"),
        ("json", {1, 2}, "not JSON serializable"),
        ("str_int", True, "it is a bool"),
        ("str_float", 1, "it is a int"),
        ("str_decimal", 1.5, "it is a float"),
        ("ndarray", [1, 2], "it is a list"),
        ("ndarray", np.array(5), "1 to 63 dimensions"),
        ("ndarray", np.zeros((2, 0)), "1 to 63 dimensions"),
        ("ndarray", np.array([True]), "array dtypes are"),
        ("ndarray", np.array([1], ">u2"), "little-endian"),
        ("ndarray:uint16", np.array([1], np.int16), "that is another dtype"),
        ("ndarray:uint16:2", np.array([1], np.uint16), r"\(1,\) does not fit .* that is another shape"),
    ],
)
def test_values_that_do_not_fit(text: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _encode(text, value)


@pytest.mark.parametrize(
    ("text", "data", "message"),
    [
        ("str", b"\xff", "invalid start byte"),
        ("int", b"\0" * 7, "takes 8 bytes, here are 7"),
        ("json", b"{", "Expecting"),
        ("json", b"[" * 100_000, "nested too deeply"),
        ("str_int", b"x", "invalid literal"),
        ("str_decimal", b"x", "not a decimal number"),
        ("ndarray", b"", "without its dtype"),
        ("ndarray", b"\x07", "dtype code 7 is unknown"),
        ("ndarray", b"\x08", "without its shape"),
        ("ndarray", b"\x08\x00", "array of 0 dimensions"),
        ("ndarray", b"\x08\xfc\1", "array of 63 dimensions in 3 bytes"),
        ("ndarray", b"\x08\x04\x05\1", r"uint8 array of shape \(5,\) in 1 bytes"),
        ("ndarray", b"\x08\x04\x00", "dimensions are at least 1"),
        ("ndarray:uint8", b"\x0b" + b"\xff" * 16, "in 0 bytes"),  # 2¹²⁸ values announced
        ("ndarray:uint16:2", b"\1\0\2", "takes 4 bytes, here are 3"),
    ],
)
def test_corrupt_bytes_are_refused(text: str, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _decode(text, data)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(encodings.DTYPES).flatmap(
        lambda name: st_numpy.arrays(name, st_numpy.array_shapes(max_dims=4, max_side=9))
    ),
    st.sampled_from(["ndarray", "ndarray:{dtype}", "ndarray:{dtype}:{shape}"]),
)
def test_any_array_survives(array: np.ndarray[Any, Any], template: str) -> None:
    text = template.format(dtype=array.dtype.name, shape=",".join(map(str, array.shape)))
    np.testing.assert_array_equal(_decode(text, _encode(text, array)), array, strict=True)
    np.testing.assert_array_equal(_decode(text, _encode(text, array.T.copy().T)), array, strict=True)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40), st.sampled_from(["ndarray", "ndarray:uint16", "json", "str", "str_int", "str_decimal"]))
def test_any_bytes_decode_or_are_refused(data: bytes, text: str) -> None:
    try:
        value = _decode(text, data)
    except ValueError:
        return
    if text.startswith("ndarray"):
        assert value.nbytes <= len(data)
