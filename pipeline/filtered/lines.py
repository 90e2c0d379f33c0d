"""What a line and a paragraph is, and counts of lines.

A line ends at LF, CR or CRLF (also the last one may; nothing after the last break is no line). A line is *blank* if it
holds white space only. A paragraph is a run of lines that are not blank; its text goes from its first line's start to
its last line's end. Lines are compared as they are, white space included, without the break; paragraphs line by line.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, Counts, character_at, character_before, flags_of
from pipeline.texts.unicode_tables import CLOSING, SPACE, TERMINAL, tables

# FineWeb's short lines (Penedo et al. 2024, section 3.6; datatrove: `len(line) <= 30`).
SHORT_LINE_CHARACTERS = 30
# Bullets of Gopher's rule; the paper names none, these are datatrove's.
_BULLET, _HYPHEN = 0x2022, 0x2D
_ELLIPSIS_SIGN = 0x2026

_NOT_BLANK, _BULLETED, _ELLIPSIS, _TERMINATED = 1, 2, 4, 8
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
# The counts of a document, by row of the array that `_split` fills.
_N, _BREAKS, _CHARACTERS, _LONGEST, _N_BULLETED, _N_ELLIPSIS, _N_SHORT, _N_TERMINATED = range(8)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Lines that are not blank, or paragraphs, of all documents one after the other: document d has `starts[d]` …
    `starts[d + 1]`-1 (int64 [n_documents + 1]) of `hashes` (uint64 of the text) and `lengths` (int64, characters)."""

    starts: Counts
    hashes: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int64]

    @property
    def n(self) -> Counts:
        return np.diff(self.starts)


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Counts for each document, int64 [n_documents].

    `n` lines, `breaks` line breaks, `characters` of all lines without their breaks, `longest` line in characters.
    `bulleted`: lines whose first character that is not white space is "•" or "-"; `ellipsis`: lines that end, before
    white space, in "…" or "..."; of lines that are not blank `short` (at most `SHORT_LINE_CHARACTERS`) and `terminated`
    (their last character that is neither white space nor a closing bracket or quote ends a sentence, as in UAX #29).
    """

    n: Counts
    breaks: Counts
    characters: Counts
    longest: Counts
    bulleted: Counts
    ellipsis: Counts
    short: Counts
    terminated: Counts
    texts: Parts
    paragraphs: Parts


def split(texts: Texts) -> Lines:
    """Split each document into lines and paragraphs and count them."""
    most, n_documents = texts.max_parts(), texts.n_documents
    counts = np.zeros((8, n_documents), np.int64)
    texts_of, paragraphs = (
        Parts(
            starts=np.zeros(n_documents + 1, np.int64),
            hashes=np.empty(most, np.uint64),
            lengths=np.empty(most, np.int64),
        )
        for _ in range(2)
    )
    table = tables()
    _split(
        texts.data, texts.offsets, table.pages, table.flags, counts,
        texts_of.starts, texts_of.hashes, texts_of.lengths,
        paragraphs.starts, paragraphs.hashes, paragraphs.lengths,
    )  # fmt: skip
    return Lines(
        n=counts[_N],
        breaks=counts[_BREAKS],
        characters=counts[_CHARACTERS],
        longest=counts[_LONGEST],
        bulleted=counts[_N_BULLETED],
        ellipsis=counts[_N_ELLIPSIS],
        short=counts[_N_SHORT],
        terminated=counts[_N_TERMINATED],
        texts=texts_of,
        paragraphs=paragraphs,
    )


@njit(cache=True, nogil=True)
def _scan_line(data, start, end):  # type: ignore[no-untyped-def]
    """The line that starts at byte `start`: where its break starts (or `end`), its hash, its characters."""
    at, n = start, 0
    value = _FNV_OFFSET
    while at < end:
        byte = data[at]
        if byte == 10 or byte == 13:
            break
        value = (value ^ np.uint64(byte)) * _FNV_PRIME
        n += byte & 0xC0 != 0x80  # not inside a character
        at += 1
    return at, value, n


@njit(cache=True, nogil=True)
def _marks(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """What the line in bytes [start, end) starts and ends with; 0 for a blank line."""
    code = 0
    while start < end:
        code, following = character_at(data, start, end)
        if not flags_of(code, pages, flags) & SPACE:
            break
        start = following
    if start == end:
        return 0
    marks = _NOT_BLANK
    if code in (_BULLET, _HYPHEN):
        marks |= _BULLETED
    code, before = character_before(data, start, end)
    while before > start and flags_of(code, pages, flags) & SPACE:
        end = before
        code, before = character_before(data, start, end)
    dots = end - start >= 3 and data[end - 1] == 0x2E and data[end - 2] == 0x2E and data[end - 3] == 0x2E
    if dots or code == _ELLIPSIS_SIGN:
        marks |= _ELLIPSIS
    while before > start and flags_of(code, pages, flags) & (SPACE | CLOSING):
        code, before = character_before(data, start, before)
    if flags_of(code, pages, flags) & TERMINAL:
        marks |= _TERMINATED
    return marks


@njit(cache=True, nogil=True)
def _count_line(counts, document, n, marks):  # type: ignore[no-untyped-def]
    row = counts[:, document]
    row[_N] += 1
    row[_CHARACTERS] += n
    row[_LONGEST] = max(row[_LONGEST], n)
    row[_N_BULLETED] += (marks & _BULLETED) != 0
    row[_N_ELLIPSIS] += (marks & _ELLIPSIS) != 0
    if marks & _NOT_BLANK:
        row[_N_SHORT] += n <= SHORT_LINE_CHARACTERS
        row[_N_TERMINATED] += (marks & _TERMINATED) != 0


@njit(
    types.void(
        *TEXT_ARGUMENTS,
        types.int64[:, ::1],
        *(types.int64[::1], types.uint64[::1], types.int64[::1]),
        *(types.int64[::1], types.uint64[::1], types.int64[::1]),
    ),
    cache=True,
    nogil=True,
)
def _split(data, offsets, pages, flags, counts, starts, hashes, lengths, p_starts, p_hashes, p_lengths):  # type: ignore[no-untyped-def]
    line, paragraph = 0, 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        inside, break_characters = False, 0  # whether the line before belongs to a paragraph; its break's characters
        while at < end:
            start = at
            at, value, n = _scan_line(data, start, end)
            marks = _marks(data, start, at, pages, flags)
            _count_line(counts, document, n, marks)
            if marks & _NOT_BLANK:
                hashes[line], lengths[line] = value, n
                line += 1
                if inside:
                    p_hashes[paragraph] = (p_hashes[paragraph] * _FNV_PRIME ^ value) * _FNV_PRIME
                    p_lengths[paragraph] += break_characters + n
                else:
                    p_hashes[paragraph], p_lengths[paragraph] = value, n
                inside = True
            elif inside:
                paragraph += 1
                inside = False
            if at < end:
                counts[_BREAKS, document] += 1
                break_characters = 2 if data[at] == 13 and at + 1 < end and data[at + 1] == 10 else 1
                at += break_characters
        paragraph += inside
        starts[document + 1], p_starts[document + 1] = line, paragraph
