"""The plan of a mix from its recipe and the measured ranges, with the accounts that a person reads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline import plan
from pipeline.alarms import StageError
from pipeline.manifest import Dataset
from pipeline.mixed.expected import standard_error
from pipeline.mixed.passes import Use, asked_shares, check
from pipeline.mixed.ranges import (
    Extents,
    Measured,
    budget_samples,
    fill,
    limits,
    needed,
    samples,
    taken,
    untils,
    weights,
    whole,
)
from pipeline.order import ORDER_VERSION, source_counts
from pipeline.plan import Part, Plan, PlanSource, PlanStage, PlanTokenizer
from pipeline.recipe import Mix


def build(
    mix: Mix,
    tokenizer: PlanTokenizer,
    dtype: str,
    measured: Measured,
    validation: Mapping[str, Dataset],
    extents: Extents,
) -> Plan:
    """The plan of a mix.

    `measured`: a source's ranges from the first on, at least those that it needs; `validation`: its held-out set, if
    the recipe asks for one; `extents`: how much text it has in all. Raises `StageError` where a source cannot give
    what the recipe asks of it.
    """
    need = needed(mix, measured, extents)
    used = {name: taken(need[name], parts) for name, parts in measured.items()}
    for name, parts in used.items():
        if samples(parts) == 0:
            raise StageError(
                f"source {name} gives no sample: its documents hold fewer than sequence_length = {mix.sequence_length} "
                "tokens; take it out, give it more text or shorten the sequences"
            )
    for name, held in validation.items():
        if held.manifest.counts["samples"] == 0:
            raise StageError(
                f"holdout: the {held.manifest.counts['documents']} documents of source {name} that are held out fill "
                f"no sample of sequence_length = {mix.sequence_length}; raise holdout.documents"
            )
    shares = weights(mix, measured, limits(mix, measured, extents))
    row_bytes = mix.sequence_length * {"uint16": 2, "uint32": 4}[dtype]
    made = Plan(
        name=mix.name,
        seed=mix.seed,
        order_version=ORDER_VERSION,
        sequence_length=mix.sequence_length,
        dtype=dtype,
        budget_tokens=mix.budget_tokens,
        block_samples=plan.block_samples(row_bytes),
        chunk_samples=plan.chunk_samples(row_bytes),
        tokenizer=tokenizer,
        sources=tuple(
            PlanSource(
                name=name,
                parts=tuple(_part(part) for part in used[name]),
                validation=(_part(validation[name]),) if name in validation else (),
            )
            for name in mix.sources
        ),
        stages=tuple(
            PlanStage(until=until, weights=tuple(str(stage[name]) for name in mix.sources))
            for until, stage in zip(untils(mix), shares, strict=True)
        ),
    )
    accounts = _accounts(mix, made, used, measured, extents)
    _check_passes(mix, accounts)
    return replace(made, accounting=accounts)


def _part(dataset: Dataset) -> Part:
    manifest = dataset.manifest
    path = f"../../{manifest.stage}/{manifest.source}/{manifest.fingerprint}"
    return Part(path=path, fingerprint=manifest.fingerprint, n_samples=manifest.counts["samples"])


def _accounts(mix: Mix, made: Plan, used: Measured, measured: Measured, extents: Extents) -> dict[str, Any]:
    """For each source what was asked and what a run of the whole budget is served, from measured counts."""
    served = source_counts(plan.order_of(made), budget_samples(mix)).tolist()
    fill_of = {name: fill(parts, mix.sequence_length) for name, parts in used.items()}
    tokens = {name: n * mix.sequence_length * fill_of[name] for name, n in zip(mix.sources, served, strict=True)}
    total = sum(tokens.values())
    asked = asked_shares(mix)
    sources = {}
    for name, n in zip(mix.sources, served, strict=True):
        parts, extent = measured[name], extents[name]
        n_samples = int(whole(parts, extent))
        sources[name] = {
            "weight_asked": float(asked[name]),
            "weight_achieved": float(tokens[name] / total) if total else 0.0,
            "tokens_served": int(tokens[name]),
            "samples_served": n,
            "passes": round(n / n_samples, 6),
            "max_passes": mix.sources[name].max_passes,
            "samples": samples(used[name]),
            "tokens_available": int(n_samples * mix.sequence_length * fill_of[name]),
            "available_is_exact": len(parts) == extent.n_ranges,
            "available_error": standard_error(parts, extent),
            "ranges": [len(used[name]), extent.n_ranges],
        }
    return {"budget_samples": budget_samples(mix), "tokens_served": int(total), "sources": sources}


def _check_passes(mix: Mix, accounts: Mapping[str, Any]) -> None:
    check(
        mix,
        {
            name: Use(
                weight_asked=account["weight_asked"],
                weight=account["weight_achieved"],
                tokens=account["tokens_served"],
                passes=account["passes"],
                most_passes=account["passes"],
                told=f"{account['passes']:.2f} passes over its {account['tokens_available']}",
                slack=6 / max(1, account["samples"]),
            )
            for name, account in accounts["sources"].items()
        },
    )
