"""Where a given sample is served: the inverse of the order, found without walking the run."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.order.blocks import block
from pipeline.order.counts import block_at, drawn_before, spans
from pipeline.order.definition import POSITION_LIMIT, Order
from pipeline.order.eras import draw_of_sample, drawn_passes, next_era_pass, pass_of_draw
from pipeline.order.keys import Ints
from pipeline.order.rows import source_counts


def pass_at(order: Order, source: int, position: int) -> int:
    """The pass of the source's next draw, from a position on."""
    return pass_of_draw(order, source, int(source_counts(order, position)[source]))


def positions_of(order: Order, source: int, sample: int, n_passes: int, *, first_pass: int = 0) -> Ints:
    """The positions at which a sample is served in the passes first_pass … first_pass + n_passes - 1 of its source.

    Ascending, one a pass; fewer where a source whose last weight is 0 never comes to the end of these passes, where a
    pass was before the source had so many samples, and before the order begins. The pass that is running at a position
    is `pass_at`. A pass costs a few dozen closed-form counts and at most one block.
    """
    if not 0 <= source < len(order.names):
        raise ValueError(f"source {source} does not exist; the sources are 0 … {len(order.names) - 1}")
    if first_pass < 0:
        raise ValueError(f"first_pass is {first_pass}; passes are numbered from 0")
    n_samples = max(era.n_samples for era in order.eras_of(source))
    if not 0 <= sample < n_samples:
        raise ValueError(f"{order.names[source]!r} has the samples 0 … {n_samples - 1}, not {sample}")
    begins = spans(order)[0].drawn[source]
    found: list[Ints] = [np.empty(0, dtype=np.int64)]
    number, end = max(first_pass, pass_of_draw(order, source, begins)), first_pass + n_passes
    while number < end:
        draw = draw_of_sample(order, source, sample, number)
        if draw is None:
            number = next_era_pass(order, source, number) or end
        elif draw < begins:
            number += 1
        elif (holder := _block_of_draw(order, source, draw)) is not None:
            positions, passes = _served_in_block(order, source, sample, holder)
            found.append(positions[(passes >= number) & (passes < end)])
            number = int(passes[-1]) + 1
        else:
            break
    return np.concatenate(found)


def served(order: Order, samples: Mapping[int, Ints], before: int) -> dict[int, tuple[Ints, Ints]]:
    """Where the positions below `before` serve any of some sources' samples: for each source the positions, ascending,
    and the sample at each.

    It costs a few dozen closed-form counts for each sample and pass, and the blocks that hold one; where there are
    fewer blocks than samples and passes, all blocks.
    """
    none = np.empty(0, dtype=np.int64)
    found = {source: [(none, none)] for source in samples}
    for number in _holders(order, samples, before):
        held = block(order, number)
        for source, own in samples.items():
            places = np.flatnonzero((held.source == source) & np.isin(held.sample, own))
            places = places[places + held.first < before]
            found[source].append((places + held.first, held.sample[places]))
    return {
        source: (np.concatenate([one for one, _ in pairs]), np.concatenate([one for _, one in pairs]))
        for source, pairs in found.items()
    }


def _holders(order: Order, samples: Mapping[int, Ints], before: int) -> Sequence[int]:
    """The blocks below a position that may serve one of these samples, ascending."""
    if before <= 0 or not any(map(len, samples.values())):
        return ()
    every = range(spans(order)[0].first_block, block_at(order, before - 1) + 1)
    passes = {source: range(pass_at(order, source, before) + 1) for source in samples}
    if sum(len(own) * len(passes[source]) for source, own in samples.items()) >= len(every):
        return every
    holders = {
        _holder(order, source, sample, number)
        for source, own in samples.items()
        for sample in own.tolist()
        for number in passes[source]
    }
    return sorted(number for number in holders if number is not None and number in every)


def _holder(order: Order, source: int, sample: int, number: int) -> int | None:
    """The block that serves a sample in a pass of its source; None where none does."""
    draw = draw_of_sample(order, source, sample, number)
    if draw is None or draw < spans(order)[0].drawn[source]:
        return None
    return _block_of_draw(order, source, draw)


def _served_in_block(order: Order, source: int, sample: int, number: int) -> tuple[Ints, Ints]:
    """Where in a block the sample is served, and in which passes of its source; ascending both."""
    held = block(order, number)
    of_source = np.flatnonzero(held.source == source)
    hits = np.flatnonzero(held.sample[of_source] == sample)
    drawn = drawn_before(order, number)[source]
    # A source's places are dealt pass by pass, so the number of places before one tells its pass.
    return of_source[hits] + held.first, drawn_passes(order, source, drawn, drawn + len(of_source))[hits]


def _block_of_draw(order: Order, source: int, draw: int) -> int | None:
    """The block that holds a source's draw, none before the order begins; None if it is never drawn so often."""
    low = spans(order)[0].first_block  # the draw comes in no block before low, and in one before high
    last = block_at(order, POSITION_LIMIT - 1)
    step = 1
    while drawn_before(order, high := min(low + step, last))[source] <= draw:
        if high >= last:
            return None
        low, step = high, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if drawn_before(order, middle)[source] > draw else (middle, high)
    return low
