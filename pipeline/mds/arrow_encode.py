"""Columns of Arrow record batches → MDS values: by array operations where values have a fixed size.

A value that does not fit is a `ValueError` that names row, column and value, rows counted from `first_row`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.mds import arrow_types, encodings
from pipeline.mds.encodings import Kind
from pipeline.mds.layout import Column

Values = npt.NDArray[Any] | list[bytes]
"""Of a fixed-size encoding an array [n, *shape] of its dtype; of another the stored bytes of each value."""


def encode_batch(columns: Sequence[Column], batch: pa.RecordBatch, first_row: int) -> Mapping[str, Values]:
    """The values of each column of a batch."""
    return {column.name: encode_column(column, batch.column(column.name), first_row) for column in columns}


def encode_fixed(columns: Sequence[Column], batch: pa.RecordBatch, first_row: int) -> dict[str, npt.NDArray[Any]]:
    """As `encode_batch` for columns of fixed size: arrays [n, *shape]."""
    values = encode_batch(columns, batch, first_row)
    return {name: array for name, array in values.items() if isinstance(array, np.ndarray)}


def encode_column(column: Column, array: pa.Array, first_row: int = 0) -> Values:
    """The values of one column; its type must be one that `arrow_types.check_writable` accepts."""
    encoding = column.encoding
    if array.null_count:
        _fail(column, first_row, array.is_null(), None, "it is null, and MDS has no nulls; fill or drop it")
    if arrow_types.is_binary(array.type):
        return _stored(column, array, first_row)
    if encoding.kind in (Kind.INT, Kind.SCALAR):
        return _numbers(column, array, first_row, np.ones(len(array), np.int64))
    if encoding.kind is Kind.NDARRAY:
        return _fixed_arrays(column, array, first_row) if encoding.shape else _arrays(column, array, first_row)
    if encoding.kind is Kind.STR:
        return list(array.cast(pa.binary()).to_pylist())
    if arrow_types.is_text(array.type):  # JSON or a number in digits, stored as they are
        return _each(column, (text.encode() for text in array.to_pylist()), first_row)
    return _each(column, array.to_pylist(maps_as_pydicts="strict"), first_row)


def rows(columns: Sequence[Column], values: Mapping[str, Values]) -> Iterator[bytes]:
    """The rows as they stand in a shard: the sizes of the values of variable size, then all values."""
    parts: list[list[bytes]] = []
    sizes: list[npt.NDArray[np.uint32]] = []
    for column in columns:
        given = values[column.name]
        if isinstance(given, np.ndarray):
            given = _slices(np.ascontiguousarray(given).tobytes(), column.encoding.size or 0)
        else:
            sizes.append(np.array([len(value) for value in given], "<u4"))
        parts.append(given)
    if sizes:
        parts.insert(0, _slices(np.stack(sizes, axis=1).tobytes(), 4 * len(sizes)))
    return map(b"".join, zip(*parts, strict=True))


def _slices(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _each(column: Column, values: Any, first_row: int) -> list[bytes]:
    """Values of variable size, one by one."""
    encoded = []
    for i, value in enumerate(values):
        try:
            encoded.append(encodings.encode(column.encoding, value))
        except ValueError as error:
            raise ValueError(f"row {first_row + i}, column {column.name!r}: {error}") from error
    return encoded


def _stored(column: Column, array: pa.Array, first_row: int) -> Values:
    """Bytes are taken as they are to be stored; those of a fixed size are compared in size, others are decoded."""
    encoding = column.encoding
    if encoding.kind is Kind.BYTES:
        return list(array.to_pylist())
    if encoding.size is None:
        return _each(column, array.to_pylist(), first_row)
    offsets, values = _offsets(array), array.buffers()[2]
    wrong = np.diff(offsets) != encoding.size
    if wrong.any():
        sizes = np.diff(offsets)
        _fail(column, first_row, wrong, sizes, f"bytes, and the encoding {encoding.text!r} takes {encoding.size}")
    shape = (len(array), *(encoding.shape or ()))
    if len(array) == 0:
        return np.empty(shape, encoding.dtype)
    data = np.frombuffer(values, np.uint8)[offsets[0] : offsets[-1]]
    return data.view(encoding.dtype).reshape(shape)


def _offsets(array: pa.Array) -> npt.NDArray[np.int64]:
    """Where the values of an array of strings, bytes or lists begin and end, int64 [n + 1]."""
    kind = array.type
    large = pa.types.is_large_binary(kind) or pa.types.is_large_string(kind) or pa.types.is_large_list(kind)
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros(1, np.int64)
    offsets = np.frombuffer(buffer, np.int64 if large else np.int32)[array.offset : array.offset + len(array) + 1]
    return offsets.astype(np.int64)


def _fixed_arrays(column: Column, array: pa.Array, first_row: int) -> npt.NDArray[Any]:
    """Lists, nested as deeply as the shape has dimensions, each as long as its dimension says."""
    shape = column.encoding.shape
    assert shape is not None  # the caller has looked
    n_rows, n_lists = len(array), 1  # lists of this depth in a row
    for dim in shape:
        lengths = np.diff(_offsets(array))
        wrong = (lengths != dim).reshape(n_rows, n_lists).any(axis=1)
        if wrong.any():
            found = np.where(lengths != dim, lengths, -1).reshape(n_rows, n_lists).max(axis=1)
            why = f"values in an array, and the encoding {column.encoding.text!r} takes {dim} there"
            _fail(column, first_row, wrong, found, why)
        array, n_lists = array.flatten(), n_lists * dim
        if array.null_count:
            _fail(column, first_row, _any_of(array.is_null(), n_rows), None, "it holds a null, and MDS has no nulls")
    values = _numbers(column, array, first_row, np.full(n_rows, n_lists, np.int64))
    return values.reshape(n_rows, *shape)


def _arrays(column: Column, array: pa.Array, first_row: int) -> list[bytes]:
    """Lists of any length, with the dtype of the encoding, or where it leaves that open, of the column."""
    flat = array.flatten()
    lengths = np.diff(_offsets(array))
    if flat.null_count:
        holds = np.repeat(np.arange(len(array)), lengths)[flat.is_null().to_numpy(zero_copy_only=False)]
        wrong = np.isin(np.arange(len(array)), holds)
        _fail(column, first_row, wrong, None, "it holds a null, and MDS has no nulls")
    values = _numbers(column, flat, first_row, lengths)
    stops = np.cumsum(lengths)
    pieces = (values[stop - n : stop] for stop, n in zip(stops.tolist(), lengths.tolist(), strict=True))
    return _each(column, pieces, first_row)


def _numbers(column: Column, array: pa.Array, first_row: int, lengths: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Numbers in the encoding's dtype, checked against its limits; row i holds lengths[i] of them. Floats are rounded
    as IEEE 754 says."""
    if pa.types.is_decimal(array.type):
        values = np.array([int(value) for value in array.to_pylist()], object)
    else:
        values = array.to_numpy(zero_copy_only=False)
    dtype = column.encoding.dtype
    if dtype is None:
        return values.astype(np.uint8) if values.dtype.kind == "b" else values
    if dtype.kind in "iu" and values.dtype.kind in "iO":
        wrong = _outside(values, dtype)
        if wrong.any():
            row = int(np.searchsorted(np.cumsum(lengths), int(np.argmax(wrong)), side="right"))
            limits = np.iinfo(dtype)
            raise ValueError(
                f"row {first_row + row}, column {column.name!r}: {values[np.argmax(wrong)]} does not fit the encoding "
                f"{column.encoding.text!r}: the limits are {limits.min} and {limits.max}"
            )
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(dtype, copy=False)


def _outside(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
    """Which integers exceed the limits of `dtype`."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if values.dtype.kind == "i":  # limits within the values' own dtype, so that numpy compares without widening
        own = np.iinfo(values.dtype)
        low, high = max(low, own.min), min(high, own.max)
    if len(values) and low <= values.min() and values.max() <= high:
        return np.zeros(0, np.bool_)
    found: npt.NDArray[np.bool_] = ((values < low) | (values > high)).astype(np.bool_)
    return found


def _any_of(mask: pa.Array, n_rows: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = mask.to_numpy(zero_copy_only=False).reshape(n_rows, -1).any(axis=1)
    return found


def _fail(column: Column, first_row: int, wrong: Any, found: Any, why: str) -> None:
    """Raise for the first row that is wrong, with what was found there."""
    row = int(np.argmax(np.asarray(wrong)))
    value = "" if found is None else f"{found[row]} "
    raise ValueError(f"row {first_row + row}, column {column.name!r}: {value}{why}")
