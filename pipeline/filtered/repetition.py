"""Repetition, on numbers alone: sequences of hashes and lengths, whatever they stand for.

*Parts* (lines, paragraphs): a part that equals an earlier one is a duplicate. Counted are the duplicates, not the first
occurrence, and their characters (as datatrove's `find_duplicates`).

*Top n-gram* (n = 2, 3, 4): the n-gram of words that occurs most often, overlapping occurrences included; of several,
the one that occurs first. Its characters (the words, and one for each place where white space stands between them)
times its count; also an n-gram that occurs once has its characters (as datatrove's `find_top_duplicate`). Occurrences
may overlap, so the characters may be more than the text has.

*Duplicate n-grams* (n = 5 … 10): n-grams are taken from left to right. One that equals an n-gram taken before adds the
characters of its words, and the next one taken starts after it; any other is remembered, and the next one starts one
word later. So no character counts twice, as Rae et al. 2021 (section A1.1) ask for, by the method of datatrove's
`find_all_duplicate`.

Both are exact and take time linear in the words: equal n-grams get equal numbers level by level, the number of an
n-gram following from the pair of numbers of its two (n-1)-grams (Karp, Miller, Rosenberg 1972). An n-gram can be
repeated only where both of its (n-1)-grams are, so what occurs once drops out at each level.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.filtered.lines import Parts
from pipeline.filtered.words import Words

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

_FIRST_TOP, _LAST_TOP, _FIRST_DUPLICATE, _LAST = 2, 4, 5, 10
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplicative hashing


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


def ngram_characters(words: Words) -> dict[int, npt.NDArray[np.int64]]:
    """For each n of `TOP_NGRAMS` and `DUPLICATE_NGRAMS` the characters in repeated n-grams, int64 [n_documents]."""
    counts = np.zeros((_LAST + 1, len(words.starts) - 1), np.int64)
    _count_ngrams(words.starts, words.hashes, words.lengths, words.gaps, counts)
    return {n: counts[n] for n in TOP_NGRAMS + DUPLICATE_NGRAMS}


@njit(cache=True, nogil=True)
def _number(keys, n, numbers, members, slots, seen):  # type: ignore[no-untyped-def]
    """Number the different keys[:n] by first occurrence: `numbers[k]` of key k, `members[number]` how many there are.

    `slots` (a power of two, at least 2n, is used of it) and `seen` are scratch.
    """
    bits = 1
    while (1 << bits) < 2 * n:
        bits += 1
    mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
    slots[: mask + 1] = -1
    different = 0
    for k in range(n):
        key = keys[k]
        slot = np.int64(((key ^ (key >> np.uint64(29))) * _MIX) >> shift)
        while slots[slot] >= 0 and seen[slots[slot]] != key:
            slot = (slot + 1) & mask
        if slots[slot] < 0:
            slots[slot] = different
            seen[different] = key
            members[different] = 0
            different += 1
        numbers[k] = slots[slot]
        members[slots[slot]] += 1


@njit(
    types.void(types.int64[::1], types.uint64[::1], types.int64[::1], types.int64[:, ::1]),
    cache=True,
    nogil=True,
)
def _count_duplicates(starts, hashes, lengths, counts):  # type: ignore[no-untyped-def]
    most = np.max(np.diff(starts))
    numbers, members = np.empty(most, np.int32), np.empty(most, np.int32)
    slots, seen = np.empty(4 * most + 2, np.int32), np.empty(most, np.uint64)
    for document in range(len(starts) - 1):
        first, n = starts[document], starts[document + 1] - starts[document]
        _number(hashes[first:], n, numbers, members, slots, seen)
        members[:n] = 0
        for k in range(n):
            if members[numbers[k]]:
                counts[0, document] += 1
                counts[1, document] += lengths[first + k]
            members[numbers[k]] = 1


@njit(cache=True, nogil=True)
def _pair(positions, numbers, n, keys):  # type: ignore[no-untyped-def]
    """From repeated m-grams (their `positions`, ascending, and `numbers`) to the (m+1)-grams made of two neighbours:
    their positions (in place) and keys. How many there are."""
    pairs = 0
    for k in range(n - 1):
        if positions[k + 1] == positions[k] + 1:
            keys[pairs] = (np.uint64(numbers[k]) << np.uint64(32)) | np.uint64(numbers[k + 1])
            positions[pairs] = positions[k]
            pairs += 1
    return pairs


@njit(cache=True, nogil=True)
def _keep_repeated(positions, numbers, members, n):  # type: ignore[no-untyped-def]
    """Leave out (in place) what occurs once; how many are left."""
    kept = 0
    for k in range(n):
        if members[numbers[k]] > 1:
            positions[kept], numbers[kept] = positions[k], numbers[k]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _top_characters(positions, numbers, members, n, size, lengths, gaps):  # type: ignore[no-untyped-def]
    """Characters of the most frequent of the repeated `size`-grams times its count; if none repeats, of the first."""
    best, count = 0, 1
    for k in range(n):
        if members[numbers[k]] > count:
            best, count = positions[k], members[numbers[k]]
    characters = np.int64(lengths[best])
    for word in range(best + 1, best + size):
        characters += lengths[word] + gaps[word]
    return characters * count


@njit(cache=True, nogil=True)
def _duplicate_characters(positions, numbers, n, size, lengths, taken):  # type: ignore[no-untyped-def]
    """Characters in `size`-grams that equal one taken before, from left to right. `taken` is scratch."""
    for k in range(n):
        taken[numbers[k]] = 0
    characters, free = np.int64(0), 0
    for k in range(n):
        if positions[k] < free:
            continue
        if taken[numbers[k]]:
            free = positions[k] + size
            for word in range(positions[k], free):
                characters += lengths[word]
        taken[numbers[k]] = 1
    return characters


@njit(
    types.void(types.int64[::1], types.uint64[::1], types.int32[::1], types.uint8[::1], types.int64[:, ::1]),
    cache=True,
    nogil=True,
)
def _count_ngrams(starts, hashes, lengths, gaps, counts):  # type: ignore[no-untyped-def]
    most = np.max(np.diff(starts))
    numbers, members, positions = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    slots, seen, keys = np.empty(4 * most + 2, np.int32), np.empty(most, np.uint64), np.empty(most, np.uint64)
    for document in range(len(starts) - 1):
        first, n_words = starts[document], starts[document + 1] - starts[document]
        length, gap = lengths[first:], gaps[first:]
        n = n_words
        keys[:n] = hashes[first : first + n]
        positions[:n] = np.arange(n, dtype=np.int32)
        for size in range(1, min(_LAST, n_words) + 1):
            if size > 1:
                n = _pair(positions, numbers, n, keys)
            _number(keys, n, numbers, members, slots, seen)
            n = _keep_repeated(positions, numbers, members, n)
            if _FIRST_TOP <= size <= _LAST_TOP:
                counts[size, document] = _top_characters(positions, numbers, members, n, size, length, gap)
            elif size >= _FIRST_DUPLICATE:
                counts[size, document] = _duplicate_characters(positions, numbers, n, size, length, members)
