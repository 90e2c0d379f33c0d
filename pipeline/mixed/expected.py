"""What a mix will take of each source, told before most of it is tokenized: estimated, with the error, from the ranges
that are measured. A mix that cannot be is refused then, not after hours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pipeline import budget
from pipeline.manifest import Dataset
from pipeline.mixed.passes import Use, asked_shares, check
from pipeline.mixed.ranges import (
    SPARE_SAMPLES,
    Extent,
    Extents,
    Measured,
    budget_samples,
    fills,
    samples,
    untils,
    wanted_ranges,
    weights,
    whole,
)
from pipeline.recipe import Mix

SAFE_ERRORS = 4  # standard errors that an estimate may be off before a mix is refused for it
MIN_DOCUMENTS = 10  # fewer say nothing of an error; with 10, 4 errors are exceeded on this side 1 time in 600 (Student)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is expected of a source: its first `ranges` of `n_ranges` are needed. It has so many `tokens`, padding left
    out, with their standard error (0: counted; None: of too few documents to be told), of which a run `serves` so many,
    a share `weight_asked` of all by the recipe. `n_samples`: of the ranges that are measured."""

    ranges: int
    n_ranges: int
    tokens: int
    error: int | None
    serves: int
    weight_asked: float
    n_samples: int

    @property
    def passes(self) -> float | None:
        """None where no sample has been seen."""
        return self.serves / self.tokens if self.tokens else None

    @property
    def most_tokens(self) -> int | None:
        """More are not to be hoped for; None: that cannot be told."""
        return None if self.error is None or not self.tokens else self.tokens + SAFE_ERRORS * self.error


def standard_error(parts: Sequence[Dataset], extent: Extent) -> int | None:
    """The standard error of a source's tokens, estimated from the tokens a byte of some of its ranges, or of a sample;
    None where these have fewer than `MIN_DOCUMENTS` documents (of a sample: units).

    A range is a random sample of the documents, so it is that of a ratio estimator (Cochran, "Sampling Techniques", 3rd
    edition 1977, theorem 2.5): N √((1-f)/n · Σ(t - R b)² / (n-1)) for tokens t and bytes b of n documents, R = Σt / Σb,
    and N = n/f documents in all, f the share of the bytes that is measured.
    """
    if extent.counted(parts):
        return 0
    n, n_bytes, tokens, squared_bytes, products, squared_tokens = (
        sum(part.manifest.counts[unit] for part in parts)
        for unit in ("documents", "bytes", "tokens", "squared_bytes", "bytes_times_tokens", "squared_tokens")
    )
    if n < MIN_DOCUMENTS or not n_bytes:
        return None
    ratio = Fraction(tokens, n_bytes)
    residuals = squared_tokens - 2 * ratio * products + ratio * ratio * squared_bytes
    share = min(Fraction(1), Fraction(n_bytes, extent.n_bytes))  # a sample may hold documents of the validation set
    return math.ceil(math.sqrt(n * (1 - share) * residuals / (n - 1)) / share)


def expect(mix: Mix, measured: Measured, extents: Extents) -> dict[str, Expected]:
    """What is expected of each source. `StageError` where a source's max_passes, or with
    `redistribute` those of all together, cannot hold even if it has `SAFE_ERRORS` more tokens than estimated."""
    full = fills(measured, mix)
    tokens = {
        name: int(whole(parts, extents[name]) * mix.sequence_length * full[name]) for name, parts in measured.items()
    }
    errors = {name: standard_error(parts, extents[name]) for name, parts in measured.items()}
    limits = {
        name: Fraction(str(mix.sources[name].max_passes)) * (tokens[name] + SAFE_ERRORS * error)
        for name, error in errors.items()
        if error is not None
    }
    run = budget.spans(budget_samples(mix), untils(mix), weights(mix, measured, limits))
    need = budget.samples_needed(run)
    asked = asked_shares(mix)
    found = {
        name: Expected(
            ranges=wanted_ranges(int(need[name]) + SPARE_SAMPLES, parts, extents[name]),
            n_ranges=extents[name].n_ranges,
            tokens=tokens[name],
            error=errors[name],
            serves=int(need[name] * mix.sequence_length * full[name]),
            weight_asked=float(asked[name]),
            n_samples=samples(parts),
        )
        for name, parts in measured.items()
    }
    check(mix, _uses(found, measured))
    return found


def _uses(found: Mapping[str, Expected], measured: Measured) -> dict[str, Use]:
    """The fewest passes that are possible, of the sources of which that can be told."""
    total = sum(one.serves for one in found.values())
    uses = {}
    for name, one in found.items():
        if one.most_tokens is None or one.error is None:
            continue
        fewest = one.serves / one.most_tokens
        told = f"{fewest:.2f} passes over its {one.tokens}"
        if one.error:
            told = (
                f"at least {fewest:.2f} passes over its {one.tokens} ± {one.error} (estimated from "
                f"{len(measured[name])} of {one.n_ranges} ranges, the rest is not tokenized)"
            )
        uses[name] = Use(
            weight_asked=one.weight_asked,
            weight=one.serves / total,
            tokens=one.serves,
            passes=fewest,
            most_passes=one.serves / max(one.tokens - SAFE_ERRORS * one.error, one.tokens // 2, 1),
            told=told,
            slack=SPARE_SAMPLES / max(1, one.n_samples),
        )
    return uses
