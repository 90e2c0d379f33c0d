"""Repeated n-grams of words, on numbers alone: sequences of hashes and lengths, whatever they stand for.

*Top n-gram* (n = 2, 3, 4): the n-gram of words that occurs most often, overlapping occurrences included; of several,
the one that occurs first. Its characters (the words, and one for each place where white space stands between them)
times its count; also an n-gram that occurs once has its characters (as datatrove's `find_top_duplicate`). Occurrences
may overlap, so the characters may be more than the text has.

*Duplicate n-grams* (n = 5 … 10): n-grams are taken from left to right. One that equals an n-gram taken before adds the
characters of its words, and the next one taken starts after it; any other is remembered, and the next one starts one
word later. So no character counts twice, as Rae et al. 2021 (section A1.1) ask for, by the method of datatrove's
`find_all_duplicate`.

Both take time linear in the words. An n-gram is known by a 64-bit hash of its words' hashes: two different ones among n
are taken for one with a probability below n² / 2⁶⁵. Most are never looked up: all are counted first in buckets by their
hash, few enough for the processor's caches, and only those whose bucket is full enough are told apart (Park, Chen, Yu
1995, "An effective hash-based algorithm for mining association rules", section 3): for the top n-gram those in buckets
with at least as many as the best found, for the duplicate 5-grams those that are not alone in theirs. From there on an
n-gram can be repeated only where both of its (n-1)-grams are (Agrawal, Srikant 1994), so what occurs once drops out at
each level; and where the next word is the one after the first occurrence of the (n-1)-gram, that is the first
occurrence of the n-gram too.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.filtered.first_places import BLOCK, LEAST_BITS, MIX, clear, look_up, look_up_all, slot_of, table_for
from pipeline.filtered.words import Words

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

_FIRST_TOP, _LAST_TOP, _FIRST_DUPLICATE, _LAST = 2, 4, 5, 10
_PART_BITS = 15  # at most so many n-grams in a part of a long document, if they differ
_MOST_COUNT_BITS = 18  # 2^18 counts of 4 bytes: 1 MB, a usual second-level cache
_MIX_BETWEEN = np.uint64(0xFF51AFD7ED558CCD)  # of MurmurHash3's finalizer (Appleby)


def ngram_characters(words: Words) -> dict[int, npt.NDArray[np.int64]]:
    """For each n of `TOP_NGRAMS` and `DUPLICATE_NGRAMS` the characters in repeated n-grams, int64 [n_documents]."""
    counts = np.zeros((_LAST + 1, len(words.starts) - 1), np.int64)
    _count_ngrams(words.starts, words.hashes, words.lengths, words.gaps, counts)
    return {n: counts[n] for n in TOP_NGRAMS + DUPLICATE_NGRAMS}


class _Scratch(NamedTuple):
    """Room for the n-grams of one document."""

    counts: npt.NDArray[np.uint32]  # n-grams in a bucket
    parted: npt.NDArray[np.uint64]  # the n-grams, part by part; `members` has their places then
    ends: npt.NDArray[np.int64]  # where each part ends (exclusive)
    seen: npt.NDArray[np.uint8]  # two bits a bucket
    slots: npt.NDArray[np.int32]  # of a table of one part: index plus one, or 0
    positions: npt.NDArray[np.int32]  # of the n-grams that are looked at, ascending
    firsts: npt.NDArray[np.int32]  # where the n-gram at each of these positions occurs first
    members: npt.NDArray[np.int32]  # by position: how often the n-gram that occurs first there occurs
    flags: npt.NDArray[np.uint8]  # by position


@njit(cache=True, nogil=True)
def _scratch(most):  # type: ignore[no-untyped-def]
    """For documents of at most `most` words."""
    return _Scratch(
        np.empty(1 << _MOST_COUNT_BITS, np.uint32),
        np.empty(most + 1, np.uint64),
        np.empty((most >> (_PART_BITS - 1)) + 1, np.int64),
        np.empty(2 * most + (1 << LEAST_BITS), np.uint8),
        np.empty(4 * most + (1 << LEAST_BITS), np.int32),
        np.empty(most + 1, np.int32),
        np.empty(most + 1, np.int32),
        np.empty(most + 1, np.int32),
        np.empty(most + 1, np.uint8),
    )


@njit(cache=True, nogil=True)
def _extended(value, word):  # type: ignore[no-untyped-def]
    """The hash of an n-gram and the word after it."""
    value = (value ^ (value >> np.uint64(32))) * _MIX_BETWEEN + word
    return (value ^ (value >> np.uint64(32))) * MIX


@njit(cache=True, nogil=True)
def _extend(grams, hashes, n, size):  # type: ignore[no-untyped-def]
    """From the hashes of the n first (size - 1)-grams to those of the `size`-grams, in place."""
    for k in range(n):
        grams[k] = _extended(grams[k], hashes[k + size - 1])


@njit(cache=True, nogil=True)
def _bits(n):  # type: ignore[no-untyped-def]
    """The least number of bits that n different values need."""
    bits = 0
    while n > 1 << bits:
        bits += 1
    return bits


@njit(cache=True, nogil=True)
def _top(grams, n, scratch, table):  # type: ignore[no-untyped-def]
    """Where the most frequent n-gram first stands, and its count; if none repeats, 0 and 1."""
    bits = min(max(LEAST_BITS, _bits(n) + 1), _MOST_COUNT_BITS)
    shift, counts = np.uint64(64 - bits), scratch.counts
    counts[: 1 << bits] = 0
    best, count, least = 0, 1, 1
    for k in range(n):
        bucket = np.int64(grams[k] >> shift)
        counts[bucket] += 1
        least = max(least, int(counts[bucket]))
    while least > 1:
        m = 0
        for k in range(n):
            scratch.positions[m] = k
            m += counts[np.int64(grams[k] >> shift)] >= least  # no branch here: it could not be foretold
        look_up_all(table, grams, scratch.positions, scratch.firsts, m)
        best, count = _most_frequent(scratch, m)
        if count >= least or least == 2:
            break
        least = max(count, 2)
    return best, count


@njit(cache=True, nogil=True)
def _most_frequent(scratch, n):  # type: ignore[no-untyped-def]
    """Of the first n `positions` the one whose n-gram occurs most often, and how often; if none repeats, 0 and 1."""
    for k in range(n):
        scratch.members[scratch.positions[k]] = 0
    for k in range(n):
        scratch.members[scratch.firsts[k]] += 1
    best, count = 0, 1
    for k in range(n):
        if scratch.members[scratch.positions[k]] > count:
            best, count = scratch.positions[k], scratch.members[scratch.positions[k]]
    return best, count


@njit(cache=True, nogil=True)
def _part(grams, n, scratch):  # type: ignore[no-untyped-def]
    """Sort the n-grams by the first bits of their hash, those with equal ones by place; in how many bits."""
    bits = max(0, _bits(n) - _PART_BITS)
    shift, ends = np.uint64(63 - bits), scratch.ends
    ends[: 1 << bits] = 0
    for k in range(n):
        ends[np.int64(grams[k] >> np.uint64(1) >> shift)] += 1
    before = np.int64(0)
    for first in range(1 << bits):
        before, ends[first] = before + ends[first], before
    for k in range(n):
        part = np.int64(grams[k] >> np.uint64(1) >> shift)
        scratch.parted[ends[part]], scratch.members[ends[part]] = grams[k], k
        ends[part] += 1
    return bits


@njit(cache=True, nogil=True)
def _not_alone(grams, used, seen, found):  # type: ignore[no-untyped-def]
    """Put the indices of the n-grams that share their bucket into `found`: all that repeat and few others; how many.
    The first `used` bits of the hashes are equal."""
    bits = max(LEAST_BITS, _bits(len(grams)) + 2)
    left, shift = np.uint64(used), np.uint64(64 - bits)
    seen[: 1 << (bits - 2)] = 0
    for k in range(len(grams)):  # two bits a bucket: something is in it, more than one is
        bucket = np.int64((grams[k] << left) >> shift)
        once = np.uint8(1 << (2 * (bucket & 3)))
        seen[bucket >> 2] |= once | ((seen[bucket >> 2] & once) << 1)
    m = 0
    for k in range(len(grams)):
        bucket = np.int64((grams[k] << left) >> shift)
        found[m] = k
        m += (seen[bucket >> 2] >> (2 * (bucket & 3) + 1)) & 1
    return m


@njit(cache=True, nogil=True)
def _repeated(grams, n, scratch):  # type: ignore[no-untyped-def]
    """Put the places of the n-grams that occur more than once into `positions`, ascending, and where each occurs first
    into `firsts`; how many there are. Long documents are done part by part, each in the processor's caches."""
    used = _part(grams, n, scratch)
    positions, firsts, slots = scratch.positions, scratch.firsts, scratch.slots
    firsts[:n] = -1
    begin = 0
    for part in range(1 << used):
        end = int(scratch.ends[part])
        mine, places, found = scratch.parted[begin:end], scratch.members[begin:end], positions
        begin = end
        m = _not_alone(mine, used, scratch.seen, found)
        bits = max(LEAST_BITS, _bits(m) + 1)
        slots[: 1 << bits] = 0
        mask = (1 << bits) - 1
        for i in range(m):
            k = found[i]
            slot = slot_of(mine[k], bits)
            while slots[slot] and mine[slots[slot] - 1] != mine[k]:
                slot = (slot + 1) & mask
            if slots[slot]:
                first = places[slots[slot] - 1]
                firsts[first], firsts[places[k]] = first, first
            else:
                slots[slot] = k + 1
    m = 0
    for k in range(n):
        positions[m], firsts[m] = k, firsts[k]
        m += firsts[m] >= 0  # no branch here: it could not be foretold
    return m


