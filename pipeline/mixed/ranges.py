"""How many of a source's ranges a mix needs: from the recipe and measured counts alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline import budget
from pipeline.manifest import Dataset
from pipeline.recipe import Mix

Measured = Mapping[str, Sequence[Dataset]]


@dataclass(frozen=True, kw_only=True)
class Extent:
    """All of a source's training documents: cut into `n_ranges`, `n_bytes` of text. `sampled`: what is measured of it
    is no range, but a sample of the documents."""

    n_ranges: int
    n_bytes: int
    sampled: bool = False

    def counted(self, parts: Sequence[Dataset]) -> bool:
        """Whether these parts are all of it."""
        return len(parts) == self.n_ranges and not self.sampled


Extents = Mapping[str, Extent]

SPARE_SAMPLES = 8  # the order's rounding: a source's count in a prefix deviates by less than 6
SPARE_SHARE = Fraction(1, 100)  # of an estimate, so that one more round of tokenizing is seldom needed
SPARE_OF_SAMPLED = Fraction(5, 100)  # of one from a sample, which is smaller than a range


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


def needed(mix: Mix, measured: Measured, extents: Extents) -> dict[str, int]:
    """Samples of each source that the budget serves, the order's rounding included."""
    run = budget.spans(budget_samples(mix), untils(mix), weights(mix, measured, limits(mix, measured, extents)))
    return {name: int(samples) + SPARE_SAMPLES for name, samples in budget.samples_needed(run).items()}


def limits(mix: Mix, measured: Measured, extents: Extents) -> dict[str, Fraction]:
    """Tokens that max_passes lets a source serve, of the sources of which these can be told: measured as a whole, or
    for a max_passes below 1 estimated from the ranges that are."""
    return {
        name: Fraction(str(mix.sources[name].max_passes)) * whole(parts, extents[name]) * mix.sequence_length * full
        for (name, parts), full in zip(measured.items(), fills(measured, mix).values(), strict=True)
        if extents[name].counted(parts) or mix.sources[name].max_passes < 1
    }


def weights(mix: Mix, measured: Measured, limits: Mapping[str, Fraction]) -> list[budget.Shares]:
    """Shares of samples for each stage. With `redistribute`, sources that would be served more tokens than their limit
    give the excess to the others."""
    base = {name: source.weight for name, source in mix.sources.items()}
    if mix.redistribute:
        # Limits are tokens that are not padding, so the budget should be too: its rows times the mix's mean fill would
        # be circular; rows are counted as full here, which keeps every source at or below its limit.
        base = budget.redistribute(base, budget_samples(mix) * mix.sequence_length, limits)
    stages = [stage.weights or base for stage in mix.stages] or [base]
    return [budget.sample_weights(stage, fills(measured, mix)) for stage in stages]


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


def whole(parts: Sequence[Dataset], extent: Extent) -> Fraction:
    """Samples of all of a source's ranges: counted, or as many a byte of text as the ranges have that were measured
    (a ratio estimator: Cochran, "Sampling Techniques", 3rd edition 1977, section 6.2; ranges are random samples)."""
    if extent.counted(parts):
        return Fraction(samples(parts))
    n_bytes = sum(part.manifest.counts["bytes"] for part in parts)
    return Fraction(samples(parts) * extent.n_bytes, n_bytes) if n_bytes else Fraction(0)


def wanted_ranges(need: int, parts: Sequence[Dataset], extent: Extent) -> int:
    """How many ranges to have measured, estimated from those that are, or from a sample; at most all."""
    if extent.sampled:
        all_samples = whole(parts, extent)
        wanted = math.ceil(need * (1 + SPARE_OF_SAMPLED) * extent.n_ranges / all_samples) if all_samples else 1
        return min(extent.n_ranges, wanted)
    missing = need - samples(parts)
    if missing <= 0 or len(parts) == extent.n_ranges:
        return len(parts)
    mean = (whole(parts, extent) - samples(parts)) / (extent.n_ranges - len(parts))
    if mean <= 0:
        return extent.n_ranges
    return min(extent.n_ranges, len(parts) - int(-missing * (1 + SPARE_SHARE) // mean))


def taken(need: int, parts: Sequence[Dataset]) -> Sequence[Dataset]:
    """The fewest first ranges that hold `need` samples; all, if all together hold fewer."""
    total = 0
    for number, part in enumerate(parts):
        total += part.manifest.counts["samples"]
        if total >= need:
            return parts[: number + 1]
    return parts
