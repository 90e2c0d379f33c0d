"""Words as decontamination compares them, and 64-bit hashes of runs of words.

*Normal form*, character by character: compatibility decomposition (NFKD), Unicode case folding of what is not a mark,
NFKD again; marks that follow each other stand in canonical order (The Unicode Standard, section 3.13, definition D146,
less its special case U+0345). So NFC, NFD, NFKC and NFKD of a text are one, as are "STRASSE" and "straße", "ﬁ" and
"fi", "ｶﾞ" and "ガ", "x²" and "x2"; accents stay. Formatting characters (category Cf: soft hyphen, joiners, direction
marks, byte order mark), variation selectors and the grapheme joiner are left out, except for the zero width space.

*Word*: letters, marks and numbers in a row (categories L, M and N); everything else separates words and is forgotten,
so "3 + 4" and "3-4" are the same two words. In scripts written without spaces (`unicode_tables.UNSPACED`) each letter
is a word, with its marks. A mark that follows no letter or number is left out.

*Hash*: a word's is 64 bits over its code points. Runs of words come from one array: prefixes[i + 1] = prefixes[i] · B +
hash of word i (modulo 2⁶⁴), so that words i … i+n-1 have prefixes[i + n] - prefixes[i] · Bⁿ, whatever n is, and that,
with n, is mixed once more (`run_hashes`). Different runs have the same hash with a probability of 2⁻⁶⁴; of 2⁻⁶² · d if
they differ in the exchange of two words that stand d apart (B is 5 modulo 8).
"""

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.texts.buffers import Texts
from pipeline.texts.characters import character_at
from pipeline.texts.unicode_tables import UNSPACED, flags_of_all

# An entry of the tables: the kind in the highest 3 bits, the canonical combining class in 8, the code point in 21. For
# SEVERAL the number of characters takes the place of the class, the place of the first one in `parts` that of the code.
KIND, CLASS, CODE = 29, 21, (1 << 21) - 1
SEPARATOR, LETTER, ALONE, MARK, DROPPED, SEVERAL = range(6)

# Marks are put in order in runs of at most this many, as in the Stream-Safe Text Format (UAX #15, section 13).
MOST_MARKS = 30
MOST_PARTS = 32  # no character becomes more than 18 (U+FDFA)

BASE = np.uint64(0x9E3779B97F4A7C15)  # B: the golden ratio as a 64-bit fraction
LENGTH_KEY = np.uint64(0xD1B54A32D192ED03)  # keeps runs of different lengths apart
_FACTOR = np.uint64(0xFF51AFD7ED558CCD)
_SEED = np.uint64(0xCBF29CE484222325)


@dataclass(frozen=True, kw_only=True)
class HashedWords:
    """The words of texts: text t has words `starts[t]` … `starts[t + 1]`-1 (`starts` int64 [n_texts + 1]); `prefixes`
    uint64 [n_words + 1] as above."""

    prefixes: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Folds:
    """What each code point becomes: `folds` uint32 [2²¹] (any 21-bit number may be looked up), `parts` uint32 [n]."""

    folds: npt.NDArray[np.uint32]
    parts: npt.NDArray[np.uint32]


def hash_words(texts: Texts) -> HashedWords:
    """Split texts into words and hash these, in one pass over the UTF-8."""
    table = folds()
    starts = np.zeros(texts.n_documents + 1, np.int64)
    room = int(texts.n_bytes.sum()) // 4 + 2 * MOST_PARTS  # grows where words are shorter
    return HashedWords(
        prefixes=_hash_words(texts.data, texts.offsets, table.folds, table.parts, starts, room), starts=starts
    )


