"""Counts of characters, and the UTF-8 decoder that the other passes share.

numba's cache notices changes of a compiled function's own file only. The other passes compile the functions at the end
of this file and the flags of `unicode_tables` into themselves: after a change of those, empty `__pycache__` (or
`NUMBA_CACHE_DIR`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.texts.buffers import Texts
from pipeline.texts.unicode_tables import DIGIT, LETTER, NUMBER, UPPER, tables

Counts = npt.NDArray[np.int64]

# The arguments that all passes over text start with: data, offsets, pages, flags.
TEXT_ARGUMENTS = (
    types.Array(types.uint8, 1, "C", readonly=True),
    types.int64[::1],
    types.int64[::1],
    types.uint8[::1],
)


@dataclass(frozen=True, kw_only=True)
class Characters:
    """Counts for each document, int64 [n_documents].

    `ellipses`: "…" and "..." (three dots after each other are one, six are two); `hashes`: "#".
    """

    characters: Counts
    letters: Counts
    numbers: Counts
    digits: Counts
    upper: Counts
    hashes: Counts
    ellipses: Counts


def count(texts: Texts) -> Characters:
    """Count the characters of each document by kind."""
    counts = np.zeros((7, texts.n_documents), np.int64)
    table = tables()
    _count(texts.data, texts.offsets, table.pages, table.flags, counts)
    return Characters(
        characters=counts[0],
        letters=counts[1],
        numbers=counts[2],
        digits=counts[3],
        upper=counts[4],
        hashes=counts[5],
        ellipses=counts[6],
    )


@njit(cache=True, nogil=True)
def character_at(data, at, end):  # type: ignore[no-untyped-def]
    """The code point that starts at byte `at` < `end`, and where the next one starts (at most `end`).

    Malformed bytes give some 21-bit number, never an access outside [at, end).
    """
    lead = np.int64(data[at])
    if lead < 0x80:
        return lead, at + 1
    if lead < 0xE0:
        code, stop = lead & 0x1F, at + 2
    elif lead < 0xF0:
        code, stop = lead & 0x0F, at + 3
    else:
        code, stop = lead & 0x07, at + 4
    stop = min(stop, end)
    for i in range(at + 1, stop):
        code = (code << 6) | (np.int64(data[i]) & 0x3F)
    return code, stop


@njit(cache=True, nogil=True)
def character_before(data, start, at):  # type: ignore[no-untyped-def]
    """The code point that ends before byte `at` > `start`, and where it starts (at least `start`)."""
    first = at - 1
    while first > start and first > at - 4 and data[first] & 0xC0 == 0x80:
        first -= 1
    code, _ = character_at(data, first, at)
    return code, first


@njit(cache=True, nogil=True)
def flags_of(code, pages, flags):  # type: ignore[no-untyped-def]
    """The flags of a code point (`unicode_tables.Tables`), as int64."""
    if code < 0x80:
        return np.int64(flags[code])
    return np.int64(flags[(pages[code >> 8] << 8) + (code & 255)])


@njit(types.void(*TEXT_ARGUMENTS, types.int64[:, ::1]), cache=True, nogil=True)
def _count(data, offsets, pages, flags, counts):  # type: ignore[no-untyped-def]
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        n = letters = numbers = digits = upper = hashes = ellipses = dots = 0
        while at < end:
            if data[at] < 0x80:
                code, at = np.int64(data[at]), at + 1
            else:
                code, at = character_at(data, at, end)
            kind = flags_of(code, pages, flags)
            n += 1
            letters += (kind & LETTER) != 0
            numbers += (kind & NUMBER) != 0
            digits += (kind & DIGIT) != 0
            upper += (kind & UPPER) != 0
            hashes += code == 0x23
            ellipses += code == 0x2026
            dots = dots + 1 if code == 0x2E else 0
            if dots == 3:
                ellipses += 1
                dots = 0
        row = counts[:, document]
        row[0], row[1], row[2], row[3], row[4], row[5], row[6] = n, letters, numbers, digits, upper, hashes, ellipses
