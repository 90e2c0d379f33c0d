"""What a sentence is, and how many a text has.

A sentence ends at a sentence mark (`unicode_tables.TERMINAL`, but not at Thai and Lao letters), with the sentence marks
and closing brackets and quotes that follow it, before white space or the line's end; or anywhere, if it has a mark from
U+3000 on (。 and its kin). What holds no letter or number is no sentence, what follows the last end is one, and each
line that is not empty has at least one. Abbreviations count too many: ask only for a small least number.
"""

import numpy as np
from numba import njit, types

from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, Counts, character_at, flags_of
from pipeline.texts.unicode_tables import (
    ALSO_TERMINAL,
    CLOSING,
    LETTER,
    NUMBER,
    SENTENCE_TERMINALS,
    SPACE,
    TERMINAL,
    tables,
)

_WIDE = 0x3000  # sentence marks from here on need no white space after them
_THAI, _TIBETAN = 0x0E00, 0x0F00  # the blocks of Thai and Lao: from, to (exclusive)

# Bytes with which a sentence mark may start, and those that end a line.
_MARK, _BREAK = 1, 2
_STARTS = np.zeros(256, np.uint8)
for _first, _last in SENTENCE_TERMINALS + ALSO_TERMINAL:
    _STARTS[[chr(code).encode()[0] for code in range(_first, _last + 1)]] = _MARK
_STARTS[[0x0A, 0x0D]] = _BREAK


def count(texts: Texts) -> Counts:
    """Sentences of each document, int64 [n_documents]."""
    counts = np.zeros(texts.n_documents, np.int64)
    table = tables()
    _count(texts.data, texts.offsets, table.pages, table.flags, counts)
    return counts


@njit(cache=True, nogil=True)
def _says_something(data, at, end, pages, flags):  # type: ignore[no-untyped-def]
    while at < end:
        code, at = character_at(data, at, end)
        if flags_of(code, pages, flags) & (LETTER | NUMBER):
            return True
    return False


@njit(cache=True, nogil=True)
def _marks_end(text, at, pages, flags):  # type: ignore[no-untyped-def]
    """Where the sentence marks end, and the closing brackets and quotes among and after them, the first of which stands
    at byte `at` (`at` if none does); and whether a sentence ends there."""
    end, wide, kind = at, False, 0
    while end < len(text):
        code, following = character_at(text, end, len(text))
        kind = flags_of(code, pages, flags)
        is_mark = (kind & TERMINAL) != 0 and not _THAI <= code < _TIBETAN
        if not is_mark and (end == at or not kind & CLOSING):
            break
        wide |= is_mark and code >= _WIDE
        end = following
    return end, end > at and (end == len(text) or wide or (kind & SPACE) != 0)


@njit(cache=True, nogil=True)
def _skip(text, at):  # type: ignore[no-untyped-def]
    """The next byte from `at` on with which a sentence mark or a line break may start; the text's end if none does."""
    rest = text[at:]
    for i in range(len(rest)):
        if _STARTS[rest[i]]:
            return at + i
    return len(text)


@njit(types.void(*TEXT_ARGUMENTS, types.int64[::1]), cache=True, nogil=True)
def _count(data, offsets, pages, flags, counts):  # type: ignore[no-untyped-def]
    for document in range(len(offsets) - 1):
        text = data[offsets[document] : offsets[document + 1]]
        line, n, first = 0, 0, 0  # the line starts at byte `line`, has n sentences so far, the next starts at `first`
        at = _skip(text, 0)
        while line < len(text):
            if at < len(text) and _STARTS[text[at]] == _MARK:
                done, is_end = _marks_end(text, at, pages, flags)
                if is_end:
                    n += _says_something(text, first, done, pages, flags)
                    first = done
                at = _skip(text, max(done, at + 1))
                continue
            if at > line:
                counts[document] += max(n + _says_something(text, first, at, pages, flags), 1)
            line, n, first = at + 1, 0, at + 1
            at = _skip(text, line)
