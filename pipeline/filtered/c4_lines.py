"""C4's line rules, compiled: which lines of a text are kept, and what is cut out of it; `c4` says what the rules are.

The kernels call each other, so they stand in one file: numba's cache notices changes of a function's own file only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.filtered import long_words
from pipeline.filtered.edit_rules import LineRules
from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, Counts, character_at, character_before, flags_of
from pipeline.texts.cuts import Cuts
from pipeline.texts.unicode_tables import DIGIT, LETTER, NUMBER, SPACE, TERMINAL, UNSPACED, tables

# Why bytes are cut. "c4.white_space": around kept lines, blank lines, and the break after the last line kept. A dropped
# line's break, and what else of the line goes with it, has the line's reason. A line of nothing but citations goes with
# them.
REASONS = (
    "c4.max_word_length",
    "c4.citations",
    "c4.terminal_mark",
    "c4.min_line_words",
    "c4.javascript",
    "c4.policy",
    "c4.white_space",
)
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
# Closing quotation marks, and those that close in German and Danish though they open elsewhere (“ ‘ « ‹).
QUOTATION_MARKS = "\"'’”»›」』“‘«‹"

_MAX_WORD_LENGTH, _CITATIONS, _TERMINAL_MARK, _MIN_LINE_WORDS, _JAVASCRIPT, _POLICY, _WHITE_SPACE, _KEPT = range(8)

# What a line holds.
_HAS_BREAK, _HAS_CURLY, _HAS_BRACKET, _HAS_LOREM, _HAS_JAVASCRIPT, _HAS_POLICY = (1 << bit for bit in range(6))
_PHRASES = ("javascript", "lorem ipsum", *POLICY_PHRASES)
_PHRASE_BYTES = tuple(np.frombuffer(phrase.encode(), np.uint8) for phrase in _PHRASES)
_PHRASE_MARK = np.array([_HAS_JAVASCRIPT, _HAS_LOREM] + [_HAS_POLICY] * len(POLICY_PHRASES))
# Pairs of bytes that are rare, one for each phrase: where one stands the phrases are looked for.
_PAIRS = ("ja", "ps", "ms", "va", "ki")
_ANY_PAIR = 0b11111000
_PAIR_AT = np.array([next(phrase.index(pair) for pair in _PAIRS if pair in phrase) for phrase in _PHRASES])
_CITATION_WORDS = tuple(np.frombuffer(word, np.uint8) for word in (b"[edit]", b"[citation needed]"))
_CITATION_STARTS = b"0123456789]ec" + bytes(range(0x80, 0x100))
_QUOTES = np.array([ord(mark) for mark in QUOTATION_MARKS])


def _byte_pairs() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Tables of 256: the bits that a byte's entry in the first and the next byte's in the second have in common are
    `_HAS_BREAK`, `_HAS_CURLY` (of the next byte, whatever the first is), `_HAS_BRACKET` (a citation may start here) or
    one of `_ANY_PAIR`."""
    first, second = np.full(256, _HAS_BREAK | _HAS_CURLY, np.uint8), np.zeros(256, np.uint8)
    second[[0x0A, 0x0D]] = _HAS_BREAK
    second[ord("{")] = _HAS_CURLY
    first[ord("[")] |= _HAS_BRACKET
    second[np.frombuffer(_CITATION_STARTS, np.uint8)] |= _HAS_BRACKET
    for bit, pair in enumerate(_PAIRS, 3):
        for cased in (pair, pair.upper()):
            first[ord(cased[0])] |= 1 << bit
            second[ord(cased[1])] |= 1 << bit
    return first, second


_FIRST, _SECOND = _byte_pairs()


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """For each document, int64 [n_documents]: lines `kept`, and lines with "{" (`curly`) or "lorem ipsum" that reach
    that test. `cuts`: what goes, by `REASONS`."""

    kept: Counts
    curly: Counts
    lorem: Counts
    cuts: Cuts


