"""Recall and precision of deduplication on planted pairs, by the compiled kernels alone: no Spark.

All texts are compared as one corpus: signatures, bands, candidate pairs, and the two ways to verify a candidate. The
true similarity of every pair is known: of a planted one by its making (`bench.planted`), and of any other it is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.planted import NGRAM, Floats, Pairs, uniform
from bench.table import show
from pipeline.deduped import bands, minhash, shingles
from pipeline.deduped.pairs import candidate_pairs
from pipeline.deduped.specs import SEED

BANDS, ROWS, THRESHOLD = 14, 8, 0.8  # the recipe's defaults
LOWEST = 0.3
BORDERS = tuple(round(LOWEST + 0.05 * level, 2) for level in range(15))  # of levels, [from, to), the last one [.95, 1]
MAX_DIFFERENCE = 0.02  # of a level's recall to the theoretical curve
UNLIKE, ALIKE = 0.7, 0.9  # below and from where an estimate may no more go wrong: the threshold -+ 0.1
MIN_RECALL, MIN_PRECISION = 0.99, 0.999  # of the edges beyond these


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of planted pairs. Of each one (arrays [n]): its true `similarity`, whether it is a `candidate`, and
    whether that is an edge by `verify: signature` and by `exact`. `others`: candidates that were not planted, and how
    many of them are edges by signature."""

    similarity: Floats
    candidate: npt.NDArray[np.bool_]
    by_signature: npt.NDArray[np.bool_]
    by_exact: npt.NDArray[np.bool_]
    others: int
    other_edges: int


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A demand: the worst `figure` that was measured, and whether it `holds`."""

    demand: str
    figure: str
    holds: bool


def main(n_pairs: int) -> None:
    """Make pairs, deduplicate, print."""
    found = deduplicate(uniform(np.random.default_rng(1), n_pairs, LOWEST, 1.0))
    show(
        f"deduped: {n_pairs:,} planted pairs, {BANDS} bands of {ROWS} rows, threshold {THRESHOLD}",
        ["true Jaccard", "pairs", "theory", "recall", "difference", "edges, signature", "edges, exact"],
        [_row(found, level) for level in range(len(BORDERS) - 1)],
    )
    print(f"  candidates that were not planted: {found.others:,}; of these edges: {found.other_edges:,}")
    show(
        "deduped: what must hold of planted pairs",
        ["", "measured", "holds"],
        [[bound.demand, bound.figure, "yes" if bound.holds else "NO"] for bound in bounds(found)],
    )


def deduplicate(pairs: Pairs) -> Found:
    """Compare all texts with all, by bands, and verify."""
    values, _ = minhash.signatures(pairs.texts, ngram=NGRAM, num_perm=BANDS * ROWS, seed=SEED)
    buckets = minhash.band_hashes(values, bands=BANDS, rows=ROWS)
    documents = np.repeat(np.arange(len(values)), BANDS)
    candidates = candidate_pairs(buckets.reshape(-1), documents, np.roll(buckets, -1, axis=1).reshape(-1))
    estimated = minhash.estimate(values[candidates[:, 0]], values[candidates[:, 1]]) >= THRESHOLD
    planted = (candidates[:, 0] % 2 == 0) & (candidates[:, 1] == candidates[:, 0] + 1)
    numbers = candidates[planted, 0] // 2
    by_signature, by_exact = np.zeros(len(pairs), np.bool_), np.zeros(len(pairs), np.bool_)
    by_signature[numbers] = estimated[planted]
    sets = shingles.shingle_sets(pairs.texts, ngram=NGRAM)
    by_exact[numbers] = [shingles.jaccard(sets[2 * i], sets[2 * i + 1]) >= THRESHOLD for i in numbers.tolist()]
    candidate = np.zeros(len(pairs), np.bool_)
    candidate[numbers] = True
    return Found(
        similarity=pairs.similarity,
        candidate=candidate,
        by_signature=by_signature,
        by_exact=by_exact,
        others=int((~planted).sum()),
        other_edges=int(estimated[~planted].sum()),
    )


def differences(found: Found) -> Floats:
    """Recall of the candidates less the theoretical curve, by level: float64 [levels], nan without pairs. Theory is the
    mean probability of the level's pairs, each at its own similarity."""
    return np.array([_recall(found, level) - _theory(found, level) for level in range(len(BORDERS) - 1)])


def bounds(found: Found) -> list[Bound]:
    """What must hold (issue 4), and what was measured."""
    worst = float(np.nanmax(np.abs(differences(found))))
    alike = found.candidate & (found.similarity >= ALIKE)
    recall = float(found.by_signature[alike].mean())
    n_edges = int(found.by_signature.sum()) + found.other_edges
    precision = int((found.similarity[found.by_signature] >= UNLIKE).sum()) / n_edges
    right = found.by_exact == (found.candidate & (found.similarity >= THRESHOLD))
    return [
        Bound(
            demand=f"recall of the candidates within {MAX_DIFFERENCE} of theory at each level",
            figure=f"{worst:.4f}",
            holds=worst <= MAX_DIFFERENCE,
        ),
        Bound(
            demand=f"signature: candidates of Jaccard >= {ALIKE} that are edges >= {MIN_RECALL:.1%}",
            figure=f"{recall:.3%}",
            holds=recall >= MIN_RECALL,
        ),
        Bound(
            demand=f"signature: edges whose Jaccard is >= {UNLIKE} >= {MIN_PRECISION:.1%}",
            figure=f"{precision:.3%}",
            holds=precision >= MIN_PRECISION,
        ),
        Bound(
            demand=f"exact: edges are all candidates of Jaccard >= {THRESHOLD}, and no others",
            figure=f"{right.mean():.3%}",
            holds=bool(right.all()),
        ),
    ]


def _row(found: Found, level: int) -> Sequence[str]:
    inside = _inside(found, level)
    candidate = found.candidate & inside
    return [
        f"{BORDERS[level]:.2f} to {BORDERS[level + 1]:.2f}",
        f"{inside.sum():,}",
        f"{_theory(found, level):.4f}",
        f"{_recall(found, level):.4f}",
        f"{_recall(found, level) - _theory(found, level):+.4f}",
        *[
            f"{edges[candidate].mean():.2%}" if candidate.any() else ""
            for edges in (found.by_signature, found.by_exact)
        ],
    ]


def _inside(found: Found, level: int) -> npt.NDArray[np.bool_]:
    """Pairs of a level; rounding to whole shingles puts a few below the lowest one, and they are in none."""
    last = level == len(BORDERS) - 2
    return (found.similarity >= BORDERS[level]) & ((found.similarity < BORDERS[level + 1]) | last)


def _recall(found: Found, level: int) -> float:
    inside = _inside(found, level)
    return float(found.candidate[inside].mean()) if inside.any() else np.nan


def _theory(found: Found, level: int) -> float:
    inside = _inside(found, level)
    probable = bands.candidate_probability(found.similarity[inside], bands=BANDS, rows=ROWS)
    return float(probable.mean()) if inside.any() else np.nan
