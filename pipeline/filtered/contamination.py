"""Which documents contain evaluation items: for each document the item with the strongest match, and its overlap.

*Overlap* of an item in a document: the share of the item's different n-grams (boilerplate aside, see `item_index`) that
start within one window of `span` word positions in a row, at the best place for the window; span = 2 · (n-grams of the
item by position, so its words - length + 1) + 2 · ngram. So the item may stand there with other text between its parts
up to about its own length, but n-grams that lie scattered over a long document do not add up. An item that matches as a
whole has overlap 1 where it stands, and 0 elsewhere. It is *contained* in the document if overlap ≥ `min_overlap`.

*Strongest*: the greatest overlap; of equal ones the item with the most words, of these the first one given.

What this cannot find: k words in a row that differ break all n-grams over them, `ngram` - 1 + k of the item's. So one
changed word in the middle of an item of 25 words leaves none of its 13 13-grams, and 5 words of 100, well apart, leave
23 of 88. Edited items need a smaller `ngram`; what is found at which, the tests state.

Time is linear in the text, times the number of different lengths of short items (`ItemIndex.lengths`); memory is that
of the index (about 20 bytes an n-gram), 4 bytes more for each n-gram of each item and 8 an item, 16 bytes a word of a
slice of text (`buffers.SLICE_BYTES`), and what is waiting to be weighed, which the longest item bounds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipeline.filtered.item_index import FILTER_PROBES, ItemIndex, index_items
from pipeline.filtered.match_words import LENGTH_KEY, hash_words, powers
from pipeline.texts.buffers import slices

__all__ = ["VERSION", "ItemIndex", "Matches", "find", "index_items"]

# Goes up when the same texts and items give other matches. What also decides: `unicode_tables.UNICODE_VERSION`.
VERSION = 1

LEAST_WAITING = 1 << 16  # hits that may wait to be weighed; more where items are long


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """The strongest match of each document. `item` int64 [n]: its place in the sequence given to `index_items` (the
    first one of equals), -1 where no item is contained; `overlap` float64 [n]: the strongest overlap, in [0, 1], also
    where it is below `min_overlap`."""

    item: npt.NDArray[np.int64]
    overlap: npt.NDArray[np.float64]


def find(texts: pa.Array | pa.ChunkedArray, index: ItemIndex, *, min_overlap: float) -> Matches:
    """Look for the items in each document.

    `texts` are string or large_string without nulls. `ValueError` for other texts, and if `min_overlap` is not in
    (0, 1].
    """
    if not 0 < min_overlap <= 1:
        raise ValueError(f"min_overlap is {min_overlap}; it is a share above 0 and at most 1 (0.8 is usual)")
    arrays = _arrays(index)
    scratch = _Scratch(seen=np.zeros(len(index.holders), np.int32), last=np.zeros(index.n_items, np.int64))
    items, overlaps = [np.empty(0, np.int64)], [np.empty(0)]
    for part in slices(texts):
        item, overlap = np.full(part.n_documents, -1), np.zeros(part.n_documents)
        words = hash_words(part)
        _find(words.prefixes, words.starts, arrays, scratch, item, overlap)
        items.append(item)
        overlaps.append(overlap)
    item, overlap = np.concatenate(items), np.concatenate(overlaps)
    contained = (item >= 0) & (overlap >= min_overlap)
    item[contained] = index.given[item[contained]]
    item[~contained] = -1
    return Matches(item=item, overlap=overlap)


class _Arrays(NamedTuple):
    """The fields of `ItemIndex` by which the compiled pass looks up; `powers` of `match_words.BASE` for all lengths;
    `reach`: no window of an item with several n-grams covers more words; `most_waiting`: hits that may wait."""

    hashes: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int32]
    holders: npt.NDArray[np.int32]
    boilerplate: npt.NDArray[np.bool_]
    filter: npt.NDArray[np.uint64]
    n_words: npt.NDArray[np.int64]
    n_ngrams: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    long_lengths: npt.NDArray[np.int64]
    n_short: int
    powers: npt.NDArray[np.uint64]
    reach: int
    most_waiting: int


class _Scratch(NamedTuple):
    """All zero between uses. `seen`: how often an n-gram of an item stands in the window, int32 [n_holders]; `last`:
    1 + the latest hit of an item, int64 [n_items]."""

    seen: npt.NDArray[np.int32]
    last: npt.NDArray[np.int64]


class _Hits(NamedTuple):
    """N-grams of items in a document: `pairs` are places in `holders`, `places` the words where they start, ascending
    for each item; `previous`: 1 + the hit of the same item before, or 0. int64 [n]."""

    pairs: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    previous: npt.NDArray[np.int64]


def _arrays(index: ItemIndex) -> _Arrays:
    made = ("powers", "reach", "most_waiting")
    own = {name: getattr(index, name) for name in _Arrays._fields if name not in made}
    longest = max(index.lengths.max(), index.long_lengths.max(initial=0))
    reach = int(index.spans[index.n_ngrams > 1].max(initial=0)) + index.ngram
    # Weighing leaves what is within reach: at most half of what may wait, so that each hit is weighed about twice.
    waiting = max(LEAST_WAITING, 2 * reach * (len(index.lengths) + len(index.long_lengths)))
    return _Arrays(**own, powers=powers(int(longest)), reach=reach, most_waiting=waiting)


@njit(cache=True, nogil=True)
def _find(prefixes, starts, index, scratch, items, overlaps):  # type: ignore[no-untyped-def]
    """Set the strongest item (by number) and its overlap of each document."""
    # Local names: a compiled loop that takes arrays out of a tuple counts their references each time.
    hashes, filtered, powers, lengths, n_short = index.hashes, index.filter, index.powers, index.lengths, index.n_short
    places, grams = np.empty(1024, np.int64), np.empty(1024, np.int64)
    for document in range(len(starts) - 1):
        first, n = starts[document], 0
        for stop in range(first + 1, starts[document + 1] + 1):
            for k in range(len(lengths)):
                length = lengths[k]
                if stop - first < length:
                    break
                value = _run_hash(prefixes[stop] - prefixes[stop - length] * powers[length], length)
                base, size = (0, n_short) if k < len(lengths) - 1 else (n_short, len(filtered) - n_short)
                if not _passes(filtered[base + np.int64(value & np.uint64(size - 1))], value):
                    continue
                gram = _place(hashes, value)
                if gram < 0:
                    continue
                if n + 1 + len(index.long_lengths) > len(places):
                    places, grams = _larger(places, index.long_lengths), _larger(grams, index.long_lengths)
                places[n], grams[n] = stop - length, gram
                n += 1
                if k == len(lengths) - 1 and index.boilerplate[gram]:
                    n = _add_long(prefixes, first, stop, index, places, grams, n)
            if n > index.most_waiting:
                _weigh(places[:n], grams[:n], index, scratch, document, items, overlaps)
                n = _keep(places, grams, n, stop - index.reach)
        if n > 0:
            _weigh(places[:n], grams[:n], index, scratch, document, items, overlaps)


@njit(cache=True, nogil=True)
def _add_long(prefixes, first, stop, index, places, grams, n):  # type: ignore[no-untyped-def]
    """Add the items of more than `ngram` words that end, as a whole, before word `stop`; how many hits there are."""
    for length in index.long_lengths:
        if stop - first < length:
            break
        value = _run_hash(prefixes[stop] - prefixes[stop - length] * index.powers[length], length)
        gram = _place(index.hashes, value)
        if gram >= 0:
            places[n], grams[n] = stop - length, gram
            n += 1
    return n


@njit(cache=True, nogil=True)
def _larger(array, room):  # type: ignore[no-untyped-def]
    """A copy with as much room again behind it, and as much as `room` has."""
    larger = np.empty(2 * len(array) + len(room), np.int64)
    larger[: len(array)] = array
    return larger


@njit(cache=True, nogil=True)
def _run_hash(value, length):  # type: ignore[no-untyped-def]
    """As `match_words.run_hashes`."""
    value += np.uint64(length) * LENGTH_KEY
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def _passes(filtered, value):  # type: ignore[no-untyped-def]
    """Whether the bits of a hash are set in its word of the filter. As `item_index._filter`."""
    bits = np.uint64(0)
    for probe in range(FILTER_PROBES):
        bits |= np.uint64(1) << ((value >> np.uint64(58 - 6 * probe)) & np.uint64(63))
    return filtered & bits == bits


@njit(cache=True, nogil=True)
def _place(hashes, value):  # type: ignore[no-untyped-def]
    """The place of a hash among the sorted ones, or -1."""
    low, high = 0, len(hashes)
    while low < high:
        middle = (low + high) // 2
        if hashes[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(hashes) and hashes[low] == value else -1


@njit(cache=True, nogil=True)
def _keep(places, grams, n, since):  # type: ignore[no-untyped-def]
    """Leave out (in place) what starts before `since`; how many are left."""
    kept = 0
    for k in range(n):
        if places[k] >= since:
            places[kept], grams[kept] = places[k], grams[k]
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def _weigh(places, grams, index, scratch, document, items, overlaps):  # type: ignore[no-untyped-def]
    """Set the document's strongest item and its overlap, if one of those found is stronger than what is there."""
    hits, touched = _chain(places, grams, index, scratch.last)
    for item in touched:
        together = _most_together(hits, scratch.last[item], index.spans[item], scratch.seen)
        scratch.last[item] = 0
        overlap, strongest = together / index.n_ngrams[item], items[document]
        if overlap < overlaps[document]:
            continue
        if overlap == overlaps[document]:
            more = index.n_words[item] - index.n_words[strongest]
            if more < 0 or (more == 0 and item > strongest):
                continue
        items[document], overlaps[document] = item, overlap


