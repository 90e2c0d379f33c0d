"""The encodings of MDS columns: one value ⇄ its bytes, all numbers little-endian.

An encoding is spelt as in the index: `str`, `bytes`, `int` (int64), `uint8` … `float64`, `json`, `str_int`,
`str_float`, `str_decimal`, and `ndarray[:dtype[:d0,d1,…]]`. Those that run code when decoded (`pkl`) are refused, and
images, which need an imaging library. Facts: mosaicml-streaming 0.13.0, `streaming/base/format/mds/encodings.py`.
"""

import json
import math
import numbers
import operator
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_VALUE_BYTES = 2**32 - 1  # sizes and offsets are uint32
MAX_NDIM = 63  # six bits hold it in an array's head
DTYPES = ("uint8", "int8", "uint16", "int16", "float16", "uint32", "int32", "float32", "uint64", "int64", "float64")
_SHAPE_DTYPES = ("u1", "<u2", "<u4", "<u8")  # the dtype of a stored shape, by its two-bit code
_UNSAFE = ("pkl",)
_IMAGES = ("pil", "jpeg", "jpegarray", "jpeg_array", "png", "list[pil]", "list[jpeg]", "list[png]")


class Kind(StrEnum):
    """What values an encoding holds; `SCALAR` is any of `DTYPES`."""

    BYTES = "bytes"
    STR = "str"
    INT = "int"
    SCALAR = "scalar"
    NDARRAY = "ndarray"
    JSON = "json"
    STR_INT = "str_int"
    STR_FLOAT = "str_float"
    STR_DECIMAL = "str_decimal"


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A parsed encoding: `dtype` of a number or array, `shape` of an array; None where the value itself says."""

    text: str
    kind: Kind
    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int | None:
        """Bytes of every value, or None where values differ in size."""
        if self.dtype is None or self.shape is None:
            return None
        return math.prod(self.shape) * self.dtype.itemsize


def parse(text: str) -> Encoding:
    """The encoding spelt `text`; `ValueError` for one that is unknown, unsafe, or holds images."""
    name, _, config = text.partition(":")
    if name in _UNSAFE:
        raise ValueError(
            f"encoding {text!r} can run any code when it is decoded and is refused; use json, bytes or ndarray"
        )
    if name in _IMAGES:
        raise ValueError(f"encoding {text!r} holds images, which this package does not decode; store files as bytes")
    if name == "ndarray":
        return _parse_ndarray(text, config)
    if text in DTYPES:
        return Encoding(text=text, kind=Kind.SCALAR, dtype=_little(text), shape=())
    if text == "int":
        return Encoding(text=text, kind=Kind.INT, dtype=_little("int64"), shape=())
    kinds = [kind for kind in Kind if kind not in (Kind.SCALAR, Kind.NDARRAY)]
    if text in kinds:
        return Encoding(text=text, kind=Kind(text))
    known = ", ".join([*kinds, *DTYPES, "ndarray[:dtype[:d0,d1,…]]"])
    raise ValueError(f"encoding {text!r} is unknown; known are {known}")


def encode(encoding: Encoding, value: Any) -> bytes:
    """The bytes of a value. `bytes` in a column of another kind count as encoded already, as `MDSWriter` takes them,
    and must decode. `ValueError` where the value does not fit the encoding."""
    if isinstance(value, bytes):
        if encoding.kind is not Kind.BYTES:
            decode(encoding, value)
        return value
    try:
        return _encode(encoding, value)
    except (TypeError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise _misfit(encoding, value, str(error)) from error


def decode(encoding: Encoding, data: bytes | memoryview) -> Any:
    """The value behind `data`: numbers as numpy scalars (`int` as int), arrays as writable copies.

    `ValueError` where the bytes are not a value of this encoding; sizes are compared before memory is taken.
    """
    size = encoding.size
    if size is not None and len(data) != size:
        raise ValueError(f"encoding {encoding.text!r} takes {size} bytes, here are {len(data)}")
    match encoding.kind:
        case Kind.BYTES:
            return bytes(data)
        case Kind.STR:
            return str(data, "utf-8")
        case Kind.INT:
            return int.from_bytes(data, "little", signed=True)
        case Kind.SCALAR:
            return np.frombuffer(data, encoding.dtype)[0]
        case Kind.NDARRAY:
            return _decode_array(encoding, memoryview(data))
        case Kind.JSON:
            return _decode_json(str(data, "utf-8"))
        case Kind.STR_INT:
            return int(str(data, "utf-8"))
        case Kind.STR_FLOAT:
            return float(str(data, "utf-8"))
        case Kind.STR_DECIMAL:
            return _decode_decimal(str(data, "utf-8"))


def _encode(encoding: Encoding, value: Any) -> bytes:
    match encoding.kind:
        case Kind.STR if isinstance(value, str):
            return value.encode()
        case Kind.INT | Kind.SCALAR:
            return _encode_number(encoding, value)
        case Kind.NDARRAY if isinstance(value, np.ndarray):
            return _encode_array(encoding, value)
        case Kind.JSON:
            return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value).encode()
        case Kind.STR_INT if isinstance(value, int) and not isinstance(value, bool):
            return str(value).encode()
        case Kind.STR_FLOAT if isinstance(value, float):
            return str(value).encode()
        case Kind.STR_DECIMAL if isinstance(value, Decimal):
            return str(value).encode()
    raise _misfit(encoding, value, f"it is a {type(value).__name__}")


def _encode_number(encoding: Encoding, value: Any) -> bytes:
    """An integer must fit exactly (numpy would cut or wrap some); a float is rounded as IEEE 754 says."""
    dtype = encoding.dtype
    assert dtype is not None  # numbers have one
    if isinstance(value, np.bool_):
        value = bool(value)
    if dtype.kind != "f":
        number = operator.index(value)
        limits = np.iinfo(dtype)
        if not limits.min <= number <= limits.max:
            raise _misfit(encoding, value, f"the limits are {limits.min} and {limits.max}")
        return number.to_bytes(dtype.itemsize, "little", signed=dtype.kind == "i")
    if not isinstance(value, numbers.Real):
        raise _misfit(encoding, value, f"it is a {type(value).__name__}")
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(value).astype(dtype).tobytes()


def _encode_array(encoding: Encoding, array: npt.NDArray[Any]) -> bytes:
    """[dtype: 1 byte, unless fixed] [ndim and shape's dtype: 1 byte, shape, unless fixed] [values in C order]."""
    name = array.dtype.name
    if name not in DTYPES or array.dtype != _little(name):
        raise _misfit(encoding, array.dtype.str, f"array dtypes are {', '.join(DTYPES)}, little-endian")
    if array.ndim == 0 or array.ndim > MAX_NDIM or array.size == 0:
        raise _misfit(encoding, array.shape, f"an array has 1 to {MAX_NDIM} dimensions, each at least 1")
    parts = []
    if encoding.dtype is None:
        parts.append(bytes([_dtype_code(array.dtype)]))
    elif array.dtype != encoding.dtype:
        raise _misfit(encoding, array.dtype.name, "that is another dtype")
    if encoding.shape is None:
        code = next(code for code in range(4) if max(array.shape) < 1 << (8 << code))
        parts.append(bytes([array.ndim << 2 | code]) + np.array(array.shape, _SHAPE_DTYPES[code]).tobytes())
    elif array.shape != encoding.shape:
        raise _misfit(encoding, array.shape, "that is another shape")
    return b"".join([*parts, np.ascontiguousarray(array).data])


def _decode_array(encoding: Encoding, data: memoryview) -> npt.NDArray[Any]:
    dtype, shape, start = encoding.dtype, encoding.shape, 0
    if dtype is None:
        code = _byte(data, start, "dtype")
        if code not in _DTYPE_BY_CODE:
            raise ValueError(f"array dtype code {code} is unknown")
        dtype, start = _DTYPE_BY_CODE[code], start + 1
    if shape is None:
        shape, start = _decode_shape(data, start)
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"{dtype.name} array of shape {shape} in {len(data) - start} bytes")
    return np.frombuffer(data[start:], dtype).reshape(shape).copy()


