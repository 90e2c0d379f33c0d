"""What a word is, and counts of words.

Words are split at Unicode white space, as `str.split()` does. In scripts that are written without spaces (Chinese,
Japanese, Thai, …; `unicode_tables.UNSPACED`) each letter starts a word of its own, with the marks and punctuation that
follow it; a letter or number of another script after it starts the next word. So "我们 use GPT-4。" has the words
我, 们, use, GPT-4。, and 50 words are 50 letters of Chinese.

A word without any letter or number ("|", "—", "👍") is a *symbol*; it is counted apart from the others, as datatrove
does, but stands in n-grams and under the ratios like any word.

In the mean word length a letter of an unspaced script counts as `UNSPACED_LENGTH` characters: with its true length of
1, limits made for spaced scripts (3 to 10) would reject every such text; with 3 they neither reject nor save one.

Stop words are the eight English ones of Rae et al. 2021 (section A1.1), compared without case and without what is not
a letter or number at the word's ends ("That," is `that`). They reject whatever is not English: for other languages the
recipe sets `min_stop_words: 0`.

A repeated word is known by its 64-bit hash (FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/): two different words
among n of one document are taken for one with a probability below n² / 2⁶⁵.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, Counts, character_at, character_before, flags_of
from pipeline.texts.unicode_tables import LETTER, NUMBER, SPACE, UNSPACED, tables

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
UNSPACED_LENGTH = 3

_STOP_KEYS = np.array([int.from_bytes(word.encode(), "little") for word in STOP_WORDS], np.uint32)
_LONGEST_STOP_WORD = max(len(word) for word in STOP_WORDS)
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@dataclass(frozen=True, kw_only=True)
class Words:
    """Counts for each document, int64 [n_documents], and all words of all documents, one after the other.

    `n`: all words; `symbols`: those without a letter or number; `length`: characters of the others, a letter of an
    unspaced script counted `UNSPACED_LENGTH` times; `alpha`: words with a letter; `stop`: different stop words that
    occur (0 to 8).
    Document d has the words `starts[d]` … `starts[d + 1]`-1 (int64 [n_documents + 1]) of `hashes` (uint64), `lengths`
    (int32, true characters) and `gaps` (uint8: 1 where white space stands before the word).
    """

    n: Counts
    symbols: Counts
    length: Counts
    alpha: Counts
    stop: Counts
    starts: Counts
    hashes: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int32]
    gaps: npt.NDArray[np.uint8]


def split(texts: Texts) -> Words:
    """Split each document into words and count them."""
    n_documents, most = texts.n_documents, texts.max_parts()
    counts = np.zeros((4, n_documents), np.int64)
    starts = np.zeros(n_documents + 1, np.int64)
    hashes, lengths, gaps = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.uint8)
    table = tables()
    _split(texts.data, texts.offsets, table.pages, table.flags, counts, starts, hashes, lengths, gaps)
    return Words(
        n=np.diff(starts),
        symbols=counts[0],
        length=counts[1],
        alpha=counts[2],
        stop=counts[3],
        starts=starts,
        hashes=hashes,
        lengths=lengths,
        gaps=gaps,
    )


@njit(cache=True, nogil=True)
def _scan_word(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """The word that starts at byte `start` (which is not white space): where it ends (exclusive), its hash, its
    characters, the letters and numbers among them, and the flags of all its characters together."""
    at, n, alnum, kinds = start, 0, 0, 0
    value = _FNV_OFFSET
    while at < end:
        byte = data[at]
        if byte < 0x80:
            kind, following = flags_of(np.int64(byte), pages, flags), at + 1
        else:
            code, following = character_at(data, at, end)
            kind = flags_of(code, pages, flags)
            if n > 0 and kind & UNSPACED:
                break
        if kind & SPACE or (kinds & UNSPACED and kind & (LETTER | NUMBER)):
            break
        value = (value ^ np.uint64(byte)) * _FNV_PRIME
        for i in range(at + 1, following):
            value = (value ^ np.uint64(data[i])) * _FNV_PRIME
        n += 1
        alnum += (kind & (LETTER | NUMBER)) != 0
        kinds |= kind
        at = following
    return at, value, n, alnum, kinds


@njit(cache=True, nogil=True)
def _stop_word(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """A bit for the stop word in bytes [start, end) without what is neither letter nor number at its ends, or 0."""
    while start < end:
        code, following = character_at(data, start, end)
        if flags_of(code, pages, flags) & (LETTER | NUMBER):
            break
        start = following
    while start < end:
        code, before = character_before(data, start, end)
        if flags_of(code, pages, flags) & (LETTER | NUMBER):
            break
        end = before
    if end - start > _LONGEST_STOP_WORD:
        return 0
    key = np.uint32(0)
    for i in range(start, end):
        key |= np.uint32(data[i] | 0x20) << np.uint32(8 * (i - start))  # only letters become letters by setting bit 5
    for word in range(len(_STOP_KEYS)):
        if _STOP_KEYS[word] == key:
            return 1 << word
    return 0


@njit(
    types.void(
        *TEXT_ARGUMENTS,
        types.int64[:, ::1],
        types.int64[::1],
        types.uint64[::1],
        types.int32[::1],
        types.uint8[::1],
    ),
    cache=True,
    nogil=True,
)
def _split(data, offsets, pages, flags, counts, starts, hashes, lengths, gaps):  # type: ignore[no-untyped-def]
    word = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        symbols, length, alpha, stops, gap = 0, 0, 0, 0, 1
        while at < end:
            code, following = character_at(data, at, end)
            if flags_of(code, pages, flags) & SPACE:
                at, gap = following, 1
                continue
            start = at
            at, value, n, alnum, kinds = _scan_word(data, start, end, pages, flags)
            hashes[word], lengths[word], gaps[word] = value, n, gap
            word += 1
            gap = 0
            if kinds & (LETTER | NUMBER):
                length += n + (UNSPACED_LENGTH - 1 if kinds & UNSPACED else 0)
            else:
                symbols += 1
            alpha += (kinds & LETTER) != 0
            if alnum <= _LONGEST_STOP_WORD:
                stops |= _stop_word(data, start, at, pages, flags)
        different = 0
        while stops:
            different += stops & 1
            stops >>= 1
        row = counts[:, document]
        row[0], row[1], row[2], row[3] = symbols, length, alpha, different
        starts[document + 1] = word
