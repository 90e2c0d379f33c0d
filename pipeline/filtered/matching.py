"""The compiled pass of `contamination`: seeds of items in hashed words, and the pieces that grow from them.

numba's cache notices changes of a compiled function's own file only; this one compiles constants of `item_index` and
`match_words` into itself: after a change of those, empty `__pycache__` (or `NUMBA_CACHE_DIR`).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.filtered.item_index import FILTER_PROBES, SEED, ItemIndex, Kind
from pipeline.filtered.match_words import BASE, LENGTH_KEY

MOST_SKIPPED = 5  # words passed over in the item or the document
MOST_PIECES = 8  # so many pieces of an item before one are looked at for what it goes on with

NEAR_BITS = 4
_SEED_POWER = BASE ** np.uint64(SEED)
_WORD = np.uint64(0xFFFFFFFF)
_PARTS = int(Kind.PARTS)
# Words to pass over (of the item, of the document), in the order in which it is tried.
_STEPS = np.array(
    sorted(
        ((i, d) for i in range(MOST_SKIPPED + 1) for d in range(MOST_SKIPPED + 1) if i or d),
        key=lambda step: (max(step), abs(step[0] - step[1]), step),
    )
)
# The columns of a piece: its item; the first and the last + 1 word of it in the item (places in `words`) and in the
# document; words that count; the piece of the item before it, or -1; and of the best pieces that it goes on with, the
# words that count and the first word in the document.
_ITEM, _FROM, _TO, _FIRST, _LAST, _COUNT, _BEFORE, _TOTAL, _BEGIN = range(9)


class Arrays(NamedTuple):
    """The fields of `ItemIndex` by which the compiled pass looks up, but `places` as ~place where the item is not
    looked for by parts; `shift` of a hash to its bucket; `near` int32: the items that hold every 16th word; `reach`
    int64 [n_items]: how many words all pieces of an item may cover."""

    words: npt.NDArray[np.uint32]
    ignored: npt.NDArray[np.bool_]
    firsts: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.uint8]
    n_counting: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    places: npt.NDArray[np.int32]
    buckets: npt.NDArray[np.int32]
    filter: npt.NDArray[np.uint64]
    shift: int
    near: npt.NDArray[np.int32]
    reach: npt.NDArray[np.int64]


@lru_cache(maxsize=1)
def arrays(index: ItemIndex) -> Arrays:
    """The arrays of an index, made once for all batches of a task."""
    own = {name: getattr(index, name) for name in Arrays._fields if hasattr(index, name)}
    in_parts = np.repeat(index.kinds == _PARTS, index.n_words)[index.places]
    own["places"] = np.where(in_parts, index.places, ~index.places)
    shift = 64 - (len(index.buckets) - 1).bit_length() + 1
    near = np.searchsorted(index.firsts, np.arange(0, len(index.words), 1 << NEAR_BITS), side="right") - 1
    return Arrays(**own, shift=shift, near=near.astype(np.int32), reach=2 * (index.n_words + index.ngram))


@njit(cache=True, nogil=True)
def find(prefixes, starts, index, min_overlap, latest):  # type: ignore[no-untyped-def]
    """The passages: int64 [n, 4] (document, item, first word, last + 1 word, both in the document) and overlaps.
    `latest` (-1 for every item, between uses) is the latest piece of an item."""
    # Local names: a compiled loop that takes arrays out of a tuple counts their references each time.
    hashes, places, buckets, shift = index.hashes, index.places, index.buckets, np.uint64(index.shift)
    filtered, low_bits, words = index.filter, np.uint64(len(index.filter) - 1), index.words
    text, pieces = _words_of(prefixes), np.empty((1024, 9), np.int64)
    numbers, overlaps, n_found = np.empty((64, 4), np.int64), np.empty(64), 0
    for document in range(len(starts) - 1):
        start, end, n = starts[document], starts[document + 1], 0
        for at in range(start, end - SEED + 1):
            value = _seed_hash(prefixes[at + SEED] - prefixes[at] * _SEED_POWER)
            if not _passes(filtered[np.int64(value & low_bits)], value):
                continue
            bucket = np.int64(value >> shift)
            for entry in range(buckets[bucket], buckets[bucket + 1]):
                if hashes[entry] != value:
                    continue
                place = np.int64(places[entry])
                # First what is at hand: to find out whose seed it is would wait for memory several times.
                if place < 0:
                    place = ~place
                elif not _goes_on(text, start, end, words, 0, len(words), place, at):
                    continue
                item = _holder(index, place)
                if _is_held(pieces, latest[item], place, at):
                    continue
                if n == len(pieces):
                    pieces = _larger(pieces)
                if _grow(text, start, end, index, item, place, at, latest[item], pieces, n):
                    latest[item] = n
                    n += 1
        if n == 0:
            continue
        for k in range(n):
            latest[pieces[k, _ITEM]] = -1
        if n_found + n > len(numbers):
            numbers, overlaps = _longer(numbers, overlaps, n)
        n_found = _collect(pieces[:n], document, start, index, min_overlap, latest, numbers, overlaps, n_found)
    return numbers[:n_found], overlaps[:n_found]


@njit(cache=True, nogil=True)
def count_seeds(prefixes, starts, index, before, latest, counts):  # type: ignore[no-untyped-def]
    """Add the documents that hold each seed to `counts`; `latest`: the last document that was counted for it."""
    for document in range(len(starts) - 1):
        for at in range(starts[document], starts[document + 1] - SEED + 1):
            value = _seed_hash(prefixes[at + SEED] - prefixes[at] * _SEED_POWER)
            if not _passes(index.filter[np.int64(value & np.uint64(len(index.filter) - 1))], value):
                continue
            bucket = np.int64(value >> np.uint64(index.shift))
            for entry in range(index.buckets[bucket], index.buckets[bucket + 1]):
                if index.hashes[entry] == value:
                    if latest[entry] != before + document:
                        latest[entry] = before + document
                        counts[entry] += 1
                    break


@njit(cache=True, nogil=True)
def sketches(prefixes, starts, before):  # type: ignore[no-untyped-def]
    found = np.empty(len(starts) - 1, np.uint64)
    for document in range(len(found)):
        least, most = ~np.uint64(before + document), np.uint64(0)
        for at in range(starts[document], starts[document + 1] - SEED + 1):
            value = _seed_hash(prefixes[at + SEED] - prefixes[at] * _SEED_POWER)
            least, most = min(least, value), max(most, value)
        found[document] = least * BASE + most
    return found


@njit(cache=True, nogil=True)
def _seed_hash(value):  # type: ignore[no-untyped-def]
    """As `match_words.run_hashes`, of `SEED` words."""
    value += np.uint64(SEED) * LENGTH_KEY
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
def _holder(index, place):  # type: ignore[no-untyped-def]
    """The item that has the word at a place."""
    item = index.near[place >> NEAR_BITS]
    while index.firsts[item + 1] <= place:
        item += 1
    return item


@njit(cache=True, nogil=True)
def _is_held(pieces, latest, place, at):  # type: ignore[no-untyped-def]
    """Whether the item's latest piece holds the seed already."""
    if latest < 0:
        return False
    piece = pieces[latest]
    return piece[_LAST] >= at + SEED and piece[_FROM] <= place and piece[_TO] >= place + SEED


