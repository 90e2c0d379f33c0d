"""What the ranks of a world read for the blocks of an order, predicted from integers alone.

A rank is given parts of a block's batches, and reads whole *granules* (`granule_samples` samples of one shard), each
once for the block. What a rank needs of a block it needs almost at once, so it is asked for together: neighbouring
granules of a shard are one request.

Batches begin at the multiples of the global batch size, as in a run that has had this size from its start.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.order.blocks import Block, block
from pipeline.order.counts import drawn_before
from pipeline.order.definition import Order
from pipeline.order.eras import drawn_passes
from pipeline.order.keys import Ints
from pipeline.order.rows import batch_rows


@dataclass(frozen=True, kw_only=True)
class Reads:
    """`fetched_samples`: in the granules that all ranks read; `unique_samples`: in the granules that are read at all,
    each once a source, pass and block; `requests` of all ranks; `held_samples`: the most that one rank needs of one
    block (a loader that prefetches the next block holds this twice)."""

    fetched_samples: int
    unique_samples: int
    requests: int
    held_samples: int

    @property
    def amplification(self) -> float:
        """Fetched over unique. Below 1 where a rank's granule serves several passes of a block."""
        return self.fetched_samples / self.unique_samples


@dataclass(frozen=True, kw_only=True)
class _Granules:
    """The granules of all sources in a row, in reading order: the one of each row of a block, int64[rows], and of each
    that occurs, ascending, its number, its samples and the shard that it lies in."""

    of_row: Ints  # into the arrays below
    number: Ints
    n_samples: Ints
    shard: Ints


def predicted(
    order: Order,
    numbers: Sequence[int],
    global_batch_size: int,
    world_size: int,
    granule_samples: int,
    shards: Sequence[Ints] | None = None,
    *,
    until: int | None = None,
) -> Reads:
    """The reads of `world_size` ranks for the blocks with these numbers (at least one).

    `shards`: for each source the samples with which its shards begin, ascending from 0 (int64); granules are counted
    from there. Without it a source is one shard. `until`: where the run ends, at the end of a batch; every block must
    begin before. Cost: 0.1 to 0.6 s for a block of 2¹⁸ positions (batches of 4,096 to 32), beside the block.
    """
    if global_batch_size < 1 or world_size < 1 or granule_samples < 1:
        raise ValueError(
            f"global_batch_size, world_size and granule_samples are at least 1, not {global_batch_size}, "
            f"{world_size} and {granule_samples}"
        )
    if shards is None:
        shards = [np.zeros(1, dtype=np.int64)] * len(order.names)
    found = []
    for number in numbers:
        held = _served(block(order, number), until)
        granules = _granules(order, held, granule_samples, shards)
        rank = ranks_of(order, held.first, held.first + len(held.source), global_batch_size, world_size)
        found.append(_reads(granules, rank, _passes(order, number, held)))
    return Reads(
        fetched_samples=sum(reads.fetched_samples for reads in found),
        unique_samples=sum(reads.unique_samples for reads in found),
        requests=sum(reads.requests for reads in found),
        held_samples=max(reads.held_samples for reads in found),
    )


def ranks_of(order: Order, first: int, last: int, global_batch_size: int, world_size: int) -> Ints:
    """The rank that is given the row at each of the positions [first, last): int64[last - first].

    Row i of a batch of B goes to the rank r with floor(rB/W) ≤ i < floor((r+1)B/W), so r = ((i+1)W - 1) div B.
    """
    rank = np.empty(last - first, dtype=np.int64)
    rank_of_row = (np.arange(1, global_batch_size + 1, dtype=np.int64) * world_size - 1) // global_batch_size
    for start in range(first // global_batch_size * global_batch_size, last, global_batch_size):
        place = batch_rows(order, start, global_batch_size).position - first
        inside = (place >= 0) & (place < last - first)
        rank[place[inside]] = rank_of_row[inside]
    return rank


def _served(held: Block, until: int | None) -> Block:
    """A block as far as the run goes."""
    n_places = len(held.source) if until is None else until - held.first
    if n_places < 1:
        raise ValueError(f"the block from {held.first} on begins after the end of the run at {until}")
    return Block(
        first=held.first, source=held.source[:n_places], sample=held.sample[:n_places], lane=held.lane[:n_places]
    )


def _reads(granules: _Granules, rank: Ints, number: Ints) -> Reads:
    """The reads of a block, of whose rows the rank and the pass are given, int64[rows] both."""
    n_granules = len(granules.number)
    by_rank = np.unique(rank * n_granules + granules.of_row)
    rank, granule = np.divmod(by_rank, n_granules)
    neighbours = (
        (rank[1:] == rank[:-1])
        & (granules.number[granule[1:]] == granules.number[granule[:-1]] + 1)
        & (granules.shard[granule[1:]] == granules.shard[granule[:-1]])
    )
    by_pass = np.unique(number * n_granules + granules.of_row) % n_granules
    return Reads(
        fetched_samples=int(granules.n_samples[granule].sum()),
        unique_samples=int(granules.n_samples[by_pass].sum()),
        requests=len(by_rank) - int(neighbours.sum()),
        held_samples=int(np.bincount(rank, weights=granules.n_samples[granule]).max()),
    )


def _granules(order: Order, held: Block, granule_samples: int, shards: Sequence[Ints]) -> _Granules:
    number, n_samples, shard = (np.empty(len(held.source), dtype=np.int64) for _ in range(3))
    first_granule = first_shard = 0
    for source, starts in enumerate(shards):
        sizes = np.diff(starts, append=order.n_samples[source])
        first_granules = np.concatenate(([0], np.cumsum(-(-sizes // granule_samples))))
        rows = held.source == source
        sample = held.sample[rows]
        place = np.searchsorted(starts, sample, side="right") - 1
        in_shard = (sample - starts[place]) // granule_samples
        number[rows] = first_granule + first_granules[place] + in_shard
        n_samples[rows] = np.minimum(granule_samples, sizes[place] - in_shard * granule_samples)
        shard[rows] = first_shard + place
        first_granule += int(first_granules[-1])
        first_shard += len(starts)
    occurring, first_row, of_row = np.unique(number, return_index=True, return_inverse=True)
    return _Granules(of_row=of_row, number=occurring, n_samples=n_samples[first_row], shard=shard[first_row])


def _passes(order: Order, number: int, held: Block) -> Ints:
    """The pass of its source in which the row at each place is served, counted from the block's first: int64[places].
    A source's places are dealt pass by pass."""
    passes = np.zeros(len(held.source), dtype=np.int64)
    for source, drawn in enumerate(drawn_before(order, number)):
        places = np.flatnonzero(held.source == source)
        if len(places):
            numbers = drawn_passes(order, source, drawn, drawn + len(places))
            passes[places] = numbers - numbers[0]
    return passes
