"""Words as decontamination compares them, and 64-bit hashes of runs of words.

*Normal form*, character by character: compatibility decomposition (NFKD), Unicode case folding of what is not a mark,
NFKD again; marks that follow each other stand in canonical order (The Unicode Standard, section 3.13, definition D146,
less its special case U+0345). So NFC, NFD, NFKC and NFKD of a text are one, as are "STRASSE" and "straße", "ﬁ" and
"fi", "ｶﾞ" and "ガ", "x²" and "x2"; accents stay. Formatting characters (category Cf: soft hyphen, joiners, direction
marks, byte order mark), variation selectors and the grapheme joiner are left out, except for the zero width space.

*Word*: letters, marks and numbers in a row (categories L, M and N); everything else separates words and is forgotten,
so "3 + 4" and "3-4" are the same two words. In scripts written without spaces (`unicode_tables.UNSPACED`) each letter
is a word, with its marks. A mark that follows no letter or number is left out.

*Hash*: a word's is 64 bits over the UTF-8 of its normal form, 8 bytes a step, so that ASCII (nearly all of most texts)
is read 8 bytes at a time. Runs of words come from one array: prefixes[i + 1] = prefixes[i] · B +
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

# A letter or number of ASCII in each of 8 bytes at once (Lamport 1975, "Multiple byte processing with full-word
# instructions"). `_EACH` times a byte is that byte 8 times.
_EACH = np.uint64(0x0101010101010101)
_HIGH, _LOWER = _EACH * np.uint64(0x80), _EACH * np.uint64(0x20)
_FROM_A, _BEYOND_Z = _EACH * np.uint64(0x80 - ord("a")), _EACH * np.uint64(0x7F - ord("z"))
_FROM_0, _BEYOND_9 = _EACH * np.uint64(0x80 - ord("0")), _EACH * np.uint64(0x7F - ord("9"))

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
    wide = _wide(texts.data)
    return HashedWords(
        prefixes=_hash_words(texts.data, wide, texts.offsets, table.folds, table.parts, starts, room, None),
        starts=starts,
    )


def word_places(text: bytes) -> npt.NDArray[np.int64]:
    """Where the words of a text stand, as `hash_words` numbers them: first byte and the byte after the last, int64
    [n, 2]. Words that come of one character have the same place."""
    data, table = np.frombuffer(text, np.uint8), folds()
    given = (data, _wide(data), np.array([0, len(data)]), table.folds, table.parts, np.zeros(2, np.int64))
    n_words = len(_hash_words(*given, len(data) // 4 + 2 * MOST_PARTS, None)) - 1
    places = np.empty((n_words, 2), np.int64)
    _hash_words(*given, n_words + 2 * MOST_PARTS, places)
    return places


def _wide(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The bytes in eights, the first lowest; what is left over is missing."""
    return data[: len(data) // 8 * 8].view("<u8")


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
def _hash_words(data, wide, offsets, folds, parts, starts, room, places):  # type: ignore[no-untyped-def]
    """The prefixes; sets `starts`[1:], and `places` unless it is None. `word` is the kind of the word that is open
    (LETTER or ALONE), or 0; of it, `value` is the hash of the bytes before the last `held`/8, which are `bytes`."""
    prefixes, n = np.empty(room + 1, np.uint64), 0
    prefixes[0] = 0
    marks = np.empty(MOST_MARKS, np.uint32)
    for text in range(len(offsets) - 1):
        at, end = offsets[text], offsets[text + 1]
        in_eights = min(end - 8, 8 * len(wide) - 16)  # here and before it 8 bytes can be read at once
        word, n_marks, value, bytes, held, opened, closed = 0, 0, _SEED, np.uint64(0), 0, at, at
        while at < end:
            while word == 0 and at <= in_eights:
                eight = _eight(wide, at)
                high = eight & _HIGH
                lower = (eight ^ high) | _LOWER
                inside = _in_words(eight ^ high, lower) & ~high
                if inside & np.uint64(0x80) == 0:
                    if high & np.uint64(0x80):
                        break
                    at += _leading(inside | high)
                    continue
                opened, length, value = at, _leading(inside ^ _HIGH), _SEED
                while length == 8 and at + 8 <= in_eights:
                    value, at = _step(value, lower), at + 8
                    eight = _eight(wide, at)
                    high = eight & _HIGH
                    lower = (eight ^ high) | _LOWER
                    inside = _in_words(eight ^ high, lower) & ~high
                    length = _leading(inside ^ _HIGH)
                word, held, closed = LETTER, 8 * length, at + length
                if length == 8:
                    value, bytes, held, at = _step(value, lower), np.uint64(0), 0, closed
                    break  # the next 8 bytes are too near the end
                read = (np.uint64(1) << np.uint64(held)) - np.uint64(1)
                bytes = lower & read
                if high & ~read & (read + np.uint64(1)) << np.uint64(7):
                    at = closed
                    break  # a character that is not ASCII follows
                if n + 1 >= len(prefixes):
                    prefixes = _larger(prefixes)
                prefixes[n + 1] = prefixes[n] * BASE + _end(value, bytes, held)
                if places is not None:
                    places[n, 0], places[n, 1] = opened, closed
                n, word = n + 1, 0
                at += _leading((inside | high) & ~read)  # to what is no separator
            if at >= end:
                break
            begin = at
            if data[at] < 0x80:
                fold, at = np.int64(folds[data[at]]), at + 1
            else:
                code, at = character_at(data, at, end)
                fold = np.int64(folds[code])
            kind = fold >> KIND
            if kind == LETTER and word == LETTER and n_marks == 0:
                value, bytes, held = _append(value, bytes, held, fold)
                closed = at
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
                    n_marks, closed = _insert(marks, n_marks, part), at
                    continue
                value, bytes, held = _with_marks(value, bytes, held, marks, n_marks)
                n_marks = 0
                if kind != MARK and word != 0 and (kind != LETTER or word == ALONE):
                    prefixes[n + 1] = prefixes[n] * BASE + _end(value, bytes, held)
                    if places is not None:
                        places[n, 0], places[n, 1] = opened, closed
                    n, word = n + 1, 0
                if kind != SEPARATOR:
                    if word == 0:
                        word, value, bytes, held, opened = int(kind), _SEED, np.uint64(0), 0, begin
                    value, bytes, held = _append(value, bytes, held, part)
                    closed = at
        if word != 0:
            if n + 1 >= len(prefixes):
                prefixes = _larger(prefixes)
            value, bytes, held = _with_marks(value, bytes, held, marks, n_marks)
            prefixes[n + 1] = prefixes[n] * BASE + _end(value, bytes, held)
            if places is not None:
                places[n, 0], places[n, 1] = opened, closed
            n += 1
        starts[text + 1] = n
    return prefixes[: n + 1]


@njit(cache=True, nogil=True)
def _eight(wide, at):  # type: ignore[no-untyped-def]
    """The 8 bytes from `at` on, the first lowest."""
    shift = np.uint64(at & 7) * np.uint64(8)
    return wide[at >> 3] >> shift | (wide[(at >> 3) + 1] << np.uint64(1)) << (np.uint64(63) - shift)


@njit(cache=True, nogil=True)
def _in_words(seven, lower):  # type: ignore[no-untyped-def]
    """The highest bit of each byte that is a letter or number: by its lower 7 bits as they are, and in lower case."""
    letters = (lower + _FROM_A) & ~(lower + _BEYOND_Z)
    return (letters | ((seven + _FROM_0) & ~(seven + _BEYOND_9))) & _HIGH


@njit(cache=True, nogil=True)
def _leading(high):  # type: ignore[no-untyped-def]
    """How many bytes stand before the first one whose highest bit is set: 0 to 8; no other bits are."""
    if high == 0:
        return 8
    below = (high & (~high + np.uint64(1))) - np.uint64(1)
    return np.int64(((below >> np.uint64(7)) & _EACH) * _EACH >> np.uint64(56))


@njit(cache=True, nogil=True)
def _step(value, bytes):  # type: ignore[no-untyped-def]
    """A word's hash with 8 more bytes."""
    value = (value ^ bytes) * _FACTOR
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True)
def _end(value, bytes, held):  # type: ignore[no-untyped-def]
    """The hash of a word that ends here."""
    return _step(value, bytes) if held else value


