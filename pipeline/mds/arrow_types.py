"""Which Arrow type goes with which MDS encoding: to derive columns from a table, and a table from columns.

Arrow types are those that Spark's columns have (signed integers only). Binary goes with every encoding, both ways: a
value's stored bytes, which for `ndarray:dtype:shape` are the little-endian numbers in C order.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import types

from pipeline.mds.encodings import Encoding, Kind
from pipeline.mds.layout import Column

TEXTS = (Kind.STR, Kind.JSON, Kind.STR_INT, Kind.STR_FLOAT, Kind.STR_DECIMAL)
NUMBER_TYPES: Mapping[str, pa.DataType] = {  # the smallest of Spark's types that holds every value
    "uint8": pa.int16(),
    "int8": pa.int8(),
    "uint16": pa.int32(),
    "int16": pa.int16(),
    "float16": pa.float32(),
    "uint32": pa.int64(),
    "int32": pa.int32(),
    "float32": pa.float32(),
    "uint64": pa.decimal128(20, 0),
    "int64": pa.int64(),
    "float64": pa.float64(),
}
_DTYPES: Mapping[pa.DataType, str] = {
    pa.bool_(): "uint8",
    pa.int8(): "int8",
    pa.int16(): "int16",
    pa.int32(): "int32",
    pa.int64(): "int64",
    pa.float32(): "float32",
    pa.float64(): "float64",
}


def is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def is_binary(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def is_whole(kind: pa.DataType) -> bool:
    """Integers, booleans (0 and 1), and decimals without a fraction."""
    return bool(types.is_integer(kind) or types.is_boolean(kind) or (types.is_decimal(kind) and kind.scale == 0))


def is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind))


def depth_and_leaf(kind: pa.DataType) -> tuple[int, pa.DataType]:
    """How many lists lie around what: (2, int32) for a list of lists of int32."""
    depth = 0
    while is_list(kind):
        depth, kind = depth + 1, kind.value_type
    return depth, kind


def derive(name: str, kind: pa.DataType) -> str:
    """The encoding of a column where none is asked; `ValueError` that names the column where a type has none."""
    if is_text(kind):
        return "str"
    if is_binary(kind):
        return "bytes"
    if types.is_decimal(kind):
        return "str_decimal"
    if kind == pa.int64():
        return "int"
    depth, leaf = depth_and_leaf(kind)
    if leaf in _DTYPES and depth <= 1:
        return f"ndarray:{_DTYPES[leaf]}" if depth else _DTYPES[leaf]
    raise ValueError(
        f"column {name!r} of type {kind} has no encoding of its own; name one in the option `columns` (such as json, "
        "or ndarray:dtype:shape for nested arrays of numbers) or cast the column"
    )


def check_writable(column: Column, kind: pa.DataType) -> None:
    """`ValueError` where values of this type never fit the column's encoding."""
    if not _is_writable(column.encoding, kind):
        raise ValueError(f"column {column.name!r} of type {kind} does not fit the encoding {column.encoding.text!r}")


def check_readable(column: Column, kind: pa.DataType) -> None:
    """`ValueError` where the column cannot be read as this type."""
    if not _is_readable(column.encoding, kind):
        raise ValueError(
            f"column {column.name!r} ({column.encoding.text}) cannot be read as {kind}; leave it out of the schema, "
            "or read it as binary: the stored bytes"
        )


def natural(encoding: Encoding, sample: npt.NDArray[np.generic] | None = None) -> pa.DataType:
    """The type a column is read as where none is asked. `sample` is any value of an array column whose encoding leaves
    dtype or shape open; those of a dataset are taken to be alike in dtype and number of dimensions."""
    match encoding.kind:
        case Kind.BYTES:
            return pa.binary()
        case Kind.STR_FLOAT:
            return pa.float64()
        case Kind.STR | Kind.JSON | Kind.STR_INT | Kind.STR_DECIMAL:
            return pa.string()
    shape = encoding.shape
    dtype = encoding.dtype
    if sample is not None:
        dtype, shape = sample.dtype, sample.shape
    kind = NUMBER_TYPES["float64" if dtype is None else dtype.name]
    for _ in (0,) if shape is None else shape:
        kind = pa.list_(kind)
    return kind


def needs_sample(encoding: Encoding) -> bool:
    return encoding.kind is Kind.NDARRAY and encoding.shape is None


def _is_writable(encoding: Encoding, kind: pa.DataType) -> bool:
    if is_binary(kind):
        return True
    if is_text(kind):
        return encoding.kind in TEXTS
    depth, leaf = depth_and_leaf(kind)
    match encoding.kind:
        case Kind.JSON:
            return True
        case Kind.INT | Kind.SCALAR | Kind.NDARRAY:
            fits_depth = depth == (1 if encoding.shape is None else len(encoding.shape))
            floats = encoding.dtype is None or encoding.dtype.kind == "f"
            array_leaf = depth == 0 or not types.is_decimal(leaf)
            return fits_depth and array_leaf and (is_whole(leaf) or (floats and leaf in _DTYPES))
        case Kind.STR_INT:
            return bool(types.is_integer(kind))
        case Kind.STR_FLOAT:
            return bool(types.is_floating(kind))
        case Kind.STR_DECIMAL:
            return bool(types.is_decimal(kind))
    return False


def _is_readable(encoding: Encoding, kind: pa.DataType) -> bool:
    if is_binary(kind):
        return True
    depth, leaf = depth_and_leaf(kind)
    match encoding.kind:
        case Kind.INT | Kind.SCALAR:
            return depth == 0 and _can_hold(leaf, encoding.dtype)
        case Kind.NDARRAY:
            fits_depth = depth > 0 and (encoding.shape is None or depth == len(encoding.shape))
            return fits_depth and _can_hold(leaf, encoding.dtype)
        case Kind.STR_INT:
            return is_text(kind) or (is_whole(kind) and not types.is_boolean(kind))
        case Kind.STR_FLOAT:
            return is_text(kind) or kind == pa.float64()
        case Kind.STR_DECIMAL:
            return is_text(kind) or bool(types.is_decimal(kind))
        case Kind.STR | Kind.JSON:
            return is_text(kind)
    return False


def _can_hold(kind: pa.DataType, dtype: np.dtype[np.generic] | None) -> bool:
    """Whether numbers of `dtype` (None: any) are kept by Arrow's checked cast to `kind`, or refused, never rounded."""
    if dtype is not None and dtype.kind == "f" and types.is_decimal(kind):
        return False
    if dtype is not None and dtype.kind == "f" and types.is_floating(kind):
        return bool(kind.bit_width >= 8 * dtype.itemsize)
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
