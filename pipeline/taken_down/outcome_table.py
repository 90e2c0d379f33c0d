"""What a take-down did, as a person sees it: for `shardmill take-down`."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from pipeline import plan, storage
from pipeline.taken_down import report
from pipeline.taken_down.take import Outcome

COLUMNS = ("source", "documents", "tokens", "samples before", "after", "rewritten", "bytes", "shared", "bytes")


def lines(outcome: Outcome) -> Iterator[RenderableType]:
    """The entries, what was taken out of each source, where it was served, and where the new mix lies."""
    found = outcome.entries
    n_entries = len(found.in_mix) + len(found.not_in_mix) + len(found.unknown)
    yield f"{n_entries:,} entries: {len(found.in_mix):,} of documents in the mix"
    if found.not_in_mix:
        yield f"{len(found.not_in_mix):,} of documents that are not in it: {_some(found.not_in_mix)}"
    if found.unknown:
        yield f"{len(found.unknown):,} that nothing is known of below this root: {_some(found.unknown)}"
    if outcome.copies:
        yield (
            f"{len(outcome.copies):,} listed documents were removed as duplicates of documents that stay in the mix. "
            "List these, too, if they must go: "
            + _some([f"{one.kept_doc_id.hex()} ({one.kind}, {one.similarity:.2f})" for one in outcome.copies])
        )
    if outcome.url is None:
        yield "nothing was made: the mix has none of the documents"
        return
    yield _table(outcome)
    served = outcome.served
    yield (
        f"a run of the old plan serves them at {served.positions:,} of {served.budget_samples:,} positions"
        + (f", first {', '.join(f'{position:,}' for position in served.first)}" if served.first else "")
        + f"; and in {served.validation_samples:,} validation samples: all in "
        + escape(storage.join(outcome.url, report.SERVED_FILE))
    )
    yield escape(f"plan: {storage.join(outcome.url, plan.PLAN)}")
    yield "the old mix, its datasets and those of the stages before still hold the documents; nothing was deleted"


def _table(outcome: Outcome) -> Table:
    found = Table()
    for name in COLUMNS:
        found.add_column(name, justify="left" if name == "source" else "right")
    for row in outcome.taken:
        found.add_row(
            escape(row.source) + (" (validation)" if row.split == "validation" else ""),
            f"{row.documents:,}",
            f"{row.tokens:,}",
            f"{row.samples_before:,}",
            f"{row.samples_after:,}",
            f"{len(row.rewritten):,}",
            f"{row.rewritten_bytes:,}",
            f"{row.shared:,}",
            f"{row.shared_bytes:,}",
        )
    return found


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - report.SHOWN:,} more" if len(names) > report.SHOWN else ""
    return escape(", ".join(names[: report.SHOWN]) + more)
