"""The documents of a batch, as a person sees them: for `shardmill inspect`."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pipeline.plan import Plan
from pipeline.tokenized import batch as batches
from pipeline.tokenized.batch import Batch, BatchRow
from pipeline.tokenized.where import Where
from pipeline.tokenized.where_table import ORIGIN_COLUMNS, Told


def of_batch(
    target: str, position: int, size: int, rank: int, world_size: int, *, most: int, characters: int
) -> RenderableType:
    """A rank's rows of the global batch of the positions [position, position + size), at most so many, and of each of
    their documents at most so many characters. `target`: a mix. `ValueError` for what is not there."""
    where = Where(target)
    found = batches.batch(where, position, size, rank, world_size, most)
    told = Told(where, [piece for row in found.rows for piece in row.pieces], characters)
    return Group(
        escape(_title(found, position, size, rank, world_size)),
        *(part for row in found.rows for part in _row(told, row, found.plan)),
    )


def _title(found: Batch, position: int, size: int, rank: int, world_size: int) -> str:
    plan = found.plan
    part = "all" if world_size == 1 else f"rank {rank} of {world_size} is given {found.n_rows:,}"
    lines = [
        f"mix {plan.name}, the global batch of the positions {position:,} – {position + size - 1:,}: {part} of its "
        f"{size:,} rows, in this order"
    ]
    if position + size > plan.budget_samples:
        lines.append(f"positions from {plan.budget_samples:,} on are beyond the budget")
    if len(found.rows) < found.n_rows:
        lines.append(f"the first {len(found.rows):,} rows are shown")
    return "; ".join(lines)


def _row(told: Told, row: BatchRow, plan: Plan) -> tuple[RenderableType, RenderableType]:
    beyond = " (beyond the budget)" if row.position >= plan.budget_samples else ""
    shown = Table()
    for name, justify, overflow in ORIGIN_COLUMNS:
        shown.add_column(name, justify=justify, overflow=overflow, no_wrap=overflow != "fold")
    for piece in row.pieces:
        shown.add_row(*told.cells(piece))
    end = row.pieces[-1].token_to
    if end < plan.sequence_length:
        shown.add_row(f"{end:,} – {plan.sequence_length - 1:,}", "", "(padding)", "", "")
    heading = f"\nrow {row.number:,}: position {row.position:,}{beyond}, sample {row.sample:,} of {row.source}"
    return escape(heading), shown
