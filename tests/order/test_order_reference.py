"""The order once more, slowly: plain Python integers, Fractions, lists and dictionaries, written from the definition in
DESIGN, sharing nothing with the package but the derivation of keys (tested in test_order_keys.py)."""

from fractions import Fraction

import pytest

from pipeline.order import Order, OrderStage, batch_rows, samples
from pipeline.order.keys import derive_key

F = Fraction
Row = tuple[int, int, int]


def _word(key: int, index: int) -> int:
    return _mixed((key + (index + 1) * 0x9E3779B97F4A7C15) % 2**64)


def _mixed(word: int) -> int:
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def _permutation(key: int, n: int) -> list[int]:
    if n <= 4096:
        return sorted(range(n), key=lambda i: (_word(key, i) >> 12, i))
    bits = (n - 1).bit_length()
    low_bits = bits // 2
    found = []
    for i in range(n):
        while True:
            high, low = divmod(i, 2**low_bits)
            for number in range(12):
                if number % 2 == 0:
                    high ^= _mixed((low + _word(key, number)) % 2**64) >> (64 - (bits - low_bits))
                else:
                    low ^= _mixed((high + _word(key, number)) % 2**64) >> (64 - low_bits)
            i = high * 2**low_bits + low
            if i < n:
                break
        found.append(i)
    return found


