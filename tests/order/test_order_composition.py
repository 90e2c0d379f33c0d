from fractions import Fraction

import numpy as np
import pytest

from pipeline.order import Order, OrderStage, samples
from pipeline.order.composition import batch_counts, compositions, ideal_counts

F = Fraction
WEIGHTS = ("0.4", "0.2", "0.12", "0.08", "0.06", "0.05", "0.04", "0.03", "0.015", "0.005")
ORDER = Order(
    seed=17,
    block_samples=2**12,
    chunk_samples=16,
    names=tuple(f"s{i}" for i in range(10)),
    n_samples=(10**5,) * 10,
    stages=(
        OrderStage(until=5000, weights=tuple(map(F, WEIGHTS))),
        OrderStage(until=None, weights=tuple(map(F, WEIGHTS[::-1]))),
    ),
)


def test_counts_are_those_of_the_rows() -> None:
    found = batch_counts(ORDER, 4096, 100, 20)
    for batch in range(20):
        source = samples(ORDER, 4096 + 100 * batch, 4196 + 100 * batch).source
        assert found[batch].tolist() == [int((source == number).sum()) for number in range(10)]


def test_ideals_follow_the_stages() -> None:
    ideals = ideal_counts(ORDER, 4900, 80, 3)  # [4900, 4980), [4980, 5060), [5060, 5140)
    first, last = (np.array([float(weight) for weight in weights]) for weights in (WEIGHTS, WEIGHTS[::-1]))
    total = first.sum()
    np.testing.assert_allclose(ideals, np.array([80 * first, 20 * first + 60 * last, 80 * last]) / total)


def test_figures_by_hand() -> None:
    of = compositions(ORDER, 0, 50, 10)[1]
    counts = batch_counts(ORDER, 0, 50, 10)[:, 1]
    assert of.ideal == pytest.approx(10)
    assert of.deviation == pytest.approx(np.sqrt(((counts - 10) ** 2).mean()))
    assert of.largest == np.abs(counts - 10).max()
    assert of.by_chance == pytest.approx(np.sqrt(50 * 0.2 * 0.8))
    assert of.of_chance == pytest.approx(of.deviation / of.by_chance)


@pytest.mark.parametrize("size", [64, 100, 480, 1920])
def test_batches_are_more_even_than_chance(size: int) -> None:
    """One-sided: spreading must make every source more even than chance, however much."""
    for of in compositions(ORDER, 8192, size, 100):
        assert of.deviation < of.by_chance * (0.75 if of.ideal > 2 else 0.95)
        assert of.largest < 6


def test_a_single_source_has_no_chance() -> None:
    order = Order(
        seed=1, block_samples=64, chunk_samples=4, names=("a",), n_samples=(9,),
        stages=(OrderStage(until=None, weights=(F(1),)),),
    )  # fmt: skip
    [of] = compositions(order, 0, 16, 4)
    assert (of.ideal, of.deviation, of.by_chance, of.of_chance) == (16, 0, 0, 0)
