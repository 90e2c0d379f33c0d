"""A shuffle report as tables."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pipeline.order.course import PARTS
from pipeline.order.meetings import Meetings
from pipeline.shuffle_quality.measured import Figures, SourceFigures


def report(figures: Figures) -> RenderableType:
    """All tables, each under a line that says what its figures are."""
    blocks = ", ".join(map(str, figures.blocks))
    return Group(
        escape(
            f"mix {figures.mix}: {figures.budget_samples:,} samples in batches of {figures.batch_size:,}, "
            f"{figures.n_blocks:,} blocks; chunks of {figures.chunk_samples:,} samples of {figures.row_bytes:,} bytes"
        ),
        f"\nComposition of the first {figures.n_batches:,} batches: rows a batch. By chance: √(B·w·(1 - w)).",
        _composition(figures),
        "\nSamples that meet in a batch, beside a uniform shuffle of the whole source. Neighbours in a chunk are"
        "\nunrelated (the rows of a shard are permuted when it is written), so it is documents that count.",
        _meetings(figures),
        "\nOver a source's first pass, as far as the budget goes: deviation from the ideal composition as a share"
        "\nof that by chance, and rows that meet another of their chunk in a batch.",
        _course(figures),
        f"\nPredicted reads of the blocks {blocks}: granules that all ranks fetch, to those that there are. Held are"
        "\nthis block's and the next one's.",
        _reads(figures),
    )


def _composition(figures: Figures) -> Table:
    table = _table("source", "ideal", "off by", "at most", "by chance off by", "of chance")
    for source in figures.sources:
        of = source.composition
        table.add_row(
            escape(source.name), f"{of.ideal:,.2f}", f"{of.deviation:.2f}", f"{of.largest:.2f}", f"{of.by_chance:.2f}",
            f"{of.of_chance:.0%}",
        )  # fmt: skip
    return table


def _meetings(figures: Figures) -> Table:
    table = _table("source", "same", "pairs a batch", "uniform", "×", "rows in company", "uniform")
    for source in figures.sources:
        for kind, found in _kinds(source):
            table.add_row(escape(source.name), kind, *_meeting_cells(found))
    return table


def _kinds(source: SourceFigures) -> Iterator[tuple[str, Meetings]]:
    yield "chunk", source.chunks
    if source.shards is not None:
        yield "shard", source.shards
    if source.documents is not None:
        n_read, n_touched = source.documents_read
        yield (
            "document" + (f" (from {n_read:,} of {n_touched:,} shards)" if n_read < n_touched else ""),
            source.documents,
        )


def _meeting_cells(found: Meetings) -> tuple[str, ...]:
    pairs, uniform = found.pairs / found.n_batches, found.uniform_pairs / found.n_batches
    times = f"{pairs / uniform:,.3g}" if uniform else ""
    return f"{pairs:,.4g}", f"{uniform:,.4g}", times, f"{found.company:.2%}", f"{found.uniform_company:.2%}"


def _course(figures: Figures) -> RenderableType:
    names = list(dict.fromkeys(point.name for point in figures.course))
    if not names:
        return "no source has a tenth of a pass of a batch or more within the budget"
    table = _table("source", "", *(f"{part + 1}/{PARTS}" for part in range(PARTS)))
    for name in names:
        points = {point.part: point for point in figures.course if point.name == name}
        for kind in ("composition", "in company"):
            cells = [""] * PARTS
            for part, point in points.items():
                cells[part] = f"{point.composition.of_chance if kind == 'composition' else point.chunks.company:.0%}"
            table.add_row(escape(name), kind, *cells)
    return table


def _reads(figures: Figures) -> Table:
    table = _table(
        "ranks",
        "rows a rank",
        "fetched / unique",
        "fetched GB",
        "requests a rank and block",
        "KiB a request",
        "held a rank (MB)",
    )
    for world_size, reads in figures.reads.items():
        fetched_bytes = reads.fetched_samples * figures.row_bytes
        table.add_row(
            f"{world_size:,}",
            f"{figures.batch_size / world_size:,.4g}",
            f"{reads.amplification:.3f}",
            f"{fetched_bytes / 1e9:,.3f}",
            f"{reads.requests / world_size / len(figures.blocks):,.1f}",
            f"{fetched_bytes / reads.requests / 1024:,.0f}",
            f"{2 * reads.held_samples * figures.row_bytes / 1e6:,.1f}",  # this block and the next
        )
    return table


def _table(*columns: str) -> Table:
    table = Table()
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 or name in ("", "same") else "right", no_wrap=number > 0)
    return table
