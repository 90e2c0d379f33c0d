"""How signatures are cut into bands, and how probable that makes it that two texts are compared.

Without numba: a recipe is checked with it.
"""

import numpy as np
import numpy.typing as npt

BANDS, ROWS = 14, 8  # FineWeb's (Penedo et al. 2024, section 3.4)


def candidate_probability(similarity: npt.ArrayLike, *, bands: int, rows: int) -> npt.NDArray[np.float64]:
    """How probable it is that texts of this Jaccard similarity share a band: 1 - (1 - sʳ)ᵇ (Leskovec, Rajaraman and
    Ullman, section 3.4.2), in the shape of `similarity`."""
    shared_band = np.asarray(similarity, dtype=np.float64) ** rows
    return np.asarray(1 - (1 - shared_band) ** bands)


def shape(threshold: float, bands: int | None, rows: int | None, num_perm: int | None) -> tuple[int, int]:
    """The bands and rows of a recipe: chosen for the threshold where it gives `num_perm`, else those that it gives,
    with FineWeb's for what it leaves out."""
    if num_perm is not None:
        return choose(threshold, num_perm)
    return BANDS if bands is None else bands, ROWS if rows is None else rows


def choose(threshold: float, num_perm: int) -> tuple[int, int]:
    """The bands and rows, of at most `num_perm` numbers in all, that make the smallest error at a threshold.

    The error of (bands, rows) is the mean of two areas under the curve of `candidate_probability`: what it rises to
    below the threshold (pairs compared in vain), and what it lacks to 1 above it (pairs missed). This is what
    datasketch's `MinHashLSH(threshold, num_perm)` takes with its default weights of 0.5 (`_optimal_param` in its
    `lsh.py`); of equal errors the fewest bands, then the fewest rows.

    The curve is a polynomial in s of degree bands · rows, so the quadrature, Gauss's with num_perm // 2 + 1 points, is
    exact but for rounding. datasketch's is adaptive and good for 8 digits or more, so the two could differ where the
    best two errors are closer than that: not for any threshold of two digits and a num_perm of 64, 112, 128 or 256.

    `ValueError` if the threshold is not above 0 and at most 1, or num_perm is below 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; a Jaccard similarity to cut at is above 0 and at most 1")
    if num_perm < 1:
        raise ValueError(f"num_perm is {num_perm}; a signature has at least 1 number")
    points, weights = np.polynomial.legendre.leggauss(num_perm // 2 + 1)  # on [-1, 1]
    below, above = (points + 1) / 2 * threshold, threshold + (points + 1) / 2 * (1 - threshold)
    candidates = [(bands, rows) for bands in range(1, num_perm + 1) for rows in range(1, num_perm // bands + 1)]
    errors = [
        threshold * weights @ candidate_probability(below, bands=bands, rows=rows)
        + (1 - threshold) * weights @ (1 - candidate_probability(above, bands=bands, rows=rows))
        for bands, rows in candidates
    ]
    return candidates[int(np.argmin(errors))]
