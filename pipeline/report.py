"""What a person sees of a finished mix: one table of every stage and source, the weights, and the first sample."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tokenizers import Tokenizer

from pipeline import storage
from pipeline.flow import Finished
from pipeline.loader import StreamingLoader
from pipeline.plan import Plan

SAMPLE_CHARACTERS = 600
REASONS = 4  # the most frequent ones are shown; the manifest has them all


def show(console: Console, finished: Finished) -> None:
    """Print the accounts of a mix, where everything lies, and its first sample decoded."""
    console.print(stages(finished))
    console.print(weights(finished.plan.accounting))
    if late := never_served(finished.plan):
        console.print(f"[bold]{late}[/bold]", soft_wrap=True)
    console.print(_places(finished), soft_wrap=True, markup=False)  # paths may hold brackets
    if storage.is_local(finished.url):  # the loader reads local disks
        console.print(f"\nThe first sample of the run:\n[dim]{escape(first_sample(finished))}[/dim]", soft_wrap=True)


def stages(finished: Finished) -> Table:
    """Documents and tokens in, kept and rejected by reason, for each stage and source.

    Tokens before the stage `tokenized` are the text's bytes times the source's measured tokens a byte (marked ~).
    """
    table = Table(title=f"mix {finished.plan.name}", title_justify="left")
    for name, justify in (
        ("stage", "left"),
        ("source", "left"),
        ("documents in", "right"),
        ("tokens in", "right"),
        ("kept", "right"),
        ("tokens kept", "right"),
        ("not kept, by reason", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=justify == "right")  # type: ignore[arg-type]
    for name in finished.documents:
        rate = tokens_a_byte(finished, name)
        read = finished.documents[name].manifest.counts
        table.add_row(
            "documents",
            name,
            f"{read['records']:,}",
            _about(read["kept_bytes"] + read["quarantined_bytes"], rate),
            f"{read['kept_documents']:,}",
            _about(read["kept_bytes"], rate),
            _reasons(read["quarantined"]),
        )
        for stage, dataset, gone in (
            ("filtered", finished.filtered[name], "rejected"),
            *([("delined", finished.delined[name], "rejected")] if finished.delined else []),
            ("deduped", finished.deduped[name], "removed"),
        ):
            counts = dataset.manifest.counts
            table.add_row(
                stage,
                name,
                f"{counts['documents']:,}",
                _about(counts["bytes"], rate),
                f"{counts['kept_documents']:,}",
                _about(counts["kept_bytes"], rate),
                _reasons(counts[gone]),
            )
        table.add_row("tokenized", name, *_tokenized_row(finished, name), end_section=True)
    return table


def tokens_a_byte(finished: Finished, name: str) -> float:
    """Tokens a byte of text, measured on what was tokenized of a source."""
    parts = finished.tokenized.measured[name]
    n_bytes = sum(part.manifest.counts["bytes"] for part in parts)
    n_tokens = sum(part.manifest.counts["tokens"] for part in parts)
    return float(n_tokens / max(1, n_bytes))


def weights(accounts: Mapping[str, Any]) -> Table:
    """Asked and achieved weights, tokens and passes of each source; ~ is estimated, ± one standard error."""
    n_samples = f"{accounts['budget_samples']:,}"
    served = f"{accounts['tokens_served']:,} tokens served in {n_samples} samples"
    table = Table(title=f"{served}: floor({n_samples} / B) global batches of B")
    table.title_justify = "left"
    for name in ("source", "tokens available", "weight asked", "weight achieved", "tokens served", "passes"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for name, account in accounts["sources"].items():
        about, error = "" if account["available_is_exact"] else "~", account["available_error"]
        table.add_row(
            name,
            f"{about}{account['tokens_available']:,}{f' ± {error:,}' if error else ''}",
            f"{account['weight_asked']:.5f}",
            f"{account['weight_achieved']:.5f}",
            f"{account['tokens_served']:,}",
            f"{about}{account['passes']:.3f}",
        )
    return table


def never_served(plan: Plan) -> str:
    """What is to be said of stages that begin behind the budget; "" where there is none."""
    starts = {f"stages.{number}": stage.until for number, stage in enumerate(plan.stages[:-1], 1)}
    late = [name for name, start in starts.items() if start is not None and start >= plan.budget_samples]
    if not late:
        return ""
    return (
        f"{', '.join(late)}: never served, as the budget of {plan.budget_samples:,} samples ends before; raise "
        "budget_tokens, or lower until_tokens (only a loader with beyond_budget=True comes so far)"
    )


def first_sample(finished: Finished) -> str:
    """The text of position 0 of the run, cut to a screen."""
    tokenizer = Tokenizer.from_str(finished.tokenized.info.json_text)
    with StreamingLoader(finished.url, global_batch_size=1, rank=0, world_size=1, format="numpy") as loader:
        batch = next(iter(loader))
    text = str(tokenizer.decode(batch["input_ids"][0].tolist(), skip_special_tokens=False))
    source = finished.plan.sources[int(batch["source"][0])].name
    cut = text[:SAMPLE_CHARACTERS] + (" …" if len(text) > SAMPLE_CHARACTERS else "")
    return f"({source}, sample {int(batch['sample'][0])})\n{cut}"


def _tokenized_row(finished: Finished, name: str) -> tuple[str, ...]:
    parts = finished.tokenized.measured[name]
    total = {
        unit: sum(part.manifest.counts[unit] for part in parts)
        for unit in ("documents", "tokens", "samples", "padding_tokens", "left_over_tokens")
    }
    length = finished.plan.sequence_length
    notes = [f"{total['samples']:,} samples", f"{len(parts)} of {finished.tokenized.extents[name].n_ranges} ranges"]
    if name in finished.tokenized.validation:
        held = finished.tokenized.validation[name].manifest.counts
        notes.append(f"{held['documents']:,} documents held out")
    if total["left_over_tokens"]:
        notes.append(f"{total['left_over_tokens']:,} tokens left over")
    if total["padding_tokens"]:
        notes.append(f"{total['padding_tokens']:,} padding")
    kept = total["samples"] * length - total["padding_tokens"]
    return f"{total['documents']:,}", f"{total['tokens']:,}", f"{total['documents']:,}", f"{kept:,}", "\n".join(notes)


def _places(finished: Finished) -> str:
    lines = [f"plan      {storage.join(finished.url, 'mix.json')}"]
    for source in finished.plan.sources:
        parts = finished.tokenized.measured[source.name][: len(source.parts)]
        lines.extend(f"shards    {storage.join(part.url, part.manifest.attempt)}" for part in parts)
    for stage, found in (
        ("documents", finished.documents),
        ("filtered", finished.filtered),
        ("delined", finished.delined),
        ("deduped", finished.deduped),
    ):
        lines.extend(f"{stage:<9} {dataset.url}" for dataset in found.values())
    return "\n".join(lines)


def _about(n_bytes: int, rate: float) -> str:
    return f"~{int(n_bytes * rate):,}"


def _reasons(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    shown = [f"{n:,} {reason}" for reason, n in ordered[:REASONS]]
    rest = sum(n for _, n in ordered[REASONS:])
    return "\n".join(shown + ([f"{rest:,} other"] if rest else []))
