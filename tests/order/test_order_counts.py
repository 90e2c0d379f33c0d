from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order.counts import block_at, block_counts, block_range, build_tree, drawn_before, node_counts
from pipeline.order.definition import Order, OrderStage

F = Fraction


def _names(n: int) -> tuple[str, ...]:
    return tuple(f"s{i:03}" for i in range(n))


def _order(*stages: tuple[int | None, tuple[Fraction, ...]], block_samples: int = 8) -> Order:
    n = len(stages[0][1])
    return Order(
        seed=17,
        block_samples=block_samples,
        chunk_samples=4,
        names=_names(n),
        n_samples=(10,) * n,
        stages=tuple(OrderStage(until=until, weights=weights) for until, weights in stages),
    )


def test_counts_of_a_tree_by_hand() -> None:
    # s000 (0.1) and s001 (0.3) meet first; of 7 positions their node gets round(2.8) = 3, and s000 round(0.75) of it.
    tree = build_tree(_names(3), (F("0.1"), F("0.3"), F("0.6")))
    assert node_counts(tree, 7)[:3] == [1, 2, 4]
    assert node_counts(tree, 10**15)[:3] == [10**14, 3 * 10**14, 6 * 10**14]


def test_a_single_source_takes_all_and_an_absent_one_nothing() -> None:
    assert node_counts(build_tree(_names(1), (F(3),)), 5) == [5]
    assert node_counts(build_tree(_names(3), (F(0), F(2), F(0))), 5) == [0, 5, 0]
    assert node_counts(build_tree(_names(3), (F(1), F(0), F(1))), 6)[:3] == [3, 0, 3]


def test_the_listing_of_the_sources_changes_no_count() -> None:
    weights = {"a": F(1), "b": F(1), "c": F(1), "d": F(2), "e": F(1, 7)}
    expected = None
    for names in (("a", "b", "c", "d", "e"), ("e", "c", "a", "d", "b")):
        tree = build_tree(names, tuple(weights[name] for name in names))
        found = [sorted(zip(names, node_counts(tree, n)[:5], strict=True)) for n in range(200)]
        assert expected is None or found == expected
        expected = found


WEIGHT_SETS = {
    "one in a million": ["0.000001", "0.999999"],
    "ladder": [f"1e-{i}" for i in range(7)],
    "fibonacci": [str(f) for f in (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)],
    "thirds": ["1/3", "1/3", "1/3"],
    "500 sources below a big one": ["0.99", *["0.00002"] * 499],
    "500 unequal sources": [str(round(Random(i).expovariate(1) + 1e-6, 9)) for i in range(500)],
}


@pytest.mark.parametrize("weights", WEIGHT_SETS.values(), ids=WEIGHT_SETS.keys())
def test_counts_never_decrease_sum_right_and_deviate_by_less_than_2(weights: list[str]) -> None:
    whole = sum(map(F, weights))
    shares = [F(weight) / whole for weight in weights]
    tree = build_tree(_names(len(weights)), tuple(map(F, weights)))
    previous = [0] * len(weights)
    random = Random(3)
    steps = range(300) if len(weights) < 100 else range(40)
    for total in [*steps, *sorted(random.randrange(10**13) for _ in range(60))]:
        counts = node_counts(tree, total)[: len(weights)]
        assert sum(counts) == total
        assert all(before <= now for before, now in zip(previous, counts, strict=True))
        assert all(abs(count - share * total) < 2 for count, share in zip(counts, shares, strict=True))
        previous = counts


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.integers(0, 10**14))
def test_one_more_position_is_one_more_draw_of_one_source(weights: list[int], total: int) -> None:
    tree = build_tree(_names(len(weights)), tuple(map(F, weights)))
    now, next_ = (node_counts(tree, n)[: len(weights)] for n in (total, total + 1))
    assert sorted(b - a for a, b in zip(now, next_, strict=True)) == [0] * (len(weights) - 1) + [1]


def test_blocks_restart_at_the_border_of_a_stage() -> None:
    order = _order((20, (F(1), F(1))), (25, (F(0), F(1))), (None, (F(1), F(0))))
    assert [block_range(order, k) for k in range(6)] == [(0, 8), (8, 16), (16, 20), (20, 25), (25, 33), (33, 41)]
    assert [block_at(order, p) for p in (0, 7, 8, 19, 20, 24, 25, 32, 33)] == [0, 0, 1, 2, 3, 3, 4, 4, 5]


def test_a_source_goes_on_with_its_draws_across_stages() -> None:
    order = _order((20, (F(1), F(1))), (25, (F(0), F(1))), (None, (F(1), F(0))))
    drawn = [drawn_before(order, k) for k in range(6)]
    assert drawn == [(0, 0), (4, 4), (8, 8), (10, 10), (10, 15), (18, 15)]


def test_the_counts_of_a_block_are_the_difference_of_its_borders() -> None:
    order = _order((1003, (F("0.2"), F("0.5"), F("0.3"))), (None, (F("0.1"), F("0.1"), F("0.8"))), block_samples=64)
    for k in range(40):
        counts, after = block_counts(order, k), drawn_before(order, k + 1)
        assert counts.drawn == drawn_before(order, k)
        assert tuple(a + b for a, b in zip(counts.drawn, counts.sizes[:3], strict=True)) == after
        assert (counts.first, counts.last) == block_range(order, k)


def test_positions_and_blocks_that_do_not_exist_are_refused() -> None:
    order = _order((None, (F(1),)))
    with pytest.raises(ValueError, match="position -1 lies outside"):
        block_at(order, -1)
    with pytest.raises(ValueError, match="block -1 does not exist"):
        block_range(order, -1)