@njit(cache=True, nogil=True)
def _larger(pieces):  # type: ignore[no-untyped-def]
    larger = np.empty((2 * len(pieces), pieces.shape[1]), np.int64)
    larger[: len(pieces)] = pieces
    return larger


@njit(cache=True, nogil=True)
def _longer(numbers, overlaps, n):  # type: ignore[no-untyped-def]
    """Copies with as much room again, and for `n` more."""
    more_numbers = np.empty((2 * len(numbers) + n, 4), np.int64)
    more_overlaps = np.empty(2 * len(numbers) + n)
    more_numbers[: len(numbers)] = numbers
    more_overlaps[: len(numbers)] = overlaps
    return more_numbers, more_overlaps


@njit(cache=True, nogil=True)
def _words_of(prefixes):  # type: ignore[no-untyped-def]
    """The lowest 32 bits of each word's hash, as `ItemIndex.words`."""
    text = np.empty(len(prefixes) - 1, np.uint32)
    for at in range(len(text)):
        text[at] = (prefixes[at + 1] - prefixes[at] * BASE) & _WORD
    return text


@njit(cache=True, nogil=True)
def _grow(text, start, end, index, item, place, at, latest, pieces, n):  # type: ignore[no-untyped-def]
    """Write the piece that grows from a seed to pieces[n]; whether there is one: of an item that is looked for as a
    whole only where it stands there as one."""
    words, ignored, first, last = index.words, index.ignored, index.firsts[item], index.firsts[item + 1]
    if latest >= 0:
        start = max(start, min(pieces[latest, _LAST], at))
    if index.kinds[item] != _PARTS:
        begin = at - (place - first)
        if begin < start or begin + (last - first) > end:
            return False
        for k in range(last - first):
            if words[first + k] != text[begin + k]:
                return False
        _write(pieces[n], item, first, last, begin, begin + last - first, last - first, latest)
        return True
    if not _goes_on(text, start, end, words, first, last, place, at):
        return False
    count = 0
    for k in range(SEED):
        count += not ignored[place + k]
    to, until, right = _grow_right(text, end, words, ignored, last, place + SEED, at + SEED)
    since, begin, left = _grow_left(text, start, words, ignored, first, place - 1, at - 1)
    count += left + right
    _write(pieces[n], item, since, to, begin, until, count, latest)
    reach, before = index.reach[item], latest
    for _ in range(MOST_PIECES):
        if before < 0:
            break
        total = pieces[before, _TOTAL] + count
        for k in range(since, min(pieces[before, _TO], to)):
            total -= not ignored[k]
        is_behind = pieces[before, _TO] < to and pieces[before, _FROM] < since
        if is_behind and until - pieces[before, _BEGIN] <= reach and total > pieces[n, _TOTAL]:
            pieces[n, _TOTAL], pieces[n, _BEGIN] = total, pieces[before, _BEGIN]
        before = pieces[before, _BEFORE]
    return True


