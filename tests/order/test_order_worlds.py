"""A run that stops and goes on with other numbers of ranks, and other sizes of batches, is one run."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order import Order, OrderStage, Rows, batch_rows, rank_rows, samples
from pipeline.order.blocks import block
from pipeline.order.counts import drawn_before

F = Fraction
WORLDS = [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 24, 32, 48, 64, 96, 100, 128, 256, 333, 480, 511, 512]
ORDER = Order(
    seed=17,
    block_samples=256,
    chunk_samples=4,
    names=("one", "prime", "power", "big"),
    n_samples=(1, 127, 512, 10**6),
    stages=(
        OrderStage(until=700, weights=(F("0.01"), F("0.3"), F("0.3"), F("0.39"))),
        OrderStage(until=None, weights=(F("0.000001"), F("0.2"), F("0.2"), F("0.6"))),
    ),
)

Row = tuple[int, int, int]


def _tuples(rows: Rows) -> list[Row]:
    return list(zip(rows.position.tolist(), rows.source.tolist(), rows.sample.tolist(), strict=True))


def _joined(first: int, size: int, world_size: int) -> list[Row]:
    """The batch as its ranks have it, one after the other."""
    return [row for rank in range(world_size) for row in _tuples(rank_rows(ORDER, first, size, rank, world_size))]


@pytest.mark.parametrize("world_size", WORLDS)
def test_the_ranks_of_any_world_make_up_the_batches(world_size: int) -> None:
    for first, size in ((0, 512), (600, 250), (1791, 96), (10**9 + 7, 100)):  # over blocks and stages, and W > B
        assert _joined(first, size, world_size) == _tuples(batch_rows(ORDER, first, size))


@settings(deadline=None, max_examples=60)
@given(
    first=st.integers(0, 3000),
    size=st.sampled_from([1, 24, 48, 96, 100, 480, 512]),
    worlds=st.lists(st.tuples(st.sampled_from(WORLDS[:17]), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_a_run_may_stop_at_any_batch_and_go_on_in_another_world(
    first: int, size: int, worlds: list[tuple[int, int]]
) -> None:
    served, position = [], first
    for world_size, n_batches in worlds:  # each is a run that ends, and leaves its position
        for _ in range(n_batches):
            served.append(_joined(position, size, world_size))
            position += size
    alone = [_tuples(batch_rows(ORDER, at, size)) for at in range(first, position, size)]
    assert served == alone
    assert sorted(row for batch in served for row in batch) == _tuples(samples(ORDER, first, position))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3000), st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_another_size_of_batch_from_any_position_on_moves_no_sample(first: int, sizes: list[int]) -> None:
    served, position = [], first
    for size in sizes:
        served += _tuples(batch_rows(ORDER, position, size))
        position += size
    assert sorted(served) == _tuples(samples(ORDER, first, position))


@settings(deadline=None, max_examples=25)
@given(
    n_sources=st.integers(1, 500),
    smallest=st.sampled_from(["0.000001", "0.001", "1"]),
    largest=st.booleans(),
    seed=st.integers(0, 2**32),
    number=st.sampled_from([0, 1, 5, 10**7 + 3]),
)
def test_counts_stay_within_their_bounds_with_any_weights(
    n_sources: int, smallest: str, largest: bool, seed: int, number: int
) -> None:
    """Less than 2 off weight × positions at the borders of blocks, less than 6 anywhere, from 10⁻⁶ to 0.99."""
    random = Random(seed)
    weights = [F(smallest) + F(random.randrange(10**6), 10**6) ** 4 for _ in range(n_sources)]
    if largest:
        weights[0] = 99 * sum(weights[1:], F(0)) or F(1)
    order = Order(
        seed=seed,
        block_samples=1024,
        chunk_samples=4,
        names=tuple(f"s{i}" for i in range(n_sources)),
        n_samples=(1000,) * n_sources,
        stages=(OrderStage(until=None, weights=tuple(weights)),),
    )
    shares = [weight / sum(weights) for weight in weights]
    first = number * 1024
    behind = [float(n - share * first) for n, share in zip(drawn_before(order, number), shares, strict=True)]
    after = [
        float(n - share * (first + 1024)) for n, share in zip(drawn_before(order, number + 1), shares, strict=True)
    ]
    assert max(map(abs, behind)) < 2
    assert max(map(abs, after)) < 2
    drawn = np.cumsum(block(order, number).source[:, None] == np.arange(n_sources)[None, :], axis=0)
    ideal = np.array([float(share) for share in shares])[None, :] * np.arange(1, 1025)[:, None]
    assert np.abs(np.array(behind)[None, :] + drawn - ideal).max() < 6
