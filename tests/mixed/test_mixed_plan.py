"""The stage `mixed`: ranges that a budget needs, weights, passes, accounts. Datasets here are manifests alone."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import plan as plans
from pipeline import recipe
from pipeline.alarms import StageError
from pipeline.manifest import Dataset, Manifest
from pipeline.mixed import plan, ranges
from pipeline.mixed.ranges import Extent
from pipeline.order import samples, source_counts
from pipeline.plan import Plan, PlanTokenizer
from pipeline.recipe import Mix

TOKENIZER = PlanTokenizer(
    path="tokenizer.json",
    fingerprint="ab" * 32,
    vocab_size=300,
    eos_id=0,
    bos_id=None,
    pad_id=0,
    canary_text="x",
    canary_ids=(1,),
)
LENGTH = 16
ROW_BYTES = 60


def mix(budget_samples: int = 1000, more: str = "", **weights: object) -> Mix:
    """A recipe; `weights` of the sources (default: a 0.4, b 0.6) may hold further fields: "0.4, max_passes: 2"."""
    sources = "".join(
        f"  {name}: {{root: raw, files: [x], weight: {weight}}}\n"
        for name, weight in (weights or {"a": 0.4, "b": 0.6}).items()
    )
    return recipe.parse(
        f"name: tiny\nsequence_length: {LENGTH}\nbudget_tokens: {budget_samples * LENGTH}\n"
        f"tokenizer: {{file: x}}\nsources:\n{sources}{more}",
        "here",
    )


def dataset(name: str, n_samples: int, number: int | str = 0, padding_share: Fraction = Fraction(0)) -> Dataset:
    """A range of `n_samples` rows, of which `padding_share` is padding, each of `ROW_BYTES` of text."""
    padding = int(n_samples * LENGTH * padding_share)
    counts = {"samples": n_samples, "padding_tokens": padding, "tokens": n_samples * LENGTH - padding}
    counts |= {"documents": n_samples, "bytes": n_samples * ROW_BYTES}
    counts |= {"squared_bytes": 0, "bytes_times_tokens": 0, "squared_tokens": 0}
    manifest = Manifest(
        stage="tokenized",
        source=name,
        version=1,
        fingerprint=f"{name}{number}",
        inputs={},
        parameters={},
        attempt="attempt-1",
        files=(),
        counts=counts,
    )
    return Dataset(url=f"data/tokenized/{name}/{number}", manifest=manifest)


def measured(**samples: Sequence[int]) -> dict[str, list[Dataset]]:
    """Ranges of these samples, without padding."""
    return {name: [dataset(name, n, k) for k, n in enumerate(sizes)] for name, sizes in samples.items()}


def half_empty(name: str, n_samples: int) -> dict[str, list[Dataset]]:
    return {name: [dataset(name, n_samples, padding_share=Fraction(1, 2))]}


def built(asked: Mix, sizes: dict[str, list[Dataset]], n_ranges: dict[str, int] | None = None) -> Plan:
    return plan.build(asked, TOKENIZER, "uint16", sizes, {}, extents(sizes, n_ranges or {}))


def extents(sizes: dict[str, list[Dataset]], n_ranges: dict[str, int]) -> dict[str, Extent]:
    """Sources of so many ranges (those that are here, where none is given), the others as large as these on average."""
    return {
        name: Extent(
            n_ranges=n_ranges.get(name, len(parts)),
            n_bytes=ranges.samples(parts) * ROW_BYTES * n_ranges.get(name, len(parts)) // len(parts),
        )
        for name, parts in sizes.items()
    }


def test_a_plan_says_what_the_recipe_and_the_data_are() -> None:
    held = {"b": dataset("b", 3, "v")}
    sizes = measured(a=[500], b=[400, 300])
    made = plan.build(mix(), TOKENIZER, "uint16", sizes, held, extents(sizes, {}))
    assert (made.name, made.budget_samples, made.sequence_length, made.dtype) == ("tiny", 1000, LENGTH, "uint16")
    assert (made.block_samples, made.chunk_samples) == (plans.block_samples(32), plans.chunk_samples(32))
    a, b = made.sources
    assert [(part.path, part.fingerprint, part.n_samples) for part in b.parts] == [
        ("../../tokenized/b/b0", "b0", 400),
        ("../../tokenized/b/b1", "b1", 300),
    ]
    assert (a.n_samples, a.validation) == (500, ())
    assert [part.fingerprint for part in b.validation] == ["bv"]
    assert [(stage.until, stage.weights) for stage in made.stages] == [(None, ("2/5", "3/5"))]
    certified = plans.certified(made)
    assert plans.from_json(plans.to_json(certified), "here") == certified


def test_accounts_are_of_measured_counts() -> None:
    made = built(mix(), measured(a=[500], b=[400, 300]))
    assert made.accounting["budget_samples"] == 1000
    assert made.accounting["tokens_served"] == 16_000
    assert made.accounting["sources"]["a"] == {
        "weight_asked": 0.4,
        "weight_achieved": 0.4,
        "tokens_served": 6400,
        "samples_served": 400,
        "passes": 0.8,
        "max_passes": 4,
        "samples": 500,
        "tokens_available": 8000,
        "available_is_exact": True,
        "available_error": 0,
        "ranges": [1, 1],
    }


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 20_000),
    st.lists(st.integers(1, 1000), min_size=1, max_size=4),
    st.integers(0, 2**62),
)
def test_the_budget_is_served_to_the_sample(budget_samples: int, weights: list[int], seed: int) -> None:
    given_weights = {f"s{number}": f"{weight}, max_passes: 1000000" for number, weight in enumerate(weights)}
    asked = mix(budget_samples, f"seed: {seed}", **given_weights)
    made = built(asked, measured(**{name: [50, 60] for name in given_weights}))
    served = source_counts(plans.order_of(made), budget_samples).tolist()
    accounts = made.accounting["sources"]
    assert [account["samples_served"] for account in accounts.values()] == served
    assert sum(served) == budget_samples
    for n, weight in zip(served, weights, strict=True):
        assert abs(n - Fraction(weight, sum(weights)) * budget_samples) < 6
    sizes = measured(**{name: [50, 60] for name in given_weights})
    need = ranges.needed(asked, sizes, extents(sizes, {}))
    assert all(n <= need[name] for n, name in zip(served, given_weights, strict=True))


def test_a_half_empty_source_is_served_twice_the_rows() -> None:
    sizes = measured(a=[5000]) | half_empty("b", 5000)
    made = built(mix(3000, a=0.5, b=0.5), sizes)
    assert made.stages[0].weights == ("1/3", "2/3")
    a, b = made.accounting["sources"].values()
    assert (a["samples_served"], b["samples_served"]) == (1000, 2000)
    assert a["weight_achieved"] == b["weight_achieved"] == 0.5


# -- ranges


def test_the_fewest_first_ranges_are_taken() -> None:
    parts = [dataset("a", n, k) for k, n in enumerate([10, 0, 20, 5])]
    assert [len(ranges.taken(need, parts)) for need in (1, 10, 11, 30, 31, 35, 99)] == [1, 1, 3, 3, 4, 4, 4]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=20), st.lists(st.integers(1, 2000), min_size=2))
def test_smaller_budgets_take_nested_ranges(sizes: list[int], needs: list[int]) -> None:
    parts = [dataset("a", n, k) for k, n in enumerate(sizes)]
    found = [list(ranges.taken(need, parts)) for need in sorted(needs)]
    for smaller, larger in pairwise(found):
        assert larger[: len(smaller)] == smaller


def test_how_many_ranges_to_measure() -> None:
    parts, extent = [dataset("a", 100)], Extent(n_ranges=8, n_bytes=800 * ROW_BYTES)
    assert ranges.wanted_ranges(100, parts, extent) == 1
    assert ranges.wanted_ranges(101, parts, extent) == 2
    assert ranges.wanted_ranges(395, parts, extent) == 4
    assert ranges.wanted_ranges(399, parts, extent) == 5  # one per cent of what is missing to spare
    assert ranges.wanted_ranges(10_000, parts, extent) == 8
    assert ranges.wanted_ranges(5, [dataset("a", 0)], extent) == 8
    assert ranges.wanted_ranges(250, [dataset("a", 100), dataset("a", 100)], extent) == 3


def test_a_first_range_that_happens_to_be_small_asks_for_no_more_than_is_needed() -> None:
    small, extent = [dataset("a", 60)], Extent(n_ranges=8, n_bytes=800 * ROW_BYTES)
    assert ranges.wanted_ranges(360, small, extent) == 4  # the other seven hold 740, so 106 each


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=30),
    st.integers(1, 2000),
    st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(3)]),
)
def test_measuring_ends_with_enough(sizes: list[int], need: int, off: Fraction) -> None:
    """Also where the text that is not measured yet has half or three times as many tokens a byte."""
    parts = [dataset("a", n, k) for k, n in enumerate(sizes)]
    extent = Extent(n_ranges=len(parts), n_bytes=int(sum(sizes) * ROW_BYTES * off))
    n_measured = 1
    for _ in sizes:
        n_measured, before = ranges.wanted_ranges(need, parts[:n_measured], extent), n_measured
        assert n_measured >= before
        if n_measured == before:
            break
    assert ranges.wanted_ranges(need, parts[:n_measured], extent) == n_measured
    assert ranges.samples(parts[:n_measured]) >= need or n_measured == len(parts)


def test_what_is_not_taken_is_estimated() -> None:
    made = built(mix(100), measured(a=[100], b=[50, 50]), {"a": 8, "b": 4})
    a, b = made.accounting["sources"].values()
    assert (a["ranges"], a["available_is_exact"], a["tokens_available"]) == ([1, 8], False, 800 * LENGTH)
    assert a["passes"] == 40 / 800
    assert (b["ranges"], b["tokens_available"], b["passes"]) == ([2, 4], 200 * LENGTH, 60 / 200)


def test_a_range_too_many_is_left_out_and_the_account_stays_exact() -> None:
    made = built(mix(100), measured(a=[100], b=[100, 60]))
    b = made.accounting["sources"]["b"]
    assert len(made.sources[1].parts) == 1
    assert (b["ranges"], b["available_is_exact"], b["tokens_available"]) == ([1, 2], True, 160 * LENGTH)


# -- passes


def test_too_many_passes_are_an_error_that_says_what_fits() -> None:
    with pytest.raises(StageError) as caught:
        built(mix(1000), measured(a=[50], b=[600]))
    assert str(caught.value) == (
        "source a: 0.4 of 16000 tokens are 6400 tokens, 8.00 passes over its 800; max_passes is 4. What fits: "
        "budget_tokens: 8000, or weight: 0.2 of the whole, or max_passes: 8.01; "
        "or redistribute: true, which lets the excess flow to the other sources"
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(10, 300), st.integers(1, 99), st.integers(1500, 9000), st.sampled_from([1, 1.5, 4]))
def test_what_is_said_to_fit_fits(n_samples: int, weight: int, budget_samples: int, limit: float) -> None:
    sizes = measured(a=[n_samples], b=[20_000])
    weights = {"a": f"{weight}, max_passes: {limit}", "b": f"{100 - weight}"}
    try:
        built(mix(budget_samples, **weights), sizes)
        return
    except StageError as error:
        message = str(error)
    advice = message.partition("What fits: ")[2].replace(";", ",").split(", or ")
    budget, share, passes = (each.split(": ")[1].split(" of")[0] for each in advice[:3])
    assert int(budget) % LENGTH == 0
    built(mix(int(budget) // LENGTH, **weights), sizes)
    built(mix(budget_samples, a=f"{share}, max_passes: {limit}", b=1 - Fraction(share)), sizes)
    built(mix(budget_samples, a=f"{weight}, max_passes: {passes}", b=100 - weight), sizes)
    tokens = built(mix(budget_samples, "redistribute: true", **weights), sizes).accounting["sources"]["a"]
    assert abs(tokens["samples_served"] - limit * n_samples) <= 7


def test_redistribute_is_refused_where_all_are_at_their_limits() -> None:
    sizes = measured(a=[50], b=[60])
    made = built(mix(440, "redistribute: true"), sizes)
    assert [account["samples_served"] for account in made.accounting["sources"].values()] == [200, 240]
    with pytest.raises(
        ValueError, match="budget_tokens: all sources together give 7040 of 8000 tokens under their max"
    ):
        built(mix(500, "redistribute: true"), sizes)


def test_redistribute_waits_until_all_of_a_source_is_measured() -> None:
    asked, part, whole = mix(1000, "redistribute: true"), measured(a=[50], b=[900]), measured(a=[25, 25], b=[900])
    assert ranges.needed(asked, part, extents(part, {"a": 2})) == {"a": 408, "b": 608}
    assert ranges.needed(asked, whole, extents(whole, {})) == {"a": 208, "b": 808}


def test_redistribute_keeps_the_limit_of_a_padded_source() -> None:
    sizes = half_empty("a", 50) | measured(b=[2000])
    a, b = built(mix(1000, "redistribute: true"), sizes).accounting["sources"].values()
    assert 150 < a["samples_served"] <= 200
    assert a["samples_served"] + b["samples_served"] == 1000


def test_a_source_without_a_sample_is_an_error() -> None:
    with pytest.raises(
        StageError, match="source a gives no sample: its documents hold fewer than sequence_length = 16"
    ):
        built(mix(), measured(a=[0], b=[1000]))


# -- stages


def test_stages_change_the_weights_at_their_positions() -> None:
    stages = f"stages: [{{until_tokens: {600 * LENGTH + 5}}}, {{weights: {{a: 0, b: 1}}}}]"
    made = built(mix(1000, stages), measured(a=[500], b=[900]))
    assert [(stage.until, stage.weights) for stage in made.stages] == [(600, ("2/5", "3/5")), (None, ("0", "1"))]
    a, b = made.accounting["sources"].values()
    assert (a["samples_served"], b["samples_served"]) == (240, 760)
    assert (a["weight_asked"], b["weight_asked"]) == (0.24, 0.76)
    certified = plans.certified(made)
    assert plans.from_json(plans.to_json(certified), "x") == certified


def test_a_source_that_rests_in_a_stage_goes_on_where_it_stood() -> None:
    ends = [until * LENGTH for until in (300, 700)]
    stages = (
        f"stages: [{{until_tokens: {ends[0]}}}, {{until_tokens: {ends[1]}, weights: {{a: 0, b: 1}}}}, "
        "{weights: {a: 3, b: 1}}]"
    )
    made = built(mix(1000, stages), measured(a=[330], b=[900]))
    rows = samples(plans.order_of(made), 0, 1000)
    of_a = rows.source == 0
    assert [int(of_a[first:last].sum()) for first, last in ((0, 300), (300, 700), (700, 1000))] == [120, 0, 225]
    served = rows.sample[of_a].tolist()
    assert sorted(served[:330]) == list(range(330))  # the first pass, over the pause
    assert len(set(served[330:])) == 15


def test_a_budget_may_end_before_a_stage_begins() -> None:
    stages = f"stages: [{{until_tokens: {600 * LENGTH}, weights: {{a: 1, b: 0}}}}, {{weights: {{a: 0, b: 1}}}}]"
    a, b = built(mix(500, stages), measured(a=[500], b=[900])).accounting["sources"].values()
    assert (a["samples_served"], b["samples_served"], b["weight_asked"], b["passes"]) == (500, 0, 0, 0)


def test_too_many_passes_in_stages_advise_on_the_stages() -> None:
    stages = f"stages: [{{until_tokens: {600 * LENGTH}, weights: {{a: 1, b: 0}}}}, {{weights: {{a: 0, b: 1}}}}]"
    message = "6.00 passes over its 1600; max_passes is 4. What fits: 0.667 of its weights in the stages, or max_passes"
    with pytest.raises(StageError, match=message) as caught:
        built(mix(1000, stages), measured(a=[100], b=[900]))
    assert "redistribute" not in str(caught.value)
