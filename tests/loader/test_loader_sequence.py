from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import plan as plans
from pipeline.loader.sequence import TrainSequence, ValidationSequence
from pipeline.order import batch_rows
from pipeline.plan import order_of


@pytest.fixture
def plan(tiny: Path) -> plans.Plan:
    return plans.load(str(tiny))


def test_training_follows_the_order_of_the_plan(plan: plans.Plan) -> None:
    rows = TrainSequence(plan, beyond_budget=False).rows(60, 72)
    expected = batch_rows(order_of(plan), 60, 12)
    assert rows.position.tolist() == expected.position.tolist()
    assert rows.source.tolist() == expected.source.tolist()
    assert rows.sample.tolist() == expected.sample.tolist()


def test_batches_asked_for_in_any_way_are_those_of_the_order(plan: plans.Plan) -> None:
    sequence, order = TrainSequence(plan, beyond_budget=True), order_of(plan)
    one_after_the_other = [(first, first + 24) for first in range(0, 3000, 24)]
    for first, last in [*one_after_the_other, (24, 48), (24, 40), (40, 56), (7, 8), (24, 48), (10**6, 10**6 + 8192)]:
        rows, expected = sequence.rows(first, last), batch_rows(order, first, last - first)
        assert (rows.position == expected.position).all()
        assert (rows.source == expected.source).all()
        assert (rows.sample == expected.sample).all()


def test_training_ends_with_the_budget_in_whole_batches(plan: plans.Plan) -> None:
    sequence = TrainSequence(plan, beyond_budget=False)
    assert sequence.end == 1000
    assert not sequence.short_last


def test_beyond_the_budget_there_is_no_end(plan: plans.Plan) -> None:
    sequence = TrainSequence(plan, beyond_budget=True)
    assert sequence.end is None
    assert len(sequence.rows(10**9, 10**9 + 30)) == 30


def test_another_version_of_the_order_is_refused(plan: plans.Plan) -> None:
    with pytest.raises(ValueError, match="was made for version 99 of the order, this code follows version 2"):
        TrainSequence(replace(plan, order_version=99), beyond_budget=False)


def test_a_plan_whose_order_is_another_here_is_refused(plan: plans.Plan) -> None:
    other = replace(plan, block_hashes=("0" * 32, *plan.block_hashes[1:]))
    with pytest.raises(ValueError, match=f"the hash 0{{32}}, here it is {plan.block_hashes[0]}"):
        TrainSequence(other, beyond_budget=False)


def test_validation_serves_the_sources_one_after_the_other(plan: plans.Plan) -> None:
    sequence = ValidationSequence(plan)
    rows = sequence.rows(0, 14)
    assert sequence.end == 14
    assert rows.position.tolist() == list(range(14))
    assert rows.source.tolist() == [0] * 6 + [1] * 8
    assert rows.sample.tolist() == [*range(6), *range(8)]


def test_the_last_validation_batch_is_short(plan: plans.Plan) -> None:
    sequence = ValidationSequence(plan)
    assert sequence.short_last
    assert sequence.rows(12, 14).position.tolist() == [12, 13]


def test_a_mix_without_validation_says_how_to_get_one(plan: plans.Plan) -> None:
    without = replace(plan, sources=tuple(replace(source, validation=()) for source in plan.sources))
    with pytest.raises(ValueError, match="has no validation samples; give its recipe `holdout"):
        ValidationSequence(without)
