"""Repeated lines and paragraphs, on numbers alone: sequences of hashes and lengths, whatever they stand for.

A part that equals an earlier one is a duplicate. Counted are the duplicates, not the first occurrence, and their
characters (as datatrove's `find_duplicates`). n-grams of words are in `ngrams`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.filtered.first_places import look_up_all, table_for
from pipeline.filtered.lines import Parts


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """For each document, int64 [n_documents]: `n` parts that equal an earlier one, and the `characters` in them."""

    n: npt.NDArray[np.int64]
    characters: npt.NDArray[np.int64]


def duplicates(parts: Parts) -> Duplicates:
    """Count the duplicates among each document's parts."""
    counts = np.zeros((2, len(parts.starts) - 1), np.int64)
    _count_duplicates(parts.starts, parts.hashes, parts.lengths, counts)
    return Duplicates(n=counts[0], characters=counts[1])


@njit(
    types.void(types.int64[::1], types.uint64[::1], types.int64[::1], types.int64[:, ::1]),
    cache=True,
    nogil=True,
)
def _count_duplicates(starts, hashes, lengths, counts):  # type: ignore[no-untyped-def]
    most = np.max(np.diff(starts))
    places, firsts, table = np.arange(most).astype(np.int32), np.empty(most, np.int32), table_for(most)
    for document in range(len(starts) - 1):
        begin, n = starts[document], starts[document + 1] - starts[document]
        look_up_all(table, hashes[begin:], places, firsts, n)
        for k in range(n):
            if firsts[k] != k:
                counts[0, document] += 1
                counts[1, document] += lengths[begin + k]
