from hypothesis import given
from hypothesis import strategies as st

from pipeline.loader import skips

PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=8)


def skipped_of(pairs: list[tuple[int, int]]) -> skips.Ranges:
    ranges: skips.Ranges = ()
    for first, size in pairs:
        ranges = skips.add(ranges, first, first + size)
    return ranges


def set_of(ranges: skips.Ranges | list[tuple[int, int]]) -> set[int]:
    return {position for first, last in ranges for position in range(first, last)}


def test_what_overlaps_or_touches_is_joined() -> None:
    ranges = skips.add(skips.add((), 12, 24), 48, 60)
    assert ranges == ((12, 24), (48, 60))
    assert skips.add(ranges, 24, 30) == ((12, 30), (48, 60))
    assert skips.add(ranges, 40, 48) == ((12, 24), (40, 60))
    assert skips.add(ranges, 20, 50) == ((12, 60),)
    assert skips.add(ranges, 30, 40) == ((12, 24), (30, 40), (48, 60))
    assert skips.add(ranges, 0, 100) == ((0, 100),)
    assert skips.add(ranges, 14, 16) == ranges


def test_what_is_taken_leaves_the_skipped_out() -> None:
    ranges = ((12, 24), (30, 40))
    assert skips.take(ranges, 0, 12, None) == ((0, 12),)
    assert skips.take(ranges, 10, 10, None) == ((10, 12), (24, 30), (40, 42))
    assert skips.take(ranges, 15, 3, None) == ((24, 27),)
    assert skips.take(ranges, 10, 10, 26) == ((10, 12), (24, 26))
    assert skips.take(ranges, 10, 10, 20) == ((10, 12),)
    assert skips.take(ranges, 30, 1, 35) == ()
    assert skips.take((), 2**61, 3, None) == ((2**61, 2**61 + 3),)


@given(pairs=PAIRS)
def test_any_ranges_make_one_ascending_form(pairs: list[tuple[int, int]]) -> None:
    ranges = skipped_of(pairs)
    bounds = [bound for pair in ranges for bound in pair]
    assert bounds == sorted(set(bounds))
    assert set_of(ranges) == set_of([(first, first + size) for first, size in pairs])
    assert skips.n_positions(ranges) == len(set_of(ranges))


@given(pairs=PAIRS, first=st.integers(0, 70), size=st.integers(1, 30), end=st.none() | st.integers(0, 80))
def test_the_next_positions_are_those_of_a_walk(
    pairs: list[tuple[int, int]], first: int, size: int, end: int | None
) -> None:
    ranges = skipped_of(pairs)
    left_out = set_of(ranges)
    walk = [position for position in range(first, 200) if position not in left_out]
    assert skips.next_served(ranges, first) == walk[0]
    within = [position for position in walk if end is None or position < end]
    assert sorted(set_of(skips.take(ranges, first, size, end))) == within[:size]


@given(pairs=PAIRS, first=st.integers(0, 70), size=st.integers(0, 30))
def test_going_back_is_the_inverse_of_taking(pairs: list[tuple[int, int]], first: int, size: int) -> None:
    ranges = skipped_of(pairs)
    taken = skips.take(ranges, first, size, None)
    behind = skips.next_served(ranges, taken[-1][1]) if taken else first
    assert skips.before(ranges, behind, size) == (taken[0][0] if taken else first)
