"""Words and word n-grams (shingles) of normal forms, as 64-bit hashes; the Jaccard similarity of two shingle sets.

*Word*: a run of characters between spaces of the normal form. Where a script is written without spaces between words
(`SCRIPTS_WITHOUT_SPACES`) each character is a word of its own, whether spaces stand around it or not.

*Shingle*: `ngram` words in a row, from the first byte of the first one to the last byte of the last one as they stand
in the normal form, spaces between included. A text of fewer words has one shingle, all of it; a text without words has
none. A shingle's hash is the xxh64, seed 0, of its UTF-8.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipeline.texts.normal import NormalTexts, normal_runs

# First and last code point of the Unicode blocks of scripts without spaces between words: the scripts of line breaking
# classes ID, CJ and SA in Unicode Standard Annex 14, less Hangul, which has spaces. All borders are multiples of 16.
SCRIPTS_WITHOUT_SPACES = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x312F),  # radicals, CJK punctuation, Hiragana, Katakana, Bopomofo
    (0x3190, 0x31FF),  # Kanbun, Bopomofo, strokes, Katakana extensions
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Myanmar extension B
    (0xAA60, 0xAADF),  # Myanmar extension A, Tai Viet
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF60, 0xFF9F),  # Katakana, half width
    (0x1AFF0, 0x1B16F),  # Kana supplements and extensions
    (0x20000, 0x3FFFF),  # Han, the supplementary planes
)


@dataclass(frozen=True, kw_only=True)
class Shingles:
    """Shingle hashes of texts, back to back, in the order of the text and as often as they stand there: text i's are
    hashes[offsets[i]:offsets[i + 1]]. `hashes` uint64, `offsets` int64 [n + 1]."""

    hashes: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def shingle_hashes(texts: NormalTexts, ngram: int) -> Shingles:
    """The hashes of all shingles of `ngram` words of the texts."""
    if ngram < 1:
        raise ValueError(f"ngram is {ngram}; a shingle has at least 1 word")
    hashes = np.empty((len(texts.data) + len(texts)) // 2, dtype=np.uint64)  # a word takes a byte and a space, or more
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    _shingle(texts.data, texts.offsets, _STANDS_ALONE, np.zeros(ngram, dtype=np.int64), hashes, offsets)
    return Shingles(hashes=hashes[: offsets[-1]], offsets=offsets)


def shingle_sets(texts: pa.Array, *, ngram: int) -> list[npt.NDArray[np.uint64]]:
    """The set of shingle hashes of each text (string array without nulls): sorted, each once; empty without words."""
    sets: list[npt.NDArray[np.uint64]] = []
    for run in normal_runs(texts):
        shingles = shingle_hashes(run, ngram)
        sets += [np.unique(hashes) for hashes in np.split(shingles.hashes, shingles.offsets[1:-1])]
    return sets


def jaccard(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> float:
    """The Jaccard similarity of two shingle sets as `shingle_sets` gives them: sorted, each hash once. In [0, 1]; 0
    where either is empty: texts without words are similar to nothing."""
    shared = _shared(left, right)
    return shared / max(1, len(left) + len(right) - shared)


def _alone_table() -> npt.NDArray[np.bool_]:
    """Whether characters are words of their own, by code point div 16: bool [0x4000]."""
    table = np.zeros(0x4000, dtype=np.bool_)
    for first, last in SCRIPTS_WITHOUT_SPACES:
        table[first >> 4 : (last >> 4) + 1] = True
    return table


_STANDS_ALONE = _alone_table()


@njit(cache=True, nogil=True)
def _shingle(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    alone: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    ends: npt.NDArray[np.int64],
) -> None:
    """Write the shingle hashes of normal texts into `hashes` and their ends into `ends`[1:]. `starts`, of ngram
    numbers, holds where the last words began, round and round."""
    ngram = len(starts)
    at = 0
    for text in range(len(offsets) - 1):
        i, end = offsets[text], offsets[text + 1]
        n_words = slot = 0
        while i < end:
            if data[i] == 0x20:
                i += 1
                continue
            starts[slot] = i
            slot = slot + 1 if slot + 1 < ngram else 0
            n_words += 1
            i = _word_end(data, i, end, alone)
            if n_words >= ngram:
                hashes[at] = xxh64(data, starts[slot], i)
                at += 1
        if 0 < n_words < ngram:
            hashes[at] = xxh64(data, offsets[text], end)
            at += 1
        ends[text + 1] = at


@njit(cache=True, nogil=True)
def _word_end(data: npt.NDArray[np.uint8], i: int, end: int, alone: npt.NDArray[np.bool_]) -> int:
    """Where the word ends (exclusive) that begins at `i`."""
    if data[i] >= 0xE0 and _stands_alone(data, i, alone):
        return i + (3 if data[i] < 0xF0 else 4)
    i += 1
    # The bytes that continue a character are smaller than 0xE0 and no space.
    while i < end and data[i] != 0x20 and (data[i] < 0xE0 or not _stands_alone(data, i, alone)):
        i += 1
    return i


@njit(cache=True, nogil=True)
def _stands_alone(data: npt.NDArray[np.uint8], i: int, alone: npt.NDArray[np.bool_]) -> bool:
    """Whether the character of three or four bytes at `i` is a word of its own."""
    code = np.int64(data[i + 1] & 0x3F) << 6 | (data[i + 2] & 0x3F)
    if data[i] < 0xF0:
        code |= np.int64(data[i] & 0x0F) << 12
    else:
        code = np.int64(data[i] & 0x07) << 18 | code << 6 | (data[i + 3] & 0x3F)
    return bool(code < len(alone) << 4 and alone[code >> 4])


# xxh64 as in https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, section "XXH64 algorithm description"
_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)


@njit(cache=True, nogil=True)
def xxh64(data: npt.NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """The xxh64, seed 0, of data[start:end]."""
    size = np.uint64(end - start)
    i = start
    if end - start >= 32:
        v1, v2, v3, v4 = _P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1
        while i + 32 <= end:
            v1, v2 = _round(v1, _word64(data, i)), _round(v2, _word64(data, i + 8))
            v3, v4 = _round(v3, _word64(data, i + 16)), _round(v4, _word64(data, i + 24))
            i += 32
        h = _rotate(v1, 1) + _rotate(v2, 7) + _rotate(v3, 12) + _rotate(v4, 18)
        for v in (v1, v2, v3, v4):
            h = (h ^ _round(np.uint64(0), v)) * _P1 + _P4
    else:
        h = _P5
    h += size
    while i + 8 <= end:
        h = _rotate(h ^ _round(np.uint64(0), _word64(data, i)), 27) * _P1 + _P4
        i += 8
    if i + 4 <= end:
        h = _rotate(h ^ _word32(data, i) * _P1, 23) * _P2 + _P3
        i += 4
    while i < end:
        h = _rotate(h ^ np.uint64(data[i]) * _P5, 11) * _P1
        i += 1
    h = (h ^ h >> np.uint64(33)) * _P2
    h = (h ^ h >> np.uint64(29)) * _P3
    return h ^ h >> np.uint64(32)


@njit(cache=True, nogil=True)
def _round(lane: np.uint64, value: np.uint64) -> np.uint64:
    return _rotate(lane + value * _P2, 31) * _P1


@njit(cache=True, nogil=True)
def _rotate(value: np.uint64, bits: int) -> np.uint64:
    return value << np.uint64(bits) | value >> np.uint64(64 - bits)


@njit(cache=True, nogil=True)
def _word32(data: npt.NDArray[np.uint8], i: int) -> np.uint64:
    """Four bytes, little-endian."""
    return (
        np.uint64(data[i])
        | np.uint64(data[i + 1]) << np.uint64(8)
        | np.uint64(data[i + 2]) << np.uint64(16)
        | np.uint64(data[i + 3]) << np.uint64(24)
    )


@njit(cache=True, nogil=True)
def _word64(data: npt.NDArray[np.uint8], i: int) -> np.uint64:
    """Eight bytes, little-endian."""
    return _word32(data, i) | _word32(data, i + 4) << np.uint64(32)


@njit(cache=True, nogil=True)
def _shared(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> int:
    """How many values two sorted arrays without repeats have in common."""
    i = j = shared = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            shared += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    return shared
