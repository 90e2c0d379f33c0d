"""How many tokens each source will give, estimated from a few of its documents before any range is made: so that the
ranges which a mix needs are made in one job, which reads the text once. Nothing is published; counts that a mix is made
of are those of whole ranges.

A sample is the first documents of some row groups, spread over the source's files: two-stage cluster sampling, with row
groups as units (Cochran, "Sampling Techniques", 3rd edition 1977, chapters 10 and 11). What a row group holds is like
what stands beside it, so the error is that between units, not between documents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.tables.reading import open_parquet
from pipeline.tables.sink import Sink
from pipeline.tokenized import spread
from pipeline.tokenized.encoder import opened
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.packing import count_rows
from pipeline.tokenized.parts import TokenizeParams
from pipeline.tokenized.tasks import DIFFERENCE

UNITS = 32  # of a source
UNIT_BYTES = 2**16  # text of a unit, about; a document more where they are long
UNIT_STEP = 16  # documents read at once
UNIT_ROWS = 256  # documents of a unit at most: where these are short, fewer bytes say as much
ENCODED_BYTES = 2**22  # text of units that are encoded by one call, about
COUNTS = "counts"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The files of a source that are looked into, and into how many row groups of each."""

    urls: tuple[str, ...]
    groups: int


def chosen(urls: Sequence[str]) -> Sample:
    """Up to `UNITS` files, evenly spread, and of few files several row groups each."""
    n_files = min(UNITS, len(urls))
    some = tuple(urls[number * len(urls) // n_files] for number in range(n_files))
    return Sample(urls=some, groups=-(-UNITS // max(1, n_files)))


def measure(params: TokenizeParams, engine: Choice, wanted: Sample, sink: Sink) -> None:
    """Leave in the notes the counts of a sample, named as a range's are, but `documents` are the units, and the sums of
    squares are over these; or how the engine differs from `tokenizers` on one of its documents."""
    encoder = opened(params.info, engine)
    lengths = [np.zeros(0, np.int64)]
    units: list[tuple[int, int]] = []
    of_files = storage.at_once(partial(_units, wanted.groups), wanted.urls, wanted.urls[0]) if wanted.urls else []
    for some in _together([unit for of_file in of_files for unit in of_file]):
        found = encoder.encode(pa.concat_batches(some), first=not units)
        if found.difference is not None:
            sink.notes = {DIFFERENCE: found.difference}
            return
        own = found.encoded.lengths + len(params.added_ids)
        lengths.append(own)
        of_unit = np.split(own, np.cumsum([rows.num_rows for rows in some])[:-1])
        units.extend((_bytes(rows), int(tokens.sum())) for rows, tokens in zip(some, of_unit, strict=True))
    n_bytes, n_tokens = np.array(units, np.int64).reshape(-1, 2).T
    length = np.concatenate(lengths)
    width, packing = params.shape.sequence_length, params.shape.packing
    n_rows = count_rows(length, width, packing)
    padding = 0 if packing == "concat" else n_rows * width - int(length.sum())
    counts = spread.sums(n_bytes, n_tokens)
    counts |= {"documents": len(units), "bytes": int(n_bytes.sum()), "tokens": int(n_tokens.sum())}
    counts |= {"samples": n_rows, "padding_tokens": padding}
    sink.notes = {COUNTS: counts}


def _units(groups: int, url: str) -> list[pa.RecordBatch]:
    """The first documents of some row groups of a file: doc_id, n_bytes, text."""
    with open_parquet(url) as file:
        n_groups = file.metadata.num_row_groups
        return [_first(file, group) for group in np.unique(np.arange(groups) * n_groups // groups) if n_groups]


def _first(file: pq.ParquetFile, group: int) -> pa.RecordBatch:
    """The first documents of a row group; no more of it is read than pages that hold them."""
    some: list[pa.RecordBatch] = []
    for rows in file.iter_batches(
        UNIT_STEP, row_groups=[group], columns=["doc_id", "n_bytes", "text"], use_threads=False
    ):
        some.append(rows)
        if sum(map(_bytes, some)) >= UNIT_BYTES or len(some) * UNIT_STEP >= UNIT_ROWS:
            break
    first = pa.concat_batches(some)
    ends = np.cumsum(first.column("n_bytes").to_numpy())
    return first.take(pa.array(np.arange(min(len(ends), 1 + int(np.searchsorted(ends, UNIT_BYTES))))))  # the rest goes


def _together(units: Sequence[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Units that are encoded together: one call costs an engine as much as 64 KB of text."""
    some: list[pa.RecordBatch] = []
    for unit in units:
        some.append(unit)
        if sum(map(_bytes, some)) >= ENCODED_BYTES:
            yield some
            some = []
    if some:
        yield some


def _bytes(rows: pa.RecordBatch) -> int:
    return int(np.sum(rows.column("n_bytes").to_numpy()))
