from fractions import Fraction

import numpy as np
import pytest

from pipeline.order import Order, OrderStage, samples, source_counts
from pipeline.order.course import position_of_draw, windows

F = Fraction
ORDER = Order(
    seed=17,
    block_samples=64,
    chunk_samples=4,
    names=("a", "b", "gone"),
    n_samples=(700, 50, 300),
    stages=(
        OrderStage(until=100, weights=(F(1), F(2), F(1))),
        OrderStage(until=None, weights=(F(2), F(1), F(0))),
    ),
)


def test_the_position_of_a_draw() -> None:
    source = samples(ORDER, 0, 2000).source
    for number in (0, 1):
        places = np.flatnonzero(source == number)
        for draw in (0, 1, 30, 49, 50, 200):
            assert position_of_draw(ORDER, number, draw) == places[draw]
    assert position_of_draw(ORDER, 2, 24) is not None
    assert position_of_draw(ORDER, 2, 25) is None  # a quarter of 100 positions, and never again


def test_windows_lie_in_their_tenth_and_the_last_ends_the_pass() -> None:
    found = windows(ORDER, 0, 10, 3, 10**6)
    assert [window.part for window in found] == list(range(10))
    for window in found:
        first, last = window.first, window.first + 10 * window.n_batches
        assert (first % 10, 1 <= window.n_batches <= 3) == (0, True)
        before, after = (int(source_counts(ORDER, position)[0]) for position in (first, last))
        assert window.part * 70 <= before
        assert after <= (window.part + 1) * 70 + 10
    last = found[-1].first + 10 * found[-1].n_batches
    assert source_counts(ORDER, last - 10)[0] < 700 <= source_counts(ORDER, last)[0]


def test_a_run_that_ends_earlier_has_fewer_windows() -> None:
    middle = position_of_draw(ORDER, 0, 345)
    assert middle is not None
    found = windows(ORDER, 0, 10, 3, middle)
    assert [window.part for window in found] == [0, 1, 2, 3]
    assert all(window.first + 10 * window.n_batches <= middle for window in found)


@pytest.mark.parametrize(("source", "size"), [(1, 10), (0, 200), (2, 10)])
def test_a_pass_of_less_than_ten_batches_or_without_end_has_no_course(source: int, size: int) -> None:
    assert [window.part for window in windows(ORDER, source, size, 3, 10**6)] == []
