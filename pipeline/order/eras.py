"""A source's draws over the whole run, whose number of samples may change at the end of a pass: eras.

An era has the samples of its source numbered as all others have, and one count of them, n_samples; it serves whole
passes, each in a permutation of its own count. Only the first and the last era that an order knows may be served in
part. Without forks a source has one era.
"""

import numpy as np

from pipeline.order.definition import Era, Order
from pipeline.order.draws import Draws, draws_of, samples_of, source_draws
from pipeline.order.keys import Ints


def drawn_samples(order: Order, source: int, first: int, last: int) -> Ints:
    """The samples of a source's draws [first, last), last > first: int64[last - first]."""
    pieces = [
        samples_of(_draws(order, source, era), low, high) for era, low, high in _pieces(order, source, first, last)
    ]
    return np.concatenate(pieces)


def drawn_passes(order: Order, source: int, first: int, last: int) -> Ints:
    """The passes of a source's draws [first, last), last > first, ascending: int64[last - first]."""
    pieces = [
        np.arange(low, high, dtype=np.int64) // era.n_samples + era.first_pass
        for era, low, high in _pieces(order, source, first, last)
    ]
    return np.concatenate(pieces)


def pass_of_draw(order: Order, source: int, draw: int) -> int:
    """The pass that a source's draw belongs to."""
    era, low, _ = _pieces(order, source, draw, draw + 1)[0]
    return era.first_pass + low // era.n_samples


def draw_of_sample(order: Order, source: int, sample: int, number: int) -> int | None:
    """The draw at which a sample comes in pass `number`; None where this pass has no such sample, or is forgotten."""
    era = _era_of_pass(order.eras_of(source), number)
    if era is None or sample >= era.n_samples:
        return None
    passes = np.array([number - era.first_pass], dtype=np.int64)
    return era.first_draw + int(draws_of(_draws(order, source, era), sample, passes)[0])


def next_era_pass(order: Order, source: int, number: int) -> int | None:
    """The first pass of the era after that of pass `number`; None in the last."""
    return next((era.first_pass for era in order.eras_of(source) if era.first_pass > number), None)


def remembered(eras: tuple[Era, ...], drawn: int) -> tuple[Era, ...]:
    """The eras that hold one of the draws from draw number `drawn` on."""
    return eras[sum(era.first_draw <= drawn for era in eras) - 1 :]


def begun(eras: tuple[Era, ...], drawn: int) -> tuple[Era, ...]:
    """The eras that hold one of the draws before draw number `drawn`."""
    return tuple(era for era in eras if era.first_draw < drawn)


def used(eras: tuple[Era, ...], drawn: int) -> tuple[Era, ...]:
    """Those, or if there are none the first, which then begins with draw number `drawn`."""
    return begun(eras, drawn) or eras[:1]


def continued(eras: tuple[Era, ...], drawn: int, n_samples: int) -> tuple[Era, ...]:
    """The eras of a source that has been drawn `drawn` times and has `n_samples` samples from its next pass on: a pass
    that is running goes on under its old count."""
    running = used(eras, drawn)[-1]
    if running.n_samples == n_samples:
        return used(eras, drawn)
    n_passes = -(-(drawn - running.first_draw) // running.n_samples)
    first_draw, first_pass = running.first_draw + n_passes * running.n_samples, running.first_pass + n_passes
    return (*begun(eras, drawn), Era(first_draw=first_draw, first_pass=first_pass, n_samples=n_samples))


def _pieces(order: Order, source: int, first: int, last: int) -> list[tuple[Era, int, int]]:
    """The eras of the draws [first, last), and what these are of each, counted from its first draw: [low, high)."""
    eras = order.eras_of(source)
    ends = [*(era.first_draw for era in eras[1:]), last]
    return [
        (era, max(first, era.first_draw) - era.first_draw, min(last, end) - era.first_draw)
        for era, end in zip(eras, ends, strict=True)
        if era.first_draw < last and first < end
    ]


def _draws(order: Order, source: int, era: Era) -> Draws:
    return source_draws(order.seed, order.names[source], era.n_samples, order.chunk_samples, era.first_pass)


def _era_of_pass(eras: tuple[Era, ...], number: int) -> Era | None:
    return next((era for era in reversed(eras) if era.first_pass <= number), None)