def run_hashes(
    prefixes: npt.NDArray[np.uint64], ends: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """The hashes of the runs of `lengths` words that end before word `ends` (int64, same shape)."""
    power = powers(int(lengths.max(initial=0)))[lengths]
    value: npt.NDArray[np.uint64] = (
        prefixes[ends] - prefixes[ends - lengths] * power + lengths.astype(np.uint64) * LENGTH_KEY
    )
    # The finalizer of splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", figure 16)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def powers(most: int) -> npt.NDArray[np.uint64]:
    """B⁰ … B to the power of `most`, uint64 [most + 1]."""
    factors = np.full(most + 1, BASE, np.uint64)
    factors[0] = 1
    power: npt.NDArray[np.uint64] = np.cumprod(factors, dtype=np.uint64)
    return power


@cache
def folds() -> Folds:
    """The tables, made once in a process (0.5 s)."""
    unspaced = (flags_of_all() & UNSPACED) != 0
    table, parts = np.zeros(1 << 21, np.uint32), [0]
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in ("Cn", "Co", "Cs"):
            continue
        entries = [_entry(part, unspaced) for part in _folded(character)]
        entries = [entry for entry in entries if entry >> KIND != DROPPED]
        if len(entries) == 1:
            table[code] = entries[0]
        elif entries:
            table[code] = SEVERAL << KIND | len(entries) << CLASS | len(parts)
            parts += entries
        else:
            table[code] = DROPPED << KIND
    return Folds(folds=table, parts=np.array(parts, np.uint32))


def _folded(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", character)
    folded = (part if unicodedata.combining(part) else part.casefold() for part in decomposed)
    return unicodedata.normalize("NFKD", "".join(folded))


def _entry(character: str, unspaced: npt.NDArray[np.bool_]) -> int:
    code, major = ord(character), unicodedata.category(character)[0]
    if _is_dropped(character):
        kind = DROPPED
    elif major in "LN":
        kind = ALONE if unspaced[code] else LETTER
    else:
        kind = MARK if major == "M" else SEPARATOR
    return kind << KIND | unicodedata.combining(character) << CLASS | code


def _is_dropped(character: str) -> bool:
    if unicodedata.category(character) == "Cf":
        return character != "\u200b"
    return character == "\u034f" or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


@njit(cache=True, nogil=True)
def _hash_words(data, offsets, folds, parts, starts, room):  # type: ignore[no-untyped-def]
    """The prefixes; sets `starts`[1:]. `word` is the kind of the word that is open (LETTER or ALONE), or 0."""
    prefixes, n = np.zeros(room + 1, np.uint64), 0
    marks = np.empty(MOST_MARKS, np.uint32)
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        word, n_marks, value = 0, 0, _SEED
        while at < end:
            if data[at] < 0x80:
                fold, at = np.int64(folds[data[at]]), at + 1
            else:
                code, at = character_at(data, at, end)
                fold = np.int64(folds[code])
            kind = fold >> KIND
            if kind == LETTER and word == LETTER and n_marks == 0:
                value = _step(value, fold)
                while at < end and data[at] < 0x80 and np.int64(folds[data[at]]) >> KIND == LETTER:  # most of the time
                    value, at = _step(value, np.int64(folds[data[at]])), at + 1
                continue
            if kind == SEPARATOR and word == 0:
                continue
            if n + MOST_PARTS + 1 >= len(prefixes):
                prefixes = _larger(prefixes)
            several = kind == SEVERAL
            for k in range((fold >> CLASS) & 0xFF if several else 1):
                part = np.int64(parts[(fold & CODE) + k]) if several else fold
                kind = part >> KIND
                if kind == DROPPED or (kind == MARK and word == 0):
                    continue
                if kind == MARK and (part >> CLASS) & 0xFF and n_marks < MOST_MARKS:
                    n_marks = _insert(marks, n_marks, part)
                    continue
                value, n_marks = _with_marks(value, marks, n_marks), 0
                if kind != MARK and word != 0 and (kind != LETTER or word == ALONE):
                    prefixes[n + 1] = prefixes[n] * BASE + value
                    n, word = n + 1, 0
                if kind != SEPARATOR:
                    if word == 0:
                        word, value = int(kind), _SEED
                    value = _step(value, part)
        if word != 0:
            prefixes[n + 1] = prefixes[n] * BASE + _with_marks(value, marks, n_marks)
            n += 1
        starts[text + 1] = n
    return prefixes[: n + 1]


@njit(cache=True, nogil=True)
def _step(value, entry):  # type: ignore[no-untyped-def]
    """A word's hash with one more character."""
    value = (value ^ np.uint64(entry & CODE)) * _FACTOR
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _insert(marks, n_marks, entry):  # type: ignore[no-untyped-def]
    """Put a mark behind those of the same or a lower class; how many there are now."""
    k = n_marks
    while k > 0 and np.int64(marks[k - 1]) >> CLASS > entry >> CLASS:
        marks[k] = marks[k - 1]
        k -= 1
    marks[k] = entry
    return n_marks + 1


@njit(cache=True, nogil=True)
def _with_marks(value, marks, n_marks):  # type: ignore[no-untyped-def]
    for k in range(n_marks):
        value = _step(value, np.int64(marks[k]))
    return value


@njit(cache=True, nogil=True)
def _larger(array):  # type: ignore[no-untyped-def]
    """A copy with as much room again behind it."""
    larger = np.empty(2 * len(array), np.uint64)
    larger[: len(array)] = array
    return larger
