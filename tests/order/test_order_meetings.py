from collections import Counter
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from pipeline.order import Order, OrderStage
from pipeline.order.meetings import (
    Sizes,
    chunk_of,
    chunk_sizes,
    group_sizes,
    meetings,
    uniform_in_company,
    uniform_pairs,
)

ORDER = Order(
    seed=17,
    block_samples=64,
    chunk_samples=4,
    names=("a", "small"),
    n_samples=(102, 5),
    stages=(OrderStage(until=None, weights=(Fraction(1), Fraction(1))),),
)


def _ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def test_pairs_and_company_of_a_few_rows() -> None:
    # batch 0: rows 0 and 1 of group 7, row 1 of group 8 too, row 2 of group 8; batch 1: row 3 of group 7, row 4 alone
    found = meetings(
        _ints(1, 0, 0, 0, 0), _ints(3, 0, 1, 1, 2), _ints(7, 7, 7, 8, 8), _ints(3, 2), group_sizes(_ints(3, 2), 10)
    )
    assert (found.n_batches, found.n_rows, found.pairs, found.in_company) == (2, 5, 2, 3)
    assert found.company == 0.6


def test_no_rows_meet_nobody() -> None:
    none = _ints()
    found = meetings(none, none, none, _ints(0, 0), group_sizes(_ints(3, 2), 5))
    assert (found.pairs, found.in_company, found.uniform_pairs, found.uniform_in_company) == (0, 0, 0, 0)
    assert (found.company, found.uniform_company) == (0, 0)


@pytest.mark.parametrize("n_rows", [2, 5, 30])
def test_the_uniform_shuffle_is_one(n_rows: int) -> None:
    """Against shuffling: groups of 1, 2, 3 and 14 of 60 samples."""
    random, n_shuffles = Random(17), 4000
    of_sample = [group for group, size in enumerate([14, 3, 3, *[2] * 10, *[1] * 20]) for _ in range(size)]
    sizes = group_sizes(_ints(*Counter(of_sample).values()), 60)
    pairs = company = 0
    for _ in range(n_shuffles):
        together = Counter(random.sample(of_sample, n_rows)).values()
        pairs += sum(n * (n - 1) // 2 for n in together)
        company += sum(n for n in together if n > 1)
    assert uniform_pairs(_ints(n_rows), sizes) == pytest.approx(pairs / n_shuffles, rel=0.06)
    assert uniform_in_company(_ints(n_rows), sizes) == pytest.approx(company / n_shuffles, rel=0.1)


def test_batches_add_up() -> None:
    sizes = Sizes(size=_ints(2, 5), n_groups=_ints(10, 4), n_samples=40)
    for expected in (uniform_pairs, uniform_in_company):
        assert expected(_ints(3, 0, 7), sizes) == pytest.approx(expected(_ints(3), sizes) + expected(_ints(7), sizes))


def test_chunks_of_a_source() -> None:
    sizes = chunk_sizes(ORDER, 0)
    assert (chunk_of(ORDER, 0), sizes.size.tolist(), sizes.n_groups.tolist()) == (4, [4, 2], [25, 1])
    assert chunk_of(ORDER, 1) == 1  # cut finer, as draws are
    assert (chunk_sizes(ORDER, 1).size * chunk_sizes(ORDER, 1).n_groups).sum() == 5
