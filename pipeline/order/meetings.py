"""How often two samples of one group (a document, a chunk, a shard) meet in a batch, beside a uniform shuffle.

The uniform shuffle deals all samples of a source at random, a batch getting as many of them as it has here: two of m
samples, of n, are of one group with the probability Σ s(s-1) / n(n-1) over the groups' sizes s.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.order.definition import Order
from pipeline.order.draws import source_draws
from pipeline.order.keys import Ints


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Groups by their size, n_groups[i] (may be an estimate) of size[i] samples, of a source of `n_samples`. A sample
    may be in several groups, as in several documents, or in none."""

    size: Ints
    n_groups: Ints
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class Meetings:
    """Over `n_batches` batches with `n_rows` rows of a source: `pairs` of rows of one group in one batch, rows that are
    `in_company` (with another of their group in the batch), and what a uniform shuffle expects of both."""

    n_batches: int
    n_rows: int
    pairs: int
    in_company: int
    uniform_pairs: float
    uniform_in_company: float

    @property
    def company(self) -> float:
        """The share of rows in company."""
        return self.in_company / max(1, self.n_rows)

    @property
    def uniform_company(self) -> float:
        return self.uniform_in_company / max(1, self.n_rows)


def meetings(batch: Ints, row: Ints, group: Ints, rows_of_batch: Ints, sizes: Sizes) -> Meetings:
    """Of rows that belong to groups: int64 arrays, entry i says that row `row[i]`, in batch number `batch[i]`, is of
    `group[i]` (once each). `rows_of_batch`: how many rows the source has in each batch, int64[n_batches]."""
    by_batch_and_group = np.lexsort((group, batch))
    batch, group, row = batch[by_batch_and_group], group[by_batch_and_group], row[by_batch_and_group]
    starts = np.flatnonzero(np.concatenate(([True], (batch[1:] != batch[:-1]) | (group[1:] != group[:-1]))))
    together = np.diff(starts, append=len(batch)) if len(batch) else np.zeros(0, dtype=np.int64)
    in_company = np.unique(row[np.repeat(together > 1, together)])
    return Meetings(
        n_batches=len(rows_of_batch),
        n_rows=int(rows_of_batch.sum()),
        pairs=int((together * (together - 1) // 2).sum()),
        in_company=len(in_company),
        uniform_pairs=uniform_pairs(rows_of_batch, sizes),
        uniform_in_company=uniform_in_company(rows_of_batch, sizes),
    )


def uniform_pairs(rows_of_batch: Ints, sizes: Sizes) -> float:
    """The pairs of one group that a uniform shuffle expects in these batches."""
    n, size, n_groups = float(sizes.n_samples), sizes.size.astype(float), sizes.n_groups.astype(float)
    one_group = float((n_groups * size * (size - 1)).sum()) / max(1.0, n * (n - 1))
    m = rows_of_batch.astype(float)
    return float((m * (m - 1) / 2).sum()) * one_group


def uniform_in_company(rows_of_batch: Ints, sizes: Sizes) -> float:
    """The rows in company that it expects, groups taken one by one: a row of a group of s has none of the others among
    m - 1 rows with the probability (1 - (s-1)/(n-1))^(m-1), a little less without putting back."""
    n, size, n_groups = float(sizes.n_samples), sizes.size.astype(float), sizes.n_groups.astype(float)
    alone = 1 - (size - 1) / max(1.0, n - 1)
    found = 0.0
    for m, times in zip(*np.unique(rows_of_batch, return_counts=True), strict=True):
        if m > 0:
            found += float(times) * float(m) * float((n_groups * size / n * (1 - alone ** (float(m) - 1))).sum())
    return found


def chunk_of(order: Order, source: int) -> int:
    """The samples of a source's chunk: sample i lies in chunk i div that."""
    draws = source_draws(order.seed, order.names[source], order.n_samples[source], order.chunk_samples)
    return draws.chunk_samples


def chunk_sizes(order: Order, source: int) -> Sizes:
    """A source's chunks: all of one size but the last."""
    chunk, n_samples = chunk_of(order, source), order.n_samples[source]
    n_chunks = -(-n_samples // chunk)
    size = np.array([chunk, n_samples - (n_chunks - 1) * chunk], dtype=np.int64)
    return Sizes(size=size, n_groups=np.array([n_chunks - 1, 1], dtype=np.int64), n_samples=n_samples)


def group_sizes(n_samples_of_group: Ints, n_samples: int) -> Sizes:
    """Of groups whose sizes are listed."""
    size, n_groups = np.unique(n_samples_of_group, return_counts=True)
    return Sizes(size=size, n_groups=n_groups, n_samples=n_samples)
