"""Rows of an open shard → Arrow record batches with the columns and types that are asked for, and no others.

A value that does not decode, or does not fit the type asked for, is a `ValueError` that names shard, rows and column.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.mds import arrow_types, encodings, layout
from pipeline.mds.encodings import Encoding, Kind
from pipeline.mds.reader import Shard

BATCH_BYTES = 16 << 20  # of rows in the shard; one row may have more
MAX_ARROW_BYTES = 2**31 - 1  # of a column in a batch: Spark's offsets are int32

Stored = bytes | memoryview  # a column's values, one after the other
Borders = npt.NDArray[np.int64]  # [n + 1]: value i lies at borders[i] … borders[i + 1] - 1 of a column's stored bytes


def batches(shard: Shard, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The shard's rows in order, in batches of about `BATCH_BYTES`. The columns must be the shard's, with types that
    `arrow_types.check_readable` accepts."""
    encoding_of = {column.name: column.encoding for column in shard.columns}
    start = 0
    while start < shard.n_samples:
        stop = int(np.searchsorted(shard.offsets, shard.offsets[start] + BATCH_BYTES, side="right")) - 1
        stop = max(stop, start + 1)
        arrays = []
        for field, (data, borders) in zip(schema, _stored(shard, start, stop, schema.names), strict=True):
            try:
                arrays.append(to_arrow(encoding_of[field.name], data, borders, field.type))
            except ValueError as error:
                where = f"{shard.where}: rows {start} to {stop - 1}, column {field.name!r} read as {field.type}"
                raise ValueError(f"{where}: {error}") from error
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        start = stop


def to_arrow(encoding: Encoding, data: Stored, borders: Borders, kind: pa.DataType) -> pa.Array:
    """Stored values of one encoding as an Arrow array of type `kind`; a number that would change is refused."""
    n_values = len(borders) - 1
    if borders[-1] > MAX_ARROW_BYTES:
        raise ValueError(f"{borders[-1]} bytes are too many for one batch")
    if arrow_types.is_binary(kind):
        return _binary(data, borders).cast(kind)
    if encoding.kind in arrow_types.TEXTS and arrow_types.is_text(kind):
        return _binary(data, borders).cast(kind)  # which refuses what is not UTF-8
    if encoding.kind in (Kind.INT, Kind.SCALAR):
        return _numbers(np.frombuffer(data, encoding.dtype, n_values), kind)
    if encoding.kind is not Kind.NDARRAY:
        return _digits(_decode(encoding, data, borders), kind)
    depth, leaf = arrow_types.depth_and_leaf(kind)
    if encoding.shape is not None:
        return _nest(_numbers(np.frombuffer(data, encoding.dtype), leaf), [n_values, *encoding.shape]).cast(kind)
    values = _decode(encoding, data, borders)
    for i, value in enumerate(values):
        if value.ndim != depth:
            raise ValueError(
                f"value {i} has the shape {value.shape}; read it as binary, or with {value.ndim} dimensions"
            )
    return _nest_each(values, leaf).cast(kind)


def _decode(encoding: Encoding, data: Stored, borders: Borders) -> list[Any]:
    """The values one by one."""
    places = borders.tolist()
    view = memoryview(data)
    return [encodings.decode(encoding, view[start:stop]) for start, stop in pairwise(places)]


def _binary(data: Stored, borders: Borders) -> pa.Array:
    offsets = pa.py_buffer(borders.astype(np.int32))
    return pa.Array.from_buffers(pa.binary(), len(borders) - 1, [None, offsets, pa.py_buffer(data)])


def _numbers(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Numbers as `kind`; Arrow refuses all that would change, but for floats that would be rounded."""
    narrower = pa.types.is_decimal(kind) or (pa.types.is_floating(kind) and kind.bit_width < 8 * values.itemsize)
    if values.dtype.kind == "f" and narrower:
        raise ValueError(f"{values.dtype.name} would be rounded")
    return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False)).cast(kind)


def _nest(values: pa.Array, shape: Sequence[int]) -> pa.Array:
    """Numbers in C order as lists of lists: [n, d0, d1] is n lists of d0 lists of d1 numbers."""
    for depth in range(len(shape) - 1, 0, -1):
        n_lists = math.prod(shape[:depth])
        offsets = np.arange(n_lists + 1, dtype=np.int32) * np.int32(shape[depth])
        values = pa.ListArray.from_arrays(pa.array(offsets), values)
    return values


def _nest_each(values: Sequence[npt.NDArray[Any]], leaf: pa.DataType) -> pa.Array:
    """Arrays of one number of dimensions, but of any shapes, as lists of lists."""
    nested = pa.concat_arrays([_numbers(value.reshape(-1), leaf) for value in values])
    for axis in range(values[0].ndim - 1, -1, -1):
        lengths = [np.full(math.prod(value.shape[:axis]), value.shape[axis]) for value in values]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int32)
        nested = pa.ListArray.from_arrays(pa.array(offsets), nested)
    return nested


def _digits(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except OverflowError as error:  # of an int above 64 bits
        raise ValueError(str(error)) from error


def _stored(shard: Shard, start: int, stop: int, names: Sequence[str]) -> list[tuple[Stored, Borders]]:
    """The stored bytes of some columns of rows start … stop - 1, value after value."""
    if layout.is_fixed(shard.columns):
        arrays = [np.ascontiguousarray(shard.array(name)[start:stop]) for name in names]
        return [
            (array.data.cast("B"), np.arange(len(array) + 1, dtype=np.int64) * (array.nbytes // len(array)))
            for array in arrays
        ]
    found = _places(shard, start, stop)
    stored: list[tuple[Stored, Borders]] = []
    for name in names:
        begins, sizes = found[name]
        ends = (begins + sizes).tolist()
        data = b"".join([shard.data[begin:end] for begin, end in zip(begins.tolist(), ends, strict=True)])
        stored.append((data, np.cumsum([0, *sizes.tolist()], dtype=np.int64)))
    return stored


def _places(shard: Shard, start: int, stop: int) -> dict[str, tuple[Borders, Borders]]:
    """For each column of rows of variable size where in the file its values begin, and their sizes, int64 [n] each.

    `ValueError` that names the row whose sizes do not fill it.
    """
    begins, ends = shard.offsets[start:stop], shard.offsets[start + 1 : stop + 1]
    n_variable = sum(column.encoding.size is None for column in shard.columns)
    wrong = ends - begins < 4 * n_variable
    sizes = np.zeros((len(begins), n_variable), np.int64)
    if not wrong.any():
        heads = begins[:, None] + np.arange(4 * n_variable)
        sizes = np.frombuffer(shard.data, np.uint8)[heads].view("<u4").astype(np.int64)
    places, at, given = {}, begins + 4 * n_variable, iter(sizes.T)
    for column in shard.columns:
        fixed = column.encoding.size
        size = next(given) if fixed is None else np.full(len(begins), fixed, np.int64)
        places[column.name] = (at, size)
        at = at + size
    wrong |= at != ends
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(f"{shard.where}: row {start + i} has {ends[i] - begins[i]} bytes, its values another number")
    return places
