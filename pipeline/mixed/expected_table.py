"""What a mix will take, as a person sees it before the bulk is tokenized."""

from collections.abc import Mapping

from rich.table import Table

from pipeline.mixed.expected import Expected


def table(found: Mapping[str, Expected], estimated_from: str) -> Table:
    """A row a source; ± is one standard error."""
    shown = Table(title=f"to be tokenized, estimated from {estimated_from}", title_justify="left")
    for name in ("source", "ranges", "tokens available", "weight asked", "tokens to be served", "passes"):
        shown.add_column(name, justify="left" if name == "source" else "right", no_wrap=True)
    for name, one in found.items():
        shown.add_row(
            name,
            f"{one.ranges:,} of {one.n_ranges:,}",
            f"{one.tokens:,}{_error(one.error)}" if one.tokens else "none seen yet",
            f"{one.weight_asked:.5f}",
            f"{one.serves:,}",
            "not known yet" if one.passes is None else f"{one.passes:.3f}{_passes_error(one, one.passes)}",
        )
    return shown


def _error(error: int | None) -> str:
    return " ± ?" if error is None else f" ± {error:,}" if error else ""


def _passes_error(one: Expected, passes: float) -> str:
    return f" ± {passes * one.error / one.tokens:.3f}" if one.error else _error(one.error)
