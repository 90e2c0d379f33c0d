"""Repeated lines and paragraphs, by hand and against sets."""

import numpy as np
import pytest

from pipeline.filtered.lines import Parts
from pipeline.filtered.repetition import duplicates

# Long enough that the kernel's table doubles many times, and of lengths around its blocks of 256 lookups.
LENGTHS = (0, 5000, 1, 255, 256, 257, 0, 513, 9, 10, 3000, 2, 0)
VOCABULARIES = (2, 3, 30, 700, 20_000, 10**9)  # of few lines nearly all repeat, of many none


def test_duplicates_are_what_equals_an_earlier_part_of_the_same_document() -> None:
    parts = Parts(
        starts=np.array([0, 5, 5, 7]),
        hashes=np.array([1, 2, 1, 1, 3, 1, 1], np.uint64),
        lengths=np.array([10, 20, 10, 10, 30, 7, 7]),
    )
    found = duplicates(parts)
    assert found.n.tolist() == [2, 0, 1]
    assert found.characters.tolist() == [20, 0, 7]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_duplicates_of_long_documents_equal_a_set(vocabulary: int) -> None:
    rng = np.random.default_rng(vocabulary)
    documents = [rng.integers(0, vocabulary, n_parts) for n_parts in LENGTHS]
    lengths = [rng.integers(1, 100, n_parts) for n_parts in LENGTHS]
    found = duplicates(
        Parts(
            starts=np.cumsum([0, *LENGTHS]).astype(np.int64),
            hashes=np.concatenate(documents).astype(np.uint64) << np.uint64(7),
            lengths=np.concatenate(lengths),
        )
    )
    for row, own in enumerate(documents):
        first = {number: at for at, number in reversed(list(enumerate(own.tolist())))}
        repeats = [at for at, number in enumerate(own.tolist()) if first[number] != at]
        assert (found.n[row], found.characters[row]) == (len(repeats), lengths[row][repeats].sum())