@njit(cache=True, nogil=True)
def _write(piece, item, since, to, begin, until, count, latest):  # type: ignore[no-untyped-def]
    """A piece that goes on with no other yet."""
    piece[_ITEM], piece[_FROM], piece[_TO], piece[_FIRST], piece[_LAST] = item, since, to, begin, until
    piece[_COUNT], piece[_BEFORE], piece[_TOTAL], piece[_BEGIN] = count, latest, count, begin


@njit(cache=True, nogil=True)
def _goes_on(text, start, end, words, first, last, place, at):  # type: ignore[no-untyped-def]
    """Whether more than the seed is the same: most of what stands somewhere by chance ends here."""
    for k in range(SEED, min(2 * SEED, last - place, end - at)):
        if words[place + k] == text[at + k]:
            return True
    for k in range(1, min(SEED, place - first, at - start) + 1):  # noqa: SIM110, numba compiles loops
        if words[place - k] == text[at - k]:
            return True
    return False


@njit(cache=True, nogil=True)
def _grow_right(text, end, words, ignored, last, place, at):  # type: ignore[no-untyped-def]
    """Where what is the same ends, from these words on: in the item, in the document; and its words that count."""
    count, to, until = 0, place, at
    while place < last and at < end:
        if words[place] == text[at]:
            count += not ignored[place]
            place, at = place + 1, at + 1
            to, until = place, at
            continue
        is_found = False
        for step in range(len(_STEPS)):
            there, here = place + _STEPS[step, 0], at + _STEPS[step, 1]
            if (
                there < last
                and here < end
                and words[there] == text[here]
                and (
                    there - place == here - at
                    or there + 1 == last
                    or (here + 1 < end and words[there + 1] == text[here + 1])
                )
            ):
                place, at, is_found = there, here, True
                break
        if not is_found:
            break
    return to, until, count


@njit(cache=True, nogil=True)
def _grow_left(text, start, words, ignored, first, place, at):  # type: ignore[no-untyped-def]
    """Where what is the same begins, from these words back: in the item, in the document; and its words that count."""
    count, since, begin = 0, place + 1, at + 1
    while place >= first and at >= start:
        if words[place] == text[at]:
            count += not ignored[place]
            since, begin = place, at
            place, at = place - 1, at - 1
            continue
        is_found = False
        for step in range(len(_STEPS)):
            there, here = place - _STEPS[step, 0], at - _STEPS[step, 1]
            if (
                there >= first
                and here >= start
                and words[there] == text[here]
                and (
                    place - there == at - here
                    or there == first
                    or (here > start and words[there - 1] == text[here - 1])
                )
            ):
                place, at, is_found = there, here, True
                break
        if not is_found:
            break
    return since, begin, count


@njit(cache=True, nogil=True)
def _collect(pieces, document, start, index, min_overlap, latest, numbers, overlaps, n):  # type: ignore[no-untyped-def]
    """Add the document's passages from place `n` on; how many there are then. `latest` is used and left as it was."""
    for k in range(len(pieces)):
        item, of_parts = pieces[k, _ITEM], index.kinds[pieces[k, _ITEM]] == _PARTS
        overlap = min(1.0, pieces[k, _TOTAL] / index.n_counting[item]) if of_parts else 1.0
        if overlap < min_overlap:
            continue
        first, last, before = pieces[k, _BEGIN] - start, pieces[k, _LAST] - start, latest[item]
        if before >= 0 and first < numbers[before, 3]:
            numbers[before, 2], numbers[before, 3] = min(first, numbers[before, 2]), last
            overlaps[before] = max(overlap, overlaps[before])
        else:
            numbers[n, 0], numbers[n, 1], numbers[n, 2], numbers[n, 3] = document, item, first, last
            overlaps[n], latest[item] = overlap, n
            n += 1
    for k in range(len(pieces)):
        latest[pieces[k, _ITEM]] = -1
    return n
