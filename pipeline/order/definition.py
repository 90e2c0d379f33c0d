"""What defines an order: two orders with equal fields are the same order, on any machine."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

MAX_BLOCK_SAMPLES = 2**30
MAX_SOURCES = 2**15 - 1  # int16
POSITION_LIMIT = 2**62  # sums and products of the int64 arithmetic stay below 2⁶³


@dataclass(frozen=True, kw_only=True)
class OrderStage:
    """Weights (of any positive sum, one a source, 0 for an absent one) that hold for the positions from the end of the
    stage before up to `until` (exclusive). The last stage has `until=None`: it goes on without end."""

    until: int | None
    weights: tuple[Fraction, ...]


@dataclass(frozen=True, kw_only=True)
class Era:
    """From its draw `first_draw` on, with which its pass `first_pass` begins, a source has `n_samples` samples."""

    first_draw: int
    first_pass: int
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Where an order begins that has forgotten what was before: with block `block` at `position`, when each source had
    been `drawn` so often."""

    position: int
    block: int
    drawn: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """The parameters of an order. `names` and `n_samples` (≥ 1) are one a source; the position → sample of an order
    depends on the names, not on the order in which they are listed.

    What `fork` makes has more: sources whose number of samples has changed have several `eras`, ascending, `n_samples`
    that of the last ((): every source has one, from its first draw on). After `forget` the first stage holds from
    `beginning` on; what was before has no answer.
    """

    seed: int
    block_samples: int
    chunk_samples: int
    names: tuple[str, ...]
    n_samples: tuple[int, ...]
    stages: tuple[OrderStage, ...]
    eras: tuple[tuple[Era, ...], ...] = ()
    beginning: Beginning | None = None

    def __post_init__(self) -> None:
        _check_sources(self)
        _check_stages(self)
        _check_past(self)

    def eras_of(self, source: int) -> tuple[Era, ...]:
        """The eras of a source, at least one."""
        return self.eras[source] if self.eras else (Era(first_draw=0, first_pass=0, n_samples=self.n_samples[source]),)

    # The caches hash and compare an order at every call: hundreds of Fractions would take longer than what is cached.
    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Order) and self._identity == other._identity

    @cached_property
    def _identity(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()


def _check_sources(order: Order) -> None:
    if not 1 <= order.block_samples <= MAX_BLOCK_SAMPLES:
        raise ValueError(f"block_samples is {order.block_samples}; it must lie in 1 … {MAX_BLOCK_SAMPLES}")
    if order.chunk_samples < 1:
        raise ValueError(f"chunk_samples is {order.chunk_samples}; it must be at least 1")
    if not 1 <= len(order.names) <= MAX_SOURCES:
        raise ValueError(f"an order has 1 … {MAX_SOURCES} sources, this one {len(order.names)}")
    if twice := sorted({name for name in order.names if order.names.count(name) > 1}):
        raise ValueError(f"the source {twice[0]!r} is listed more than once; give each source a name of its own")
    if len(order.n_samples) != len(order.names):
        raise ValueError(f"{len(order.names)} sources but {len(order.n_samples)} counts of samples; give one a source")
    for name, n_samples in zip(order.names, order.n_samples, strict=True):
        if not 1 <= n_samples < POSITION_LIMIT:
            raise ValueError(f"the source {name!r} has {n_samples} samples; leave it out, or give it at least one")


def _check_stages(order: Order) -> None:
    if not order.stages or order.stages[-1].until is not None:
        raise ValueError("the last stage of an order must have until=None: an order has no end, only a run has")
    start = 0 if order.beginning is None else order.beginning.position
    for number, stage in enumerate(order.stages):
        if len(stage.weights) != len(order.names):
            raise ValueError(
                f"stage {number} has {len(stage.weights)} weights for {len(order.names)} sources; give one a source, "
                "0 for an absent one"
            )
        if min(stage.weights) < 0 or sum(stage.weights) == 0:
            raise ValueError(f"stage {number}: weights must be 0 or more, and one above 0, not {_shown(stage.weights)}")
        if stage.until is None:
            if number + 1 < len(order.stages):
                raise ValueError(f"stage {number} has until=None but {len(order.stages) - number - 1} follow it")
        elif not start < stage.until < POSITION_LIMIT:
            raise ValueError(f"stage {number} ends at {stage.until}, not after its start at {start}")
        else:
            start = stage.until


def _check_past(order: Order) -> None:
    begun = order.beginning
    drawn = (0,) * len(order.names) if begun is None else begun.drawn
    if len(drawn) != len(order.names) or min(drawn) < 0:
        raise ValueError(
            f"an order of {len(order.names)} sources begins with the draws {drawn}; give one count a source"
        )
    if begun is not None and (not 0 <= begun.block <= begun.position < POSITION_LIMIT or sum(drawn) != begun.position):
        raise ValueError(f"an order cannot begin with block {begun.block} at {begun.position} after {sum(drawn)} draws")
    if order.eras and len(order.eras) != len(order.names):
        raise ValueError(f"{len(order.names)} sources but the eras of {len(order.eras)}; give one tuple a source")
    for name, n_samples, n_drawn, eras in zip(order.names, order.n_samples, drawn, order.eras, strict=False):
        ascends = all(
            later.first_draw - era.first_draw == (later.first_pass - era.first_pass) * era.n_samples > 0
            for era, later in pairwise(eras)
        )
        if not eras or not ascends or min(era.n_samples for era in eras) < 1 or eras[-1].n_samples != n_samples:
            raise ValueError(f"the eras of {name!r} are not whole passes up to one of {n_samples} samples: {eras}")
        if not 0 <= eras[0].first_pass <= eras[0].first_draw <= n_drawn:
            raise ValueError(f"the eras of {name!r} begin at draw {eras[0].first_draw}, the order at draw {n_drawn}")


def _shown(weights: tuple[Fraction, ...]) -> str:
    return ", ".join(map(str, weights))
