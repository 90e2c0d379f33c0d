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
        "version": 2,
        "split": "train",
        "tokenizer": plan.tokenizer.fingerprint,
        "sequence_length": 16,
        "dtype": "uint16",
        "seed": 17,
        "order_version": 2,
        "block_samples": 64,
        "chunk_samples": 4,
        "n_samples": {"code": 58, "docs": 30, "web": 13},
        "parts": {source.name: [[p.fingerprint, p.n_samples] for p in source.parts] for source in plan.sources},
        "stages": [[None, {"code": "1/2", "docs": "2/5", "web": "1/10"}]],
        "plan": plan.identity,
        "position": 96,
        "skipped": [],
        "fork": None,
        "chain": None,
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
    with pytest.raises(ValueError, match="its order_version is 2, here it is 3"):
        states.from_dict(state, states.belonging(replace(plan, order_version=3), "train"))


def test_another_tokenizer_is_refused_with_both_values(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    other = replace(plan, tokenizer=replace(plan.tokenizer, fingerprint="f" * 64))
    with pytest.raises(ValueError, match=f"its tokenizer is '{plan.tokenizer.fingerprint}', here it is '{'f' * 64}'"):
        states.from_dict(state, states.belonging(other, "train"))


THIRDS = (plans.PlanStage(until=None, weights=("1/3", "1/3", "1/3")),)


def _changed(plan: plans.Plan, change: str) -> plans.Plan:
    code, docs, web = plan.sources
    first, second = code.parts
    match change:
        case "weights":
            return replace(plan, stages=THIRDS)
        case "a grown source":
            grown = replace(web, parts=(*web.parts, plans.Part(path="x/new", fingerprint="new", n_samples=7)))
            return replace(plan, sources=(code, docs, grown))
        case "other parts":
            return replace(plan, sources=(replace(code, parts=(second, first)), docs, web))
        case "other sources":
            return replace(plan, sources=(code, docs, replace(web, name="wiki")))
        case _:
            return replace(plan, sources=(docs, code, web), stages=_listed(plan, (1, 0, 2)))


def _listed(plan: plans.Plan, places: tuple[int, ...]) -> tuple[plans.PlanStage, ...]:
    return tuple(replace(stage, weights=tuple(stage.weights[i] for i in places)) for stage in plan.stages)


CHANGES = {
    "weights": r"its stages are \[\[None, {'code': '1/2', .*here they are \[\[None, {'code': '1/3'",
    "a grown source": "its n_samples of 'web' is 13, here it is 20",
    "other parts": r"its parts of 'code' are \[\['\w+', 26\], .*here they are \[\['\w+', 32\]",
    "other sources": "it lacks the source 'wiki', here it has 13 samples; it has 13 samples of 'web', which is not in",
    "another listing": "its plan is '[0-9a-f]+', here it is '[0-9a-f]+'",
}


@pytest.mark.parametrize(("change", "message"), CHANGES.items(), ids=CHANGES)
def test_a_changed_mix_is_refused_with_what_has_changed_unless_it_is_a_fork(
    plan: plans.Plan, change: str, message: str
) -> None:
    state = json.loads(json.dumps(states.to_dict(states.belonging(plan, "train"), 96, ())))
    other = states.belonging(_changed(plan, change), "train")
    with pytest.raises(ValueError, match=message) as refused:
        states.from_dict(state, other)
    assert "load_state_dict(state, fork=True)" in str(refused.value)
    assert states.from_dict(state, other, fork=True) == (96, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 18}, "its seed is 17, here it is 18"),
        ({"sequence_length": 32}, "its sequence_length is 16, here it is 32"),
        ({"dtype": "uint32"}, "its dtype is 'uint16', here it is 'uint32'"),
        ({"block_samples": 32}, "its block_samples is 64, here it is 32"),
        ({"chunk_samples": 8}, "its chunk_samples is 4, here it is 8"),
        ({"order_version": 99}, "its order_version is 2, here it is 99"),
    ],
)
def test_a_fork_cannot_change_what_running_passes_depend_on(
    plan: plans.Plan, change: dict[str, Any], message: str
) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    for fork in (False, True):
        with pytest.raises(ValueError, match=message) as refused:
            states.from_dict(state, states.belonging(replace(plan, **change), "train"), fork=fork)
        assert ("fork=True does not help" in str(refused.value)) is fork


def test_splits_are_kept_apart(plan: plans.Plan) -> None:
    state = states.to_dict(states.belonging(plan, "train"), 96, ())
    with pytest.raises(ValueError, match="its split is 'train', here it is 'validation'"):
        states.from_dict(state, states.belonging(plan, "validation"))


def test_a_validation_state_belongs_to_its_validation_set(plan: plans.Plan) -> None:
    first = plan.sources[0]
    other = replace(plan, sources=(replace(first, validation=first.validation[:0]), *plan.sources[1:]))
    assert other.identity == plan.identity  # the plan's identity leaves the held-out samples out
    state = states.to_dict(states.belonging(plan, "validation"), 8, ())
    for fork in (False, True):
        with pytest.raises(
            ValueError, match=r"its n_samples of 'code' is 6, here it is 0.*begin the validation pass again"
        ):
            states.from_dict(state, states.belonging(other, "validation"), fork=fork)


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
        ({"skipped": [[1, 2], [2, 4]]}, "not ascending"),
        ({"version": 1}, "its version is 1, here it is 2"),
    ],
)
def test_damaged_states_are_refused(plan: plans.Plan, change: dict[str, Any], message: str) -> None:
    owner = states.belonging(plan, "train")
    with pytest.raises(ValueError, match=message):
        states.from_dict(states.to_dict(owner, 96, ()) | change, owner)


def test_other_dicts_are_refused(plan: plans.Plan) -> None:
    with pytest.raises(ValueError, match=r"no state of a StreamingLoader: it lacks 'version' and has \['epoch'\]"):
        states.from_dict({"epoch": 1}, states.belonging(plan, "train"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_samples", None),
        ("n_samples", {"code": "58"}),
        ("parts", [1]),
        ("parts", {"code": []}),
        ("parts", {"code": 1, "docs": [], "web": []}),
        ("stages", 7),
    ],
)
def test_a_state_whose_mix_is_damaged_is_refused(plan: plans.Plan, name: str, value: object) -> None:
    owner = states.belonging(plan, "train")
    with pytest.raises(ValueError, match=f"the state is damaged: its {name} is "):
        states.from_dict({**states.to_dict(owner, 96, ()), name: value}, owner, fork=True)


def test_a_state_of_another_version_is_told_as_such_whatever_its_fields_hold(plan: plans.Plan) -> None:
    owner = states.belonging(plan, "train")
    with pytest.raises(ValueError, match="its version is 1, here it is 2"):
        states.from_dict({**states.to_dict(owner, 96, ()), "version": 1, "parts": "5a…"}, owner)
