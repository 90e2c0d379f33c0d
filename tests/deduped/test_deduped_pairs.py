from collections import Counter
from itertools import combinations, pairwise
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deduped.components import components
from pipeline.deduped.pairs import ALL_PAIRS, NEIGHBOURS, candidate_pairs, shared, unique_pairs

Row = tuple[int, int, int]  # bucket, document, affinity


def found(rows: list[Row]) -> list[tuple[int, int]]:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    pairs = candidate_pairs(columns[:, 0].astype(np.uint64), columns[:, 1], columns[:, 2].astype(np.uint64))
    assert pairs.shape == (len(pairs), 2)
    return [(int(low), int(high)) for low, high in pairs]


def reference(rows: list[Row]) -> list[tuple[int, int]]:
    """The pairs as the module's docstring says them."""
    pairs = set()
    for bucket in {row[0] for row in rows}:
        members = sorted((affinity, document) for other, document, affinity in rows if other == bucket)
        if len(members) <= ALL_PAIRS:
            pairs |= set(combinations(members, 2))
            continue
        for i, member in enumerate(members):
            run = next(other for other in members if other[0] == member[0])
            pairs |= {(other, member) for other in (members[0], run, *members[i + 1 : i + 1 + NEIGHBOURS])}
    ordered = {tuple(sorted((left[1], right[1]))) for left, right in pairs}
    return sorted((low, high) for low, high in ordered if low != high)


def rows(buckets: st.SearchStrategy[int], min_size: int, max_size: int) -> st.SearchStrategy[list[Row]]:
    row = st.tuples(buckets, st.integers(0, 90), st.integers(0, 6))
    return st.lists(row, min_size=min_size, max_size=max_size, unique_by=lambda row: row[:2])


@settings(deadline=None, max_examples=60)
@given(rows(st.integers(0, 3), 0, 60), rows(st.just(9), ALL_PAIRS - 1, 80), st.randoms(use_true_random=False))
def test_pairs_are_those_of_the_stated_cut_in_any_order_of_rows(
    few: list[Row], many: list[Row], random: Random
) -> None:
    shuffled = few + many
    expected = reference(shuffled)
    random.shuffle(shuffled)
    assert found(shuffled) == expected


def test_no_rows_single_documents_and_no_duplicates_give_no_pairs() -> None:
    assert found([]) == []
    assert found([(1, 5, 0)]) == []
    assert found([(bucket, bucket + 100, 0) for bucket in range(50)]) == []
    assert found([(1, 5, 0), (2, 5, 0), (1, 5, 0)]) == []


def test_a_bucket_up_to_the_limit_gives_all_pairs() -> None:
    rows = [(7, document, document % 3) for document in range(ALL_PAIRS)]
    assert found(rows) == list(combinations(range(ALL_PAIRS), 2))


def test_a_pair_of_many_buckets_is_given_once() -> None:
    assert found([(bucket, document, 0) for bucket in range(14) for document in (4, 2)]) == [(2, 4)]


@pytest.mark.parametrize("n", [ALL_PAIRS + 1, 1000, 200_000])
def test_a_large_bucket_costs_linear_and_stays_in_one_piece(n: int) -> None:
    same = np.zeros(n, dtype=np.uint64)
    pairs = candidate_pairs(same, np.arange(n), same)
    assert len(pairs) <= (NEIGHBOURS + 2) * n
    assert components(pairs)[1].tolist() == [0] * n
    # Also where the first document is an outlier and none of its edges passes: the chain holds.
    assert components(pairs[pairs[:, 0] != 0])[1].tolist() == [1] * (n - 1)


def test_groups_of_copies_inside_a_bucket_of_boilerplate_are_found() -> None:
    sizes = [1, 2, 3, NEIGHBOURS + 1, 40, 100, 1, 1, 500]
    group = np.random.default_rng(2).permutation(np.repeat(np.arange(len(sizes)), sizes))
    pairs = candidate_pairs(np.zeros(len(group), dtype=np.uint64), np.arange(len(group)), group.astype(np.uint64))
    edges = pairs[group[pairs[:, 0]] == group[pairs[:, 1]]]  # those that verification would pass
    vertices, labels = components(edges)
    for number, size in enumerate(sizes):
        members = np.flatnonzero(group == number)
        assert labels[np.isin(vertices, members)].tolist() == ([members[0]] * size if size > 1 else [])
        if size <= NEIGHBOURS + 1:
            assert set(combinations(members.tolist(), 2)) <= set(map(tuple, edges.tolist()))


def test_unique_pairs() -> None:
    pairs = np.array([[3, 1], [1, 3], [2, 2], [1, 2], [1, 3]], dtype=np.int64)
    assert unique_pairs(pairs).tolist() == [[1, 2], [1, 3]]
    empty: npt.NDArray[np.int64] = pairs[:0]
    assert unique_pairs(empty).shape == (0, 2)
    largest = np.array([[2**32 - 1, 0], [2**32 - 1, 2**32 - 2]], dtype=np.int64)
    assert unique_pairs(largest).tolist() == [[0, 2**32 - 1], [2**32 - 2, 2**32 - 1]]
    for wrong in (-1, 2**32):
        with pytest.raises(ValueError, match=r"from -?\d+ to \d+: give 0 … 2\*\*32 - 1"):
            unique_pairs(np.array([[7, wrong]], dtype=np.int64))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="1 buckets, 2 documents, 1 affinities: give as many"):
        candidate_pairs(np.zeros(1, dtype=np.uint64), np.zeros(2, dtype=np.int64), np.zeros(1, dtype=np.uint64))


def test_neighbours_are_paired_across_affinities() -> None:
    n = ALL_PAIRS * 4
    pairs = set(found([(1, document, document) for document in range(n)]))
    assert set(pairwise(range(n))) <= pairs


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 5000])
@pytest.mark.parametrize("different", [1, 3, 2000, 10**9])
def test_shared_rows_are_those_whose_bucket_occurs_twice(n: int, different: int) -> None:
    bucket = np.random.default_rng(n).integers(-different, different, n)
    counts = Counter(bucket.tolist())
    assert shared(bucket).tolist() == [row for row, value in enumerate(bucket.tolist()) if counts[value] > 1]
