"""A run that goes on with a changed mix: what its state keeps of the mixes before, and how the new one takes over.

A state can be read without the mix that it was saved with. Beside what it must agree with (`state`), it has `fork`:
null where the plan alone says what is served, else the order that is left of an earlier fork, by the sources' names:

    {"position": 0, "block": 0, "stages": [[262144, {"code": "1/2", "docs": "1/2"}], [null, {"code": "1/5", …}]],
     "sources": {"code": {"drawn": 0, "eras": [[0, 0, 52011], [104022, 2, 60312]]}, "docs": {…}}, "parts": {}}

It begins where the stage began that holds the state's position, so it does not grow with the forks of a run. `eras` are
[first draw, first pass, samples]; `parts` those of sources that need more of them than the plan has, or that it lacks.

The samples of a source keep their numbers for as long as one list of parts begins with the other. Where the new mix has
fewer, as a smaller weight needs fewer, the running pass is finished from the old parts, which lie beside the new ones.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Any

from pipeline.loader import skips
from pipeline.order import Beginning, Era, Order, OrderStage, forget, fork, fork_position, source_counts
from pipeline.order.eras import used
from pipeline.plan import Part, Plan, PlanSource, order_of

Parts = tuple[tuple[str, int], ...]  # fingerprint and samples of each part of a source, those without samples left out


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a loader serves: an order, whose first sources are the plan's, and for each of its sources the parts in
    which the samples of all its eras lie. `forked`: the plan alone does not say it."""

    order: Order
    parts: tuple[Parts, ...]
    forked: bool


def parts_of(parts: Sequence[Part]) -> Parts:
    """What tells parts apart, wherever they lie."""
    return tuple((part.fingerprint, part.n_samples) for part in parts if part.n_samples)


def stages_of(order: Order) -> list[list[Any]]:
    """The stages for a state: [until, {source: weight}], JSON-able."""
    return [
        [stage.until, {name: str(weight) for name, weight in zip(order.names, stage.weights, strict=True) if weight}]
        for stage in order.stages
    ]


def run_of(plan: Plan) -> Run:
    """A plan, served from its start."""
    return Run(order=order_of(plan), parts=tuple(parts_of(source.parts) for source in plan.sources), forked=False)


def to_state(run: Run, plan: Plan, position: int) -> dict[str, Any] | None:
    """`fork` of the state of a run at a position."""
    if not run.forked:
        return None
    order = forget(run.order, position)
    begins = order.beginning or Beginning(position=0, block=0, drawn=(0,) * len(order.names))
    own = {source.name: parts_of(source.parts) for source in plan.sources}
    eras = [order.eras_of(source) for source in range(len(order.names))]
    parts = {
        name: first_parts(parts, max(era.n_samples for era in of_source))
        for name, parts, of_source in zip(order.names, run.parts, eras, strict=True)
    }
    return {
        "position": begins.position,
        "block": begins.block,
        "stages": stages_of(order),
        "sources": {
            name: {"drawn": drawn, "eras": [[era.first_draw, era.first_pass, era.n_samples] for era in of_source]}
            for name, drawn, of_source in zip(order.names, begins.drawn, eras, strict=True)
        },
        "parts": {
            name: [list(part) for part in needed]
            for name, needed in parts.items()
            if name not in own or len(needed) > len(own[name])
        },
    }


def resumed(state: Mapping[str, Any], plan: Plan, position: int, skipped: skips.Ranges) -> Run:
    """The run of a state that `state.from_dict` has let pass: as it was saved, or where its plan is another, with this
    plan from the next block's border on.

    `ValueError` where the running block still serves a source that the plan lacks, or a source that was served already
    has other samples now.
    """
    if state["plan"] != plan.identity:
        return _forked(_saved(state, plan), plan, position, skipped)
    if state["fork"] is None:
        return run_of(plan)
    run = _saved(state, plan)
    here = [(source.name, source.n_samples) for source in plan.sources]
    if list(zip(run.order.names, run.order.n_samples, strict=True))[: len(here)] != here:
        raise ValueError("the state's fork is damaged: its sources are not those of the plan that it names")
    return run


def warn_of_no_effect(state: Mapping[str, Any], run: Run, plan: Plan, position: int, end: int | None) -> None:
    """A warning where a plan that was taken up at a position would hold from behind the last position served on."""
    if state["plan"] != plan.identity and end is not None and (border := fork_position(run.order, position)) >= end:
        warnings.warn(
            f"the changed mix {plan.name} holds from position {border} on, where the block ends that is running, but "
            f"its budget ends at position {end}: all that is left is served as the mix says that the state was saved "
            "with. Give a larger budget_tokens, or beyond_budget=True, or start without the state",
            stacklevel=3,
        )


def needed_parts(run: Run, plan: Plan) -> list[tuple[Part, ...]]:
    """The parts to open for each source of the plan: its own, and those behind them that an earlier mix had."""
    return [(*source.parts, *_beside(source, parts)) for source, parts in zip(plan.sources, run.parts, strict=False)]


