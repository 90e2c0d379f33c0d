"""The loader's state: a small JSON-able dict, the same on all ranks, and the refusal of one that belongs elsewhere.

    {"version": 2, "split": "train", "tokenizer": "9f…", "sequence_length": 2048, "dtype": "uint16", "seed": 17,
     "order_version": 2, "block_samples": 262144, "chunk_samples": 256, "n_samples": {"code": 52011, "docs": 8107},
     "parts": {"code": [["5a…", 52011]], "docs": [["c0…", 8107]]}, "stages": [[null, {"code": "2/5", "docs": "3/5"}]],
     "plan": "3c…", "position": 1536, "skipped": [[1024, 1088]], "fork": null,
     "chain": {"blocks": 0, "before": "", "value": ""}}

`position` is that of the next sample to be served, counted by what the training loop has received. `skipped` are the
ranges of positions [first, last) left out by `skip` and `skip_batches`, behind and ahead (`skips`). `fork`: see
`forks`; `chain`: see `served`, null in a validation pass. All the other fields must not change; those from `n_samples`
to `plan` may where a fork is asked for.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.loader.forks import parts_of, stages_of
from pipeline.loader.skips import Ranges
from pipeline.manifest import digest
from pipeline.plan import Part, Plan, PlanSource, order_of

STATE_VERSION = 2
FORKABLE = ("n_samples", "parts", "stages", "plan")
SHOWN = 3  # differences that a message names


def split_parts(source: PlanSource, split: str) -> tuple[Part, ...]:
    """The parts that a split reads of a source."""
    return source.validation if split == "validation" else source.parts


def belonging(plan: Plan, split: str) -> dict[str, Any]:
    """What a state must agree with, the most telling fields first: the messages name the first that differs."""
    parts = {source.name: split_parts(source, split) for source in plan.sources}
    validation = [[name, [[part.fingerprint, part.n_samples] for part in parts[name]]] for name in parts]
    return {
        "version": STATE_VERSION,
        "split": split,
        "tokenizer": plan.tokenizer.fingerprint,
        "sequence_length": plan.sequence_length,
        "dtype": plan.dtype,
        "seed": plan.seed,
        "order_version": plan.order_version,
        "block_samples": plan.block_samples,
        "chunk_samples": plan.chunk_samples,
        "n_samples": {name: sum(part.n_samples for part in parts[name]) for name in parts},
        "parts": {name: [list(part) for part in parts_of(parts[name])] for name in parts},
        "stages": stages_of(order_of(plan)),
        "plan": plan.identity if split == "train" else digest([plan.identity, validation]),
    }


def to_dict(
    owner: Mapping[str, Any],
    position: int,
    skipped: Ranges,
    fork: Mapping[str, Any] | None = None,
    chain: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The state of a loader that belongs to `owner` (see `belonging`); `fork` is that of `forks.to_state`, `chain` that
    of `served.Chain.to_state`."""
    skipped_pairs = [list(pair) for pair in skipped]
    return {**owner, "position": position, "skipped": skipped_pairs, "fork": fork, "chain": chain}


def from_dict(state: Mapping[str, Any], owner: Mapping[str, Any], *, fork: bool = False) -> tuple[int, Ranges]:
    """(position, skipped) of a state made by `to_dict`.

    `ValueError`, with both values, if it belongs to another split, seed, tokenizer, order, version of states, or
    without `fork` to another plan; or with the field, if it is none.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"the loader's state is a dict, this is a {type(state).__name__}")
    if missing := [name for name in (*owner, "fork", "chain") if name not in state]:
        raise ValueError(f"this is no state of a StreamingLoader: it lacks {missing[0]!r} and has {sorted(state)}")
    for name, expected in owner.items():
        if state[name] != expected and name not in FORKABLE:
            hint = "; fork=True does not help: no pass that is running could be finished" if fork else ""
            raise ValueError(
                f"the state belongs to another run: its {name} is {state[name]!r}, here it is {expected!r}; "
                f"going on would serve other samples than the next ones{hint}. Use the mix it was saved with, "
                "or start without this state"
            )
    _check_mix(state)
    if any(state[name] != owner[name] for name in FORKABLE):
        _check_fork(state, owner, fork)
    return _position(state.get("position")), _ranges(state.get("skipped"))


def _check_mix(state: Mapping[str, Any]) -> None:
    """`ValueError` where what a state tells of its mix has not the form that `belonging` gives it."""
    n_samples, parts, stages = state["n_samples"], state["parts"], state["stages"]
    is_right = {
        "n_samples": isinstance(n_samples, Mapping) and all(type(n) is int for n in n_samples.values()),
        "parts": isinstance(parts, Mapping)
        and isinstance(n_samples, Mapping)
        and set(parts) == set(n_samples)
        and all(isinstance(part, list | tuple) for part in parts.values()),
        "stages": isinstance(stages, list | tuple),
    }
    if wrong := [name for name, right in is_right.items() if not right]:
        raise ValueError(f"the state is damaged: its {wrong[0]} is {state[wrong[0]]!r}; load one that was saved whole")


def _check_fork(state: Mapping[str, Any], owner: Mapping[str, Any], fork: bool) -> None:
    """`ValueError` that names what has changed in the mix, unless that is what was asked for."""
    if owner["split"] != "train":
        advice = "or begin the validation pass again, without this state"
    elif fork:
        return
    else:
        advice = (
            "or take the changed mix up knowingly: load_state_dict(state, fork=True) serves it from the next block's "
            "border on, and each source from where it stands"
        )
    raise ValueError(
        f"the state belongs to another mix: {_changes(state, owner)}; going on would serve other samples than the "
        f"next ones. Use the mix it was saved with, {advice}"
    )


def _changes(state: Mapping[str, Any], owner: Mapping[str, Any]) -> str:
    """What differs, with both values: the sources, their samples and parts, the weights; if nothing else, the plan."""
    was, here = state["n_samples"], owner["n_samples"]
    found = [f"it lacks the source {name!r}, here it has {here[name]} samples" for name in here if name not in was]
    found += [f"it has {was[name]} samples of {name!r}, which is not in this mix" for name in was if name not in here]
    both = [name for name in was if name in here]
    found += [
        f"its n_samples of {name!r} is {was[name]}, here it is {here[name]}" for name in both if was[name] != here[name]
    ]
    for name in both:
        old, new = state["parts"][name], owner["parts"][name]
        if was[name] == here[name] and old != new:
            found.append(f"its parts of {name!r} are {old}, here they are {new}")
    if state["stages"] != owner["stages"]:
        found.append(f"its stages are {state['stages']}, here they are {owner['stages']}")
    if not found:
        return f"its plan is {state['plan']!r}, here it is {owner['plan']!r}"
    more = f", and {len(found) - SHOWN} more differences" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more


def _position(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"the state's position is {value!r}, not an integer ≥ 0")
    return value


def _ranges(value: object) -> Ranges:
    def is_range(pair: object) -> bool:
        return isinstance(pair, list | tuple) and len(pair) == 2 and all(type(bound) is int for bound in pair)

    if not isinstance(value, list | tuple) or not all(is_range(pair) for pair in value):
        raise ValueError(f"the state's skipped is {value!r}, not a list of [first, last]")
    bounds = [bound for pair in value for bound in pair]
    if bounds != sorted(set(bounds)) or (bounds and bounds[0] < 0):
        raise ValueError(f"the state's skipped is {value!r}, not ascending ranges [first, last) that do not touch")
    return tuple((first, last) for first, last in value)
