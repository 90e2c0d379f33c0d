"""The plan of a mix from its recipe and the measured ranges, with the accounts that a person reads."""

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

from pipeline import plan
from pipeline.alarms import StageError
from pipeline.manifest import Dataset
from pipeline.mixed.ranges import Measured, budget_samples, fill, needed, samples, taken, untils, weights
from pipeline.order import ORDER_VERSION, source_counts
from pipeline.plan import Part, Plan, PlanSource, PlanStage, PlanTokenizer
from pipeline.recipe import Mix


def build(
    mix: Mix,
    tokenizer: PlanTokenizer,
    dtype: str,
    measured: Measured,
    validation: Mapping[str, Dataset],
    n_ranges: Mapping[str, int],
) -> Plan:
    """The plan of a mix.

    `measured`: a source's ranges from the first on, at least those that it needs; `validation`: its held-out set, if
    the recipe asks for one; `n_ranges`: how many ranges it has in all. Raises `StageError` where a source cannot give
    what the recipe asks of it.
    """
    need = needed(mix, measured, n_ranges)
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
            for until, stage in zip(untils(mix), weights(mix, measured, n_ranges), strict=True)
        ),
    )
    accounts = _accounts(mix, made, used, measured, n_ranges)
    _check_passes(mix, accounts)
    return replace(made, accounting=accounts)


def _part(dataset: Dataset) -> Part:
    manifest = dataset.manifest
    path = f"../../{manifest.stage}/{manifest.source}/{manifest.fingerprint}"
    return Part(path=path, fingerprint=manifest.fingerprint, n_samples=manifest.counts["samples"])


def _accounts(mix: Mix, made: Plan, used: Measured, measured: Measured, n_ranges: Mapping[str, int]) -> dict[str, Any]:
    """For each source what was asked and what a run of the whole budget is served, from measured counts."""
    served = source_counts(plan.order_of(made), budget_samples(mix)).tolist()
    fill_of = {name: fill(parts, mix.sequence_length) for name, parts in used.items()}
    tokens = {name: n * mix.sequence_length * fill_of[name] for name, n in zip(mix.sources, served, strict=True)}
    total = sum(tokens.values())
    asked = _asked(mix)
    sources = {}
    for name, n in zip(mix.sources, served, strict=True):
        n_measured = len(measured[name])
        whole = samples(measured[name]) * n_ranges[name] // n_measured
        sources[name] = {
            "weight_asked": float(asked[name]),
            "weight_achieved": float(tokens[name] / total) if total else 0.0,
            "tokens_served": int(tokens[name]),
            "samples_served": n,
            "passes": round(n / whole, 6),
            "samples": samples(used[name]),
            "tokens_available": int(whole * mix.sequence_length * fill_of[name]),
            "available_is_exact": n_measured == n_ranges[name],
            "ranges": [len(used[name]), n_ranges[name]],
        }
    return {"budget_samples": budget_samples(mix), "tokens_served": int(total), "sources": sources}


def _asked(mix: Mix) -> dict[str, Fraction]:
    """The share of all tokens that the recipe asks for each source, over its stages."""
    base = {name: source.weight for name, source in mix.sources.items()}
    stages = [stage.weights or base for stage in mix.stages] or [base]
    total = budget_samples(mix)
    start, shares = 0, dict.fromkeys(mix.sources, Fraction(0))
    for until, stage in zip(untils(mix), stages, strict=True):
        end = total if until is None else min(until, total)
        for name, weight in stage.items():
            shares[name] += Fraction(end - start, total) * weight / sum(stage.values())
        start = end
    return shares


def _check_passes(mix: Mix, accounts: Mapping[str, Any]) -> None:
    """No source may be served more often than its max_passes."""
    problems = []
    for name, account in accounts["sources"].items():
        limit = mix.sources[name].max_passes
        if account["passes"] <= limit * (1 + 1e-6) + 6 / max(1, account["samples"]):
            continue
        share = limit / account["passes"]
        less = int(mix.budget_tokens * share) // mix.sequence_length * mix.sequence_length
        fits = f"budget_tokens: {less}, or weight: {_rounded_down(account['weight_asked'] * share)} of the whole"
        if mix.stages:
            fits = f"{share:.3f} of its weights in the stages"
        problems.append(
            f"source {name}: {account['weight_achieved']:.4g} of {mix.budget_tokens} tokens are "
            f"{account['tokens_served']} tokens, {account['passes']:.2f} passes over its "
            f"{account['tokens_available']}; max_passes is {limit:g}. What fits: {fits}, or "
            f"max_passes: {account['passes'] + 0.01:.2f}"
        )
    if problems:
        hint = (
            ""
            if mix.redistribute or mix.stages
            else "; or redistribute: true, which lets the excess flow to the other sources"
        )
        raise StageError("; ".join(problems) + hint)


def _rounded_down(share: float) -> str:
    """To four digits that count, so that what is advised fits."""
    unit = Decimal(1).scaleb(math.floor(math.log10(share)) - 3)
    return f"{float(Decimal(share).quantize(unit, ROUND_FLOOR)):g}"