def _beside(source: PlanSource, parts: Parts) -> list[Part]:
    own = parts_of(source.parts)
    folder = source.parts[0].path.rpartition("/")[0]  # a dataset lies at <stage>/<source>/<fingerprint>
    return [
        Part(path=f"{folder}/{fingerprint}", fingerprint=fingerprint, n_samples=n_samples)
        for fingerprint, n_samples in parts[len(own) :]
    ]


def _forked(old: Run, plan: Plan, position: int, skipped: skips.Ranges) -> Run:
    border = fork_position(old.order, position)
    order = fork(old.order, order_of(plan), position)
    _check_absent(order, plan, position, border, skipped)
    drawn = source_counts(order, border).tolist()
    parts = [parts_of(source.parts) for source in plan.sources] + [()] * (len(order.names) - len(plan.sources))
    for source, (name, had) in enumerate(zip(old.order.names, old.parts, strict=True)):
        if name not in order.names:
            continue
        number = order.names.index(name)
        needed = first_parts(had, max(era.n_samples for era in used(old.order.eras_of(source), drawn[number])))
        if number >= len(plan.sources):
            parts[number] = needed
        elif drawn[number]:  # else nothing of it was served
            parts[number] = _joined(name, needed, parts[number])
    return Run(order=order, parts=tuple(parts), forked=order != order_of(plan))


def _check_absent(order: Order, plan: Plan, position: int, border: int, skipped: skips.Ranges) -> None:
    due = sum(
        (
            source_counts(order, last) - source_counts(order, first)
            for first, last in skips.take(skipped, position, border - position, border)
        ),
        start=source_counts(order, position) * 0,
    )
    for name, n in zip(order.names[len(plan.sources) :], due.tolist()[len(plan.sources) :], strict=True):
        if n:
            raise ValueError(
                f"the mix {plan.name} lacks the source {name!r}, of which the block that is running still serves {n} "
                f"samples up to position {border}; keep it in the recipe, with weight 0 in its `stages`, or go on with "
                f"the mix before and fork at position {border}"
            )


def _joined(name: str, had: Parts, has: Parts) -> Parts:
    """The longer of two lists of parts, of which one begins with the other."""
    for number, (old, new) in enumerate(zip(had, has, strict=False)):
        if old != new:
            raise ValueError(
                f"the source {name!r} has changed: its part {number} was {old[0]} of {old[1]} samples, here it is "
                f"{new[0]} of {new[1]}; the pass that is running cannot be finished with other samples. Keep the old "
                "parts and put new ones behind them, or give the changed source another name, under which it starts "
                "from its first sample"
            )
    return max(had, has, key=len)


def _saved(state: Mapping[str, Any], plan: Plan) -> Run:
    """What a state says of its run; all that does not differ for any mix it may go on with is taken from `plan`."""
    try:
        saved = _defined(state)
        known = [source.name for source in plan.sources if source.name in saved["sources"]]
        names = (*known, *(name for name in saved["sources"] if name not in known))
        sources = [saved["sources"][name] for name in names]
        eras = tuple(
            tuple(Era(first_draw=draw, first_pass=number, n_samples=n) for draw, number, n in source["eras"])
            for source in sources
        )
        plain = all(source["eras"] == [[0, 0, source["eras"][-1][2]]] for source in sources)
        drawn = tuple(source["drawn"] for source in sources)
        order = Order(
            seed=plan.seed,
            block_samples=plan.block_samples,
            chunk_samples=plan.chunk_samples,
            names=names,
            n_samples=tuple(of_source[-1].n_samples for of_source in eras),
            stages=tuple(
                OrderStage(until=until, weights=tuple(Fraction(weights.get(name, 0)) for name in names))
                for until, weights in saved["stages"]
            ),
            eras=() if plain else eras,
            beginning=Beginning(position=saved["position"], block=saved["block"], drawn=drawn)
            if saved["position"]
            else None,
        )
        parts = state["parts"] | saved["parts"]
        return Run(
            order=order,
            parts=tuple(tuple((fingerprint, n) for fingerprint, n in parts[name]) for name in names),
            forked=True,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"the state is damaged, it defines no order: {error!r}") from error


def _defined(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """`fork` of a state, also of one whose mix was served from the start."""
    fork: Mapping[str, Any] | None = state["fork"]
    if fork is not None:
        return fork
    sources = {name: {"drawn": 0, "eras": [[0, 0, n]]} for name, n in state["n_samples"].items()}
    return {"position": 0, "block": 0, "stages": state["stages"], "sources": sources, "parts": {}}


def first_parts(parts: Parts, n_samples: int) -> Parts:
    """The first parts, which hold so many samples; `ValueError` if none do."""
    held = list(accumulate((n for _, n in parts), initial=0))
    if n_samples not in held:
        raise ValueError(f"the state is damaged: no first parts of {parts} hold {n_samples} samples")
    return parts[: held.index(n_samples)]
