"""How far the batches of an order are from their ideal composition, beside what drawing each sample by chance gives.

A source of share w fills B·w rows of an ideal batch of B. Drawn by chance its rows would be off by sqrt(B·w·(1-w)) (the
standard deviation of the multinomial distribution); spread evenly, as here, they are off by less.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.order.counts import spans
from pipeline.order.definition import Order
from pipeline.order.rows import samples

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A source in some batches, in rows a batch: `ideal` on average, the root mean square `deviation` from it, the
    `largest` one, and the deviation `by_chance`."""

    ideal: float
    deviation: float
    largest: float
    by_chance: float

    @property
    def of_chance(self) -> float:
        """The deviation as a share of that by chance; 0 where chance has none, as for a single source."""
        return self.deviation / self.by_chance if self.by_chance else 0.0


def compositions(order: Order, first: int, batch_size: int, n_batches: int) -> tuple[Composition, ...]:
    """Each source in the `n_batches` ≥ 1 batches from position `first` on. Holds 20 bytes a position."""
    ideals = ideal_counts(order, first, batch_size, n_batches)
    found = batch_counts(order, first, batch_size, n_batches)
    off = found - ideals
    variance = (ideals * (1 - ideals / batch_size)).mean(axis=0)
    return tuple(
        Composition(
            ideal=float(ideals[:, source].mean()),
            deviation=float(np.sqrt((off[:, source] ** 2).mean())),
            largest=float(np.abs(off[:, source]).max()),
            by_chance=float(np.sqrt(variance[source])),
        )
        for source in range(len(order.names))
    )


def batch_counts(order: Order, first: int, batch_size: int, n_batches: int) -> npt.NDArray[np.int64]:
    """How many rows each source has in each batch: int64 [n_batches, n_sources]."""
    n_sources = len(order.names)
    rows = samples(order, first, first + n_batches * batch_size)
    cell = (rows.position - first) // batch_size * n_sources + rows.source
    return np.bincount(cell, minlength=n_batches * n_sources).reshape(n_batches, n_sources)


def ideal_counts(order: Order, first: int, batch_size: int, n_batches: int) -> Floats:
    """Weight × positions of each source in each batch, over the stages that it lies in: [n_batches, n_sources]."""
    starts = first + batch_size * np.arange(n_batches, dtype=np.int64)
    ideals = np.zeros((n_batches, len(order.names)))
    for span, stage in zip(spans(order), order.stages, strict=True):
        inside = np.minimum(starts + batch_size, span.until) - np.maximum(starts, span.start)
        shares = np.array([float(weight / sum(stage.weights)) for weight in stage.weights])
        ideals += np.maximum(inside, 0)[:, None] * shares[None, :]
    return ideals
