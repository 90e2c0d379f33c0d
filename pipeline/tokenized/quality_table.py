"""How a tokenizer treats the text of each source, as a person sees it: tables for a terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.tokenized.quality import Example, Report, Row

KINDS = {"characters": "other characters", "white_space": "white space only"}


def table(report: Report) -> RenderableType:
    """A line for each source, the longest tokens that occur, and what came back from the ids."""
    rows = report.sources
    found = Table()
    found.add_column("source", no_wrap=True)
    for name in ("documents", "MB", "tokens", "tokens a byte", "bytes a token", "unknown", "byte tokens"):
        found.add_column(name, justify="right", no_wrap=True)
    for name in ("vocabulary used", "checked", "came back changed", "… in white space only"):
        found.add_column(name, justify="right")
    for name, row in rows.items():
        found.add_row(escape(name), *_cells(row))
    if len(rows) > 1:
        found.add_section()
        found.add_row("together", *_cells(report.together))
    return Group("tokenized: how the tokenizer treats each source", found, _longest(report.together))


def shown(report: Report, source: str | None, most: int) -> list[RenderableType]:
    """Documents of a source (None: of all) that do not come back from their ids, at most so many of each source.

    `ValueError` for a source that the report does not have.
    """
    if source is not None and source not in report.sources:
        raise ValueError(f"there is no source {source!r} in the report; it has {', '.join(report.sources)}")
    wanted = report.sources if source is None else {source: report.sources[source]}
    return [_panel(name, example) for name, row in wanted.items() for example in row.examples[:most]]


def printable(text: str) -> str:
    """The text on one line, as it can be shown to a terminal: what is not printable (line breaks, control characters,
    marks that turn the direction of writing, spaces other than U+0020) as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.documents:,}",
        f"{row.bytes / 1e6:,.1f}",
        f"{row.tokens:,}",
        "" if row.tokens_a_byte is None else f"{row.tokens_a_byte:.4f}",
        "" if row.bytes_a_token is None else f"{row.bytes_a_token:.3f}",
        _share(row.unknown_tokens, row.tokens),
        _share(row.byte_tokens, row.tokens),
        f"{row.used_ids:,} of {row.vocabulary_ids:,}",
        f"{row.checked:,}",
        f"{row.changed:,}",
        f"{row.respaced:,}",
    )


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.2%})" if part else "0"


def _longest(row: Row) -> RenderableType:
    found = Table()
    for name in ("bytes", "times", "id"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("token", overflow="fold")
    for token in row.longest:
        found.add_row(f"{token.bytes:,}", f"{token.count:,}", str(token.id), escape(f"'{printable(token.text)}'"))
    return Group("the longest tokens that occur", found)


def _panel(source: str, example: Example) -> Panel:
    lines = f"text      {printable(example.text)}\ncame back {printable(example.decoded)}"
    return Panel(
        escape(lines),
        title=f"{escape(source)} · {KINDS[example.kind]}",
        subtitle=f"{example.doc_id} · from character {example.at:,} on",
        title_align="left",
        subtitle_align="left",
    )
