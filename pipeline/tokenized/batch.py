"""What a mix serves and where: the documents in the rows of a batch (`shardmill inspect`), the positions of a sample
(`shardmill where`).

From the plan and the order alone; of the shards only the granules of the rows that are looked at are read.
"""

from dataclasses import dataclass

from pipeline import plan as plans
from pipeline.order import positions_of, rank_rows
from pipeline.plan import Plan
from pipeline.tokenized.where import NotThereError, Piece, Where


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """Row `number` (from 0) of those that a rank is given of a batch: the sample of a source that stands at a position,
    and the pieces of documents in it, in the order of its tokens."""

    number: int
    position: int
    source: str
    sample: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The first `rows` of the `n_rows` that a rank is given of a batch, in the order in which it is given them."""

    plan: Plan
    n_rows: int
    rows: tuple[BatchRow, ...]


def batch(where: Where, position: int, size: int, rank: int, world_size: int, most: int) -> Batch:
    """The rank's part of the global batch of the positions [position, position + size); at most so many rows of it are
    looked at. `ValueError` where the order has no such positions, or the world no such rank."""
    plan = plan_of(where)
    found = rank_rows(plans.order_of(plan), position, size, rank, world_size)
    names = [source.name for source in plan.sources]
    rows = zip(found.position.tolist(), found.source.tolist(), found.sample.tolist(), strict=True)
    return Batch(
        plan=plan,
        n_rows=len(found),
        rows=tuple(
            BatchRow(
                number=number,
                position=place,
                source=names[source],
                sample=sample,
                pieces=tuple(where.by_sample(names[source], sample)),
            )
            for number, (place, source, sample) in zip(range(most), rows, strict=False)
        ),
    )


def positions(plan: Plan, source: str, sample: int, n_passes: int) -> list[int]:
    """The positions at which a sample is served in the first passes of its source, ascending; fewer than `n_passes`
    where the weights never bring the source to their end."""
    index = [one.name for one in plan.sources].index(source)
    found: list[int] = positions_of(plans.order_of(plan), index, sample, n_passes).tolist()
    return found


def plan_of(where: Where) -> Plan:
    """The plan of the mix that is asked; `NotThereError` where it is a dataset alone, which has no order."""
    if where.plan is None:
        raise NotThereError(
            f"{where.target} is one tokenized dataset, which has no order of its own; give a mix, as ROOT/mixes/NAME"
        )
    return where.plan
