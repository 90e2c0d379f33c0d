"""What is expected of a mix from first ranges: the error is what estimates are off by, and refusals come early."""

import random
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from pipeline import recipe
from pipeline.alarms import StageError
from pipeline.manifest import Dataset, Manifest
from pipeline.mixed import expected_table
from pipeline.mixed.expected import Expected, expect, standard_error
from pipeline.mixed.ranges import Extent
from pipeline.recipe import Mix
from pipeline.tokenized.spread import sums

LENGTH = 16
Document = tuple[int, int]  # bytes, tokens


def documents(n: int, seed: int) -> list[Document]:
    """Sizes over three orders of magnitude; every tenth is of another kind, with twice the tokens a byte."""
    chance = random.Random(seed)
    found = []
    for _ in range(n):
        size = int(chance.lognormvariate(7, 1.2)) + 1
        rate = chance.gauss(0.25, 0.03) * (2 if chance.random() < 0.1 else 1)
        found.append((size, max(1, round(size * rate))))
    return found


def dataset(name: str, held: Sequence[Document], number: int = 0) -> Dataset:
    """The manifest of a range of these documents, packed without padding."""
    sizes, tokens = zip(*held, strict=True) if held else ((), ())
    counts = {"documents": len(held), "bytes": sum(sizes), "tokens": sum(tokens)}
    counts |= {"samples": sum(tokens) // LENGTH, "padding_tokens": 0}
    counts |= {
        "squared_bytes": sum(b * b for b in sizes),
        "bytes_times_tokens": sum(b * t for b, t in held),
        "squared_tokens": sum(t * t for t in tokens),
    }
    fields: dict[str, Any] = {"version": 1, "inputs": {}, "parameters": {}, "attempt": "attempt-1", "files": ()}
    manifest = Manifest(stage="tokenized", source=name, fingerprint=f"{name}{number}", counts=counts, **fields)
    return Dataset(url=f"data/tokenized/{name}/{number}", manifest=manifest)


def test_the_sums_are_exact_beyond_64_bits() -> None:
    import numpy as np

    held = [(3 * 10**9, 10**9), (7, 2), (0, 1)]
    columns = np.array(held, np.int64).T
    assert sums(columns[0], columns[1]) == {
        "squared_bytes": 9 * 10**18 + 49,
        "bytes_times_tokens": 3 * 10**18 + 14,
        "squared_tokens": 10**18 + 5,
    }
    assert sums(columns[0].repeat(4), columns[1].repeat(4))["squared_bytes"] == 36 * 10**18 + 196


@pytest.mark.parametrize("n_ranges", [2, 16])
def test_the_error_is_what_estimates_are_off_by(n_ranges: int) -> None:
    everything = documents(6400, 1)
    extent = Extent(n_ranges=n_ranges, n_bytes=sum(b for b, _ in everything))
    tokens = sum(t for _, t in everything)
    chance = random.Random(2)
    off, errors = [], []
    for _ in range(200):
        part = dataset("a", [one for one in everything if chance.random() < 1 / n_ranges])
        counts = part.manifest.counts
        off.append(counts["tokens"] * extent.n_bytes / counts["bytes"] - tokens)
        error = standard_error([part], extent)
        assert error is not None
        errors.append(error)
    assert 0.85 < statistics.pstdev(off) / statistics.mean(errors) < 1.15
    assert 0.6 < sum(abs(one) < error for one, error in zip(off, errors, strict=True)) / 200 < 0.76
    assert sum(abs(one) > 3 * error for one, error in zip(off, errors, strict=True)) <= 3
    assert statistics.mean(errors) < 0.03 * tokens


def test_the_error_of_all_is_none_and_that_of_a_few_documents_cannot_be_told() -> None:
    held = documents(60, 3)
    halves = [dataset("a", held[:30], 0), dataset("a", held[30:], 1)]
    extent = Extent(n_ranges=2, n_bytes=sum(b for b, _ in held))
    assert standard_error(halves, extent) == 0
    assert (standard_error(halves[:1], extent) or 0) > 0
    assert standard_error([dataset("a", held[:10])], extent) is not None
    assert standard_error([dataset("a", held[:9])], extent) is None
    assert standard_error([dataset("a", [])], extent) is None


def mix(budget_tokens: int, more: str = "", a: str = "0.4", b: str = "0.6") -> Mix:
    return recipe.parse(
        f"name: tiny\nsequence_length: {LENGTH}\nbudget_tokens: {budget_tokens}\ntokenizer: {{file: x}}\nsources:\n"
        f"  a: {{root: raw, files: [x], weight: {a}}}\n  b: {{root: raw, files: [x], weight: {b}}}\n{more}",
        "here",
    )


def first_of(n_ranges: int, n_documents: int = 400) -> tuple[dict[str, list[Dataset]], dict[str, Extent]]:
    """One of `n_ranges` ranges of both sources."""
    held = {name: documents(n_documents, seed) for seed, name in enumerate("ab")}
    extents = {name: Extent(n_ranges=n_ranges, n_bytes=n_ranges * sum(b for b, _ in held[name])) for name in held}
    return {name: [dataset(name, one)] for name, one in held.items()}, extents


def test_what_is_expected() -> None:
    measured, extents = first_of(8)
    found = expect(mix(2_500_000), measured, extents)
    assert set(found) == {"a", "b"}
    for name, share in (("a", 0.4), ("b", 0.6)):
        one, counts = found[name], measured[name][0].manifest.counts
        assert abs(one.tokens - 8 * counts["tokens"]) < 8 * LENGTH
        assert one.serves == share * 2_500_000
        assert one.passes == one.serves / one.tokens
        assert one.error == standard_error(measured[name], extents[name])
        assert (one.ranges - 1) * counts["tokens"] < one.serves * 1.02 < (one.ranges + 1) * counts["tokens"]
        assert 1 < one.ranges < one.n_ranges == 8


def test_too_many_passes_are_refused_only_beyond_the_error() -> None:
    measured, extents = first_of(8)
    most = expect(mix(500_000), measured, extents)["a"].most_tokens
    assert most is not None
    fits, too_much = (int(4 * most / 0.4 * share) for share in (0.999, 1.001))
    expect(mix(fits, b="0.6, max_passes: 1000000"), measured, extents)
    message = (
        r"source a: 0\.4 of \d+ tokens are \d+ tokens, at least 4\.00 passes over its \d+ ± \d+ \(estimated from 1 of "
        r"8 ranges, the rest is not tokenized\); max_passes is 4\. What fits: budget_tokens: (\d+), or weight: .*; or "
        r"redistribute: true"
    )
    with pytest.raises(StageError, match=message) as caught:
        expect(mix(too_much, b="0.6, max_passes: 1000000"), measured, extents)
    advised = int(str(caught.value).partition("budget_tokens: ")[2].partition(",")[0])
    least = 2 * expect(mix(500_000), measured, extents)["a"].tokens - most
    assert advised * 0.4 <= 4 * least + LENGTH  # what is advised fits even if the estimate is as much too high


def test_a_source_that_is_measured_is_refused_before_the_others_are_tokenized() -> None:
    measured, extents = first_of(8)
    extents["a"] = Extent(n_ranges=1, n_bytes=measured["a"][0].manifest.counts["bytes"])
    tokens = measured["a"][0].manifest.counts["samples"] * LENGTH
    with pytest.raises(StageError, match=rf"source a: 0\.5 of .* passes over its {tokens}; max_passes is 4\. What"):
        expect(mix(tokens * 10, a="0.5", b="0.5"), measured, extents)


def test_redistributed_excess_is_refused_only_if_all_are_at_their_limits() -> None:
    measured, extents = first_of(8)
    a, b = expect(mix(500_000), measured, extents).values()
    assert a.most_tokens is not None and b.most_tokens is not None
    everything = 4 * (a.most_tokens + b.most_tokens)
    found = expect(mix(everything - LENGTH, "redistribute: true", a="0.9", b="0.1"), measured, extents)
    assert found["a"].passes is not None and found["a"].passes < 4.5
    with pytest.raises(ValueError, match="all sources together give"):
        expect(mix(everything + LENGTH, "redistribute: true", a="0.9", b="0.1"), measured, extents)


def test_too_few_documents_refuse_nothing_and_are_told() -> None:
    measured, extents = first_of(8, n_documents=9)
    measured["b"], extents["b"] = [dataset("b", [])], Extent(n_ranges=8, n_bytes=1000)
    found = expect(mix(10**9), measured, extents)
    assert (found["a"].error, found["b"].passes, found["b"].ranges) == (None, None, 8)
    text = shown(found)
    assert "± ?" in text and "none seen yet" in text and "not known yet" in text


def test_the_table() -> None:
    one = Expected(ranges=3, n_ranges=8, tokens=1_000_000, error=20_000, serves=790_000, weight_asked=0.33, n_samples=7)
    text = shown({"mc4": one})
    for cell in ("mc4", "3 of 8", "1,000,000 ± 20,000", "0.33000", "790,000", "0.790 ± 0.016"):
        assert cell in text


def shown(found: dict[str, Expected]) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(expected_table.table(found, "a sample of the documents"))
    return capture.get()
