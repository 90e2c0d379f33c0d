"""How many draws of each source the blocks 0 … k-1 hold: closed form and exact, for any k.

The sources of a stage are the leaves of a Huffman tree over its weights. A node that has m positions gives its left
child m × (left weight / its weight), rounded to nearest (halves up), and its right child the rest. So

* counts never decrease in m: neither part of m + 1 is smaller than that of m, since 0 ≤ share ≤ 1;
* they sum to m;
* a leaf deviates by less than 2 from weight × m: each split on its path errs by at most 1/2, and the error of a split
  above comes down multiplied by leaf weight / weight of the node below the split. Going up a Huffman tree these
  weights grow like the Fibonacci numbers at least (1, 1, 2, 3, 5, …), so the sum is below
  1/2 (1 + 1 + 1/2 + 1/3 + 1/5 + …) < 1.69 … with any weights and any number of sources.

Plain cumulative rounding has no such bound and takes samples back where a weight is 10⁻⁶.
"""

import heapq
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from pipeline.order.definition import POSITION_LIMIT, Beginning, Order


@dataclass(frozen=True, kw_only=True)
class Split:
    """A node of the tree and its children, by number, and the weights of the left child and of the node (integers)."""

    node: int
    left: int
    right: int
    left_weight: int
    weight: int


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Nodes 0 … n_sources-1 are the sources, those from n_sources on the splits; `splits` go from the root down."""

    n_sources: int
    n_nodes: int
    root: int
    splits: tuple[Split, ...]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stage in its place: positions [start, until), blocks from `first_block` on, and how often each source was
    `drawn` before it."""

    start: int
    until: int
    first_block: int
    tree: Tree
    drawn: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class BlockCounts:
    """Block `number` holds the positions [first, last). `drawn`: draws of each source in the blocks before it.
    `sizes`: how many of its positions go to each node of its stage's `tree`, so sizes[:n_sources] to the sources."""

    number: int
    first: int
    last: int
    tree: Tree
    drawn: tuple[int, ...]
    sizes: tuple[int, ...]


def build_tree(names: tuple[str, ...], weights: tuple[Fraction, ...]) -> Tree:
    """The Huffman tree over the sources of positive weight. Equal weights: leaves before splits, leaves by name."""
    unit = math.lcm(*(weight.denominator for weight in weights))
    rank = {name: place for place, name in enumerate(sorted(names))}
    weighed = enumerate(zip(names, weights, strict=True))
    heap = [(int(weight * unit), rank[name], node) for node, (name, weight) in weighed if weight]
    heapq.heapify(heap)
    splits: list[Split] = []
    while len(heap) > 1:
        left_weight, _, left = heapq.heappop(heap)
        right_weight, _, right = heapq.heappop(heap)
        node, weight = len(names) + len(splits), left_weight + right_weight
        splits.append(Split(node=node, left=left, right=right, left_weight=left_weight, weight=weight))
        heapq.heappush(heap, (weight, node, node))
    root = heap[0][2]
    return Tree(n_sources=len(names), n_nodes=len(names) + len(splits), root=root, splits=tuple(reversed(splits)))


def node_counts(tree: Tree, n_positions: int) -> list[int]:
    """How many of the first `n_positions` of a stage go to each node, in exact integers."""
    counts = [0] * tree.n_nodes
    counts[tree.root] = n_positions
    for split in tree.splits:
        whole = counts[split.node]
        left = (2 * whole * split.left_weight + split.weight) // (2 * split.weight)
        counts[split.left], counts[split.right] = left, whole - left
    return counts


def block_at(order: Order, position: int) -> int:
    """The number of the block that holds a position."""
    if not 0 <= position < POSITION_LIMIT:
        raise ValueError(f"position {position} lies outside of 0 … {POSITION_LIMIT - 1}")
    if position < (first := spans(order)[0].start):
        raise ValueError(f"position {position} lies before {first}, where this order begins: ask the mix of that time")
    span = next(span for span in reversed(spans(order)) if span.start <= position)
    return span.first_block + (position - span.start) // order.block_samples


def block_range(order: Order, number: int) -> tuple[int, int]:
    """The positions [first, last) of a block: block_samples of them, fewer in the last block of a stage."""
    span = _span_of_block(order, number)
    first = span.start + (number - span.first_block) * order.block_samples
    return first, min(first + order.block_samples, span.until)


def first_block(order: Order) -> int:
    """The number of the first block that an order has: 0, unless it has forgotten some."""
    return spans(order)[0].first_block


def drawn_before(order: Order, number: int) -> tuple[int, ...]:
    """How often each source is drawn in the blocks 0 … number-1."""
    span = _span_of_block(order, number)
    counts = node_counts(span.tree, (number - span.first_block) * order.block_samples)
    return _added(span.drawn, counts)


def block_counts(order: Order, number: int) -> BlockCounts:
    """What a block holds of each source and of each node of its stage's tree."""
    span = _span_of_block(order, number)
    first, last = block_range(order, number)
    before, after = (node_counts(span.tree, position - span.start) for position in (first, last))
    return BlockCounts(
        number=number,
        first=first,
        last=last,
        tree=span.tree,
        drawn=_added(span.drawn, before),
        sizes=tuple(end - start for start, end in zip(before, after, strict=True)),
    )


def _span_of_block(order: Order, number: int) -> Span:
    if number < 0:
        raise ValueError(f"block {number} does not exist; blocks are numbered from 0")
    if number < (first := first_block(order)):
        raise ValueError(f"block {number} lies before {first}, where this order begins: ask the mix of that time")
    return next(span for span in reversed(spans(order)) if span.first_block <= number)


def _added(drawn: tuple[int, ...], counts: list[int]) -> tuple[int, ...]:
    """The draws of each source, plus the leaves of `counts` (of all nodes)."""
    return tuple(before + counts[source] for source, before in enumerate(drawn))


@lru_cache(maxsize=8)
def spans(order: Order) -> tuple[Span, ...]:
    """The stages of an order in their places, from where it begins."""
    found: list[Span] = []
    begun = order.beginning or Beginning(position=0, block=0, drawn=(0,) * len(order.names))
    start, first_block, drawn = begun.position, begun.block, begun.drawn
    for stage in order.stages:
        until = POSITION_LIMIT if stage.until is None else stage.until
        tree = build_tree(order.names, stage.weights)
        found.append(Span(start=start, until=until, first_block=first_block, tree=tree, drawn=drawn))
        drawn = _added(drawn, node_counts(tree, until - start))
        first_block += -(-(until - start) // order.block_samples)
        start = until
    return tuple(found)
