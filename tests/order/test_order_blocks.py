from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order.blocks import block, lanes, prefix_counts
from pipeline.order.counts import drawn_before
from pipeline.order.definition import Order, OrderStage

F = Fraction


def _order(weights: list[str], n_samples: list[int], *, block_samples: int, seed: int = 17) -> Order:
    return Order(
        seed=seed,
        block_samples=block_samples,
        chunk_samples=8,
        names=tuple(f"s{i:03}" for i in range(len(weights))),
        n_samples=tuple(n_samples),
        stages=(OrderStage(until=None, weights=tuple(map(F, weights))),),
    )


def _window(key: int, window: int, bits: int) -> list[int]:
    """The lanes of a whole window of 2^bits positions: those that all its rows share are doubled."""
    lane = lanes(key, window << bits, (window + 1) << bits, bits)
    assert not (lane & 1).any()
    halved: list[int] = (lane >> 1).tolist()
    return halved


@pytest.mark.parametrize("bits", [0, 1, 2, 5, 10])
def test_neighbouring_positions_have_one_lane_in_each_interval(bits: int) -> None:
    for number in (0, 1, 2, 5):
        lane = _window(12345, number, bits)
        assert sorted(lane) == list(range(1 << bits))
        for width in range(bits + 1):
            for start in range(0, 1 << bits, 1 << width):
                intervals = [place >> (bits - width) for place in lane[start : start + (1 << width)]]
                assert sorted(intervals) == list(range(1 << width))


@pytest.mark.parametrize("n_intervals", [3, 6, 12, 48, 192])
def test_three_times_as_many_neighbours_have_one_lane_in_each_interval(n_intervals: int) -> None:
    # A lane stands for an interval of 1/1024, and one of these may straddle a border: it counts for either side.
    bits = 10
    for number in (0, 1, 2, 7):
        lane = _window(99, number, bits)
        first = number << bits
        for start in range(-(-first // n_intervals) * n_intervals - first, len(lane) - n_intervals + 1, n_intervals):
            seen = lane[start : start + n_intervals]
            for interval in range(1, n_intervals):
                border = F(interval * 2**bits, n_intervals)
                assert sum(place + 1 <= border for place in seen) <= interval <= sum(place < border for place in seen)


def test_lanes_of_a_range_over_two_windows_are_parts_of_both() -> None:
    whole = [lanes(7, start, start + 64, 6) for start in (64, 128)]
    part = lanes(7, 100, 160, 6)
    np.testing.assert_array_equal(part, np.concatenate([whole[0][36:], whole[1][:32] + 1]))
    assert len(set(part.tolist())) == 60


def test_every_keyed_bit_of_the_lanes_falls_by_chance() -> None:
    # eight positions: the side of the whole, one pair of positions, and one of each half's
    orders, seen = np.unique(np.stack([lanes(key, 0, 8, 3) for key in range(4000)]), axis=0, return_counts=True)
    assert len(orders) == 2**4
    assert ((seen - 250) ** 2 / 250).sum() < 15 + 4 * 30**0.5


WEIGHT_SETS = {
    "one in a million": (["0.000001", "0.999999"], 2**12),
    "ladder": ([f"1e-{i}" for i in range(7)], 2**12),
    "fibonacci": ([str(f) for f in (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)], 1000),
    "halves": (["1", "1"], 64),
    "499 sources below a big one": (["0.99", *["0.00002"] * 499], 2**12),
    "500 equal sources": (["1"] * 500, 2**11),
    "500 unequal sources": ([str(round(Random(i).expovariate(1) + 1e-6, 9)) for i in range(500)], 2**11),
}


@pytest.mark.parametrize(("weights", "block_samples"), WEIGHT_SETS.values(), ids=WEIGHT_SETS.keys())
def test_any_prefix_deviates_by_less_than_6(weights: list[str], block_samples: int) -> None:
    order = _order(weights, [1000] * len(weights), block_samples=block_samples)
    whole = sum(map(F, weights))
    exact = [F(weight) / whole for weight in weights]
    shares = np.array([float(share) for share in exact])
    for number in (0, 7, 10**6 + 1):
        first = number * block_samples
        behind = np.array(
            [float(n - share * first) for n, share in zip(drawn_before(order, number), exact, strict=True)]
        )
        hot = block(order, number).source[:, None] == np.arange(len(weights))[None, :]
        ideal = shares[None, :] * np.arange(1, block_samples + 1)[:, None]
        assert np.abs(behind + np.cumsum(hot, axis=0) - ideal).max() < 6


def test_the_prefix_of_a_block_in_closed_form_is_that_of_its_places() -> None:
    order = _order(["0.5", "0.3", "0.15", "0.05"], [3, 10, 1000, 5], block_samples=200)
    for number in (0, 3):
        source = block(order, number).source
        for n in range(201):
            counted = np.bincount(source[:n], minlength=4).tolist()
            assert prefix_counts(order, number, n) == counted


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 90)), min_size=1, max_size=6),
    st.sampled_from([1, 2, 7, 64, 100]),
    st.integers(0, 10**6),
)
def test_no_sample_of_the_next_pass_comes_before_the_last_of_this_one(
    sources: list[tuple[int, int]], block_samples: int, number: int
) -> None:
    order = _order([str(w) for w, _ in sources], [n for _, n in sources], block_samples=block_samples)
    held = block(order, number)
    for source, drawn in enumerate(drawn_before(order, number)):
        served = held.sample[held.source == source].tolist()
        n = order.n_samples[source]
        cuts = [0, *range(min(-drawn % n, len(served)), len(served), n), len(served)]
        for start, end in pairwise(cuts):
            assert len(set(served[start:end])) == end - start


def test_draws_follow_the_lanes() -> None:
    order = _order(["1"], [10**6], block_samples=256)  # one source: its chunks are whole
    held = block(order, 5)
    by_lane = held.sample[np.argsort(held.lane)].reshape(-1, 8)
    np.testing.assert_array_equal(by_lane, by_lane[:, :1] + np.arange(8))
    places = np.argsort(held.lane).reshape(-1, 8)  # … and no two of its samples meet in a batch
    for batch in (2, 4, 8, 16, 32):
        assert all(len(set(group)) == 8 for group in (places // batch).tolist())


def test_blocks_are_remembered_and_cannot_be_written() -> None:
    order = _order(["1"], [10], block_samples=16)
    assert block(order, 2) is block(_order(["1"], [10], block_samples=16), 2)
    with pytest.raises(ValueError, match="read-only"):
        block(order, 2).sample[0] = 1