def _pass_samples(order: Order, source: int, number: int) -> list[int]:
    n = order.n_samples[source]
    size = min(order.chunk_samples, max(1, n // 16))
    chunks = [list(range(start, min(start + size, n))) for start in range(0, n, size)]
    key = _word(derive_key(order.seed, "source", order.names[source]), number)
    return [sample for chunk in _permutation(key, len(chunks)) for sample in chunks[chunk]]


def _tree(order: Order, weights: tuple[Fraction, ...]) -> list[tuple[int, int, int, Fraction]]:
    """(node, left, right, left's share), from the root down; a node's number is n_sources + when it was made."""
    names = sorted(order.names)
    loose = [(weight, names.index(order.names[i]), i) for i, weight in enumerate(weights) if weight > 0]
    made: list[tuple[int, int, int, Fraction]] = []
    while len(loose) > 1:
        left, right = sorted(loose)[:2]
        node = len(order.names) + len(made)
        loose = [item for item in loose if item not in (left, right)]
        loose.append((left[0] + right[0], node, node))
        made.append((node, left[2], right[2], left[0] / (left[0] + right[0])))
    return made[::-1]


def _counts(tree: list[tuple[int, int, int, Fraction]], root: int, total: int) -> dict[int, int]:
    counts = {root: total}
    for node, left, right, share in tree:
        exact = counts[node] * share
        counts[left] = int(exact) + (1 if exact - int(exact) >= F(1, 2) else 0)
        counts[right] = counts[node] - counts[left]
    return counts


def _lane(key: int, first: int, position: int, bits: int) -> tuple[int, int]:
    """The lane as (interval of 2^bits, window): of two neighbours in an interval, one goes to either half of it."""
    window, place = divmod(position, 2**bits)
    interval, right = 0, _word(key, 0) >> 63
    for level in range(bits):
        number = position >> (level + 1)
        if number % 3 == 1:
            odd_goes_left = _word(key, interval * 2 ** (bits - level - 1) + (place >> 1)) >> level & 1
        else:
            odd_goes_left = right ^ int(number % 3 == 2)
        right = place % 2 ^ odd_goes_left
        interval = 2 * interval + right
        place >>= 1
    return interval, window - first // 2**bits


def _block_sources(
    order: Order, tree: list[tuple[int, int, int, Fraction]], sizes: dict[int, int], root: int, number: int
) -> list[int]:
    lists = {root: list(range(sizes[root]))}
    key = derive_key(order.seed, "spread", str(number))
    for node, left, right, _ in tree:
        phase = _word(key, node - len(order.names)) * sizes[node] // 2**64
        lists[left], lists[right] = [], []
        for place in lists.pop(node):
            dealt = len(lists[left]) + len(lists[right])
            due = ((dealt + 1) * sizes[left] + phase) // sizes[node]
            lists[left if due > len(lists[left]) else right].append(place)
    found = [-1] * sizes[root]
    for source, places in lists.items():
        for place in places:
            found[place] = source
    return found


def _reference(order: Order, n_blocks: int) -> list[list[tuple[tuple[int, int], Row]]]:
    """The first blocks: for each a list of (lane, (position, source, sample)) by position."""
    blocks: list[list[tuple[tuple[int, int], Row]]] = []
    queue: dict[int, list[int]] = {source: [] for source in range(len(order.names))}  # left of the running pass
    passes = dict.fromkeys(queue, 0)
    bits = (order.block_samples - 1).bit_length()
    start = 0
    for stage in order.stages:
        tree = _tree(order, stage.weights)
        root = tree[0][0] if tree else next(i for i, weight in enumerate(stage.weights) if weight)
        first = start
        while len(blocks) < n_blocks and (stage.until is None or first < stage.until):
            last = min(first + order.block_samples, stage.until or first + order.block_samples)
            before, after = _counts(tree, root, first - start), _counts(tree, root, last - start)
            sizes = {node: after[node] - before[node] for node in after}
            number = len(blocks)
            sources = _block_sources(order, tree, sizes, root, number)
            key = derive_key(order.seed, "lanes", str(number))
            lane = [_lane(key, first, position, bits) for position in range(first, last)]
            rows: dict[int, Row] = {}
            for source in queue:
                places = [i for i, other in enumerate(sources) if other == source]
                while places:
                    if not queue[source]:
                        queue[source] = _pass_samples(order, source, passes[source])
                        passes[source] += 1
                    group, places = places[: len(queue[source])], places[len(queue[source]) :]
                    for place in sorted(group, key=lane.__getitem__):
                        rows[place] = (first + place, source, queue[source].pop(0))
            blocks.append([(lane[place], rows[place]) for place in range(last - first)])
            first = last
        start = stage.until or 0
    return blocks


CASES = {
    "stages": Order(
        seed=17,
        block_samples=64,
        chunk_samples=4,
        names=("m", "one", "c", "b"),
        n_samples=(100, 1, 37, 66),
        stages=(
            OrderStage(until=150, weights=(F("0.3"), F("0.0001"), F("0.6"), F("0.1"))),
            OrderStage(until=201, weights=(F(0), F("0.5"), F(0), F("0.5"))),
            OrderStage(until=None, weights=(F(1, 3), F(1, 7), F(1, 11), F(1, 13))),
        ),
    ),
    "one block with many passes": Order(
        seed=-5,
        block_samples=600,
        chunk_samples=256,
        names=("b", "a"),
        n_samples=(7, 45),
        stages=(OrderStage(until=None, weights=(F(1), F(1))),),
    ),
    "feistel": Order(
        seed=3,
        block_samples=5,
        chunk_samples=2,
        names=("big", "small"),
        n_samples=(8199, 5),
        stages=(OrderStage(until=None, weights=(F(9), F(1))),),
    ),
    "a single source": Order(
        seed=0,
        block_samples=32,
        chunk_samples=3,
        names=("only",),
        n_samples=(50,),
        stages=(OrderStage(until=10, weights=(F(2),)), OrderStage(until=None, weights=(F(1),))),
    ),
}


@pytest.mark.parametrize("order", CASES.values(), ids=CASES.keys())
def test_the_order_is_the_slow_one(order: Order) -> None:
    blocks = _reference(order, 9)
    expected = [row for rows in blocks for _, row in rows]
    rows = samples(order, 0, len(expected))
    found = list(zip(rows.position.tolist(), rows.source.tolist(), rows.sample.tolist(), strict=True))
    assert found == expected


@pytest.mark.parametrize("order", CASES.values(), ids=CASES.keys())
def test_batches_are_the_slow_ones(order: Order) -> None:
    numbered = [(lane, number, row) for number, rows in enumerate(_reference(order, 4)) for lane, row in rows]
    size = 7
    for first in range(0, len(numbered) - size, size):
        rows = batch_rows(order, first, size)
        found = list(zip(rows.position.tolist(), rows.source.tolist(), rows.sample.tolist(), strict=True))
        assert found == [row for _, _, row in sorted(numbered[first : first + size])]