@njit(cache=True, nogil=True)
def _append(value, bytes, held, entry):  # type: ignore[no-untyped-def]
    """A word's hash with one more character, in UTF-8."""
    code = np.uint64(entry & CODE)
    if code < 0x80:
        return _append_byte(value, bytes, held, code)
    n = 2 if code < 0x800 else 3 if code < 0x10000 else 4
    lead = np.uint64((0xF00 >> n) & 0xFF)
    for k in range(n - 1, -1, -1):
        low = code >> np.uint64(6 * k)
        byte = lead | low if k == n - 1 else np.uint64(0x80) | (low & np.uint64(0x3F))
        value, bytes, held = _append_byte(value, bytes, held, byte)
    return value, bytes, held


@njit(cache=True, nogil=True)
def _append_byte(value, bytes, held, byte):  # type: ignore[no-untyped-def]
    bytes |= byte << np.uint64(held)
    if held == 56:
        return _step(value, bytes), np.uint64(0), 0
    return value, bytes, held + 8


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
def _with_marks(value, bytes, held, marks, n_marks):  # type: ignore[no-untyped-def]
    for k in range(n_marks):
        value, bytes, held = _append(value, bytes, held, np.int64(marks[k]))
    return value, bytes, held


@njit(cache=True, nogil=True)
def _larger(array):  # type: ignore[no-untyped-def]
    """A copy with as much room again behind it."""
    larger = np.empty(2 * len(array), np.uint64)
    larger[: len(array)] = array
    return larger
