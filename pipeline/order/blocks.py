"""The arrays of one block: which sample stands at each of its positions, and in which lane.

*Spreading.* Each split of the stage's tree deals its positions to its two children evenly: of its first i positions
(i·l + a) div m go left, where l of all m do and a, 0 ≤ a < m, is a keyed phase. An even deal is off by less than 1, the
errors of a path add up as in `counts`, and in any prefix of a stage a source deviates by less than 6 from its share.

*Lanes.* The lane of place i is the radical inverse of i in base 2 with Owen's nested scrambling (Owen, "Randomly
permuted (t,m,s)-nets and (t,s)-sequences", 1995), as an integer below 2^bits: any 2^j neighbouring places have one lane
in each of the 2^j equal intervals, and no two lanes of a block are equal.

*Samples.* A source's draws of the block go to its places: each pass to the next so many places, and within the pass
draw by draw to the places by lane. So neighbours in a chunk have neighbouring lanes, and far places.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.order.counts import BlockCounts, block_counts
from pipeline.order.definition import Order
from pipeline.order.draws import Draws, samples_of, source_draws
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
    lane = lanes(_block_key(order, "lanes", number), bits)[: counts.last - counts.first]
    source = np.empty(len(lane), dtype=np.int16)
    sample = np.empty(len(lane), dtype=np.int64)
    for index, places in spread(counts, phases(order, counts)).items():
        draws = source_draws(order.seed, order.names[index], order.n_samples[index], order.chunk_samples)
        source[places] = index
        sample[_in_draw_order(draws, counts.drawn[index], places, lane, bits)] = samples_of(
            draws, counts.drawn[index], counts.drawn[index] + len(places)
        )
    for array in (source, sample, lane):
        array.setflags(write=False)
    return Block(first=counts.first, source=source, sample=sample, lane=lane)


def lanes(key: int, bits: int) -> npt.NDArray[np.int32]:
    """The lanes of the places 0 … 2^bits - 1: a permutation of these numbers.

    Bit j of the place gives bit bits-1-j of the lane, flipped or not by a keyed bit for each value of its lower bits.
    """
    flips = (stream(key, np.arange(1 << bits, dtype=np.int64)) >> np.uint64(63)).astype(np.int32)
    lane = np.zeros(1, dtype=np.int32)
    for level in range(bits):
        flip = flips[1 << level : 2 << level]
        lane = np.concatenate((2 * lane + flip, 2 * lane + (1 - flip)))
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


def _in_draw_order(draws: Draws, drawn: int, places: Ints, lane: npt.NDArray[np.int32], bits: int) -> Ints:
    """A source's places in the order in which its draws (from number `drawn` on) go to them: by (pass, lane)."""
    number = np.arange(drawn, drawn + len(places), dtype=np.int64) // draws.n_samples
    return places[np.argsort(((number - number[0]) << bits) | lane[places])]


def _block_key(order: Order, purpose: str, number: int) -> int:
    return derive_key(order.seed, purpose, str(number))
