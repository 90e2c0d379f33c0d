"""The waterfall of a filtered dataset as a person sees it: tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.filtered.waterfall import MOVES
from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches


def table(dataset: Dataset) -> RenderableType:
    """What each reason did, and what was changed in kept texts. Reasons that hit nothing are counted, not shown."""
    counts, report = dataset.manifest.counts, dataset.manifest.report
    rows = [row for row in report["rules"] if row["hits"]]
    title = (
        f"filtered {dataset.manifest.source}: {counts['kept_documents']:,} of {counts['documents']:,} documents kept, "
        f"{_megabytes(counts['kept_bytes'])} of {_megabytes(counts['bytes'])} MB"
    )
    found = Table()
    found.add_column("reason", no_wrap=True)
    for name in ("limit", "hits", "only this", "rejected", "MB", *(f"{move:+.0%}" for move in MOVES)):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("mostly together with", overflow="fold")
    for row in rows:
        moves = [f"{moved['hits'] - row['hits']:+,}" for moved in row["moved"]] or [""] * len(MOVES)
        found.add_row(
            row["reason"],
            "" if row["limit"] is None else f"{row['limit']:g}",
            *(f"{row[name]:,}" for name in ("hits", "only", "rejected")),
            _megabytes(row["rejected_bytes"]),
            *moves,
            _most(row, report["overlap"].get(row["reason"], {})),
        )
    changed = [change for change in report["changes"] if change["spans"]]
    caption = _caption(dataset, len(report["rules"]) - len(rows))
    return Group(title, found, *([_changes(changed)] if changed else []), caption)


def overlap(dataset: Dataset) -> RenderableType:
    """The documents that two reasons hit, for all pairs."""
    report = dataset.manifest.report
    rows = [row for row in report["rules"] if row["hits"]]
    found = Table()
    found.add_column("")
    found.add_column("reason")
    for number in range(1, len(rows) + 1):
        found.add_column(str(number), justify="right", no_wrap=True)
    for number, row in enumerate(rows, 1):
        others = report["overlap"].get(row["reason"], {})
        cells = [row["hits"] if other is row else others.get(other["reason"], 0) for other in rows]
        found.add_row(str(number), row["reason"], *(f"{n:,}" if n else "" for n in cells))
    return Group("documents that both hit", found)


def shown(dataset: Dataset, reason: str | None, most: int) -> list[RenderableType]:
    """The examples of a reason (None: of all), at most so many of each. `ValueError` for a reason that hit nothing."""
    examples = [one for url in dataset.urls("examples") for rows in read_batches(url) for one in rows.to_pylist()]
    hitting = [row["reason"] for row in dataset.manifest.report["rules"] if row["hits"]]
    if reason is not None and reason not in hitting:
        others = f"some are hit by {', '.join(hitting)}" if hitting else "none is hit by any rule"
        raise ValueError(f"no document of {dataset.manifest.source} is hit by {reason!r}; {others}")
    chosen = [one for one in examples if (reason is None or one["reason"] == reason) and one["rank"] < most]
    chosen.sort(key=lambda one: (hitting.index(one["reason"]), one["rank"]))
    return [_panel(one) for one in chosen]


def _panel(example: Mapping[str, Any]) -> Panel:
    value = "" if example["value"] is None else f" · {example['value']:.4g}, limit {example['limit']:g}"
    where = f"{example['doc_id'].hex()} · character {example['at']:,}" + (
        f" · {escape(example['url'])}" if example["url"] else ""
    )
    return Panel(
        escape(example["excerpt"]), title=f"{example['reason']}{value}", subtitle=where, title_align="left",
        subtitle_align="left",
    )  # fmt: skip


def _changes(changed: Sequence[Mapping[str, Any]]) -> RenderableType:
    found = Table()
    found.add_column("reason")
    for name in ("documents", "pieces", "bytes removed", "bytes written"):
        found.add_column(name, justify="right")
    for row in changed:
        numbers = (row[name] for name in ("documents", "spans", "removed_bytes", "written_bytes"))
        found.add_row(row["reason"], *(f"{n:,}" for n in numbers))
    return Group("changed in kept texts", found)


def _caption(dataset: Dataset, n_silent: int) -> str:
    silent = f"{n_silent} more reasons hit nothing. " if n_silent else ""
    return f"{silent}±: hits more or fewer when the limit moves. Examples: shardmill waterfall {dataset.url}"


def _most(row: Mapping[str, Any], others: Mapping[str, int]) -> str:
    if not others:
        return ""
    name, n = max(others.items(), key=lambda item: item[1])
    return f"{name} {n / row['hits']:.0%}"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f}"