def _decode_shape(data: memoryview, start: int) -> tuple[tuple[int, ...], int]:
    """The shape stored at `start`, and where the values begin."""
    head = _byte(data, start, "shape")
    ndim, dtype = head >> 2, np.dtype(_SHAPE_DTYPES[head & 3])
    stop = start + 1 + ndim * dtype.itemsize
    if ndim == 0 or stop > len(data):
        raise ValueError(f"array of {ndim} dimensions in {len(data)} bytes")
    shape = tuple(np.frombuffer(data[start + 1 : stop], dtype).tolist())
    if 0 in shape:
        raise ValueError(f"array of shape {shape}; dimensions are at least 1")
    return shape, stop


def _byte(data: memoryview, at: int, what: str) -> int:
    if at >= len(data):
        raise ValueError(f"array without its {what}: only {len(data)} bytes")
    return data[at]


def _decode_json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def _decode_decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{reprlib.repr(text)} is not a decimal number") from error


def _parse_ndarray(text: str, config: str) -> Encoding:
    dtype, has_shape, dims = config.partition(":")
    if dtype not in DTYPES and (dtype or has_shape):
        raise ValueError(f"encoding {text!r}: array dtype {dtype!r} is unknown; known are {', '.join(DTYPES)}")
    if not dtype:
        return Encoding(text=text, kind=Kind.NDARRAY)
    if not has_shape:
        return Encoding(text=text, kind=Kind.NDARRAY, dtype=_little(dtype))
    try:
        shape = tuple(int(dim) for dim in dims.split(","))
    except ValueError:
        shape = (0,)
    encoding = Encoding(text=text, kind=Kind.NDARRAY, dtype=_little(dtype), shape=shape)
    if min(shape) < 1 or len(shape) > MAX_NDIM or math.prod(shape) * _little(dtype).itemsize > MAX_VALUE_BYTES:
        raise ValueError(
            f"encoding {text!r}: a shape is 1 to {MAX_NDIM} whole numbers of at least 1 with commas between, "
            f"its array at most {MAX_VALUE_BYTES} bytes"
        )
    return encoding


def _little(name: str) -> np.dtype[Any]:
    return np.dtype(name).newbyteorder("<")


def _dtype_code(dtype: np.dtype[Any]) -> int:
    """Bits, plus 1 for signed, 2 for floating."""
    return dtype.itemsize * 8 + "uif".index(dtype.kind)


_DTYPE_BY_CODE: Mapping[int, np.dtype[Any]] = {_dtype_code(np.dtype(name)): _little(name) for name in DTYPES}


def _misfit(encoding: Encoding, value: Any, why: str) -> ValueError:
    return ValueError(f"{reprlib.repr(value)} does not fit the encoding {encoding.text!r}: {why}")
