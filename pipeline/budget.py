"""Weights → what is needed of each source. Exact: weights are fractions, amounts whole numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline.alarms import StageError

Shares = dict[str, Fraction]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a run in which one set of weights holds: `n_samples` samples from the end of the span before."""

    n_samples: int
    weights: Mapping[str, Fraction]


def shares(weights: Mapping[str, Fraction]) -> Shares:
    """Weights scaled to sum 1."""
    total = sum(weights.values(), Fraction(0))
    return {name: weight / total for name, weight in weights.items()}


def sample_weights(token_weights: Mapping[str, Fraction], fill: Mapping[str, Fraction]) -> Shares:
    """Shares of tokens → shares of samples. `fill`: the share of a source's row that is not padding, above 0. A source
    whose rows are half empty needs twice the rows for its tokens."""
    return shares({name: weight / fill[name] for name, weight in token_weights.items()})


def spans(budget_samples: int, untils: Sequence[int | None], weights: Sequence[Mapping[str, Fraction]]) -> list[Span]:
    """The run cut at its stages' ends (positions, ascending, exclusive; None: the budget's end); shares of samples."""
    found = []
    start = 0
    for until, own in zip(untils, weights, strict=True):
        end = budget_samples if until is None else min(until, budget_samples)
        found.append(Span(n_samples=end - start, weights=own))
        start = end
    return found


def samples_needed(run: Sequence[Span]) -> dict[str, Fraction]:
    """Samples of each source that a run serves, up to the rounding of the order (a few samples)."""
    needed: dict[str, Fraction] = {}
    for span in run:
        for name, weight in shares(span.weights).items():
            needed[name] = needed.get(name, Fraction(0)) + weight * span.n_samples
    return needed


def redistribute(weights: Mapping[str, Fraction], budget: int, limits: Mapping[str, Fraction]) -> Shares:
    """Shares (sum 1) of a budget in which no source exceeds its limit; what is cut off flows to the others in
    proportion to their weights. Budget and limits in tokens; a source without a limit takes any amount.

    Raises `StageError` with the largest budget that fits if all sources are at their limits.
    """
    wanted = shares(weights)
    fixed: Shares = {}
    while True:
        room = 1 - sum(fixed.values(), Fraction(0))
        free = {name: weight for name, weight in wanted.items() if name not in fixed}
        if not free:
            if room > 0:
                fits = sum(limits.values(), Fraction(0))
                raise StageError(
                    f"budget_tokens: all sources together give {int(fits)} of {budget} tokens under their max_passes; "
                    "lower it to that, raise max_passes, or add text"
                )
            return {name: fixed[name] for name in wanted}
        scaled = {name: share * room for name, share in shares(free).items()}
        over = [name for name, share in scaled.items() if name in limits and share * budget > limits[name]]
        if not over:
            return {name: fixed.get(name, scaled.get(name, Fraction(0))) for name in wanted}
        fixed.update({name: limits[name] / budget for name in over})
