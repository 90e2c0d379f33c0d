import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order import (
    Order,
    OrderStage,
    Rows,
    batch_rows,
    batches_rows,
    block_range,
    rank_rows,
    samples,
    source_counts,
)
from pipeline.order.blocks import block
from pipeline.order.counts import block_at

F = Fraction
WORLDS = [1, 2, 3, 4, 5, 6, 7, 8, 12, 24, 48, 64, 96, 480, 512]


def _order(
    sizes: dict[str, int], *stages: tuple[int | None, list[str]], block_samples: int = 64, chunk_samples: int = 4
) -> Order:
    return Order(
        seed=17,
        block_samples=block_samples,
        chunk_samples=chunk_samples,
        names=tuple(sizes),
        n_samples=tuple(sizes.values()),
        stages=tuple(OrderStage(until=until, weights=tuple(map(F, weights))) for until, weights in stages),
    )


STAGED = _order(
    {"one": 1, "prime": 13, "power": 64, "below": 63, "above": 65, "big": 10**6},
    (100, ["0.01", "0.2", "0.1", "0.09", "0.1", "0.5"]),
    (333, ["0", "0.5", "0.25", "0.25", "0", "0"]),
    (None, ["0.000001", "0.1", "0.3", "0", "0.3", "0.3"]),
)


def _tuples(rows: Rows) -> list[tuple[int, int, int]]:
    return list(zip(rows.position.tolist(), rows.source.tolist(), rows.sample.tolist(), strict=True))


def _check_passes(order: Order, rows: Rows) -> None:
    """Every pass of every source in the rows, which begin at position 0, holds each sample once."""
    for source, n in enumerate(order.n_samples):
        served = rows.sample[rows.source == source]
        whole = len(served) // n
        for number in range(whole):
            np.testing.assert_array_equal(np.sort(served[number * n : (number + 1) * n]), np.arange(n))
        rest = served[whole * n :]
        assert len(np.unique(rest)) == len(rest)
        assert len(rest) == 0 or (rest.min() >= 0 and rest.max() < n)


def test_rows_have_their_types_and_positions() -> None:
    rows = samples(STAGED, 90, 120)
    assert [str(column.dtype) for column in (rows.position, rows.source, rows.sample)] == ["int64", "int16", "int64"]
    assert rows.position.tolist() == list(range(90, 120))
    assert len(rows) == 30
    assert len(samples(STAGED, 90, 90)) == 0


def test_each_sample_once_a_pass_over_stages_that_end_inside_a_block() -> None:
    rows = samples(STAGED, 0, 20_000)
    _check_passes(STAGED, rows)
    assert not np.isin(rows.source[100:333], [0, 4, 5]).any()  # weight 0 in the second stage


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(1, 140), st.lists(st.integers(0, 10**6), min_size=3, max_size=3)), min_size=1, max_size=6
    ),
    st.lists(st.integers(1, 700), min_size=2, max_size=2, unique=True),
    st.sampled_from([1, 3, 16, 64, 100, 1024, 2**14]),
    st.sampled_from([1, 3, 8, 1000]),
)
def test_each_sample_once_a_pass_for_any_sizes(
    sources: list[tuple[int, list[int]]], borders: list[int], block_samples: int, chunk_samples: int
) -> None:
    order = _order(
        {f"s{i}": n for i, (n, _) in enumerate(sources)},
        *zip([*sorted(borders), None], ([str(w[i] + 1) for _, w in sources] for i in range(3)), strict=True),
        block_samples=block_samples,
        chunk_samples=chunk_samples,
    )
    _check_passes(order, samples(order, 0, min(2500, 150 * block_samples)))


