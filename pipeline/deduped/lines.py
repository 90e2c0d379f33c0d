"""Line-level deduplication: the lines of documents in a form to compare them by, and the lines that are cut out.

A line that stands in more than N documents of a source is *heavy*, and all its occurrences go, the first one included.
CCNet does so with every line of a shard that stands there twice (Wenzek et al. 2020, arXiv 1911.00359, section 3.1; its
"paragraphs" are lines, `content.split("\\n")` in `cc_net/dedup.py`), Llama 3 with lines that are seen more than 6 times
in a bucket of 30 million documents (Dubey et al. 2024, arXiv 2407.21783, section 3.1.1: menus and cookie warnings went,
and also frequent text of high quality; the models were better for it).

A line ends at LF, CR or CRLF, its *break*, which belongs to it. The normal form of a line is that of texts
(`pipeline.document`: lower case, each run of white space one space, none at the ends) with a 0 for each decimal digit
(Unicode's category Nd), as CCNet has it: "Page 3 of 9" and "PAGE 7 of 8" are one line, "Page 10 of 12" is another.
Punctuation and accents stay, against the paper (its code, `normalize_for_dedup`, leaves the accents too, and takes away
only what punctuation is not ASCII). A line without a letter or number (category L or N) is neither counted nor cut:
blank lines, rules, brackets of code. There is no other bound to the length of a line, as in CCNet and Llama 3.

The 64-bit hash of a line is made of the code points of its normal form: ASCII goes in words of up to 7 characters, each
word beginning with a 1, other characters are words of their own with the highest bit set, so that the words spell the
line. Each word is taken in by exclusive or, a multiplication and a shift; MurmurHash3's 64-bit finaliser ends it. Of a
thousand million different lines two have one hash with a probability of 3 %.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.document import folded
from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, character_at, flags_of
from pipeline.texts.cuts import Cuts
from pipeline.texts.unicode_tables import LETTER, NUMBER, tables

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

NORMAL_CODES = 0x20000  # characters from here on, ideographs, are their own normal form
_WORDLIKE = 1 << 30  # in the table of normal forms: a letter or a number
_SPACE = 0x20

_FIRST = np.uint64(1)
_FULL = np.uint64(1 << 56)  # a word of 7 characters
_BYTE = np.uint64(8)
_OTHER = np.uint64(1 << 63)
_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)  # of SplitMix64 (Steele et al. 2014; Vigna's constants)
_SHIFT = np.uint64(31)
_HALF = np.uint64(33)
_MURMUR_1, _MURMUR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeavyLines:
    """Hashes of heavy lines, to be looked up: `hashes` uint64, ascending, each once; those whose first k bits are the
    number b are `hashes[starts[b]:starts[b + 1]]`, `starts` int32 [2ᵏ + 1], at most one for each b on average."""

    hashes: Hashes
    starts: npt.NDArray[np.int32]


def heavy_lines(hashes: Hashes) -> HeavyLines:
    """The index of the hashes (uint64, in any order) of heavy lines; make it once and cut many texts with it."""
    ascending = np.unique(hashes)
    bits = max(1, len(ascending).bit_length())
    starts = np.zeros(2**bits + 1, np.int32)
    _index(ascending, 64 - bits, starts)
    return HeavyLines(hashes=ascending, starts=starts)


def line_hashes(texts: Texts) -> tuple[Ints, Hashes, Ints]:
    """The different lines of each document: its number in `texts` (int64, ascending), the line's hash (uint64), and the
    bytes of all its occurrences in the document, breaks included (int64): what `cut` takes out if it is heavy.

    Each line once a document, in the order of their first occurrence. Lines without a letter or number are left out.
    """
    starts, first, last, hashes = _lines_of(texts)
    n_bytes = last - first
    document = np.empty(len(hashes), np.int64)
    n = _distinct(starts, hashes, n_bytes, document)
    return document[:n].copy(), hashes[:n].copy(), n_bytes[:n].copy()


def cut(texts: Texts, heavy: HeavyLines) -> Cuts:
    """The spans to delete so that each text is its lines that are not heavy, in order, byte for byte: a span for each
    heavy line, with its break; reason 0. The last line that stays keeps its break, and blank lines stay."""
    starts, first, last, hashes = _lines_of(texts)
    n = _select(heavy.hashes, heavy.starts, starts, first, last, hashes)
    return Cuts(starts=starts, first=first[:n].copy(), last=last[:n].copy(), reason=np.zeros(n, np.uint8))


def _lines_of(texts: Texts) -> tuple[Ints, Ints, Ints, Hashes]:
    """All lines that count: document d has `starts[d]` … `starts[d + 1]`-1 of the spans (first and last byte in its
    text, last exclusive) and hashes."""
    most, table = texts.max_parts(), tables()
    starts, hashes = np.zeros(texts.n_documents + 1, np.int64), np.empty(most, np.uint64)
    first, last = np.empty(most, np.int64), np.empty(most, np.int64)
    n = _hash(texts.data, texts.offsets, table.pages, table.flags, _normal_table(), starts, first, last, hashes)
    return starts, first[:n], last[:n], hashes[:n]


@lru_cache(maxsize=1)
def _normal_table() -> npt.NDArray[np.int32]:
    """What each code point below NORMAL_CODES becomes, and in _WORDLIKE whether it is a letter or number: int32."""
    table = np.empty(NORMAL_CODES, np.int32)
    for code in range(NORMAL_CODES):
        category = unicodedata.category(chr(code))
        table[code] = ord("0") if category == "Nd" else ord(folded(chr(code)))
        table[code] |= _WORDLIKE if category[0] in "LN" else 0
    return table


@njit(cache=True, nogil=True)
def _mixed(value, word):  # type: ignore[no-untyped-def]
    value = (value ^ word) * _MULTIPLIER
    return value ^ (value >> _SHIFT)


@njit(cache=True, nogil=True)
def _line(data, at, end, pages, flags, table):  # type: ignore[no-untyped-def]
    """The hash of the normal form of the line that starts at byte `at`, whether it holds a letter or number, and where
    the next line starts."""
    value, word = np.uint64(0), _FIRST
    seen, started, spaced = 0, False, False
    while at < end:
        code = np.int64(data[at])
        if code < 0x80:
            at += 1
            if code == 10 or code == 13:
                at += code == 13 and at < end and data[at] == 10
                break
            normal = table[code]
        else:
            code, at = character_at(data, at, end)
            if code < NORMAL_CODES:
                normal = table[code]
            else:
                normal = code | (_WORDLIKE if flags_of(code, pages, flags) & (LETTER | NUMBER) else 0)
        seen |= normal
        normal &= _WORDLIKE - 1
        if normal == _SPACE:
            spaced = started
            continue
        started = True
        if spaced:
            word = word << _BYTE | np.uint64(_SPACE)
            spaced = False
            if word >= _FULL:
                value, word = _mixed(value, word), _FIRST
        if normal < 0x80:
            word = word << _BYTE | np.uint64(normal)
            if word >= _FULL:
                value, word = _mixed(value, word), _FIRST
        else:
            if word != _FIRST:
                value, word = _mixed(value, word), _FIRST
            value = _mixed(value, _OTHER | np.uint64(normal))
    value = _mixed(value, word)
    value = (value ^ (value >> _HALF)) * _MURMUR_1
    value = (value ^ (value >> _HALF)) * _MURMUR_2
    return value ^ (value >> _HALF), (seen & _WORDLIKE) != 0, at


@njit(
    types.int64(*TEXT_ARGUMENTS, types.int32[::1], *(types.int64[::1],) * 3, types.uint64[::1]), cache=True, nogil=True
)
def _hash(data, offsets, pages, flags, table, starts, first, last, hashes):  # type: ignore[no-untyped-def]
    """Write the spans and hashes of all lines that count; how many."""
    n = 0
    for document in range(len(offsets) - 1):
        begin, at, end = offsets[document], offsets[document], offsets[document + 1]
        while at < end:
            start = at
            value, counts, at = _line(data, start, end, pages, flags, table)
            if counts:
                first[n], last[n], hashes[n] = start - begin, at - begin, value
                n += 1
        starts[document + 1] = n
    return n


@njit(cache=True, nogil=True)
def _slot(slots, hashes, value):  # type: ignore[no-untyped-def]
    """The slot that holds a hash, or the free one where it belongs. There are 2ᵏ slots, half of them free."""
    mask = len(slots) - 1
    slot = np.int64(value & np.uint64(mask))
    while slots[slot] >= 0 and hashes[slots[slot]] != value:
        slot = (slot + 1) & mask
    return slot


@njit(types.int64(types.int64[::1], types.uint64[::1], types.int64[::1], types.int64[::1]), cache=True, nogil=True)
def _distinct(starts, hashes, n_bytes, document):  # type: ignore[no-untyped-def]
    """Move the different lines of each document to the front, the bytes of equal ones summed; how many in all."""
    n, most = 0, 1
    for number in range(len(starts) - 1):
        most = max(most, starts[number + 1] - starts[number])
    n_slots = 2
    while n_slots < 2 * most:
        n_slots *= 2
    slots = np.full(n_slots, -1, np.int64)  # places in `hashes`
    for number in range(len(starts) - 1):
        begin, size = n, 2
        while size < 2 * (starts[number + 1] - starts[number]):
            size *= 2
        own = slots[:size]  # as small as the document: it stays in the cache
        for line in range(starts[number], starts[number + 1]):
            slot = _slot(own, hashes, hashes[line])
            if own[slot] >= 0:
                n_bytes[own[slot]] += n_bytes[line]
            else:
                own[slot], document[n], hashes[n], n_bytes[n] = n, number, hashes[line], n_bytes[line]
                n += 1
        if n > begin:
            own[:] = -1
    return n


@njit(types.void(types.uint64[::1], types.int64, types.int32[::1]), cache=True, nogil=True)
def _index(ascending, shift, starts):  # type: ignore[no-untyped-def]
    """Count the hashes of each first bits into `starts`, and add up."""
    for value in ascending:
        starts[np.int64(value >> np.uint64(shift)) + 1] += 1
    for bucket in range(1, len(starts)):
        starts[bucket] += starts[bucket - 1]


@njit(
    types.int64(
        types.Array(types.uint64, 1, "C", readonly=True),
        types.Array(types.int32, 1, "C", readonly=True),
        *(types.int64[::1],) * 3,
        types.uint64[::1],
    ),
    cache=True,
    nogil=True,
)
def _select(heavy, heavy_starts, starts, first, last, hashes):  # type: ignore[no-untyped-def]
    """Move the spans of heavy lines to the front; how many. In a loop of its own the look-ups wait for memory together:
    one by one, between lines, they take 10 times as long in 10 million heavy lines."""
    shift, buckets = np.uint64(64), len(heavy_starts) - 1
    while buckets > 1:
        shift, buckets = shift - np.uint64(1), buckets // 2
    n, line = 0, 0
    for document in range(len(starts) - 1):
        while line < starts[document + 1]:
            value = hashes[line]
            bucket = np.int64(value >> shift)
            found = False
            for place in range(heavy_starts[bucket], heavy_starts[bucket + 1]):
                found |= heavy[place] == value
            if found:
                first[n], last[n] = first[line], last[line]
                n += 1
            line += 1
        starts[document + 1] = n
    return n