@njit(cache=True, nogil=True)
def _chain(places, grams, index, last):  # type: ignore[no-untyped-def]
    """The hits of each item as a chain, `last` of the item its end; the items that have one."""
    n = 0
    for gram in grams:
        n += index.starts[gram + 1] - index.starts[gram]
    hits = _Hits(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64))
    touched, n, n_touched = np.empty(n, np.int64), 0, 0
    for k in range(len(grams)):
        for pair in range(index.starts[grams[k]], index.starts[grams[k] + 1]):
            item = index.holders[pair]
            hits.pairs[n], hits.places[n], hits.previous[n] = pair, places[k], last[item]
            if last[item] == 0:
                touched[n_touched] = item
                n_touched += 1
            n += 1
            last[item] = n
    return hits, touched[:n_touched]


@njit(cache=True, nogil=True)
def _most_together(hits, last, span, seen):  # type: ignore[no-untyped-def]
    """The most different n-grams of an item in any window of `span` words; `last` is the end of its chain of hits."""
    n, most, left, right = 0, 0, last, last  # the window grows to the left and gives up what is too far right
    while left > 0:
        pair = hits.pairs[left - 1]
        seen[pair] += 1
        n += seen[pair] == 1
        while hits.places[right - 1] - hits.places[left - 1] >= span:
            pair = hits.pairs[right - 1]
            seen[pair] -= 1
            n -= seen[pair] == 0
            right = hits.previous[right - 1]
        most = max(most, n)
        left = hits.previous[left - 1]
    while right > 0:
        seen[hits.pairs[right - 1]] = 0
        right = hits.previous[right - 1]
    return most
