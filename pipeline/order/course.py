"""Where a source's pass begins and ends in the order, and batches from each part of it."""

from dataclasses import dataclass
from itertools import pairwise

from pipeline.order.counts import spans
from pipeline.order.definition import POSITION_LIMIT, Order
from pipeline.order.rows import source_counts

PARTS = 10


@dataclass(frozen=True, kw_only=True)
class Window:
    """`n_batches` ≥ 1 batches from position `first` on, in part `part` of a pass (0 … PARTS - 1)."""

    part: int
    first: int
    n_batches: int


def position_of_draw(order: Order, source: int, draw: int) -> int | None:
    """The first position before which a source was drawn more than `draw` times, less one; None if it never is. What
    stands there is of that draw's pass (which of the pass's draws, the lanes say)."""
    if source_counts(order, POSITION_LIMIT - 1)[source] <= draw:
        return None
    low, high = (
        spans(order)[0].start,
        POSITION_LIMIT - 1,
    )  # drawn at most `draw` times before low, more often before high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if source_counts(order, middle)[source] > draw else (middle, high)
    return low


def windows(order: Order, source: int, batch_size: int, n_batches: int, until: int) -> list[Window]:
    """At most `n_batches` whole batches from each tenth of a source's first pass that a run of `until` positions comes
    to: the first ones of the first tenth, the last ones of the last (the one included that ends the pass), those in the
    middle of the others. Empty, where a pass is shorter than ten batches. Batches begin at multiples of `batch_size`.
    """
    n_samples = order.eras_of(source)[0].n_samples
    borders = [position_of_draw(order, source, part * n_samples // PARTS) for part in range(PARTS)]
    borders.append(position_of_draw(order, source, n_samples - 1))
    if borders[0] is None or (borders[PARTS] or until) - borders[0] < PARTS * batch_size:
        return []
    found = []
    for part, (begin, end) in enumerate(pairwise(borders)):
        if begin is None or end is None or end >= until:
            break
        low = -(-begin // batch_size)
        high = end // batch_size + (part == PARTS - 1)
        taken = max(1, min(n_batches, high - low))
        at = {0: low, PARTS - 1: high - taken}.get(part, (low + high - taken) // 2)
        if (at + taken) * batch_size <= until:
            found.append(Window(part=part, first=at * batch_size, n_batches=taken))
    return found
