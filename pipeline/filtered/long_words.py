"""Where words are longer than a limit."""

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, character_at, flags_of
from pipeline.texts.unicode_tables import LETTER, NUMBER, SPACE, UNSPACED, tables


def find(texts: Texts, longest: int) -> npt.NDArray[np.int64]:
    """The words (as in `words`) of more than `longest` characters: the byte of `texts.data` at which each starts,
    ascending, int64 [n]."""
    found = np.empty(int((texts.n_bytes // (longest + 1)).sum()), np.int64)
    table = tables()
    n = _find(texts.data, texts.offsets, table.pages, table.flags, longest, found)
    return found[:n]


@njit(cache=True, nogil=True)
def _word_end(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """The word (`words`) that starts at byte `start`, which is not white space: where it ends, its characters."""
    code, at = character_at(data, start, end)
    n, ends = 1, SPACE | UNSPACED
    if flags_of(code, pages, flags) & UNSPACED:
        ends |= LETTER | NUMBER
    while at < end:
        code, following = np.int64(data[at]), at + 1
        if code >= 0x80:
            code, following = character_at(data, at, end)
        if flags_of(code, pages, flags) & ends:
            break
        at, n = following, n + 1
    return at, n


@njit(cache=True, nogil=True)
def _last_space(data, start, end):  # type: ignore[no-untyped-def]
    """The last of bytes [start, end) that is a space or line break; `start` - 1 if none is."""
    at = end - 1
    while at >= start and data[at] != 0x20 and data[at] != 0x0A and data[at] != 0x0D:
        at -= 1
    return at


@njit(types.int64(*TEXT_ARGUMENTS, types.int64, types.int64[::1]), cache=True, nogil=True)
def _find(data, offsets, pages, flags, longest, found):  # type: ignore[no-untyped-def]
    """Fills `found`; how many there are. More than `longest` characters are at least as many bytes: where a space
    stands among the next `longest` + 1 bytes, no such word starts before it."""
    n = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        while end - at > longest:
            stop = at + longest
            space = _last_space(data, at, stop + 1)
            if space >= at:
                at = space + 1
                continue
            while at <= stop:
                code, following = character_at(data, at, end)
                if flags_of(code, pages, flags) & SPACE:
                    at = following
                    continue
                start = at
                at, n_characters = _word_end(data, start, end, pages, flags)
                if n_characters > longest:
                    found[n] = start
                    n += 1
    return n
