"""Corpora with known near-duplicates: pairs of texts whose Jaccard similarity of 5-word shingles is known exactly.

A pair is a text of words drawn at random and its copy in which words stand replaced, so that k of the n shingles of
either are the other's no more; their similarity is then (n - k) / (n + k). What is given as the truth is counted from
the two shingle sets, though, not taken from this recipe. Words are replaced in a run at the end, one by one all over
the text, or both, in a proportion that is drawn for each pair.

There are 4,096 words, so five of them fit an int64, and a shingle *is* its number: nothing is hashed. Among 10⁸ random
shingles 0.004 pairs of equal ones are expected (10¹⁶ / 2 / 4096⁵): texts that are no pair share nothing. The same
`numpy.random.Generator` gives the same pairs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NGRAM = 5
N_WORDS = 4096
FEWEST_WORDS, MOST_WORDS = 60, 300  # of a text: from a short notice to a short article
BLOCK_PAIRS = 250  # of texts of one length

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pair i is texts 2i and 2i + 1. `texts`: large_string [2n]; `similarity`: float64 [n], the Jaccard similarity of
    their sets of 5-word shingles."""

    texts: pa.Array
    similarity: Floats

    def __len__(self) -> int:
        return len(self.similarity)


def uniform(chance: np.random.Generator, n_pairs: int, lowest: float, highest: float) -> Pairs:
    """Pairs whose similarity is uniform on [lowest, highest], but for rounding to whole shingles."""
    blocks = [
        _block(chance, min(BLOCK_PAIRS, n_pairs - first), lowest, highest) for first in range(0, n_pairs, BLOCK_PAIRS)
    ]
    return Pairs(
        texts=pa.concat_arrays([texts for texts, _ in blocks]) if blocks else pa.array([], pa.large_string()),
        similarity=np.concatenate([np.empty(0), *[similarity for _, similarity in blocks]]),
    )


def _block(chance: np.random.Generator, n_pairs: int, lowest: float, highest: float) -> tuple[pa.Array, Floats]:
    """Pairs of texts of one length: their texts, interleaved, and their similarities."""
    n_words = int(chance.integers(FEWEST_WORDS, MOST_WORDS + 1))
    wanted = chance.uniform(lowest, highest, n_pairs)
    n_shingles = n_words - NGRAM + 1
    n_changed = np.rint(n_shingles * (1 - wanted) / (1 + wanted)).astype(np.int64)
    left = chance.integers(N_WORDS, size=(n_pairs, n_words))
    right = edited(chance, left, n_changed)
    similarity = jaccard(shingle_numbers(left), shingle_numbers(right))
    return written(np.stack([left, right], axis=1).reshape(-1, n_words)), similarity


def edited(chance: np.random.Generator, words: Words, n_changed: npt.NDArray[np.int64]) -> Words:
    """Copies of texts (int64 [n, n_words]) in which words stand replaced so that n_changed[i] of the shingles of text i
    are others.

    The shingles fall into cells of NGRAM in a row, [5c, 5c + 5), all of which word 5c + 4 is part of, and no other
    shingle is. So a replaced word changes one cell, and the last r words replaced change the last r shingles.
    """
    n, n_words = words.shape
    n_shingles = n_words - NGRAM + 1
    n_single = np.floor(chance.random(n) * (n_changed // NGRAM + 1)).astype(np.int64)  # words replaced one by one
    n_last = n_changed - NGRAM * n_single
    n_cells = (n_shingles - n_last) // NGRAM  # before the last ones
    replaced = np.arange(n_words) >= n_words - n_last[:, None]
    cells = np.arange(n_shingles // NGRAM)
    rank = np.argsort(np.argsort(np.where(cells < n_cells[:, None], chance.random((n, len(cells))), 2)))
    replaced[:, NGRAM * cells + NGRAM - 1] |= rank < n_single[:, None]
    others = (words + chance.integers(1, N_WORDS, size=words.shape)) % N_WORDS
    return np.where(replaced, others, words)


def shingle_numbers(words: Words) -> Words:
    """The shingles of texts (int64 [n, n_words]) as numbers below 4096⁵ = 2⁶⁰, one for each five words: int64
    [n, n_words - 4]."""
    windows = np.lib.stride_tricks.sliding_window_view(words, NGRAM, axis=1)
    return np.asarray(windows @ (N_WORDS ** np.arange(NGRAM, dtype=np.int64)))


def jaccard(left: Words, right: Words) -> Floats:
    """The Jaccard similarity of the sets of numbers in each row: float64 [n]."""
    one, other, both = (_n_distinct(rows) for rows in (left, right, np.concatenate([left, right], axis=1)))
    return np.asarray((one + other - both) / both)


def _n_distinct(rows: Words) -> npt.NDArray[np.int64]:
    ordered = np.sort(rows, axis=1)
    return np.asarray(1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1))


def written(words: Words) -> pa.Array:
    """The texts of these words (int64 [n, n_words]): large_string [n]. A space stands between words, a line break at
    the end."""
    n, n_words = words.shape
    data = _SPELT[words]
    data[:, -1, -1] = ord("\n")
    offsets = np.arange(n + 1, dtype=np.int64) * n_words * _SPELT.shape[1]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.LargeStringArray.from_buffers(n, buffers[1], buffers[2])


def _spell() -> npt.NDArray[np.uint8]:
    """All words with a space behind: uint8 [N_WORDS, 5]. Two syllables of a consonant and a vowel each."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvxyz" for vowel in "aeio"]
    text = "".join(f"{first}{second} " for first in syllables for second in syllables)
    return np.frombuffer(text.encode(), np.uint8).reshape(N_WORDS, -1)


_SPELT = _spell()
