"""Bands and rows are those that datasketch takes for a threshold."""

import re
import subprocess
import sys

import numpy as np
import pytest
from datasketch.lsh import _optimal_param

from pipeline.deduped.bands import candidate_probability, choose, shape


@pytest.mark.parametrize("num_perm", [64, 112, 128, 256])
def test_the_choice_is_that_of_datasketch(num_perm: int) -> None:
    thresholds = [percent / 100 for percent in range(30, 100, 5)]
    expected = [_optimal_param(threshold, num_perm, 0.5, 0.5) for threshold in thresholds]
    assert [choose(threshold, num_perm) for threshold in thresholds] == expected


@pytest.mark.parametrize(
    ("threshold", "num_perm", "bands", "rows"),
    [(0.8, 112, 9, 12), (0.9, 128, 5, 25), (0.5, 64, 14, 4), (1, 16, 1, 16), (0.5, 1, 1, 1), (0.001, 9, 9, 1)],
)
def test_choices_stay(threshold: float, num_perm: int, bands: int, rows: int) -> None:
    assert choose(threshold, num_perm) == (bands, rows)


def test_no_other_cut_has_a_smaller_error() -> None:
    """By counting: the curve at 10,000 similarities, an error where it is on the wrong side of the threshold."""
    similarities = (np.arange(10_000) + 0.5) / 10_000
    errors = {
        (bands, rows): np.abs(candidate_probability(similarities, bands=bands, rows=rows) - (similarities > 0.7)).mean()
        for bands in range(1, 41)
        for rows in range(1, 40 // bands + 1)
    }
    assert choose(0.7, 40) == min(errors, key=lambda cut: errors[cut])


def test_a_recipe_gives_bands_and_rows_or_leaves_them_to_the_threshold() -> None:
    assert shape(0.8, None, None, None) == (14, 8)
    assert shape(0.8, 20, None, None) == (20, 8)
    assert shape(0.8, None, 5, None) == (14, 5)
    assert shape(0.8, None, None, 112) == choose(0.8, 112) == (9, 12)


def test_candidate_probability_is_the_textbook_curve() -> None:
    # Leskovec, Rajaraman and Ullman, example 3.12: 20 bands of 5 rows
    curve = candidate_probability([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], bands=20, rows=5)
    np.testing.assert_allclose(curve, [0.006, 0.047, 0.186, 0.470, 0.802, 0.975, 0.9996], atol=5e-4)
    assert candidate_probability([0.0, 1.0], bands=14, rows=8).tolist() == [0.0, 1.0]


def test_a_choice_needs_no_compiler() -> None:
    code = "import sys, pipeline.deduped.bands; print(*(m for m in ('numba', 'scipy', 'pyarrow') if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_wrong_parameters_are_refused() -> None:
    for threshold in (0, -0.1, 1.01, float("nan")):
        with pytest.raises(ValueError, match=re.escape(f"threshold is {threshold}; a Jaccard similarity to cut at")):
            choose(threshold, 112)
    with pytest.raises(ValueError, match="num_perm is 0; a signature has at least 1 number"):
        choose(0.8, 0)
