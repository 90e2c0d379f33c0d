"""The loader's state: a small JSON-able dict, the same on all ranks, and the refusal of one that belongs elsewhere.

    {"version": 1, "split": "train", "tokenizer": "9f…", "seed": 17, "order_version": 1,
     "n_samples": {"code": 52011, "docs": 8107}, "plan": "3c…", "position": 1536, "skipped": [[1024, 1088]]}

`position` is that of the next sample to be served, counted by what the training loop has received. `skipped` are the
ranges of positions [first, last) that `skip_batches` left out, ascending. All the other fields must not change.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.manifest import digest
from pipeline.plan import Part, Plan, PlanSource

STATE_VERSION = 1

Ranges = tuple[tuple[int, int], ...]


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
        "seed": plan.seed,
        "order_version": plan.order_version,
        "n_samples": {name: sum(part.n_samples for part in parts[name]) for name in parts},
        "plan": plan.identity if split == "train" else digest([plan.identity, validation]),
    }


def to_dict(owner: Mapping[str, Any], position: int, skipped: Ranges) -> dict[str, Any]:
    """The state of a loader that belongs to `owner` (see `belonging`)."""
    return {**owner, "position": position, "skipped": [list(pair) for pair in skipped]}


def from_dict(state: Mapping[str, Any], owner: Mapping[str, Any]) -> tuple[int, Ranges]:
    """(position, skipped) of a state made by `to_dict`.

    `ValueError`, with both values, if it belongs to another plan, split, seed, tokenizer, order or version of states;
    or with the field, if it is none.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"the loader's state is a dict, this is a {type(state).__name__}")
    for name, expected in owner.items():
        if name not in state:
            raise ValueError(f"this is no state of a StreamingLoader: it lacks {name!r} and has {sorted(state)}")
        if state[name] != expected:
            raise ValueError(
                f"the state belongs to another run: its {name} is {state[name]!r}, here it is {expected!r}; "
                "going on would serve other samples than the next ones. Use the mix it was saved with, "
                "or start without this state"
            )
    return _position(state.get("position")), _ranges(state.get("skipped"))


def add_range(ranges: Ranges, first: int, last: int) -> Ranges:
    """`ranges` and [first, last), which begins at or after their end; neighbours are joined."""
    if ranges and ranges[-1][1] == first:
        return (*ranges[:-1], (ranges[-1][0], last))
    return (*ranges, (first, last))


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
    if any(left >= right for left, right in value) or bounds != sorted(bounds) or (bounds and bounds[0] < 0):
        raise ValueError(f"the state's skipped is {value!r}, not ascending ranges [first, last)")
    return tuple((first, last) for first, last in value)