def judge(texts: Texts, rules: LineRules) -> Judged:
    """Judge all lines of the documents."""
    data, n_documents = texts.data[texts.offsets[0] : texts.offsets[-1]], texts.n_documents
    counts, starts = np.zeros((3, n_documents), np.int64), np.zeros(n_documents + 1, np.int64)
    # A line is one cut, or one for each citation and for the white space around it and at the line's ends; and a break.
    most = 2 * (_count_separators(data) + n_documents) + n_documents
    spans = np.empty((most, 3), np.int64)
    switches = (
        rules.terminal_mark << _TERMINAL_MARK
        | rules.javascript << _JAVASCRIPT
        | rules.policy << _POLICY
        | rules.citations << _CITATIONS
    )
    min_words, longest = rules.min_line_words or 0, rules.max_word_length
    too_long = np.empty(0, np.int64) if longest is None else long_words.find(texts, longest)
    table = tables()
    _judge_documents(
        texts.data, texts.offsets, table.pages, table.flags, switches, min_words, too_long, counts, starts, spans
    )
    first, last, reason = spans[: starts[-1]].T
    cuts = Cuts(starts=starts, first=first.copy(), last=last.copy(), reason=reason.astype(np.uint8))
    return Judged(kept=counts[0], curly=counts[1], lorem=counts[2], cuts=cuts)


@njit(cache=True, nogil=True)
def _count_separators(data):  # type: ignore[no-untyped-def]
    """Bytes with which a line break or a citation may start."""
    n = 0
    for byte in data:
        n += (byte == 0x0A) | (byte == 0x0D) | (byte == 0x5B)
    return n


