"""The rows of one partition, as Arrow record batches → its shards, split by the size limit as `MDSWriter` splits them.

At most one shard and one batch are held at a time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import storage
from pipeline.mds import arrow_encode, layout, writer
from pipeline.mds.layout import HASHES, Column
from pipeline.mds.writer import SIZE_LIMIT


@dataclass(frozen=True, kw_only=True)
class ShardFormat:
    """How shards are written: columns (name → encoding), whole-file hashes in the index, and the most bytes a shard
    has (None: 2³²-1, the format's own limit). `ValueError` where one of them is refused."""

    columns: Mapping[str, str]
    hashes: tuple[str, ...] = HASHES
    size_limit: int | None = SIZE_LIMIT

    def __post_init__(self) -> None:
        layout.config_fields(self.parsed, self.hashes, self.size_limit)

    @property
    def parsed(self) -> tuple[Column, ...]:
        """The columns as they stand in a row."""
        return layout.parse_columns(self.columns)


def shards(form: ShardFormat, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[storage.Data, int]]:
    """Each shard's bytes and its number of rows. Batches must have the format's columns, in any order.

    `ValueError` that names row (of the partition, 0-based), column and value where one does not fit. As with
    `MDSWriter`, a row larger than the limit has a shard of its own, and where it is the first row, an empty shard
    before it.
    """
    config = layout.config_bytes(form.parsed, form.hashes, form.size_limit)
    limit = layout.MAX_SHARD_BYTES if form.size_limit is None else form.size_limit
    if layout.is_fixed(form.parsed):
        row_bytes = layout.row_dtype(form.parsed).itemsize
        rows_a_shard = (limit - layout.first_offset(0, config)) // (row_bytes + 4)  # 4: its offset in the header
        if rows_a_shard > 0:
            yield from _fixed_shards(form, batches, rows_a_shard)
            return
    for rows in writer.split(_rows(form.parsed, batches), len(config), limit):
        yield writer.join_rows(config, rows), len(rows)


def _rows(columns: tuple[Column, ...], batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """All rows, encoded."""
    first_row = 0
    for batch in batches:
        yield from arrow_encode.rows(columns, arrow_encode.encode_batch(columns, batch, first_row))
        first_row += batch.num_rows


def _fixed_shards(
    form: ShardFormat, batches: Iterable[pa.RecordBatch], rows_a_shard: int
) -> Iterator[tuple[storage.Data, int]]:
    first_row = 0
    waiting: list[Mapping[str, npt.NDArray[Any]]] = []
    n_waiting = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, rows_a_shard - n_waiting)
            waiting.append(arrow_encode.encode_fixed(form.parsed, piece, first_row + start))
            start += piece.num_rows
            n_waiting += piece.num_rows
            if n_waiting == rows_a_shard:
                yield _fixed(form, waiting), n_waiting
                waiting, n_waiting = [], 0
        first_row += batch.num_rows
    if n_waiting:
        yield _fixed(form, waiting), n_waiting


def _fixed(form: ShardFormat, waiting: Sequence[Mapping[str, npt.NDArray[Any]]]) -> storage.Data:
    arrays = {name: np.concatenate([values[name] for values in waiting]) for name in form.columns}
    return writer.fixed_pieces(form.columns, arrays, hashes=form.hashes, size_limit=form.size_limit)
