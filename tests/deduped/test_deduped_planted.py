"""Near-duplicates whose similarity is known exactly: which of them the kernels find. The figures of record, on more
pairs, are those of `python -m bench.deduped planted`."""

import numpy as np
import pytest

from bench import deduped_planted
from bench.deduped_planted import Found
from bench.planted import uniform
from pipeline.deduped.bands import candidate_probability

N_PAIRS = 20_000


@pytest.fixture(scope="module")
def found() -> Found:
    return deduped_planted.deduplicate(uniform(np.random.default_rng(1), N_PAIRS, 0.3, 1.0))


def test_candidates_are_as_many_as_theory_says(found: Found) -> None:
    probable = candidate_probability(found.similarity, bands=14, rows=8)
    for low, high in zip(deduped_planted.BORDERS, deduped_planted.BORDERS[1:], strict=False):
        inside = (found.similarity >= low) & (found.similarity < high)
        expected, variance = probable[inside].sum(), (probable[inside] * (1 - probable[inside])).sum()
        assert abs(found.candidate[inside].sum() - expected) < 4 * np.sqrt(variance) + 1


def test_texts_that_are_no_pair_are_no_candidates(found: Found) -> None:
    assert (found.others, found.other_edges) == (0, 0)


def test_candidates_well_above_the_threshold_are_edges(found: Found) -> None:
    alike = found.candidate & (found.similarity >= 0.9)
    assert found.by_signature[alike].mean() >= 0.99


def test_edges_are_seldom_well_below_the_threshold(found: Found) -> None:
    """0.07 % of them are, measured on six times 150,000 pairs: here 4 of 6,000, and by chance up to 12."""
    assert (found.similarity[found.by_signature] < 0.7).sum() <= 12
    assert (found.similarity[found.by_signature] >= 0.6).all()


def test_exact_verification_makes_no_error(found: Found) -> None:
    assert (found.by_exact == (found.candidate & (found.similarity >= 0.8))).all()


def test_the_bounds_tell_what_does_not_hold() -> None:
    similarity = np.array([0.35, 0.65, 0.75, 0.85, 0.95])
    found = Found(
        similarity=similarity,
        candidate=np.array([True, True, True, True, True]),
        by_signature=np.array([False, True, True, True, False]),
        by_exact=similarity > 0.7,
        others=1,
        other_edges=1,
    )
    bounds = deduped_planted.bounds(found)
    assert [bound.holds for bound in bounds] == [False, False, False, False]
    assert [bound.figure for bound in bounds[1:]] == ["0.000%", "50.000%", "80.000%"]