@njit(cache=True, nogil=True)
def _matches(data, at, end, phrase, fold):  # type: ignore[no-untyped-def]
    """Whether `phrase` (ASCII, no capital letters) stands at byte `at`; with `fold`, in small or capital letters."""
    if at + len(phrase) > end:
        return False
    for i in range(len(phrase)):
        byte = data[at + i]
        if fold and 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != phrase[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _phrases_around(line, at):  # type: ignore[no-untyped-def]
    """The marks of the phrases whose pair stands at byte `at`."""
    marks = 0
    for i, phrase in enumerate(_PHRASE_BYTES):
        if at >= _PAIR_AT[i] and _matches(line, at - _PAIR_AT[i], len(line), phrase, True):
            marks |= _PHRASE_MARK[i]
    return marks


@njit(cache=True, nogil=True)
def _scan_line(data, start, end):  # type: ignore[no-untyped-def]
    """The line that starts at byte `start`: where its break starts (or `end`), and what it holds."""
    rest, before = data[start:end], _FIRST[0]
    marks = np.int64(0)
    for at in range(len(rest)):
        found = before & _SECOND[rest[at]]
        before = _FIRST[rest[at]]
        if found:
            if found == _HAS_BREAK:
                return start + at, marks
            marks |= _phrases_around(rest, np.int64(at) - 1) if found & _ANY_PAIR else np.int64(found)
    return end, marks


@njit(cache=True, nogil=True)
def _has_words(data, at, end, least, pages, flags):  # type: ignore[no-untyped-def]
    """Whether bytes [at, end) have `least` words. Where the first ones are ASCII, they are the runs between spaces."""
    line, n, after_space = data[at:end], 0, True
    for i in range(len(line)):
        if n >= least:
            return True
        if line[i] >= 0x80:
            break
        is_space = (flags[line[i]] & SPACE) != 0
        n += after_space and not is_space
        after_space = is_space
    n, ends = 0, 0  # `ends`: the flags of what starts a new word here; 0 after white space, where anything does
    while at < end and n < least:
        code, at = character_at(data, at, end)
        kind = flags_of(code, pages, flags)
        if kind & SPACE:
            ends = 0
        elif not ends or kind & ends:
            n += 1
            ends = UNSPACED | LETTER | NUMBER if kind & UNSPACED else UNSPACED
    return n >= least


@njit(cache=True, nogil=True)
def _citation_end(data, at, end, pages, flags):  # type: ignore[no-untyped-def]
    """Where the citation ends that starts at byte `at`, which is "["; `at` if none does."""
    for word in _CITATION_WORDS:
        if _matches(data, at, end, word, False):
            return at + len(word)
    following = at + 1
    while following < end:
        code, following = character_at(data, following, end)
        if code == 0x5D:
            return following
        if not flags_of(code, pages, flags) & DIGIT:
            break
    return at


@njit(cache=True, nogil=True)
def _next_citation(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """The first citation in bytes [start, end): where it starts and ends; (end, end) if there is none."""
    line = data[start:end]
    for at in range(len(line)):
        if line[at] == 0x5B:
            last = _citation_end(line, at, len(line), pages, flags)
            if last > at:
                return start + at, start + last
    return end, end


@njit(cache=True, nogil=True)
def _without_citations(data, at, end, pages, flags):  # type: ignore[no-untyped-def]
    edited, n = np.empty(end - at, np.uint8), 0
    while at < end:
        first, last = _next_citation(data, at, end, pages, flags)
        edited[n : n + first - at] = data[at:first]
        n += first - at
        at = last
    return edited[:n]


@njit(cache=True, nogil=True)
def _stripped(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """Bytes [start, end) without white space at their ends."""
    while start < end:
        code, following = character_at(data, start, end)
        if not flags_of(code, pages, flags) & SPACE:
            break
        start = following
    while start < end:
        code, before = character_before(data, start, end)
        if not flags_of(code, pages, flags) & SPACE:
            break
        end = before
    return start, end


@njit(cache=True, nogil=True)
def _is_terminated(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    """Whether bytes [start, end), which are not none, end in a sentence or quotation mark. (U+2026 is neither.)"""
    if end - start >= 3 and data[end - 1] == 0x2E and data[end - 2] == 0x2E and data[end - 3] == 0x2E:
        return False
    code, _ = character_before(data, start, end)
    is_mark = (flags_of(code, pages, flags) & TERMINAL) != 0
    for quote in _QUOTES:
        is_mark |= code == quote
    return is_mark


@njit(cache=True, nogil=True)
def _judge_edited(data, start, end, marks, switches, min_words, pages, flags):  # type: ignore[no-untyped-def]
    """A line without its citations: the reason to drop it or `_KEPT`; of `_HAS_LOREM` and `_HAS_CURLY` those that reach
    their test; the line without white space at its ends, as bytes from `start`."""
    first, last = _stripped(data, start, end, pages, flags)
    reached, verdict = 0, _KEPT
    if first == last:
        verdict = _WHITE_SPACE
    elif switches >> _TERMINAL_MARK & 1 and not _is_terminated(data, first, last, pages, flags):
        verdict = _TERMINAL_MARK
    elif not _has_words(data, first, last, min_words, pages, flags):
        verdict = _MIN_LINE_WORDS
    elif switches >> _JAVASCRIPT & 1 and marks & _HAS_JAVASCRIPT:
        verdict, reached = _JAVASCRIPT, marks & _HAS_LOREM
    else:
        reached = marks & (_HAS_LOREM | _HAS_CURLY)
        if switches >> _POLICY & 1 and marks & _HAS_POLICY:
            verdict = _POLICY
    return verdict, reached, first - start, last - start


@njit(cache=True, nogil=True)
def _judge_line(data, start, end, marks, switches, min_words, pages, flags):  # type: ignore[no-untyped-def]
    """As `_judge_edited`, for the line as it is in the text; the bytes are those of the line without citations."""
    if start == end:
        return _WHITE_SPACE, 0, 0, 0
    may_cite = marks & _HAS_BRACKET and switches >> _CITATIONS & 1
    if not may_cite or _next_citation(data, start, end, pages, flags)[0] == end:
        return _judge_edited(data, start, end, marks, switches, min_words, pages, flags)
    edited = _without_citations(data, start, end, pages, flags)
    n = len(edited)
    _, marks = _scan_line(edited, 0, n)
    verdict, reached, first, last = _judge_edited(edited, 0, n, marks, switches, min_words, pages, flags)
    return _CITATIONS if verdict == _WHITE_SPACE else verdict, reached, first, last


@njit(cache=True, nogil=True)
def _add(spans, n, n_before, first, last, reason):  # type: ignore[no-untyped-def]
    """Add a span to the document's, which are `n_before` to `n`-1; how many spans there are then."""
    if first == last:
        return n
    if n > n_before and spans[n - 1, 1] == first and spans[n - 1, 2] == reason:
        spans[n - 1, 1] = last
        return n
    spans[n, 0], spans[n, 1], spans[n, 2] = first, last, reason
    return n + 1


@njit(cache=True, nogil=True)
def _cut_kept(spans, n, n_before, data, offset, start, end, low, high, citations, pages, flags):  # type: ignore[no-untyped-def]
    """Add what goes of the kept line in bytes [start, end): its citations, and what lies outside of bytes [low, high)
    of the line without them."""
    at, before = start, 0  # `before`: bytes of the line without citations before byte `at`
    while at < end:
        first, last = end, end
        if citations:
            first, last = _next_citation(data, at, end, pages, flags)
        n = _add(spans, n, n_before, at - offset, min(max(at + low - before, at), first) - offset, _WHITE_SPACE)
        n = _add(spans, n, n_before, min(max(at + high - before, at), first) - offset, first - offset, _WHITE_SPACE)
        n = _add(spans, n, n_before, first - offset, last - offset, _CITATIONS)
        before += first - at
        at = last
    return n


@njit(
    types.void(
        *TEXT_ARGUMENTS,
        *(types.int64, types.int64, types.int64[::1]),
        *(types.int64[:, ::1], types.int64[::1], types.int64[:, ::1]),
    ),
    cache=True,
    nogil=True,
)
def _judge_documents(data, offsets, pages, flags, switches, min_words, long_words, counts, starts, spans):  # type: ignore[no-untyped-def]
    n, word = 0, 0
    for document in range(len(offsets) - 1):
        offset, end = offsets[document], offsets[document + 1]
        n_before, at = n, offset
        place, break_first, break_last = n, 0, 0  # of the last kept line's break, and where among the spans it belongs
        while at < end:
            stop, marks = _scan_line(data, at, end)
            following = min(stop + 1, end)
            if following < end and data[stop] == 0x0D and data[following] == 0x0A:
                following += 1
            while word < len(long_words) and long_words[word] < at:
                word += 1
            if word < len(long_words) and long_words[word] < stop:
                verdict, reached, low, high = _MAX_WORD_LENGTH, 0, 0, 0
            else:
                verdict, reached, low, high = _judge_line(data, at, stop, marks, switches, min_words, pages, flags)
            counts[1, document] += (reached & _HAS_CURLY) != 0
            counts[2, document] += (reached & _HAS_LOREM) != 0
            if verdict == _KEPT:
                counts[0, document] += 1
                citations = marks & _HAS_BRACKET and switches >> _CITATIONS & 1
                n = _cut_kept(spans, n, n_before, data, offset, at, stop, low, high, citations, pages, flags)
                place, break_first, break_last = n, stop - offset, following - offset
            else:
                n = _add(spans, n, n_before, at - offset, following - offset, verdict)
            at = following
        if break_first < break_last:
            for i in range(n, place, -1):
                spans[i] = spans[i - 1]
            spans[place, 0], spans[place, 1], spans[place, 2] = break_first, break_last, _WHITE_SPACE
            n += 1
        starts[document + 1] = n
