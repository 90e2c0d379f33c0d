"""Positions that are left out: ranges of the global order that a run does not serve, and what follows from them.

Ranges are [first, last), ascending, and never touch: each set of positions has one form. What is skipped is not served
in this pass of its source; the next pass has the same samples at other positions. Every function here costs a binary
search and the ranges it passes, whatever their lengths are.
"""

from bisect import bisect_left, bisect_right

Ranges = tuple[tuple[int, int], ...]


def add(skipped: Ranges, first: int, last: int) -> Ranges:
    """`skipped` and [first, last), first < last: what overlaps or touches becomes one range."""
    low = bisect_left(skipped, first, key=_last)
    high = bisect_right(skipped, last, key=_first)
    if low < high:
        first, last = min(first, skipped[low][0]), max(last, skipped[high - 1][1])
    return (*skipped[:low], (first, last), *skipped[high:])


def next_served(skipped: Ranges, position: int) -> int:
    """The first position at or after `position` that is not skipped."""
    place = bisect_right(skipped, position, key=_last)
    return skipped[place][1] if place < len(skipped) and skipped[place][0] <= position else position


def take(skipped: Ranges, first: int, size: int, end: int | None) -> Ranges:
    """The ranges of the next `size` positions at or after `first` that are not skipped; fewer where `end` comes."""
    taken: list[tuple[int, int]] = []
    place = bisect_right(skipped, first, key=_last)
    while size and (end is None or first < end):
        gap = skipped[place] if place < len(skipped) else None
        last = min(bound for bound in (first + size, end, gap and gap[0]) if bound is not None)
        if first < last:
            taken.append((first, last))
            size -= last - first
        first = max(last, gap[1]) if gap and last == gap[0] else last
        place += 1
    return tuple(taken)


def before(skipped: Ranges, position: int, size: int) -> int:
    """The first of the last `size` positions before `position` that are not skipped; `position` where size is 0."""
    place = bisect_right(skipped, position, key=_last)
    while size:
        place -= 1
        floor = skipped[place][1] if place >= 0 else 0
        if size <= position - floor or place < 0:
            return position - size
        size, position = size - (position - floor), skipped[place][0]
    return position


def n_positions(ranges: Ranges) -> int:
    """How many positions these ranges hold."""
    return sum(last - first for first, last in ranges)


def _first(pair: tuple[int, int]) -> int:
    return pair[0]


def _last(pair: tuple[int, int]) -> int:
    return pair[1]
