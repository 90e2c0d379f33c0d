"""Where in a text its pieces lie: runs of characters, words, n-grams, lines, paragraphs.

For people who read reports, on a few documents at a time: in Python and numpy. The kernels (`words`, `lines`,
`ngrams`) count the same pieces by the same definitions, and do not say where they are.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.filtered.words import UNSPACED_LENGTH
from pipeline.texts.unicode_tables import LETTER, NUMBER, SPACE, UNSPACED, tables

# First character of each piece and the one after its last.
Spans = npt.NDArray[np.int64]  # [n, 2]
Flags = npt.NDArray[np.uint8]  # of `unicode_tables`
Pairs = list[tuple[int, int]]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, as in `first_places`
LINE = re.compile(r"[^\r\n]+")  # a line that holds something, be it white space
_BREAKS = ("\r\n", "\r", "\n")


def character_runs(text: str, *, of: int, but: int = 0) -> Spans:
    """Runs of characters that have one of the flags `of` (`unicode_tables`) and none of the flags `but`."""
    flags = _flags(text)
    return _runs(((flags & of) != 0) & ((flags & but) == 0))


def runs_between(text: str, *, flags: int) -> Spans:
    """Runs of characters that have none of the flags."""
    return _runs((_flags(text) & flags) == 0)


@cache
def characters_with(flags: int) -> str:
    """All characters there are that have one of the flags."""
    return "".join(map(chr, np.flatnonzero(_flags_of(np.arange(0x110000)) & flags).tolist()))


def matches(text: str, *, pattern: re.Pattern[str]) -> Pairs:
    """The matches of an expression, from left to right without overlap."""
    return [match.span() for match in pattern.finditer(text)]


def words_with(text: str, *, flags: int) -> Spans:
    """Words with a character that has one of the flags."""
    spans, flags_of_words = _words(text)
    return np.compress((flags_of_words & flags) != 0, spans, axis=0)


def words_without(text: str, *, flags: int) -> Spans:
    """Words none of whose characters has one of the flags."""
    spans, flags_of_words = _words(text)
    return np.compress((flags_of_words & flags) == 0, spans, axis=0)


def words_beyond_mean(text: str, *, longer: bool) -> Spans:
    """Words with a letter or number that are at least (`longer`) or at most as long as the mean of these words, by
    the lengths that `words` gives them."""
    spans, flags = _words(text)
    spoken = (flags & (LETTER | NUMBER)) != 0
    spans, unspaced = spans[spoken], (flags[spoken] & UNSPACED) != 0
    lengths = spans[:, 1] - spans[:, 0] + (UNSPACED_LENGTH - 1) * unspaced
    excess = lengths * len(spans) - lengths.sum()
    return np.compress(excess >= 0 if longer else excess <= 0, spans, axis=0)


def top_ngram(text: str, *, n: int) -> Spans:
    """All occurrences of the n-gram of words that occurs most often; of several, of the one that occurs first."""
    spans, keys = _ngrams(text, n)
    if not len(keys):
        return spans
    top, _ = Counter(keys.tolist()).most_common(1)[0]
    return np.compress(keys == top, spans, axis=0)


def duplicate_ngrams(text: str, *, n: int) -> Spans:
    """N-grams of words that equal an earlier one, taken from left to right without overlap."""
    spans, keys = _ngrams(text, n)
    taken: set[int] = set()
    found: list[int] = []
    free = 0
    for number, key in enumerate(keys.tolist()):
        if number < free:
            continue
        if key in taken:
            found.append(number)
            free = number + n
        taken.add(key)
    return spans[found]


def lines(text: str) -> Pairs:
    """The lines that are not blank, without their breaks."""
    return [(first, last) for first, last in matches(text, pattern=LINE) if not text[first:last].isspace()]


def lines_that(text: str, *, test: Callable[[str], bool], wanted: bool = True) -> Pairs:
    """Lines that are not blank and give `wanted` in the test."""
    return [(first, last) for first, last in lines(text) if test(text[first:last]) == wanted]


def short_lines(text: str) -> Pairs:
    """Lines that hold something and are at most as long as the mean of these."""
    found = matches(text, pattern=LINE)
    total = sum(last - first for first, last in found)
    return [(first, last) for first, last in found if (last - first) * len(found) <= total]


def duplicate_lines(text: str) -> Pairs:
    """Lines that are not blank and equal an earlier one."""
    return _duplicates((span, text[slice(*span)]) for span in lines(text))


def duplicate_paragraphs(text: str) -> Pairs:
    """Paragraphs that equal an earlier one."""
    paragraphs: list[Pairs] = []
    end = None
    for first, last in lines(text):
        if end is not None and text[end:first] in _BREAKS:
            paragraphs[-1].append((first, last))
        else:
            paragraphs.append([(first, last)])
        end = last
    return _duplicates(
        ((parts[0][0], parts[-1][1]), tuple(text[first:last] for first, last in parts)) for parts in paragraphs
    )


def _flags(text: str) -> Flags:
    """The flags of each character."""
    return _flags_of(np.frombuffer(text.encode("utf-32-le"), np.uint32))


def _flags_of(codes: npt.NDArray[np.integer[Any]]) -> Flags:
    table = tables()
    found: Flags = table.flags[(table.pages[codes >> 8] << 8) + (codes & 255)]
    return found


def _runs(mask: npt.NDArray[np.bool_]) -> Spans:
    return np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2)


def _words(text: str) -> tuple[Spans, Flags]:
    """The words, and all flags of the characters of each: uint8 [n]."""
    if not text:
        return np.empty((0, 2), np.int64), np.empty(0, np.uint8)
    flags = _flags(text)
    space, spoken, unspaced = ((flags & one) != 0 for one in (SPACE, LETTER | NUMBER, UNSPACED))
    after_space = np.append(True, space[:-1])
    # A letter or number starts a word if the one before it, in the same run without white space, is an unspaced letter.
    marked = np.maximum.accumulate(np.where(space | spoken, np.arange(len(flags)), -1))[:-1]
    after_unspaced = np.append(False, (marked >= 0) & unspaced[marked])
    starts = ~space & (after_space | unspaced | (spoken & after_unspaced))
    ends = ~space & np.append(space[1:] | starts[1:], True)
    first = np.flatnonzero(starts)
    spans = np.column_stack([first, np.flatnonzero(ends) + 1])
    return spans, np.bitwise_or.reduceat(flags, first) if len(first) else flags[:0]


def _ngrams(text: str, n: int) -> tuple[Spans, npt.NDArray[np.uint64]]:
    """The n-grams of words, one from each word on, and for each a key: uint64, equal where the words are equal.

    Two different ones of m have the same key with a probability below m² / 2⁶⁵.
    """
    spans, _ = _words(text)
    words = map(text.__getitem__, map(slice, spans[:, 0].tolist(), spans[:, 1].tolist()))
    number: defaultdict[str, int] = defaultdict(count().__next__)  # of each different word
    numbers = np.fromiter(map(number.__getitem__, words), np.uint64, len(spans))
    last = spans[n - 1 :, 1]
    keys = np.zeros(len(last), np.uint64)
    for k in range(n):
        keys = keys * _MULTIPLIER + numbers[k : k + len(last)]
    return np.column_stack([spans[: len(last), 0], last]), keys


def _duplicates(parts: Iterable[tuple[tuple[int, int], Hashable]]) -> Pairs:
    """The spans of those parts, given as (span, what stands there), that equal an earlier one."""
    seen: set[Hashable] = set()
    found = []
    for span, content in parts:
        if content in seen:
            found.append(span)
        seen.add(content)
    return found
