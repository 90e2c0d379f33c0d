import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.order.keys import Ints, Words, stream
from pipeline.order.permutation import ARGSORT_LIMIT, invert, permute

SIZES = [1, 2, 3, 5, 64, 65, 4095, 4096, 4097, 8191, 8192, 8193, 65537, 100_003]


def _keys(n: int, seed: int = 7) -> Words:
    return stream(seed, np.arange(n))


def _whole(n: int, key: int) -> Ints:
    return permute(np.arange(n), n, np.full(n, key, dtype=np.uint64))


def _chi_square_limit(degrees: int) -> float:
    """Exceeded by chance about once in 30,000 times (4 standard deviations)."""
    return degrees + 4 * math.sqrt(2 * degrees)


@pytest.mark.parametrize("n", SIZES)
def test_every_element_once_and_the_inverse_finds_it(n: int) -> None:
    for key in (0, 1, 2**64 - 1):
        order = _whole(n, key)
        assert order.dtype == np.int64
        np.testing.assert_array_equal(np.sort(order), np.arange(n))
        np.testing.assert_array_equal(invert(order, n, np.full(n, key, dtype=np.uint64)), np.arange(n))


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 10**15), index=st.integers(0, 10**15), key=st.integers(0, 2**64 - 1))
@example(n=ARGSORT_LIMIT, index=4095, key=3)
@example(n=ARGSORT_LIMIT + 1, index=4096, key=3)
@example(n=2**60, index=2**60 - 1, key=2**63)
def test_the_inverse_holds_for_any_size(n: int, index: int, key: int) -> None:
    n = n if n <= 2 * ARGSORT_LIMIT else n + ARGSORT_LIMIT
    there = permute(np.array([index % n]), n, np.array([key], dtype=np.uint64))
    assert 0 <= there[0] < n
    assert invert(there, n, np.array([key], dtype=np.uint64)).tolist() == [index % n]


@pytest.mark.parametrize("n", [3, 700, 4096, 5000])
def test_keys_that_differ_by_element_give_the_elements_of_their_permutations(n: int) -> None:
    keys = np.repeat(_keys(900), 2)[np.arange(1800) % 1799]  # runs of equal keys, a key that comes back
    index = np.arange(1800) * 7 % n
    expected = [_one(int(i), n, key) for i, key in zip(index[::37], keys[::37], strict=True)]
    assert permute(index, n, keys)[::37].tolist() == expected
    np.testing.assert_array_equal(invert(permute(index, n, keys), n, keys), index)


def _one(index: int, n: int, key: np.uint64) -> int:
    return int(permute(np.array([index]), n, np.array([key]))[0])


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_are_equally_frequent(n: int) -> None:
    draws = 1_000_000
    orders = permute(np.tile(np.arange(n), draws), n, np.repeat(_keys(draws), n)).reshape(draws, n)
    of_code = np.bincount(orders @ n ** np.arange(n), minlength=n**n)
    seen = np.array([of_code[np.dot(order, n ** np.arange(n))] for order in permutations(range(n))])
    assert seen.sum() == draws
    expected = draws / math.factorial(n)
    assert ((seen - expected) ** 2 / expected).sum() < _chi_square_limit(math.factorial(n) - 1)


@pytest.mark.parametrize("n", [4097, 6000, 8192, 70_000])
def test_feistel_sends_each_element_anywhere(n: int) -> None:
    draws, bins = 40_000, 64
    for index in (0, 1, n // 2, n - 1):
        there = permute(np.full(draws, index), n, _keys(draws))
        edges = np.arange(bins + 1) * n // bins
        seen, expected = np.histogram(there, edges)[0], np.diff(edges) * draws / n
        assert ((seen - expected) ** 2 / expected).sum() < _chi_square_limit(bins - 1)


@pytest.mark.parametrize("n", [100, 4097, 8192])
def test_pairs_of_elements_are_independent(n: int) -> None:
    draws, bins = 40_000, 8
    keys = _keys(draws)
    for one, other in ((0, 1), (0, n - 1), (5, n // 2 + 5)):
        cells = (permute(np.full(draws, one), n, keys) * bins // n) * bins
        cells += permute(np.full(draws, other), n, keys) * bins // n
        width = np.bincount(np.arange(n) * bins // n).astype(float)
        pairs = width[:, None] * width[None, :] - np.diag(width)  # two elements never stand at one place
        expected = (pairs / pairs.sum() * draws).ravel()
        seen = np.bincount(cells, minlength=bins * bins)
        assert ((seen - expected) ** 2 / expected).sum() < _chi_square_limit(bins * bins - 1)


@pytest.mark.parametrize("n", [4096, 5000])
def test_neighbours_do_not_stay_neighbours(n: int) -> None:
    keys = range(200)
    together = sum(int(np.count_nonzero(np.abs(np.diff(_whole(n, key))) == 1)) for key in keys)
    expected = 2 * len(keys)  # of n-1 pairs, each is next to the other with probability 2/n
    assert abs(together - expected) < 4 * expected**0.5
