"""How many of a source's ranges a mix needs: from the recipe and measured counts alone."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from pipeline import budget
from pipeline.manifest import Dataset
from pipeline.recipe import Mix

Measured = Mapping[str, Sequence[Dataset]]

SPARE_SAMPLES = 8  # the order's rounding: a source's count in a prefix deviates by less than 6
SPARE_SHARE = Fraction(1, 100)  # of an estimate, so that one more round of tokenizing is seldom needed


def fills(measured: Measured, mix: Mix) -> dict[str, Fraction]:
    """The share of a source's rows that is not padding, in its first range that has rows."""
    return {
        name: fill([part for part in parts if part.manifest.counts["samples"]][:1], mix.sequence_length)
        for name, parts in measured.items()
    }


def fill(parts: Sequence[Dataset], sequence_length: int) -> Fraction:
    """The share of the datasets' rows that is not padding; 1 where they have no rows."""
    rows = sum(part.manifest.counts["samples"] for part in parts) * sequence_length
    padding = sum(part.manifest.counts["padding_tokens"] for part in parts)
    return Fraction(rows - padding, rows) if rows else Fraction(1)


def needed(mix: Mix, measured: Measured, n_ranges: Mapping[str, int]) -> dict[str, int]:
    """Samples of each source that the budget serves, the order's rounding included."""
    run = budget.spans(budget_samples(mix), untils(mix), weights(mix, measured, n_ranges))
    return {name: int(samples) + SPARE_SAMPLES for name, samples in budget.samples_needed(run).items()}


def weights(mix: Mix, measured: Measured, n_ranges: Mapping[str, int]) -> list[budget.Shares]:
    """Shares of samples for each stage. With `redistribute`, sources that would be served more than their max_passes
    give the excess to the others: measured, or for a max_passes below 1 estimated from the ranges that are."""
    fill_of = fills(measured, mix)
    base = {name: source.weight for name, source in mix.sources.items()}
    if mix.redistribute:
        limits = {
            name: Fraction(str(mix.sources[name].max_passes))
            * Fraction(samples(parts) * n_ranges[name], len(parts))
            * mix.sequence_length
            * fill_of[name]
            for name, parts in measured.items()
            if len(parts) == n_ranges[name] or mix.sources[name].max_passes < 1
        }
        # Limits are tokens that are not padding, so the budget should be too: its rows times the mix's mean fill would
        # be circular; rows are counted as full here, which keeps every source at or below its limit.
        base = budget.redistribute(base, budget_samples(mix) * mix.sequence_length, limits)
    stages = [stage.weights or base for stage in mix.stages] or [base]
    return [budget.sample_weights(stage, fill_of) for stage in stages]


def untils(mix: Mix) -> list[int | None]:
    """The stages' ends as positions."""
    tokens = [stage.until_tokens for stage in mix.stages] or [None]
    return [None if n is None else n // mix.sequence_length for n in tokens]


def budget_samples(mix: Mix) -> int:
    """Samples that a run is served."""
    return mix.budget_tokens // mix.sequence_length


def samples(parts: Sequence[Dataset]) -> int:
    """Samples of some ranges."""
    return sum(part.manifest.counts["samples"] for part in parts)


def wanted_ranges(need: int, parts: Sequence[Dataset], n_ranges: int) -> int:
    """How many ranges to have measured, estimated from those that are; at most `n_ranges`."""
    if samples(parts) >= need:
        return len(parts)
    mean = Fraction(samples(parts), len(parts))
    if mean == 0:
        return n_ranges
    return min(n_ranges, max(len(parts) + 1, -int(-(need * (1 + SPARE_SHARE)) // mean)))


def taken(need: int, parts: Sequence[Dataset]) -> Sequence[Dataset]:
    """The fewest first ranges that hold `need` samples; all, if all together hold fewer."""
    total = 0
    for number, part in enumerate(parts):
        total += part.manifest.counts["samples"]
        if total >= need:
            return parts[: number + 1]
    return parts
