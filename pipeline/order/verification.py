"""The order as every rank sees it, put together again and compared: what `shardmill verify-order` says is proven.

For each world size, each batch is made of its ranks' own parts. They must be the same rows in the same order for all
world sizes, the batch's positions once each, what the order has at these positions, the hash of each whole block, each
sample at most once a pass, and each source's count within the bounds of `counts` and `blocks`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.order.certificate import block_hash, rows_hash
from pipeline.order.counts import block_at, block_range, spans
from pipeline.order.definition import Order
from pipeline.order.eras import drawn_passes
from pipeline.order.keys import Ints
from pipeline.order.rows import Rows, samples, source_counts

BORDER_BOUND = 2  # a source's count from its stage's start to a block's border, off weight × positions by less
PREFIX_BOUND = 6  # to any position

View = Callable[[int, int, int, int], Rows]
"""(first, size, rank, world_size) → the rank's rows of the batch [first, first + size), as `rank_rows` of an order."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`n_batches` ≥ 1 batches of `batch_size` positions from `first` on, in worlds of these sizes. `fingerprints`: of
    the sources' data; `block_hashes`: what the first blocks must have (those of a plan)."""

    first: int
    batch_size: int
    n_batches: int
    world_sizes: tuple[int, ...]
    fingerprints: tuple[str, ...]
    block_hashes: tuple[str, ...]

    @property
    def last(self) -> int:
        return self.first + self.n_batches * self.batch_size


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`problems`: what differs, and where; empty: all is as the module says. `hashes`: those of the whole blocks, from
    the ranks' rows. `border_deviation`, `prefix_deviation`: the largest of a source's count off weight × positions, at
    the borders of blocks and anywhere."""

    problems: tuple[str, ...]
    hashes: dict[int, str]
    border_deviation: float
    prefix_deviation: float


def batches_to_border(order: Order, first: int, batch_size: int) -> int:
    """How many batches from `first` on hold a whole block."""
    number = block_at(order, first)
    start, end = block_range(order, number)
    whole_until = end if start == first else block_range(order, number + 1)[1]
    return -(-(whole_until - first) // batch_size)


def verify(order: Order, asked: Asked, view: View) -> Verdict:
    """Everything that the module says, of the ranks' rows that `view` gives; the first problem of each kind. Holds 32
    bytes a position that is asked for."""
    rows, parted = _joined_worlds(order, asked, view)
    if rows is None:
        return Verdict(problems=tuple(parted), hashes={}, border_deviation=0.0, prefix_deviation=0.0)
    hashes: dict[int, str] = {}
    problems = [*parted, *_against_the_order(order, asked, rows), *_hashed(order, asked, rows, hashes)]
    problems += repeats(order, rows)
    border, prefix = deviations(order, rows)
    if border >= BORDER_BOUND or prefix >= PREFIX_BOUND:
        problems.append(
            f"composition: a source's count is off weight × positions by {border:.2f} at a block's border and by "
            f"{prefix:.2f} elsewhere; the bounds are {BORDER_BOUND} and {PREFIX_BOUND}"
        )
    return Verdict(problems=tuple(problems), hashes=hashes, border_deviation=border, prefix_deviation=prefix)


def _joined_worlds(order: Order, asked: Asked, view: View) -> tuple[Rows | None, list[str]]:
    """The rows of all batches as the first world has them, by position, and where another world parts from it; None
    where they are not the batches' positions."""
    first_world, *others = asked.world_sizes
    problems: dict[int, str] = {}
    batches = []
    for first in range(asked.first, asked.last, asked.batch_size):
        batch = _joined(view, first, asked.batch_size, first_world)
        if problem := _misplaced(batch, first, asked.batch_size, first_world):
            return None, [problem]
        for world_size in others:
            if world_size not in problems:
                other = _joined(view, first, asked.batch_size, world_size)
                if problem := _misplaced(other, first, asked.batch_size, world_size) or _parting(
                    order, first, (batch, other), (first_world, world_size)
                ):
                    problems[world_size] = problem
        batches.append(batch)
    rows = _concatenated(batches)
    return _taken(rows, np.argsort(rows.position)), list(problems.values())


def _joined(view: View, first: int, size: int, world_size: int) -> Rows:
    return _concatenated([view(first, size, rank, world_size) for rank in range(world_size)])


def _misplaced(batch: Rows, first: int, size: int, world_size: int) -> str | None:
    found, times = np.unique(batch.position, return_counts=True)
    if np.array_equal(found, np.arange(first, first + size, dtype=np.int64)) and len(batch) == size:
        return None
    place = f"the ranks of a world of {world_size} at the batch [{first}, {first + size})"
    if (outside := found[(found < first) | (found >= first + size)]).size:
        return f"{place}: position {outside[0]} is served, which lies outside of it"
    if (twice := found[times > 1]).size:
        return f"{place}: position {twice[0]} is served more than once"
    return f"{place}: position {np.setdiff1d(np.arange(first, first + size), found)[0]} is served to no rank"


def _parting(order: Order, first: int, batches: tuple[Rows, Rows], worlds: tuple[int, int]) -> str | None:
    """Where the batches of two worlds part first, in the order of their rows."""
    row = _first_difference(*batches)
    if row is None:
        return None
    size = len(batches[0])
    views = [
        f"position {rows.position[row]}: {_sample(order, rows, row)}, on rank {rank_of(row, size, world)} of {world}"
        for rows, world in zip(batches, worlds, strict=True)
    ]
    return f"two worlds part in row {row} of the batch [{first}, {first + size}): {'; '.join(views)}"