@njit(cache=True, nogil=True)
def _longer(positions, firsts, n, size, hashes, table):  # type: ignore[no-untyped-def]
    """From the repeated n-grams one word shorter (their `positions`, ascending, and `firsts`) to those of `size` words
    made of two neighbours (in place); how many there are."""
    clear(table, table.state[0] - 2)
    n_longer, waiting = 0, 0
    for k in range(n - 1):
        position, first = positions[k], firsts[k]
        if positions[k + 1] != position + 1:
            continue
        positions[n_longer], firsts[n_longer] = position, first
        if firsts[k + 1] != first + 1:  # else the first occurrence goes on like this one
            word = hashes[position + size - 1]
            key = _extended((np.uint64(first) + np.uint64(1)) * MIX, word)  # a place is small: it is no hash yet
            table.keys[waiting], table.into[waiting] = key, n_longer
            waiting += hashes[first + size - 1] != word
        n_longer += 1
        if waiting == BLOCK:
            table.state[2], waiting = waiting, 0
            look_up(table, positions, firsts)
    table.state[2] = waiting
    look_up(table, positions, firsts)
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


@njit(cache=True, nogil=True)
def _characters(begin, size, lengths, gaps):  # type: ignore[no-untyped-def]
    """Characters of the n-gram at place `begin`, with white space between its words."""
    characters = np.int64(lengths[begin])
    for word in range(begin + 1, begin + size):
        characters += lengths[word] + gaps[word]
    return characters


