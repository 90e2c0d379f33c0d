"""What is served where: the rows of any range of positions, of any global batch, of any rank's part of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.order.blocks import Block, block, prefix_counts
from pipeline.order.counts import block_at, block_range, drawn_before
from pipeline.order.definition import POSITION_LIMIT, Order
from pipeline.order.keys import Ints


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a batch, or of a range: row i is sample[i] of source[i] and stands at position[i] of the global order.
    `position` and `sample` are int64, `source` int16 (an index into Order.names), all of the same length."""

    position: Ints
    source: npt.NDArray[np.int16]
    sample: Ints

    def __len__(self) -> int:
        return len(self.position)


def samples(order: Order, first: int, last: int) -> Rows:
    """The rows of the positions [first, last), ascending."""
    return _joined([_rows(held, low, high) for held, low, high in _pieces(order, first, last)])


def batch_rows(order: Order, first: int, size: int) -> Rows:
    """The global batch of the positions [first, first + size): its rows sorted by (lane, block), so that also where a
    batch lies in two blocks, equal parts of it are equal parts of the lanes."""
    pieces = _pieces(order, first, first + size)
    rows = _joined([_rows(held, low, high) for held, low, high in pieces])
    lane = np.concatenate([np.empty(0, dtype=np.int32), *(held.lane[low:high] for held, low, high in pieces)])
    by = np.argsort(lane, kind="stable")
    return Rows(position=rows.position[by], source=rows.source[by], sample=rows.sample[by])


def batches_rows(order: Order, first: int, size: int, most: int) -> list[Rows]:
    """Global batches of `size` positions that follow each other from `first` on, each as `batch_rows` has it: as many
    as lie in one block, at most `most`, but at least one. What each would cost by itself is shared."""
    number = block_at(order, first)
    start, end = block_range(order, number)
    n = min(most, (end - first) // max(1, size))
    if n < 2:
        return [batch_rows(order, first, size)]
    held, low = block(order, number), first - start
    lane = held.lane[low : low + n * size].reshape(n, size)
    by = low + size * np.arange(n)[:, np.newaxis] + np.argsort(lane, axis=1, kind="stable")
    position, source, sample = held.first + by, held.source[by], held.sample[by]
    return [Rows(position=position[i], source=source[i], sample=sample[i]) for i in range(n)]


def rank_rows(order: Order, first: int, size: int, rank: int, world_size: int) -> Rows:
    """A rank's part of that batch: its rows floor(rank·size/world_size) up to floor((rank+1)·size/world_size)."""
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} does not exist in a world of {world_size}; ranks are 0 … world_size - 1")
    part = slice(rank * size // world_size, (rank + 1) * size // world_size)
    rows = batch_rows(order, first, size)
    return Rows(position=rows.position[part], source=rows.source[part], sample=rows.sample[part])


def source_counts(order: Order, position: int) -> Ints:
    """How often each source is drawn in the positions [0, position), int64[n_sources]; closed form, at any position."""
    number = block_at(order, position)
    first, _ = block_range(order, number)
    before = np.array(drawn_before(order, number), dtype=np.int64)
    return before + np.array(prefix_counts(order, number, position - first), dtype=np.int64)


def _pieces(order: Order, first: int, last: int) -> list[tuple[Block, int, int]]:
    """The blocks that a range of positions touches, and the places [low, high) that it takes of each."""
    if not 0 <= first <= last < POSITION_LIMIT:
        raise ValueError(f"[{first}, {last}) is no range of positions: they ascend, from 0 to below {POSITION_LIMIT}")
    pieces = []
    while first < last:
        number = block_at(order, first)
        start, end = block_range(order, number)
        pieces.append((block(order, number), first - start, min(end, last) - start))
        first = end
    return pieces


def _rows(held: Block, low: int, high: int) -> Rows:
    position = np.arange(held.first + low, held.first + high, dtype=np.int64)
    return Rows(position=position, source=held.source[low:high], sample=held.sample[low:high])


def _joined(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return Rows(
        position=np.concatenate([np.empty(0, dtype=np.int64), *(part.position for part in parts)]),
        source=np.concatenate([np.empty(0, dtype=np.int16), *(part.source for part in parts)]),
        sample=np.concatenate([np.empty(0, dtype=np.int64), *(part.sample for part in parts)]),
    )
