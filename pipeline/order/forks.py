"""Another mix for a run that is under way, and an order that forgets what it no longer needs.

A fork is the border of a stage, put at a block's border: blocks are numbered on, and each source goes on at its own
draw. Up to there the weights are the old mix's, from there on the new one's, whose stages keep their places. A source
that has another count of samples in the new mix begins an era when its running pass is over (`eras`). Sources go by
name. What the new mix lacks stays an absent source, behind the others, so that a later mix may take it up again.
"""

from dataclasses import replace
from fractions import Fraction

from pipeline.order.counts import block_at, block_range, drawn_before, spans
from pipeline.order.definition import Beginning, Era, Order, OrderStage
from pipeline.order.eras import continued, remembered, used


def fork_position(order: Order, position: int) -> int:
    """From where on a mix holds that is taken up at `position`: the first border of a block there or later."""
    first, last = block_range(order, block_at(order, position))
    return first if first == position else last


def fork(old: Order, new: Order, position: int) -> Order:
    """The order of a run that was served by `old`, and goes on by `new` (itself no fork) from
    fork_position(old, position) on. What stands before is as it was.

    The sources are those of `new`, at their places, and behind them those of `old` alone that still have a weight
    before the fork or were drawn before it. `ValueError` where seed, block_samples or chunk_samples differ.
    """
    for name in ("seed", "block_samples", "chunk_samples"):
        if getattr(old, name) != getattr(new, name):
            raise ValueError(
                f"a fork cannot change {name} from {getattr(old, name)} to {getattr(new, name)}: no pass that is "
                "running could be finished; use the same value, or start a new run"
            )
    border = fork_position(old, position)
    starts = [span.start for span in spans(old)]
    kept = [(start, stage) for start, stage in zip(starts, old.stages, strict=True) if start < border]
    drawn = dict(zip(old.names, drawn_before(old, block_at(old, border)), strict=True))
    weighed = {name for _, stage in kept for name, weight in zip(old.names, stage.weights, strict=True) if weight}
    absent = [name for name in old.names if name not in new.names and (drawn[name] or name in weighed)]
    names = (*new.names, *absent)
    past = {name: old.eras_of(source) for source, name in enumerate(old.names)}
    eras = [
        continued(past[name], drawn[name], n_samples) if name in past else new.eras_of(source)
        for source, (name, n_samples) in enumerate(zip(new.names, new.n_samples, strict=True))
    ] + [used(past[name], drawn[name]) for name in absent]
    return replace(
        new,
        names=names,
        n_samples=tuple(of_source[-1].n_samples for of_source in eras),
        stages=(
            *(_renamed(stage, old.names, names, _earlier(stage.until, border)) for _, stage in kept),
            *(_renamed(stage, new.names, names, stage.until) for stage in new.stages if _after(stage.until, border)),
        ),
        eras=_canonical(eras),
        beginning=_begun_with(old, names),
    )


def forget(order: Order, position: int) -> Order:
    """The order without the stages that are over at `position`, and what belongs to these alone: the same from the
    start of the stage that holds the position on."""
    number = max(number for number, span in enumerate(spans(order)) if span.start <= position)
    if number == 0:
        return order
    span = spans(order)[number]
    eras = [remembered(order.eras_of(source), drawn) for source, drawn in enumerate(span.drawn)]
    return replace(
        order,
        stages=order.stages[number:],
        eras=_canonical(eras),
        beginning=Beginning(position=span.start, block=span.first_block, drawn=span.drawn),
    )


def _begun_with(old: Order, names: tuple[str, ...]) -> Beginning | None:
    if old.beginning is None:
        return None
    drawn = dict(zip(old.names, old.beginning.drawn, strict=True))
    return replace(old.beginning, drawn=tuple(drawn.get(name, 0) for name in names))


def _renamed(stage: OrderStage, names: tuple[str, ...], to: tuple[str, ...], until: int | None) -> OrderStage:
    weights = dict(zip(names, stage.weights, strict=True))
    return OrderStage(until=until, weights=tuple(weights.get(name, Fraction(0)) for name in to))


def _earlier(until: int | None, border: int) -> int:
    return border if until is None else min(until, border)


def _after(until: int | None, border: int) -> bool:
    return until is None or until > border


def _canonical(eras: list[tuple[Era, ...]]) -> tuple[tuple[Era, ...], ...]:
    """Equal orders have equal fields: () where every source has the one era that it is given anyway."""
    plain = all(len(of_source) == 1 and of_source[0].first_draw == 0 for of_source in eras)
    return () if plain else tuple(eras)
