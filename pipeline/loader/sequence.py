"""Which samples a rank is served at which position: the order of a training run, or one pass over the held-out ones."""

from typing import Protocol

import numpy as np

from pipeline.order import ORDER_VERSION, Rows, rank_rows
from pipeline.plan import Plan, order_of


class Sequence(Protocol):
    """Positions 0, 1, 2, … and what stands there. `end`: the first position that is not served, or None."""

    @property
    def end(self) -> int | None: ...

    def batch_samples(self, first: int, global_batch_size: int) -> int:
        """How many positions the global batch at `first` has; 0: there is none, the sequence is over."""
        ...

    def rows(self, first: int, size: int, rank: int, world_size: int) -> Rows:
        """Rows ⌊rank·size/world_size⌋ … ⌊(rank+1)·size/world_size⌋-1 of the global batch [first, first + size)."""
        ...


class TrainSequence:
    """The order of a plan (`pipeline.order`), in whole batches up to its budget, or without end."""

    def __init__(self, plan: Plan, *, beyond_budget: bool) -> None:
        if plan.order_version != ORDER_VERSION:
            raise ValueError(
                f"the mix {plan.name} was made for version {plan.order_version} of the order, this code follows "
                f"version {ORDER_VERSION}; read it with the code that made it, or make the mix again"
            )
        self._order = order_of(plan)
        self._end = None if beyond_budget else plan.budget_samples

    @property
    def end(self) -> int | None:
        return self._end

    def batch_samples(self, first: int, global_batch_size: int) -> int:
        whole = self._end is None or first + global_batch_size <= self._end
        return global_batch_size if whole else 0

    def rows(self, first: int, size: int, rank: int, world_size: int) -> Rows:
        return rank_rows(self._order, first, size, rank, world_size)


class ValidationSequence:
    """All validation samples once: those of the first source, then those of the second, …; the last batch is short."""

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

    def batch_samples(self, first: int, global_batch_size: int) -> int:
        return max(0, min(global_batch_size, self.end - first))

    def rows(self, first: int, size: int, rank: int, world_size: int) -> Rows:
        position = np.arange(first + rank * size // world_size, first + (rank + 1) * size // world_size, dtype=np.int64)
        source = np.searchsorted(self._starts, position, side="right") - 1
        return Rows(position=position, source=source.astype(np.int16), sample=position - self._starts[source])