@njit(
    types.void(types.int64[::1], types.uint64[::1], types.int32[::1], types.uint8[::1], types.int64[:, ::1]),
    cache=True,
    nogil=True,
)
def _count_ngrams(starts, hashes, lengths, gaps, counts):  # type: ignore[no-untyped-def]
    most = np.max(np.diff(starts))
    grams, table, scratch = np.empty(most, np.uint64), table_for(most), _scratch(most)
    positions, firsts, flags = scratch.positions, scratch.firsts, scratch.flags
    for document in range(len(starts) - 1):
        first, n_words = starts[document], starts[document + 1] - starts[document]
        word, length, gap = hashes[first:], lengths[first:], gaps[first:]
        grams[:n_words] = word[:n_words]
        best, count = 0, n_words
        for size in range(_FIRST_TOP, min(_LAST_TOP, n_words) + 1):
            if count > 1:  # else no shorter n-gram repeats, and so no longer one
                _extend(grams, word, n_words - size + 1, size)
                best, count = _top(grams, n_words - size + 1, scratch, table)
            counts[size, document] = count * _characters(best, size, length, gap)
        if count == 1 or n_words < _FIRST_DUPLICATE:
            continue
        n = n_words - _FIRST_DUPLICATE + 1
        _extend(grams, word, n, _FIRST_DUPLICATE)
        n = _repeated(grams, n, scratch)
        for size in range(_FIRST_DUPLICATE, min(_LAST, n_words) + 1):
            if size > _FIRST_DUPLICATE:
                n = _keep_repeated(positions, firsts, _longer(positions, firsts, n, size, word, table), flags)
            counts[size, document] = _duplicate_characters(positions, firsts, n, size, length, flags)
