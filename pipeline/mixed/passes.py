"""How often a source may be served: what a recipe asks of it against its max_passes, and the advice where that is too
much."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction

from pipeline.alarms import StageError
from pipeline.mixed.ranges import budget_samples, untils
from pipeline.recipe import Mix


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a run takes of a source: shares of the tokens served, `weight_asked` and `weight`; its `tokens`; its
    `passes` over the source (where they are estimated, the fewest that they can be), `told` to a person; and at most
    how many, `most_passes`, on which the advice rests. `slack`: passes that the order's rounding may add."""

    weight_asked: float
    weight: float
    tokens: int
    passes: float
    most_passes: float
    told: str
    slack: float


def check(mix: Mix, uses: Mapping[str, Use]) -> None:
    """`StageError` where a source is served more often than its max_passes, with what fits."""
    limits = {name: mix.sources[name].max_passes for name in uses}
    over = {name: use for name, use in uses.items() if use.passes > limits[name] * (1 + 1e-6) + use.slack}
    if over:
        hint = (
            ""
            if mix.redistribute or mix.stages
            else "; or redistribute: true, which lets the excess flow to the other sources"
        )
        raise StageError("; ".join(_told(mix, name, use) for name, use in over.items()) + hint)


def asked_shares(mix: Mix) -> dict[str, Fraction]:
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


def _told(mix: Mix, name: str, use: Use) -> str:
    limit = mix.sources[name].max_passes
    share = limit / use.most_passes
    less = int(mix.budget_tokens * share) // mix.sequence_length * mix.sequence_length
    fits = f"budget_tokens: {less}, or weight: {_rounded_down(use.weight_asked * share)} of the whole"
    if mix.stages:
        fits = f"{share:.3f} of its weights in the stages"
    return (
        f"source {name}: {use.weight:.4g} of {mix.budget_tokens} tokens are {use.tokens} tokens, {use.told}; "
        f"max_passes is {limit:g}. What fits: {fits}, or max_passes: {use.most_passes + 0.01:.2f}"
    )


def _rounded_down(share: float) -> str:
    """To four digits that count, so that what is advised fits."""
    unit = Decimal(1).scaleb(math.floor(math.log10(share)) - 3)
    return f"{float(Decimal(share).quantize(unit, ROUND_FLOOR)):g}"
