"""Parquet: one record a row, the text in one column of strings (or of bytes, if they are UTF-8).

The other columns go to the meta: structs as objects, lists and maps as arrays (a map's items as pairs), and what JSON
has no form for as `meta` says (binary values in hexadecimal, times in ISO 8601).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from pipeline.documents.meta import split_fields, to_json
from pipeline.documents.records import Quarantined, ReadParams, Reason, Record, RefusedError, quarantined
from pipeline.documents.utf8 import decoded

# Rows decoded at once. A row group is read in batches of about BATCH_BYTES, as its footer estimates, and never of more
# rows than BATCH_ROWS: the footer counts a text that a dictionary repeats only once.
BATCH_ROWS = 64
BATCH_BYTES = 1 << 24
BUFFER_BYTES = 1 << 20  # of a column's stored bytes, instead of all that the row group has


class _Store:
    """The stream, remembering the error that it raised: Arrow's own errors of damaged files are `OSError`, too."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.error: Exception | None = None
        self.closed = False

    def read(self, n_bytes: int = -1) -> bytes:
        try:
            return self._stream.read(n_bytes)
        except Exception as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._stream.seek(offset, whence)
        except Exception as error:
            self.error = error
            raise

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self.closed = True


def read(
    stream: BinaryIO, stored_bytes: int, params: ReadParams, piece: tuple[int, int] | None = None
) -> Iterator[Record | Quarantined]:
    """The records of a file; `stream` can seek, `stored_bytes` is the file's size. Of a `piece`, bytes [start, stop) of
    it, those of the row groups that begin there; that a file cannot be opened is told by its first piece."""
    start, stop = piece or (0, stored_bytes)
    store, n_rows = _Store(stream), 0
    try:
        with _refusing(store):
            file = pq.ParquetFile(store, buffer_size=BUFFER_BYTES, pre_buffer=False)
            _check_text_column(file.schema_arrow, params.text_field)
            groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    except RefusedError as refused:
        if start == 0:
            yield quarantined(refused, record=None, head=b"", n_bytes=stored_bytes, whole_file=True)
        return
    try:
        for number, group in enumerate(groups):
            first = n_rows
            if piece is None or start <= min(max(0, _offset(group)), stored_bytes - 1) < stop:
                for batch in _batches(store, file, number):
                    yield from _read_rows(batch, n_rows, params)
                    n_rows += batch.num_rows
            n_rows = max(n_rows, first + group.num_rows)
    except RefusedError as refused:
        yield quarantined(refused, record=n_rows or None, head=b"", n_bytes=stop - start, whole_file=True)


def _batches(store: _Store, file: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
    """The rows of a row group in small batches; `RefusedError` where it cannot be read (on)."""
    n_rows = _batch_rows(file.metadata.row_group(group))
    with _refusing(store):
        yield from file.iter_batches(batch_size=n_rows, row_groups=[group], use_threads=False)


@contextmanager
def _refusing(store: _Store) -> Iterator[None]:
    """Arrow's errors as `RefusedError`, the store's as they are."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if store.error is not None:
            raise store.error from None
        raise RefusedError(Reason.BROKEN_PARQUET, f"not a Parquet file, or a damaged one: {error}") from error


def _offset(group: pq.RowGroupMetaData) -> int:
    """Where a row group begins in its file."""
    if group.num_columns == 0:
        return 0
    column = group.column(0)
    return int(column.dictionary_page_offset or column.data_page_offset)


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    row_bytes = group.total_byte_size / max(1, group.num_rows)
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1.0, row_bytes))))


def _check_text_column(schema: pa.Schema, field: str) -> None:
    indices = schema.get_all_field_indices(field)
    if len(indices) != 1:
        detail = f'the file has {len(indices)} columns "{field}"; it has: {", ".join(schema.names)}'
        raise RefusedError(Reason.MISSING_COLUMN, detail)
    kind = schema.field(indices[0]).type
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    if not any(is_text(kind) for is_text in (pt.is_string, pt.is_large_string, pt.is_binary, pt.is_large_binary)):
        detail = f'the column "{field}" is {kind}, not string; name another text_field, or convert the file'
        raise RefusedError(Reason.COLUMN_TYPE, detail)


def _read_rows(batch: pa.RecordBatch, first: int, params: ReadParams) -> Iterator[Record | Quarantined]:
    """The rows of a batch; `first` is the number of its first one."""
    column = batch.column(params.text_field)
    column = column.dictionary_decode() if pt.is_dictionary(column.type) else column
    texts = column.cast(pa.large_binary())  # bytes, since Parquet's strings may be anything
    others = batch.drop_columns([params.text_field])
    for row in range(batch.num_rows):
        text = texts[row].as_py()
        try:
            yield _record(first + row, text, _fields(others, row), params)
        except RefusedError as refused:
            yield quarantined(refused, record=first + row, head=text or b"", n_bytes=len(text or b""))


def _fields(others: pa.RecordBatch, row: int) -> dict[str, Any]:
    """The row's other columns as Python values."""
    try:
        return {name: column[row].as_py() for name, column in zip(others.schema.names, others.columns, strict=True)}
    except (ValueError, OverflowError, LookupError) as error:  # bytes, dates and time zones that Python cannot hold
        reason = Reason.INVALID_UTF8 if isinstance(error, UnicodeDecodeError) else Reason.UNREADABLE_FIELD
        raise RefusedError(reason, f"another column than the text cannot be read: {error}") from None


def _record(number: int, text: bytes | None, fields: dict[str, Any], params: ReadParams) -> Record:
    if text is None:
        raise RefusedError(Reason.NULL_TEXT, f'the column "{params.text_field}" is null; the row has {to_json(fields)}')
    if not text:
        raise RefusedError(Reason.EMPTY_TEXT, f'the column "{params.text_field}" is empty')
    decoded(text, "the text")
    url, meta = split_fields(fields, params)
    n_bytes = len(text) + len(meta)
    if n_bytes > params.max_document_bytes:
        detail = f"text and meta have {n_bytes} bytes; max_document_bytes is {params.max_document_bytes}"
        raise RefusedError(Reason.TOO_LARGE, detail)
    return Record(record=number, text=text, url=url, meta=meta)