def rank_of(row: int, size: int, world_size: int) -> int:
    """The rank that has a row of a batch: floor(rB/W) ≤ row < floor((r+1)B/W)."""
    return ((row + 1) * world_size - 1) // size


def _against_the_order(order: Order, asked: Asked, rows: Rows) -> Iterator[str]:
    """The first position at which the ranks' rows are not what the order has there."""
    for low, high in _pieces(order, asked.first, asked.last):
        served, expected = _slice(rows, asked, low, high), samples(order, low, high)
        place = _first_difference(served, expected)
        if place is not None:
            yield (
                f"position {low + place}: the ranks of a world of {asked.world_sizes[0]} are served "
                f"{_sample(order, served, place)}, the order has {_sample(order, expected, place)} there"
            )
            return


def _hashed(order: Order, asked: Asked, rows: Rows, hashes: dict[int, str]) -> Iterator[str]:
    """Fills `hashes`; the whole blocks whose hash is another than the plan's, or than the order's own."""
    for low, high in _pieces(order, asked.first, asked.last):
        number = block_at(order, low)
        if block_range(order, number) != (low, high):
            continue
        found = hashes[number] = rows_hash(order, number, _slice(rows, asked, low, high), asked.fingerprints)
        in_plan = number < len(asked.block_hashes)
        expected = asked.block_hashes[number] if in_plan else block_hash(order, number, asked.fingerprints)
        if found != expected:
            says = "the plan says" if in_plan else "the order here has"
            yield f"block {number}, positions [{low}, {high}): the ranks' rows have the hash {found}, {says} {expected}"


def repeats(order: Order, rows: Rows) -> list[str]:
    """The first sample of each source that is served twice in one pass, or does not exist; `rows` by position, without
    a gap."""
    problems = []
    drawn = source_counts(order, int(rows.position[0])).tolist()
    for source, name in enumerate(order.names):
        of_source = np.flatnonzero(rows.source == source)
        if not len(of_source):
            continue
        sample = rows.sample[of_source]
        n_samples = max(era.n_samples for era in order.eras_of(source))
        if (wrong := np.flatnonzero((sample < 0) | (sample >= n_samples))).size:
            at = rows.position[of_source[wrong[0]]]
            problems.append(f"position {at}: {name} has no sample {sample[wrong[0]]}, only 0 … {n_samples - 1}")
            continue
        number = drawn_passes(order, source, drawn[source], drawn[source] + len(of_source))
        by_pass_and_sample = np.lexsort((sample, number))
        number, sample = number[by_pass_and_sample], sample[by_pass_and_sample]
        twice = np.flatnonzero((number[1:] == number[:-1]) & (sample[1:] == sample[:-1]))
        if twice.size:
            one, other = sorted(rows.position[of_source[by_pass_and_sample[twice[0] : twice[0] + 2]]].tolist())
            problems.append(
                f"sample {sample[twice[0]]} of {name} is served twice in pass {number[twice[0]]}, at the positions "
                f"{one} and {other}"
            )
    return problems


def deviations(order: Order, rows: Rows) -> tuple[float, float]:
    """By how much a source's count from its stage's start is off weight × positions at most: at the borders of blocks
    inside the rows, and at any position. The counts before the rows are the order's."""
    border = prefix = 0.0
    begin, end = int(rows.position[0]), int(rows.position[-1]) + 1
    before = source_counts(order, begin)
    for low, high in _pieces(order, begin, end):
        at, span = next((i, span) for i, span in enumerate(spans(order)) if span.start <= low < span.until)
        weights = order.stages[at].weights
        source = rows.source[low - begin : high - begin]
        steps = np.arange(1, high - low + 1)
        for number, weight in enumerate(weights):
            share = weight / sum(weights)
            behind = float(int(before[number]) - span.drawn[number] - share * (low - span.start))  # exact up to here
            off = behind + np.cumsum(source == number) - float(share) * steps
            prefix = max(prefix, abs(behind), float(np.abs(off).max()))
            for position, deviation in ((low, behind), (high, float(off[-1]))):
                if position in block_range(order, block_at(order, low)):
                    border = max(border, abs(deviation))
        before = before + np.bincount(source, minlength=len(order.names))
    return border, prefix


def _pieces(order: Order, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The blocks that [first, last) touches, and what it holds of each: [low, high)."""
    while first < last:
        end = min(last, block_range(order, block_at(order, first))[1])
        yield first, end
        first = end


def _first_difference(one: Rows, other: Rows) -> int | None:
    differs = (one.position != other.position) | (one.source != other.source) | (one.sample != other.sample)
    return int(np.argmax(differs)) if differs.any() else None


def _sample(order: Order, rows: Rows, row: int) -> str:
    return f"sample {rows.sample[row]} of {order.names[rows.source[row]]}"


def _slice(rows: Rows, asked: Asked, low: int, high: int) -> Rows:
    return _taken(rows, np.arange(low - asked.first, high - asked.first, dtype=np.int64))


def _taken(rows: Rows, index: Ints) -> Rows:
    return Rows(position=rows.position[index], source=rows.source[index], sample=rows.sample[index])


def _concatenated(parts: Sequence[Rows]) -> Rows:
    return Rows(
        position=np.concatenate([part.position for part in parts]),
        source=np.concatenate([part.source for part in parts]),
        sample=np.concatenate([part.sample for part in parts]),
    )
