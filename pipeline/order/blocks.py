"""The arrays of one block: which sample stands at each of its positions, and in which lane.

*Spreading.* Each split of the stage's tree deals its positions to its two children evenly: of its first i positions
(i·l + a) div m go left, where l of all m do and a, 0 ≤ a < m, is a keyed phase. An even deal is off by less than 1, the
errors of a path add up as in `counts`, and in any prefix of a stage a source deviates by less than 6 from its share.

*Lanes.* The lane of a position is a keyed radical inverse of it: any 2^j neighbouring positions, from a multiple of 2^j
on, have one lane in each of 2^j equal intervals, and any 3·2^j neighbouring ones, from a multiple of that on, one in
each of 3·2^j; no two lanes of a block are equal. So batch by batch the rows are dealt to 2^j or 3·2^j ranks at the very
same lanes, and few granules are needed by two ranks. The first half is Owen's nested scrambling ("Randomly permuted
(t,m,s)-nets and (t,s)-sequences", 1995) with some of its bits fixed; for the second half see `_window_lanes`.

*Samples.* A source's draws of the block go to its places: each pass to the next so many places, and within the pass
draw by draw to the places by lane. So neighbours in a chunk have neighbouring lanes, and far places.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.order.counts import BlockCounts, block_counts
from pipeline.order.definition import Order
from pipeline.order.eras import drawn_passes, drawn_samples
from pipeline.order.keys import Ints, derive_key, stream

CACHED_BLOCKS = 4  # of 14 bytes a position, so 15 MB at 2¹⁸ positions: a batch may touch two, prefetching is one ahead


@dataclass(frozen=True, kw_only=True)
class Block:
    """Position first + i holds sample[i] (int64) of source[i] (int16), in lane[i] (int32). All read-only."""

    first: int
    source: npt.NDArray[np.int16]
    sample: Ints
    lane: npt.NDArray[np.int32]


@lru_cache(maxsize=CACHED_BLOCKS)
def block(order: Order, number: int) -> Block:
    """Block `number` of an order. The last few are remembered."""
    counts = block_counts(order, number)
    bits = (order.block_samples - 1).bit_length()
    lane = lanes(_block_key(order, "lanes", number), counts.first, counts.last, bits)
    source = np.empty(len(lane), dtype=np.int16)
    sample = np.empty(len(lane), dtype=np.int64)
    for index, places in spread(counts, phases(order, counts)).items():
        first, last = counts.drawn[index], counts.drawn[index] + len(places)
        source[places] = index
        passes = drawn_passes(order, index, first, last)
        sample[_in_draw_order(passes, places, lane, bits)] = drawn_samples(order, index, first, last)
    for array in (source, sample, lane):
        array.setflags(write=False)
    return Block(first=counts.first, source=source, sample=sample, lane=lane)


def lanes(key: int, first: int, last: int, bits: int) -> npt.NDArray[np.int32]:
    """The lanes of the positions [first, last), at most 2^bits of them: numbers below 2^(bits + 1), each once.

    They lie in at most two windows of 2^bits positions that begin at a multiple of that; a lane is that of the window,
    doubled, and one more in the second window.
    """
    windows = range(first >> bits, ((last - 1) >> bits) + 1)
    parts = [2 * _window_lanes(key, window, bits) + (window - windows[0]) for window in windows]
    start = windows[0] << bits
    joined: npt.NDArray[np.int32] = np.concatenate(parts)
    return joined[first - start : last - start]


def _window_lanes(key: int, window: int, bits: int) -> npt.NDArray[np.int32]:
    """The lanes of the positions from window · 2^bits on: a permutation of 0 … 2^bits - 1.

    Level by level, the lanes' intervals are cut in half, and of each two neighbours among an interval's positions one
    goes to either half. Which one, is what makes any three neighbours fall into the three thirds as well. Number the
    pairs modulo 3. Let the thirds of a left half of what was cut before come, from six positions to six, as
    0 2 1, 1 2 0: then the positions of pair 0 go left and right, those of pair 2 right and left, and those of pair 1,
    both in the middle third, as a keyed bit says. So the left half has the thirds of its own, of each three its
    positions, as 0 2 1, 1 2 0 again, and the right half, mirrored, as 2 0 1, 1 0 2; and so on in these.
    """
    words = stream(key, np.arange(max(1, 1 << bits >> 1), dtype=np.int64))
    places = np.arange(1 << bits, dtype=np.int32).reshape(1, -1)  # [intervals, positions in each]
    is_right = np.array([[bool(words[0] >> np.uint64(63))]])
    for level in range(bits):
        n_pairs = 1 << (bits - level - 1)
        pair = (window * n_pairs + np.arange(n_pairs, dtype=np.int64)) % 3
        keyed = (words >> np.uint64(level) & np.uint64(1)).astype(bool).reshape(-1, n_pairs)
        swapped = np.where(pair == 1, keyed, is_right ^ (pair == 2))
        even, odd = places[:, 0::2], places[:, 1::2]
        halves = np.where(swapped, odd, even), np.where(swapped, even, odd)
        places = np.stack(halves, axis=1).reshape(2 << level, n_pairs)
        is_right = np.tile([False, True], 1 << level)[:, None]
    lane: npt.NDArray[np.int32] = np.empty(1 << bits, dtype=np.int32)
    lane[places[:, 0]] = np.arange(1 << bits, dtype=np.int32)
    return lane


def phases(order: Order, counts: BlockCounts) -> list[int]:
    """The phase of each split of the block's tree, from the root down: at least 0 and below the split's size (or 0)."""
    splits = counts.tree.splits
    numbers = np.array([split.node - counts.tree.n_sources for split in splits], dtype=np.int64)
    words = stream(_block_key(order, "spread", counts.number), numbers).tolist()
    return [(word * counts.sizes[split.node]) >> 64 for word, split in zip(words, splits, strict=True)]


def spread(counts: BlockCounts, phases: list[int]) -> dict[int, Ints]:
    """The places (from the block's start, ascending) of each source that the block holds."""
    places = {counts.tree.root: np.arange(counts.last - counts.first, dtype=np.int64)}
    for split, phase in zip(counts.tree.splits, phases, strict=True):
        here = places.pop(split.node)
        n_first = np.arange(len(here) + 1, dtype=np.int64)
        to_left = (n_first * counts.sizes[split.left] + phase) // max(1, len(here))
        is_left = to_left[1:] != to_left[:-1]
        places[split.left], places[split.right] = here[is_left], here[~is_left]
    return {source: here for source, here in places.items() if len(here)}


def prefix_counts(order: Order, number: int, n_positions: int) -> list[int]:
    """How many of the first `n_positions` of a block go to each source: `spread` in closed form."""
    counts = block_counts(order, number)
    tree = counts.tree
    reached = [0] * tree.n_nodes
    reached[tree.root] = n_positions
    for split, phase in zip(tree.splits, phases(order, counts), strict=True):
        whole = reached[split.node]
        left = (whole * counts.sizes[split.left] + phase) // max(1, counts.sizes[split.node])
        reached[split.left], reached[split.right] = left, whole - left
    return reached[: tree.n_sources]


def _in_draw_order(passes: Ints, places: Ints, lane: npt.NDArray[np.int32], bits: int) -> Ints:
    """A source's places in the order in which its draws, of these passes, go to them: by (pass, lane)."""
    return places[np.argsort(((passes - passes[0]) << (bits + 1)) | lane[places])]


def _block_key(order: Order, purpose: str, number: int) -> int:
    return derive_key(order.seed, purpose, str(number))