def test_a_small_run_in_one_large_block_is_served_right() -> None:
    # A budget of 20,000 samples and blocks of 2¹⁸, as in a demo: all passes of all sources lie in one block.
    order = _order({"a": 1, "b": 300, "c": 4097, "d": 8000}, (None, ["1e-4", "0.2", "0.4", "0.4"]), block_samples=2**18)
    order = replace(order, chunk_samples=512)
    rows = samples(order, 0, 20_000)
    _check_passes(order, rows)
    counts = np.cumsum(rows.source[:, None] == np.arange(4)[None, :], axis=0)
    ideal = np.arange(1, 20_001)[:, None] * np.array([1e-4, 0.2, 0.4, 0.4])[None, :] / 1.0001
    assert np.abs(counts - ideal).max() < 6
    passes = rows.sample[rows.source == 1][:3900].reshape(13, 300)
    assert len(np.unique(passes, axis=0)) == 13  # each pass in an order of its own


@pytest.mark.parametrize("n", [3, 4])
def test_all_orders_of_a_pass_are_equally_frequent(n: int) -> None:
    order = _order({"small": n, "other": 1000}, (None, ["0.5", "0.5"]), block_samples=4096, chunk_samples=256)
    rows = samples(order, 0, 2**17)
    served = rows.sample[rows.source == 0]
    passes = served[: len(served) // n * n].reshape(-1, n)
    _, seen = np.unique(passes, axis=0, return_counts=True)
    n_orders = {3: 6, 4: 24}[n]
    expected = len(passes) / n_orders
    assert len(seen) == n_orders
    assert ((seen - expected) ** 2 / expected).sum() < n_orders - 1 + 4 * (2 * (n_orders - 1)) ** 0.5


@pytest.mark.parametrize("n", [64, 128, 1024])
def test_passes_of_a_power_of_two_do_not_repeat_their_order(n: int) -> None:
    # Lanes repeat with such periods; the chunks' permutation alone must tell passes apart.
    order = _order({"a": n}, (None, ["1"]), block_samples=2**14, chunk_samples=512)
    passes = samples(order, 0, 16 * n).sample.reshape(16, n)
    assert len(np.unique(passes, axis=0)) == 16


@pytest.mark.parametrize(("first", "size"), [(0, 64), (64, 64), (37, 96), (95, 200), (300, 700), (10**12 + 5, 97)])
def test_the_batch_is_the_same_for_every_world_size(first: int, size: int) -> None:
    order = replace(STAGED, block_samples=256)
    batch = _tuples(batch_rows(order, first, size))
    assert sorted(batch) == _tuples(samples(order, first, first + size))
    for world_size in WORLDS:
        parts = [_tuples(rank_rows(order, first, size, rank, world_size)) for rank in range(world_size)]
        assert [row for part in parts for row in part] == batch
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_rows_of_a_batch_are_sorted_by_lane_and_block() -> None:
    rows = batch_rows(STAGED, 50, 400)  # blocks end at 64, 100, 164, 228, 292, 333, 397, …
    keys = []
    for position in rows.position.tolist():
        number = block_at(STAGED, position)
        keys.append((int(block(STAGED, number).lane[position - block_range(STAGED, number)[0]]), number))
    assert keys == sorted(keys)
    assert len(set(keys)) == 400


def test_what_stands_at_a_position_does_not_depend_on_the_batch_size() -> None:
    expected = _tuples(samples(STAGED, 0, 1920))
    for size in (1, 7, 64, 96, 640, 1920):
        rows = [row for first in range(0, 1920, size) for row in _tuples(batch_rows(STAGED, first, size))]
        assert sorted(rows)[:1920] == expected


def test_counts_at_any_position_are_those_of_the_rows() -> None:
    rows = samples(STAGED, 0, 1000)
    for position in range(0, 1001, 9):
        counts = source_counts(STAGED, position)
        assert counts.dtype == np.int64
        assert counts.tolist() == np.bincount(rows.source[:position], minlength=6).tolist()
    assert source_counts(STAGED, 10**15).sum() == 10**15


def test_another_source_in_the_mix_changes_no_permutation() -> None:
    alone = _order({"a": 1000}, (None, ["1"]), block_samples=250)
    beside = _order({"0": 7, "a": 1000}, (None, ["0.5", "0.5"]), block_samples=500)
    served = samples(beside, 0, 2000)
    for part in range(4):  # a block of each holds the same draws, though at other places
        ours = samples(alone, part * 250, (part + 1) * 250).sample
        theirs = served.sample[part * 500 : (part + 1) * 500][served.source[part * 500 : (part + 1) * 500] == 1]
        assert sorted(ours.tolist()) == sorted(theirs.tolist())


def test_the_listing_of_the_sources_changes_nothing() -> None:
    one = _order({"a": 10, "b": 20, "c": 30}, (None, ["1", "1", "2"]))
    other = _order({"c": 30, "a": 10, "b": 20}, (None, ["2", "1", "1"]))
    left, right = samples(one, 0, 500), samples(other, 0, 500)
    assert [one.names[i] for i in left.source] == [other.names[i] for i in right.source]
    np.testing.assert_array_equal(left.sample, right.sample)


def test_the_middle_of_a_huge_order_needs_little_memory() -> None:
    order = _order({"a": 4 * 10**11, "b": 6 * 10**11}, (None, ["0.4", "0.6"]), block_samples=2**18, chunk_samples=256)
    tracemalloc.start()
    rows = rank_rows(order, 260_000_000_000, 1920, 5, 96)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) == 20
    assert peak_bytes < 40e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 4, 0, 1), r"\[-1, 3\) is no range of positions"),
        ((4, -1, 0, 1), r"\[4, 3\) is no range of positions"),
        ((0, 4, 2, 2), "rank 2 does not exist in a world of 2"),
    ],
)
def test_what_does_not_exist_is_refused(arguments: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_rows(STAGED, *arguments)


def test_the_order_is_frozen() -> None:
    rows = batch_rows(STAGED, 60, 8)
    assert rows.position.tolist() == [61, 66, 65, 62, 63, 67, 64, 60]
    assert rows.source.tolist() == [4, 1, 5, 5, 3, 5, 4, 5]
    assert rows.sample.tolist() == [49, 0, 890333, 937161, 43, 874076, 5, 526858]
    far = samples(STAGED, 10**12, 10**12 + 4)
    assert (far.source.tolist(), far.sample.tolist()) == ([4, 5, 4, 2], [54, 174531, 0, 50])


def test_each_of_8_ranks_reads_neighbours() -> None:
    """Granules (8 samples) fetched by the ranks over granules there are, in a block of ten sources (0.5 % to 40 %)."""
    weights = ["0.4", "0.2", "0.12", "0.1", "0.08", "0.05", "0.02", "0.015", "0.01", "0.005"]
    sizes = {f"s{i}": int(F(weight) * 10**9) for i, weight in enumerate(weights)}
    order = _order(sizes, (None, weights), block_samples=2**18, chunk_samples=256)
    per_rank: list[set[tuple[int, int]]] = [set() for _ in range(8)]
    for first in range(0, 2**18, 2048):
        for rank, seen in enumerate(per_rank):
            rows = rank_rows(order, first, 2048, rank, 8)
            seen.update(zip(rows.source.tolist(), (rows.sample // 8).tolist(), strict=True))
    assert sum(map(len, per_rank)) / len(set().union(*per_rank)) < 1.005


@pytest.mark.parametrize("most", [0, 1, 3, 100])
@pytest.mark.parametrize("size", [1, 5, 8, 64, 90])
def test_batches_that_follow_each_other_are_each_what_it_is_alone(size: int, most: int) -> None:
    for first in (0, 3, 60, 64, 95, 333, 400):
        together = batches_rows(STAGED, first, size, most)
        alone = [batch_rows(STAGED, first + i * size, size) for i in range(len(together))]
        assert [_tuples(rows) for rows in together] == [_tuples(rows) for rows in alone]
        last = block_range(STAGED, block_at(STAGED, first))[1]  # no farther than the block's end, if more than one
        assert len(together) == max(1, min(most, (last - first) // size))
