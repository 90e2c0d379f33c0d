from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import budget
from pipeline.budget import Span

NAMES = ("a", "b", "c", "d")
WEIGHTS = st.lists(st.fractions(Fraction(1, 1000), 10), min_size=4, max_size=4).map(
    lambda w: dict(zip(NAMES, w, strict=True))
)


def test_shares_sum_to_one_exactly() -> None:
    assert budget.shares({"a": Fraction(2, 5), "b": Fraction(1, 5)}) == {"a": Fraction(2, 3), "b": Fraction(1, 3)}


def test_a_half_empty_source_gets_twice_the_samples() -> None:
    found = budget.sample_weights({"a": Fraction(1, 2), "b": Fraction(1, 2)}, {"a": Fraction(1), "b": Fraction(1, 2)})
    assert found == {"a": Fraction(1, 3), "b": Fraction(2, 3)}


def test_spans_are_cut_at_the_budget() -> None:
    one, two, three = {"a": Fraction(1)}, {"a": Fraction(2)}, {"a": Fraction(3)}
    assert budget.spans(100, [30, 70, None], [one, two, three]) == [
        Span(n_samples=30, weights=one),
        Span(n_samples=40, weights=two),
        Span(n_samples=30, weights=three),
    ]
    assert [span.n_samples for span in budget.spans(50, [30, 70, None], [one, two, three])] == [30, 20, 0]
    assert [span.n_samples for span in budget.spans(30, [30, 70, None], [one, two, three])] == [30, 0, 0]


def test_samples_needed_are_exact() -> None:
    run = [
        Span(n_samples=10, weights={"a": Fraction(1), "b": Fraction(2)}),
        Span(n_samples=5, weights={"a": Fraction(0), "b": Fraction(1)}),
    ]
    assert budget.samples_needed(run) == {"a": Fraction(10, 3), "b": Fraction(35, 3)}


@settings(deadline=None, max_examples=50)
@given(WEIGHTS, st.lists(st.integers(0, 10**6), min_size=3, max_size=3), st.integers(1, 10**6))
def test_samples_needed_sum_to_the_budget(weights: dict[str, Fraction], ends: list[int], total: int) -> None:
    run = budget.spans(total, [*sorted(ends), None], [weights] * 4)
    assert sum(span.n_samples for span in run) == total
    assert sum(budget.samples_needed(run).values()) == total


def test_redistribute_without_limits_changes_nothing() -> None:
    assert budget.redistribute({"a": Fraction(3), "b": Fraction(1)}, 100, {"a": Fraction(75)}) == {
        "a": Fraction(3, 4),
        "b": Fraction(1, 4),
    }


def test_redistribute_flows_on_in_proportion() -> None:
    found = budget.redistribute(
        {"a": Fraction(1, 2), "b": Fraction(1, 4), "c": Fraction(1, 4)}, 100, {"a": Fraction(20)}
    )
    assert found == {"a": Fraction(1, 5), "b": Fraction(2, 5), "c": Fraction(2, 5)}


def test_what_is_given_on_can_fill_another_source() -> None:
    found = budget.redistribute(
        {"a": Fraction(1, 2), "b": Fraction(1, 4), "c": Fraction(1, 4)}, 100, {"a": Fraction(20), "b": Fraction(30)}
    )
    assert found == {"a": Fraction(1, 5), "b": Fraction(3, 10), "c": Fraction(1, 2)}


def test_redistribute_says_what_fits() -> None:
    limits = {"a": Fraction(20), "b": Fraction(30)}
    assert budget.redistribute({"a": Fraction(1), "b": Fraction(1)}, 50, limits) == {
        "a": Fraction(2, 5),
        "b": Fraction(3, 5),
    }
    message = "all sources together give 50 of 51 tokens under their max_passes; lower it to that, raise max_passes"
    with pytest.raises(ValueError, match=message):
        budget.redistribute({"a": Fraction(1), "b": Fraction(1)}, 51, limits)


@settings(deadline=None, max_examples=100)
@given(WEIGHTS, st.integers(1, 1000), st.dictionaries(st.sampled_from(NAMES[:3]), st.integers(0, 400).map(Fraction)))
def test_redistribute_keeps_the_limits_and_the_proportions(
    weights: dict[str, Fraction], total: int, limits: dict[str, Fraction]
) -> None:
    found = budget.redistribute(weights, total, limits)
    assert list(found) == list(weights)
    assert sum(found.values()) == 1
    asked = budget.shares(weights)
    for name, share in found.items():
        assert share * total <= limits.get(name, total)
    free = [name for name in weights if found[name] * total < limits.get(name, total + 1)]
    assert len({found[name] / asked[name] for name in free}) <= 1  # those below their limits keep their proportions
    for name in set(weights) - set(free):
        assert found[name] / asked[name] <= max(found[other] / asked[other] for other in free)
