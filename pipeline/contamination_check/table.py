"""The findings of a check as a person sees them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.contamination_check.check import Findings

SHOWN_DOCUMENTS = 2  # of an item


def about(found: Findings) -> Iterator[str]:
    """What was looked at, a line a source."""
    for source in found.sources:
        parts = [
            f"{amount.n_documents:,} {'documents' if split == 'train' else 'held out for validation'} "
            f"({amount.n_bytes / 1e6:,.1f} MB of text, {amount.n_tokens:,} tokens)"
            for split, amount in source.looked_at.items()
        ]
        ranges = f"; {source.n_ranges} of its {source.of_ranges} ranges are in the mix, the others were not looked at"
        left = ranges if source.n_ranges < source.of_ranges else ""
        yield f"{source.name}: {', '.join(parts)}{left}"


def sets(found: Findings) -> RenderableType:
    """A row for each source, split and set."""
    table = Table(title=f"evaluation items in mix {found.plan.name}", title_justify="left")
    for name in ("source", "split", "set"):
        table.add_column(name)
    for name in ("items", "found", "never found", "not looked for", "documents", "MB touched"):
        table.add_column(name, justify="right")
    held = len(found.matches.column("doc_id").unique())
    if held > found.n_contaminated:
        table.caption = f"{held - found.n_contaminated:,} of these documents are held out, or hold items in no row"
        table.caption_justify = "left"
    for source in found.sources:
        for split, rows in source.report.items():
            for row in rows:
                numbers = [f"{row[name]:,}" for name in ("items", "found", "never_found")]
                touched = [f"{row['documents']:,}", f"{row['bytes'] / 1e6:,.1f}"]
                table.add_row(source.name, split, row["set"], *numbers, _reasons(row["not_looked_for"]), *touched)
    return table


def items(found: Findings, most: int) -> RenderableType:
    """The items that were found, those in the most documents first, at most so many."""
    rows = pa.concat_tables([source.items for source in found.sources])
    rows = rows.filter(pc.greater(rows.column("documents"), 0))
    by_item = rows.group_by(["item", "set", "number", "n_words"], use_threads=False).aggregate(
        [("documents", "sum"), ("strongest", "max"), ("same_as", "max")]
    )
    by_item = by_item.sort_by([("documents_sum", "descending"), ("strongest_max", "descending"), ("item", "ascending")])
    table = Table(title=_title("items found", len(by_item), most), title_justify="left")
    table.add_column("set")
    for name in ("record", "words", "documents", "strongest"):
        table.add_column(name, justify="right")
    table.add_column("in", overflow="fold")
    matches = found.matches
    for row in by_item.slice(0, most).to_pylist():
        held_as = row["item"] if row["same_as_max"] is None else row["same_as_max"]
        numbers = (f"{row['number']:,}", f"{row['n_words']:,}", f"{row['documents_sum']:,}")
        table.add_row(row["set"], *numbers, f"{row['strongest_max']:.0%}", _documents(matches, held_as))
    return table


def passages(found: Findings, most: int) -> Iterator[RenderableType]:
    """Passages beside their items: of each source and set so many of the strongest and of the weakest; none twice."""
    for source in found.sources:
        seen = set()
        for row in source.passages.to_pylist():
            place = (row["set"], row["item"], row["doc_id"], row["at"])
            if row["rank"] < most and place not in seen:
                seen.add(place)
                yield _panel(row)


def positions(served: pa.Table, found: Findings, before: int, most: int) -> RenderableType:
    """The positions that serve what was found, the first ones, at most so many."""
    n_positions = len(served.column("position").unique())
    n_documents = len(served.column("doc_id").unique())
    title = (
        f"{n_positions:,} of the positions before {before:,} serve {n_documents:,} of {found.n_contaminated:,} "
        "contaminated documents"
    )
    table = Table()
    has_steps = served.column("step").null_count < len(served)
    for name in ("position", *(("step",) if has_steps else ()), "sample", "item"):
        table.add_column(name, justify="right")
    for name in ("source", "set", "document"):
        table.add_column(name)
    for row in served.slice(0, most).to_pylist():
        step = (f"{row['step']:,}",) if has_steps else ()
        numbers = (f"{row['position']:,}", *step, f"{row['sample']:,}", f"{row['item']:,}")
        table.add_row(*numbers, row["source"], row["set"], row["doc_id"].hex())
    return Group(_title(title, len(served), most), *((table,) if len(served) else ()))


def _title(what: str, n: int, most: int) -> str:
    return f"{what}; the first {most:,} of {n:,} rows are shown" if n > most else what


def _reasons(not_looked_for: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in not_looked_for.items()) or "0"


def _documents(matches: pa.Table, item: int) -> str:
    """The first documents that hold an item."""
    ids = matches.filter(pc.equal(matches.column("item"), item)).column("doc_id").unique().to_pylist()
    more = f" and {len(ids) - SHOWN_DOCUMENTS:,} more" if len(ids) > SHOWN_DOCUMENTS else ""
    return ", ".join(doc_id.hex() for doc_id in ids[:SHOWN_DOCUMENTS]) + more


def _panel(row: Mapping[str, Any]) -> Panel:
    """A passage and the item side by side."""
    both = Table.grid(padding=(0, 2), expand=True)
    both.add_column(ratio=1, overflow="fold")
    both.add_column(ratio=1, overflow="fold")
    both.add_row(escape(row["passage"]), escape(row["item_text"]))
    return Panel(
        both, title=f"{row['set']} item {row['item']:,} · {row['overlap']:.0%} · {row['side']}",
        subtitle=f"{row['source']} · {row['doc_id'].hex()} · character {row['at']:,}", title_align="left",
        subtitle_align="left",
    )  # fmt: skip
