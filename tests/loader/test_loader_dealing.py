from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import plan as plans
from pipeline.loader import skips
from pipeline.loader.dealing import Deal
from pipeline.loader.sequence import Sequence, TrainSequence, ValidationSequence

END = 100  # of the budget; the validation set has 14


@pytest.fixture(scope="module")
def sequences(tiny: Path) -> dict[str, Sequence]:
    plan = plans.load(str(tiny))
    short = plans.certified(replace(plan, budget_tokens=END * plan.sequence_length))
    return {
        "train": TrainSequence(short, beyond_budget=False),
        "beyond": TrainSequence(short, beyond_budget=True),
        "validation": ValidationSequence(plan),
    }


def deal(size: int, rank: int = 0, world_size: int = 1, micro_batch_size: int | None = None) -> Deal:
    return Deal(global_batch_size=size, rank=rank, world_size=world_size, micro_batch_size=micro_batch_size)


def positions(ranges: skips.Ranges) -> list[int]:
    return [position for first, last in ranges for position in range(first, last)]


def walked(size: int, first: int, left_out: set[int], end: int, short_last: bool) -> list[list[int]]:
    """The global batches, position by position."""
    batches: list[list[int]] = [[]]
    for position in range(first, end):
        if position not in left_out:
            if len(batches[-1]) == size:
                batches.append([])
            batches[-1].append(position)
    return [batch for batch in batches if len(batch) == size or (short_last and batch)]


@given(
    split=st.sampled_from(["train", "validation"]),
    size=st.integers(1, 40),
    first=st.integers(0, 110),
    pairs=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 20)), max_size=6),
)
@settings(deadline=None, max_examples=80)
def test_batches_are_the_next_positions_that_are_not_skipped(
    sequences: dict[str, Sequence], split: str, size: int, first: int, pairs: list[tuple[int, int]]
) -> None:
    skipped: skips.Ranges = ()
    for begin, n in pairs:
        skipped = skips.add(skipped, begin, begin + n)
    sequence = sequences[split]
    assert sequence.end is not None
    batches = list(deal(size).batches(sequence, first, skipped))
    expected = walked(size, first, set(positions(skipped)), sequence.end, split == "validation")
    assert [positions(batch.runs) for batch in batches] == expected
    assert [batch.size for batch in batches] == [len(batch) for batch in expected]
    assert [batch.after for batch in batches[:-1]] == [batch[0] for batch in expected[1:]]


def test_a_skipped_billion_costs_nothing(sequences: dict[str, Sequence]) -> None:
    skipped = ((10, 10**9), (10**9 + 5, 10**15))
    first, second = (
        batch for _, batch in zip(range(2), deal(8).batches(sequences["beyond"], 4, skipped), strict=False)
    )
    assert first.runs == ((4, 10), (10**9, 10**9 + 2))
    assert second.runs == ((10**9 + 2, 10**9 + 5), (10**15, 10**15 + 5))


@given(
    size=st.integers(1, 50),
    world_size=st.integers(1, 9),
    micro_batch_size=st.none() | st.integers(1, 12),
)
def test_every_row_goes_to_one_micro_batch_of_one_rank(
    size: int, world_size: int, micro_batch_size: int | None
) -> None:
    rows: list[int] = []
    numbers: set[int] = set()
    lengths: list[int] = []
    for rank in range(world_size):
        dealt = deal(size, rank, world_size, micro_batch_size)
        numbers.add(dealt.n_micro_batches(size))
        parts = [range(size)[dealt.part(size, number)] for number in range(dealt.n_micro_batches(size))]
        lengths += map(len, parts)
        rows += [row for part in parts for row in part]
        assert sum(map(len, parts)) in (size // world_size, -(-size // world_size))
    assert rows == list(range(size))
    assert len(numbers) == 1  # ranks that wait for each other take equally many steps
    assert micro_batch_size is None or max(lengths) <= micro_batch_size
    if size >= world_size * numbers.pop():
        assert min(lengths) >= 1
