"""That `verify` finds what it should: every wrong order here is one that somebody could have made."""

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from pipeline.order import Order, OrderStage, Rows, block_hash, rank_rows, samples
from pipeline.order.verification import Asked, Verdict, batches_to_border, deviations, rank_of, repeats, verify

F = Fraction
ORDER = Order(
    seed=17,
    block_samples=64,
    chunk_samples=4,
    names=("a", "b", "one"),
    n_samples=(100, 37, 1),
    stages=(
        OrderStage(until=150, weights=(F(3), F(2), F(1, 10))),
        OrderStage(until=None, weights=(F(1), F(2), F(0))),
    ),
)
ASKED = Asked(
    first=0,
    batch_size=48,
    n_batches=8,
    world_sizes=(1, 3, 7, 96),
    fingerprints=("x", "y", "z"),
    block_hashes=tuple(block_hash(ORDER, number, ("x", "y", "z")) for number in range(4)),
)
Change = Callable[[Rows], Rows]


def _verdict(asked: Asked = ASKED, *, change: Change = lambda rows: rows, world_size: int | None = None) -> Verdict:
    """Of an order whose ranks in a world of that size (None: any) see rows that were changed."""

    def view(first: int, size: int, rank: int, of: int) -> Rows:
        rows = rank_rows(ORDER, first, size, rank, of)
        return change(rows) if world_size in (None, of) else rows

    return verify(ORDER, asked, view)


def _sample_plus_one(rows: Rows) -> Rows:
    return replace(rows, sample=np.where(rows.position == 100, rows.sample + 1, rows.sample))


def _swapped(rows: Rows) -> Rows:
    return Rows(position=rows.position[::-1], source=rows.source[::-1], sample=rows.sample[::-1])


def test_the_order_is_proven() -> None:
    verdict = _verdict()
    assert verdict.problems == ()
    assert verdict.hashes == {
        number: block_hash(ORDER, number, ASKED.fingerprints) for number in range(6)
    }  # two and a short one, then three of the second stage, up to 342
    assert 0 < verdict.border_deviation < 2
    assert verdict.border_deviation <= verdict.prefix_deviation < 6


@pytest.mark.parametrize("first", [1, 37, 150, 10**12 + 5])
def test_it_is_proven_from_any_position(first: int) -> None:
    verdict = _verdict(replace(ASKED, first=first, n_batches=5))
    assert verdict.problems == ()
    assert len(verdict.hashes) >= 2


def test_batches_to_the_border_hold_a_block() -> None:
    assert [batches_to_border(ORDER, first, 48) for first in (0, 1, 127, 128, 150)] == [2, 3, 1, 1, 2]
    for first in (0, 1, 127, 128, 150):
        n_batches = batches_to_border(ORDER, first, 48)
        assert _verdict(replace(ASKED, first=first, n_batches=n_batches)).hashes


def test_two_worlds_part_where_one_rank_is_given_another_sample() -> None:
    [problem] = _verdict(change=_sample_plus_one, world_size=7).problems
    at_100 = samples(ORDER, 100, 101)
    name, sample = ORDER.names[at_100.source[0]], int(at_100.sample[0])
    row = rank_rows(ORDER, 96, 48, 0, 1).position.tolist().index(100)
    rank = next(r for r in range(7) if r * 48 // 7 <= row < (r + 1) * 48 // 7)
    assert problem == (
        f"two worlds part in row {row} of the batch [96, 144): position 100: sample {sample} of {name}, on rank 0 of 1"
        f"; position 100: sample {sample + 1} of {name}, on rank {rank} of 7"
    )


def test_two_worlds_part_where_ranks_have_their_rows_in_another_order() -> None:
    [problem] = _verdict(change=_swapped, world_size=3).problems
    assert problem.startswith("two worlds part in row 0 of the batch [0, 48): position ")


def test_a_sample_that_is_wrong_for_all_worlds_is_found() -> None:
    problems = _verdict(change=_sample_plus_one).problems
    assert any(
        re.match(r"position 100: the ranks of a world of 1 are served sample \d+ of .*, the order has", p)
        for p in problems
    )
    wrong = [
        problem for problem in problems if problem.startswith("block 1, positions [64, 128): the ranks' rows have")
    ]
    assert len(wrong) == 1
    assert wrong[0].endswith(f"the plan says {ASKED.block_hashes[1]}")


def test_a_plan_of_another_order_is_found() -> None:
    hashes = ("0" * 32, *ASKED.block_hashes[1:])
    [problem] = _verdict(replace(ASKED, block_hashes=hashes)).problems
    assert problem.startswith("block 0, positions [0, 64): the ranks' rows have the hash ")
    assert problem.endswith("the plan says " + "0" * 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: replace(rows, position=np.where(rows.position == 5, 6, rows.position)),
            "position 6 is served mo",
        ),
        (lambda rows: replace(rows, position=rows.position + 1), r"position 48 is served, which lies outside of it"),
        (
            lambda rows: Rows(position=rows.position[:-1], source=rows.source[:-1], sample=rows.sample[:-1]),
            "to no rank",
        ),
    ],
)
@pytest.mark.parametrize("world_size", [1, 3])
def test_ranks_that_do_not_make_up_the_batch_are_found(change: Change, message: str, world_size: int) -> None:
    [problem] = _verdict(change=change, world_size=world_size).problems
    assert re.search(rf"the ranks of a world of {world_size} at the batch \[0, 48\): .*{message}", problem)


def test_a_sample_served_twice_in_a_pass_is_found() -> None:
    rows = samples(ORDER, 0, 140)
    assert repeats(ORDER, rows) == []
    of_a = np.flatnonzero(rows.source == 0)[[3, 20]]
    rows.sample[of_a[1]] = rows.sample[of_a[0]]
    assert repeats(ORDER, rows) == [
        f"sample {rows.sample[of_a[0]]} of a is served twice in pass 0, at the positions {of_a[0]} and {of_a[1]}"
    ]
    rows.sample[of_a[1]] = 100
    assert repeats(ORDER, rows) == [f"position {of_a[1]}: a has no sample 100, only 0 … 99"]


def test_a_composition_off_its_weights_is_measured() -> None:
    rows = samples(ORDER, 0, 140)
    _, prefix = deviations(ORDER, rows)
    assert prefix < 3
    of_a = np.flatnonzero(rows.source == 0)[:10]
    rows.source[of_a] = 1  # ten fewer of a
    assert deviations(ORDER, rows)[1] > 7
    by_hand = 0.0
    for number, share in enumerate((F(30, 51), F(20, 51), F(1, 51))):
        counts = np.cumsum(rows.source == number)
        by_hand = max(by_hand, *(abs(float(int(n) - share * (i + 1))) for i, n in enumerate(counts)))
    assert deviations(ORDER, rows)[1] == pytest.approx(by_hand)


def test_a_composition_off_its_bounds_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.order.verification.PREFIX_BOUND", 0.5)
    [problem] = _verdict().problems
    assert problem.startswith("composition: a source's count is off weight × positions by ")


@pytest.mark.parametrize(("size", "world_size"), [(48, 7), (7, 48), (1920, 96), (1, 1)])
def test_the_rank_of_a_row(size: int, world_size: int) -> None:
    for row in range(size):
        rank = rank_of(row, size, world_size)
        assert rank * size // world_size <= row < (rank + 1) * size // world_size


def test_the_view_of_an_order_is_its_rank_rows() -> None:
    assert verify(ORDER, ASKED, partial(rank_rows, ORDER)) == _verdict()
