"""Which samples are served at which position: the order of a training run, or one pass over the held-out ones."""

from copy import copy
from typing import ClassVar, Protocol

import numpy as np

from pipeline.order import ORDER_VERSION, Order, Rows, batches_rows
from pipeline.plan import Plan, check_block, order_of

AHEAD_POSITIONS = 4096  # whose batches are known at once: a batch of 64 alone costs five times as much


class Sequence(Protocol):
    """Positions 0, 1, 2, … and what stands there. `end`: the first position that is not served, or None. `short_last`:
    what is left before the end, less than a batch, is served as one."""

    short_last: ClassVar[bool]

    @property
    def end(self) -> int | None: ...

    def rows(self, first: int, last: int) -> Rows:
        """What stands at the positions [first, last), in the order of a global batch of them."""
        ...


class TrainSequence:
    """The order of a plan (`pipeline.order`), in whole batches up to its budget, or without end.

    A plan whose first block has another hash here than where the plan was made is refused (0.1 s; `plan.check_block`).
    """

    short_last: ClassVar[bool] = False

    def __init__(self, plan: Plan, *, beyond_budget: bool) -> None:
        if plan.order_version != ORDER_VERSION:
            raise ValueError(
                f"the mix {plan.name} was made for version {plan.order_version} of the order, this code follows "
                f"version {ORDER_VERSION}; read it with the code that made it, or make the mix again"
            )
        check_block(plan, 0)
        self._order = order_of(plan)
        self._known: dict[tuple[int, int], Rows] = {}  # batches that follow the one asked for last, if they are alike
        self._end = None if beyond_budget else plan.budget_samples

    def following(self, order: Order) -> "TrainSequence":
        """The same with another order, of a run in which the plan was taken up by a fork."""
        other = copy(self)
        other._order, other._known = order, {}
        return other

    @property
    def end(self) -> int | None:
        return self._end

    def rows(self, first: int, last: int) -> Rows:
        if (first, last) not in self._known:
            size = last - first
            ahead = batches_rows(self._order, first, size, AHEAD_POSITIONS // max(1, size))
            self._known = {(first + i * size, last + i * size): rows for i, rows in enumerate(ahead)}
        return self._known.pop((first, last))


class ValidationSequence:
    """All validation samples once: those of the first source, then those of the second, …; the last batch is short."""

    short_last: ClassVar[bool] = True

    def __init__(self, plan: Plan) -> None:
        counts = [sum(part.n_samples for part in source.validation) for source in plan.sources]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if self._starts[-1] == 0:
            raise ValueError(
                f"the mix {plan.name} has no validation samples; give its recipe `holdout: {{documents: 200}}`"
            )

    @property
    def end(self) -> int:
        return int(self._starts[-1])

    def rows(self, first: int, last: int) -> Rows:
        position = np.arange(first, last, dtype=np.int64)
        source = np.searchsorted(self._starts, position, side="right") - 1
        return Rows(position=position, source=source.astype(np.int16), sample=position - self._starts[source])
