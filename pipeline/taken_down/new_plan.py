"""The plan of a mix some of whose datasets were rewritten, with its accounts from measured counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline import plan
from pipeline.alarms import StageError
from pipeline.manifest import Dataset
from pipeline.mixed.ranges import SPARE_SAMPLES, fill
from pipeline.order import source_counts
from pipeline.plan import Part, Plan, PlanSource
from pipeline.taken_down.held import MixPart


@dataclass(frozen=True, kw_only=True)
class Change:
    """A new mix called `name` of a mix's `parts`, with the datasets `rewritten` in the place of those of these
    fingerprints; `renamed`: sources that are called otherwise. `max_passes`: at most so many passes over a source;
    None: what the recipe allowed."""

    name: str
    parts: Sequence[MixPart]
    rewritten: Mapping[str, Dataset]
    renamed: Mapping[str, str]
    max_passes: float | None


def build(old: Plan, change: Change) -> Plan:
    """The plan. `StageError` where a source has no sample left, or so few that it is served too often."""
    sources = tuple(_source(source, change) for source in old.sources)
    for source in sources:
        if source.n_samples == 0:
            raise StageError(
                f"source {source.name} has no sample left: all of its documents in the mix {old.name}, but for less "
                "than a row, are taken down; make a mix without it from the recipe"
            )
    made = replace(old, name=change.name, sources=sources)
    accounts = _accounts(old, made, change)
    for name, account in accounts["sources"].items():
        _check_passes(name, account, change.max_passes)
    return plan.certified(replace(made, accounting=accounts))


def _source(source: PlanSource, change: Change) -> PlanSource:
    return PlanSource(
        name=change.renamed.get(source.name, source.name),
        parts=tuple(_part(part, change.rewritten) for part in source.parts),
        validation=tuple(_part(part, change.rewritten) for part in source.validation),
    )


def _part(part: Part, rewritten: Mapping[str, Dataset]) -> Part:
    new = rewritten.get(part.fingerprint)
    if new is None:
        return part
    fingerprint = new.manifest.fingerprint
    path = f"{part.path.rpartition('/')[0]}/{fingerprint}"
    return Part(path=path, fingerprint=fingerprint, n_samples=new.manifest.counts["samples"])


def _accounts(old: Plan, made: Plan, change: Change) -> dict[str, Any]:
    """The old mix's accounts, with what a run of the new plan is served. What a source has in all was estimated where
    not all of its ranges are in the mix: it is less by what its ranges in the mix have lost."""
    served = source_counts(plan.order_of(made), made.budget_samples).tolist()
    sources = {}
    for was, source, n in zip(old.sources, made.sources, served, strict=True):
        before = [part.dataset for part in change.parts if (part.source, part.split) == (was.name, "train")]
        after = [change.rewritten.get(one.manifest.fingerprint, one) for one in before]
        row_tokens = made.sequence_length * fill(after, made.sequence_length)
        lost = was.n_samples * made.sequence_length * fill(before, made.sequence_length) - source.n_samples * row_tokens
        account = old.accounting["sources"][was.name]
        tokens, available = int(n * row_tokens), account["tokens_available"] - int(lost)
        sources[source.name] = account | {
            "tokens_served": tokens,
            "samples_served": n,
            "passes": round(tokens / available, 6) if available else 0.0,
            "samples": source.n_samples,
            "tokens_available": available,
        }
    total = sum(account["tokens_served"] for account in sources.values())
    for account in sources.values():
        account["weight_achieved"] = account["tokens_served"] / total if total else 0.0
    return {"budget_samples": made.budget_samples, "tokens_served": total, "sources": sources}


def _check_passes(name: str, account: Mapping[str, Any], given: float | None) -> None:
    """`StageError` where a source is served more passes than its max_passes, over all of it or over what of it is in
    the mix. (A mix takes the fewest ranges that hold what it serves; with fewer samples in them some come twice.)"""
    limit = account.get("max_passes") if given is None else given
    if limit is None:
        raise StageError(
            f"the old mix does not tell the max_passes of source {name}, an earlier version has made it: make it again "
            "from its recipe, which takes seconds, or give --max-passes"
        )
    in_mix = account["samples_served"] / account["samples"]
    slack = SPARE_SAMPLES / account["samples"]
    if account["passes"] > limit * (1 + 1e-6) + slack or in_mix > max(limit, 1) * (1 + 1e-6) + slack:
        raise StageError(
            f"source {name} would be served {in_mix:.3f} passes over the {account['samples']:,} samples that are left "
            f"of it in the mix, max_passes is {limit:g}; accept that by --max-passes {in_mix + 0.001:.3f}, or make the "
            "mix anew from its recipe with this list as `take_down`, which takes more of the source where there is more"
        )
