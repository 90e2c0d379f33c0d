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

Both are exact and take time linear in the words. An n-gram is named by the place of its *first* occurrence, which is
found level by level from the (n-1)-grams (after Karp, Miller, Rosenberg 1972, who number them by pairs): where the word
that follows is the one that follows the first occurrence of the (n-1)-gram, that is the first occurrence of the n-gram
too; otherwise a table of (first occurrence, next word) tells. An n-gram can be repeated only where both of its
(n-1)-grams are, so what occurs once drops out at each level.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.filtered.lines import Parts
from pipeline.filtered.words import Words

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

_FIRST_TOP, _LAST_TOP, _FIRST_DUPLICATE, _LAST = 2, 4, 5, 10
_BLOCK = 256  # lookups made together
_LEAST_BITS = 6
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


class _Table(NamedTuple):
    """From keys to first occurrences, open addressing, and the lookups that wait to be made together.

    Only the first 2^bits slots are used, at most half of them, so that what a document needs stays in the processor's
    caches as far as it fits."""

    slots: npt.NDArray[np.uint64]  # a place plus one (0: a free slot) and its key, alternating
    moved: npt.NDArray[np.uint64]  # room for the entries while the slots double
    state: npt.NDArray[np.int64]  # bits, entries, lookups waiting
    keys: npt.NDArray[np.uint64]  # [_BLOCK] of the lookups waiting
    into: npt.NDArray[np.int32]  # [_BLOCK] where to put their answers
    heads: npt.NDArray[np.uint64]  # [_BLOCK]


@njit(cache=True, nogil=True)
def _table(most):  # type: ignore[no-untyped-def]
    """A table for at most `most` keys."""
    return _Table(
        np.empty(8 * (most + _BLOCK), np.uint64),
        np.empty(4 * (most + _BLOCK), np.uint64),
        np.zeros(3, np.int64),
        np.empty(_BLOCK, np.uint64),
        np.empty(_BLOCK, np.int32),
        np.empty(_BLOCK, np.uint64),
    )


@njit(cache=True, nogil=True)
def _slot(key, bits):  # type: ignore[no-untyped-def]
    return np.int64(((key ^ (key >> np.uint64(29))) * _MIX) >> np.uint64(64 - bits))


@njit(cache=True, nogil=True)
def _clear(table, bits):  # type: ignore[no-untyped-def]
    table.state[0], table.state[1], table.state[2] = max(_LEAST_BITS, bits), 0, 0
    table.slots[: 2 << table.state[0]] = 0


@njit(cache=True, nogil=True)
def _double(table):  # type: ignore[no-untyped-def]
    """Spread the entries over twice as many slots, walking both in the order of the slots: no jumps in memory."""
    n = 0
    for slot in range(1 << table.state[0]):
        if table.slots[2 * slot]:
            table.moved[2 * n], table.moved[2 * n + 1] = table.slots[2 * slot], table.slots[2 * slot + 1]
            n += 1
    _clear(table, table.state[0] + 1)
    bits, mask = table.state[0], (1 << table.state[0]) - 1
    for entry in range(n):
        slot = _slot(table.moved[2 * entry + 1], bits)
        while table.slots[2 * slot]:
            slot = (slot + 1) & mask
        table.slots[2 * slot], table.slots[2 * slot + 1] = table.moved[2 * entry], table.moved[2 * entry + 1]
    table.state[1] = n


@njit(cache=True, nogil=True)
def _look_up(table, positions, firsts):  # type: ignore[no-untyped-def]
    """Answer the lookups that wait, in their order: firsts[into] is the first of the positions with that key."""
    n = table.state[2]
    while 2 * (table.state[1] + n) > (1 << table.state[0]):
        waiting = table.state[2]
        _double(table)
        table.state[2] = waiting
    bits, mask = table.state[0], (1 << table.state[0]) - 1
    for k in range(n):  # the slots are read before anything is decided: the waits for memory overlap
        table.heads[k] = table.slots[2 * _slot(table.keys[k], bits)]
    for k in range(n):
        key, place = table.keys[k], table.into[k]
        slot = _slot(key, bits)
        while table.slots[2 * slot] and table.slots[2 * slot + 1] != key:
            slot = (slot + 1) & mask
        if table.slots[2 * slot]:
            firsts[place] = np.int64(table.slots[2 * slot]) - 1
        else:
            firsts[place] = positions[place]
            table.slots[2 * slot], table.slots[2 * slot + 1] = np.uint64(positions[place] + 1), key
            table.state[1] += 1
    table.state[2] = 0


@njit(cache=True, nogil=True)
def _first_equal(hashes, places, firsts, n, table):  # type: ignore[no-untyped-def]
    """`firsts[k]`: the first place whose hash is that of place k. `places` is 0, 1, 2, …"""
    _clear(table, 0)
    for begin in range(0, n, _BLOCK):
        size = min(_BLOCK, n - begin)
        for k in range(size):
            table.keys[k], table.into[k] = hashes[begin + k], begin + k
        table.state[2] = size
        _look_up(table, places, firsts)


