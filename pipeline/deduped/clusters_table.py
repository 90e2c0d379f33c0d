"""What deduplication did, as a person sees it: tables for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.deduped.published import KINDS
from pipeline.manifest import Dataset

BAR_WIDTH = 40
SIZES = (1, 2, 3, 5, 10, 100, 1000, 10_000)  # the cluster sizes at which a new row begins


def table(datasets: Sequence[Dataset]) -> RenderableType:
    """Sources that were compared: what went, in favour of which source; how large the clusters are; how alike near
    duplicates are; how probable a comparison was."""
    return Group(_sources(datasets), _sizes(datasets), _similarities(datasets))


def lines(dataset: Dataset) -> RenderableType:
    """What was cut of a source's repeated lines, and the heaviest ones."""
    counts, report = dataset.manifest.counts, dataset.manifest.report
    [change] = report["changes"]
    found = Table()
    found.add_column("documents", justify="right")
    found.add_column("line")
    for line in report["heaviest"]:
        found.add_row(f"{line['documents']:,}", escape(line["text"]))
    return Group(
        f"delined {dataset.manifest.source}: {report['heavy_lines']:,} different lines stand in more than "
        f"{dataset.manifest.parameters['max_documents']} documents; {change['removed_bytes']:,} of {counts['bytes']:,} "
        f"bytes are cut out of {change['documents']:,} documents, {sum(counts['rejected'].values()):,} have none left",
        found,
    )


def largest(dataset: Dataset, most: int) -> list[RenderableType]:
    """The largest clusters of a source with the beginning of a text of each, at most so many."""
    return [
        Panel(
            escape(cluster["excerpt"]),
            title=f"{cluster['documents']:,} documents",
            subtitle=f"{cluster['doc_id']} of {cluster['source']} stays",
            title_align="left",
            subtitle_align="left",
        )
        for cluster in dataset.manifest.report["largest_clusters"][:most]
    ]


def _sources(datasets: Sequence[Dataset]) -> RenderableType:
    names = [dataset.manifest.source for dataset in datasets]
    by_source = {dataset.manifest.source: dataset.manifest.report["removed_by_kept_source"] for dataset in datasets}
    kept = sorted({to for kinds in by_source.values() for of in kinds.values() for to in of}, key=_place(names))
    found = Table()
    for name in ("source", "documents", "kept", "kind", *kept):
        found.add_column(name, justify="left" if name in ("source", "kind") else "right", no_wrap=True)
    for dataset in datasets:
        counts, kinds = dataset.manifest.counts, by_source[dataset.manifest.source]
        shown = [kind for kind in KINDS if kinds[kind]] or [""]
        for number, kind in enumerate(shown):
            first = [dataset.manifest.source, f"{counts['documents']:,}", f"{counts['kept_documents']:,}"]
            cells = [f"{n:,}" if (n := kinds.get(kind, {}).get(to, 0)) else "" for to in kept]
            found.add_row(*(first if number == 0 else ["", "", ""]), kind, *cells, end_section=number == len(shown) - 1)
    return Group("deduped: removed documents, by the source of the one that stays", found)


def _sizes(datasets: Sequence[Dataset]) -> RenderableType:
    found = Table()
    found.add_column("documents", justify="right")
    for dataset in datasets:
        found.add_column(dataset.manifest.source, justify="right")
    for first, after in zip(SIZES, [*SIZES[1:], None], strict=True):
        cells = [
            sum(
                n
                for size, n in dataset.manifest.report["cluster_sizes"].items()
                if int(size) >= first and (after is None or int(size) < after)
            )
            for dataset in datasets
        ]
        if any(cells):
            last = "…" if after is None else f"{after - 1:,}"
            name = f"{first:,}" if after == first + 1 else f"{first:,} – {last}"
            found.add_row(name, *(f"{n:,}" if n else "" for n in cells))
    return Group("clusters, by documents in them", found)


def _similarities(datasets: Sequence[Dataset]) -> RenderableType:
    """The histogram over all sources; beside a bin how probable it was that such a pair was compared."""
    bins: list[dict[str, Any]] = [dict(row) for row in datasets[0].manifest.report["similarities"]]
    for row in bins:
        row["documents"] = 0
    for dataset in datasets:
        for row, own in zip(bins, dataset.manifest.report["similarities"], strict=True):
            row["documents"] += own["documents"]
    most = max(row["documents"] for row in bins) or 1
    probable = datasets[0].manifest.report["candidate_probability"]
    found = Table()
    compared = ", ".join(f"{similarity}: {chance:.1%}" for similarity, chance in probable.items())
    for name in ("similarity", "documents", ""):
        found.add_column(name, justify="left" if not name else "right")
    for row in bins:
        if row["documents"]:
            bar = "█" * max(1, round(BAR_WIDTH * row["documents"] / most))
            found.add_row(f"{row['from']:.2f} – {row['to']:.2f}", f"{row['documents']:,}", bar)
    return Group(
        "near duplicates, by similarity to the one that stays",
        found,
        f"how probable it is that two texts are compared, by similarity: {compared}",
    )


def _place(names: Sequence[str]) -> Any:
    return lambda name: (names.index(name) if name in names else len(names), name)
