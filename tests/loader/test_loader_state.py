import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import plan as plans
from pipeline.loader import state as states


@pytest.fixture
def plan(tiny: Path) -> plans.Plan:
    return plans.load(str(tiny))


def test_a_state_survives_json_and_comes_back(plan: plans.Plan) -> None:
    owner = states.belonging(plan, "train")
    state = json.loads(json.dumps(states.to_dict(owner, 96, ((12, 24), (48, 60)))))
    assert states.from_dict(state, owner) == (96, ((12, 24), (48, 60)))


def test_what_it_says(plan: plans.Plan) -> None:
    assert states.to_dict(states.belonging(plan, "train"), 96, ()) == {
        "version": 1,
        "split": "train",
        "tokenizer": plan.tokenizer.fingerprint,
        "seed": 17,
        "order_version": 1,
        "n_samples": {"code": 58, "docs": 30, "web": 13},
        "plan": plan.identity,
        "position": 96,
        "skipped": [],
    }


def test_a_larger_budget_is_the_same_run(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    larger = replace(plan, budget_tokens=plan.budget_tokens * 2)
    assert states.from_dict(state, states.belonging(larger, "train")) == (96, ())


def test_another_seed_is_refused_with_both_values(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    with pytest.raises(ValueError, match="its seed is 17, here it is 18"):
        states.from_dict(state, states.belonging(replace(plan, seed=18), "train"))


def test_another_order_version_is_refused_with_both_values(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    with pytest.raises(ValueError, match="its order_version is 1, here it is 2"):
        states.from_dict(state, states.belonging(replace(plan, order_version=2), "train"))


def test_another_tokenizer_is_refused_with_both_values(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    other = replace(plan, tokenizer=replace(plan.tokenizer, fingerprint="f" * 64))
    with pytest.raises(ValueError, match=f"its tokenizer is '{plan.tokenizer.fingerprint}', here it is '{'f' * 64}'"):
        states.from_dict(state, states.belonging(other, "train"))


def test_other_weights_are_another_plan(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    other = replace(plan, stages=(plans.PlanStage(until=None, weights=("1/3", "1/3", "1/3")),))
    with pytest.raises(ValueError, match=f"its plan is '{plan.identity}', here it is '{other.identity}'"):
        states.from_dict(state, states.belonging(other, "train"))


def test_splits_are_kept_apart(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    with pytest.raises(ValueError, match="its split is 'train', here it is 'validation'"):
        states.from_dict(state, states.belonging(plan, "validation"))


def test_a_validation_state_belongs_to_its_validation_set(plan: plans.Plan) -> None:
    first = plan.sources[0]
    other = replace(plan, sources=(replace(first, validation=first.validation[:0]), *plan.sources[1:]))
    assert other.identity == plan.identity  # the plan's identity leaves the held-out samples out
    state = states.to_dict(states.belonging(plan, "validation"), 8, ())
    with pytest.raises(ValueError, match="its n_samples is"):
        states.from_dict(state, states.belonging(other, "validation"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": -1}, "position is -1"),
        ({"position": 1.0}, "position is 1.0"),
        ({"position": True}, "position is True"),
        ({"position": None}, "position is None"),
        ({"skipped": None}, "skipped is None"),
        ({"skipped": [[1, 2, 3]]}, "not a list of"),
        ({"skipped": [[2, 2]]}, "not ascending"),
        ({"skipped": [[4, 6], [1, 2]]}, "not ascending"),
        ({"skipped": [[-1, 2]]}, "not ascending"),
        ({"version": 2}, "its version is 2, here it is 1"),
    ],
)
def test_damaged_states_are_refused(plan: plans.Plan, change: dict[str, Any], message: str) -> None:
    owner = states.belonging(plan, "train")
    with pytest.raises(ValueError, match=message):
        states.from_dict(states.to_dict(owner, 96, ()) | change, owner)


def test_other_dicts_are_refused(plan: plans.Plan) -> None:
    with pytest.raises(ValueError, match=r"no state of a StreamingLoader: it lacks 'version' and has \['epoch'\]"):
        states.from_dict({"epoch": 1}, states.belonging(plan, "train"))


def test_skipped_neighbours_are_joined() -> None:
    ranges = states.add_range(states.add_range((), 12, 24), 24, 36)
    assert ranges == ((12, 36),)
    assert states.add_range(ranges, 48, 60) == ((12, 36), (48, 60))