@njit(
    types.void(types.int64[::1], types.uint64[::1], types.int64[::1], types.int64[:, ::1]),
    cache=True,
    nogil=True,
)
def _count_duplicates(starts, hashes, lengths, counts):  # type: ignore[no-untyped-def]
    most = np.max(np.diff(starts))
    places, firsts, table = np.arange(most).astype(np.int32), np.empty(most, np.int32), _table(most)
    for document in range(len(starts) - 1):
        begin, n = starts[document], starts[document + 1] - starts[document]
        _first_equal(hashes[begin:], places, firsts, n, table)
        for k in range(n):
            if firsts[k] != k:
                counts[0, document] += 1
                counts[1, document] += lengths[begin + k]


@njit(cache=True, nogil=True)
def _longer(positions, firsts, n, size, words, table):  # type: ignore[no-untyped-def]
    """From the repeated n-grams one word shorter (their `positions`, ascending, and `firsts`) to those of `size` words
    made of two neighbours (in place); how many there are. `words` has the first occurrence of each word."""
    _clear(table, table.state[0] - 2)
    n_longer, waiting = 0, 0
    for k in range(n - 1):
        position, first = positions[k], firsts[k]
        if positions[k + 1] != position + 1:
            continue
        positions[n_longer], firsts[n_longer] = position, first
        word = words[position + size - 1]
        table.keys[waiting] = (np.uint64(first) << np.uint64(32)) | np.uint64(word)
        table.into[waiting] = n_longer
        waiting += words[first + size - 1] != word  # no branch here: it could not be foretold
        n_longer += 1
        if waiting == _BLOCK:
            table.state[2], waiting = waiting, 0
            _look_up(table, positions, firsts)
    table.state[2] = waiting
    _look_up(table, positions, firsts)
    return n_longer


@njit(cache=True, nogil=True)
def _keep_repeated(positions, firsts, n, flags):  # type: ignore[no-untyped-def]
    """Leave out (in place) what occurs once; how many are left. `flags` is scratch."""
    for k in range(n):
        flags[positions[k]] = 0
    for k in range(n):
        flags[firsts[k]] |= firsts[k] != positions[k]
    kept = 0
    for k in range(n):
        position, first = positions[k], firsts[k]
        positions[kept], firsts[kept] = position, first
        kept += (first != position) | flags[position]
    return kept


@njit(cache=True, nogil=True)
def _top_characters(positions, firsts, n, size, lengths, gaps, members):  # type: ignore[no-untyped-def]
    """Characters of the most frequent of the repeated `size`-grams times its count; if none repeats, of the first.
    `members` is scratch."""
    for k in range(n):
        members[positions[k]] = 0
    for k in range(n):
        members[firsts[k]] += 1
    best, count = 0, 1
    for k in range(n):
        if members[positions[k]] > count:
            best, count = positions[k], members[positions[k]]
    characters = np.int64(lengths[best])
    for word in range(best + 1, best + size):
        characters += lengths[word] + gaps[word]
    return characters * count


@njit(cache=True, nogil=True)
def _duplicate_characters(positions, firsts, n, size, lengths, taken):  # type: ignore[no-untyped-def]
    """Characters in `size`-grams that equal one taken before, from left to right. `taken` is scratch."""
    for k in range(n):
        taken[positions[k]] = 0
    characters, free = np.int64(0), 0
    for k in range(n):
        if positions[k] < free:
            continue
        if taken[firsts[k]]:
            free = positions[k] + size
            for word in range(positions[k], free):
                characters += lengths[word]
        taken[firsts[k]] = 1
    return characters


@njit(
    types.void(types.int64[::1], types.uint64[::1], types.int32[::1], types.uint8[::1], types.int64[:, ::1]),
    cache=True,
    nogil=True,
)
def _count_ngrams(starts, hashes, lengths, gaps, counts):  # type: ignore[no-untyped-def]
    most = np.max(np.diff(starts))
    words, firsts, positions = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    members, flags = np.empty(most, np.int32), np.empty(most, np.uint8)
    table = _table(most)
    for document in range(len(starts) - 1):
        first, n_words = starts[document], starts[document + 1] - starts[document]
        length, gap = lengths[first:], gaps[first:]
        n = n_words
        positions[:n] = np.arange(n, dtype=np.int32)
        _first_equal(hashes[first:], positions, words, n, table)
        firsts[:n] = words[:n]
        for size in range(1, min(_LAST, n_words) + 1):
            if size > 1:
                n = _longer(positions, firsts, n, size, words, table)
            n = _keep_repeated(positions, firsts, n, flags)
            if _FIRST_TOP <= size <= _LAST_TOP:
                counts[size, document] = _top_characters(positions, firsts, n, size, length, gap, members)
            elif size >= _FIRST_DUPLICATE:
                counts[size, document] = _duplicate_characters(positions, firsts, n, size, length, flags)
