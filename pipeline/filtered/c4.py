"""C4's line rules: which lines of a text are kept, what is cut out of it, and the numbers that its page rules look at.

The paper (Raffel et al. 2020, arXiv 1910.10683, section 2.2) names the rules; their order and what it leaves open are
those of the code that made C4 (`clean_page` in `c4_utils.py` of tensorflow/datasets; datatrove's `C4QualityFilter` goes
the same way). A line, stripped of white space, goes through

    max_word_length   dropped if a word has more characters
    citations         `\\[\\d*\\]|\\[edit\\]|\\[citation needed\\]` is cut out of it, once from left to right
    terminal_mark     dropped if it does not end in a sentence or quotation mark, or ends in an ellipsis
    min_line_words    dropped if it has fewer words
    (lorem ipsum      counted, for a rule on pages)
    javascript        dropped if it holds "javascript"
    (curly bracket    counted, for a rule on pages)
    policy            dropped if it holds one of `POLICY_PHRASES`
    (sentences        of the lines that are left are counted, for a rule on pages)

so a page rule sees only what the lines before it left: a "{" in a line without an end mark rejects no page. The limits
are the recipe's: at least 3 words and 5 sentences in the paper's first version and in datatrove, 5 words and 3
sentences in its later versions and in c4_utils.

Where this differs from the published code, deliberately:

* A line is one of `lines` (LF, CR, CRLF); `str.splitlines` also breaks at vertical tabs, form feeds, U+001C to U+001E,
  U+0085, U+2028 and U+2029. Line breaks stay as they are. A blank line is never kept, whatever rules are switched off.
* White space that a citation leaves at a line's ends is cut before the next test: "Two words here. [1]" is kept.
* End marks are those of `unicode_tables.TERMINAL` (every letter of Thai and Lao is one) and `QUOTATION_MARKS`; c4_utils
  has . ? ! and ", datatrove these and '. The ellipsis is "..." or U+2026.
* Words are those of `words`: a Chinese line is not too short, nor one long word. They are counted after citations were
  cut, as in c4_utils (datatrove: before).
* Phrases are compared without case in ASCII only; `str.lower` also makes a "k" of the sign for kelvin, U+212A.
* Sentences are not nltk's or spaCy's. One ends at a sentence mark (not at Thai and Lao letters), with the sentence
  marks and closing brackets and quotes that follow it, before white space or the line's end; or anywhere, if it has a
  mark from U+3000 on (。 and its kin). What holds no letter or number is no sentence, what follows the last end is one,
  and each kept line has at least one. Abbreviations count too many: only a small least number should be asked for.
"""

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.filtered.edit_rules import LineRules
from pipeline.texts.buffers import Texts
from pipeline.texts.characters import TEXT_ARGUMENTS, character_at, character_before, flags_of
from pipeline.texts.cuts import Cuts
from pipeline.texts.unicode_tables import (
    ALSO_TERMINAL,
    CLOSING,
    DIGIT,
    LETTER,
    NUMBER,
    SENTENCE_TERMINALS,
    SPACE,
    TERMINAL,
    UNSPACED,
    tables,
)

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
C4_SIGNALS = {
    "c4_lines": np.dtype(np.int64),
    "c4_sentences": np.dtype(np.int64),
    "c4_curly_lines": np.dtype(np.int64),
    "c4_lorem_lines": np.dtype(np.int64),
    "c4_kept_share": np.dtype(np.float64),
}
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
DEFAULT_RULES = LineRules()
# Closing quotation marks, and those that close in German and Danish though they open elsewhere (“ ‘ « ‹).
QUOTATION_MARKS = "\"'’”»›」』“‘«‹"

_MAX_WORD_LENGTH, _CITATIONS, _TERMINAL_MARK, _MIN_LINE_WORDS, _JAVASCRIPT, _POLICY, _WHITE_SPACE, _KEPT = range(8)
_NO_LIMIT = 1 << 62
_WIDE = 0x3000  # sentence marks from here on need no white space after them
_THAI, _TIBETAN = 0x0E00, 0x0F00  # the blocks of Thai and Lao: from, to (exclusive)

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
# Bytes with which a sentence mark may start.
_STARTS_MARK = np.zeros(256, np.bool_)
for _first, _last in SENTENCE_TERMINALS + ALSO_TERMINAL:
    _STARTS_MARK[[chr(code).encode()[0] for code in range(_first, _last + 1)]] = True


def measure(texts: Texts, rules: LineRules = DEFAULT_RULES) -> dict[str, npt.NDArray[np.generic]]:
    """The numbers of each document that C4's rules on pages look at, one array of [n_documents] each, as `C4_SIGNALS`.

    `c4_lines`: lines kept; `c4_sentences`: their sentences; `c4_curly_lines`, `c4_lorem_lines`: lines that hold "{" or
    "lorem ipsum" (in any case) and reach that test; `c4_kept_share`: bytes left by `cut`, of all bytes (0 of none).
    """
    counts, cuts = _judge_all(texts, rules)
    cut_before = np.concatenate([[0], np.cumsum(cuts.last - cuts.first)])
    kept = texts.n_bytes - np.diff(cut_before[cuts.starts])
    return {
        "c4_lines": counts[0],
        "c4_sentences": counts[1],
        "c4_curly_lines": counts[2],
        "c4_lorem_lines": counts[3],
        "c4_kept_share": kept / np.maximum(texts.n_bytes, 1),
    }


def cut(texts: Texts, rules: LineRules) -> Cuts:
    """What to cut out of each document, `reason` by `REASONS`. What is left are its kept lines, stripped and without
    citations, each but the last with the break that ended it in the text."""
    return _judge_all(texts, rules)[1]


def _judge_all(texts: Texts, rules: LineRules) -> tuple[npt.NDArray[np.int64], Cuts]:
    """Lines kept, their sentences, lines with "{", lines with lorem ipsum: int64 [4, n_documents]; and the cuts."""
    data, n_documents = texts.data[texts.offsets[0] : texts.offsets[-1]], texts.n_documents
    counts, starts = np.zeros((4, n_documents), np.int64), np.zeros(n_documents + 1, np.int64)
    # A line is one cut, or one for each citation and for the white space around it and at the line's ends; and a break.
    most = 2 * (_count_separators(data) + n_documents) + n_documents
    spans = np.empty((most, 3), np.int64)
    switches = (
        rules.terminal_mark << _TERMINAL_MARK
        | rules.javascript << _JAVASCRIPT
        | rules.policy << _POLICY
        | rules.citations << _CITATIONS
    )
    min_words = 0 if rules.min_line_words is None else rules.min_line_words
    max_length = _NO_LIMIT if rules.max_word_length is None else rules.max_word_length
    table = tables()
    _judge_documents(
        texts.data, texts.offsets, table.pages, table.flags, switches, min_words, max_length, counts, starts, spans
    )
    first, last, reason = spans[: starts[-1]].T
    return counts, Cuts(starts=starts, first=first.copy(), last=last.copy(), reason=reason.astype(np.uint8))


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
def _has_long_word(data, start, end, longest, pages, flags):  # type: ignore[no-untyped-def]
    """Whether a word in bytes [start, end) has more than `longest` characters, which are at least as many bytes: where
    a space stands among the next `longest` + 1 bytes, no such word has begun before it."""
    at = start
    while end - at > longest:
        stop = at + longest
        space = stop
        while space >= at and data[space] != 0x20:
            space -= 1
        if space >= at:
            at = space + 1
            continue
        while at <= stop:
            code, following = character_at(data, at, end)
            if flags_of(code, pages, flags) & SPACE:
                at = following
                continue
            at, n = _word_end(data, at, end, pages, flags)
            if n > longest:
                return True
    return False


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
    n = 0
    while at < end and n < least:
        code, following = character_at(data, at, end)
        if flags_of(code, pages, flags) & SPACE:
            at = following
        else:
            at, _ = _word_end(data, at, end, pages, flags)
            n += 1
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
def _says_something(data, at, end, pages, flags):  # type: ignore[no-untyped-def]
    while at < end:
        code, at = character_at(data, at, end)
        if flags_of(code, pages, flags) & (LETTER | NUMBER):
            return True
    return False


@njit(cache=True, nogil=True)
def _count_sentences(data, start, end, pages, flags):  # type: ignore[no-untyped-def]
    line, n, first, done = data[start:end], 0, 0, 0  # the sentence starts at byte `first`; `done` bytes were looked at
    for at in range(len(line)):
        if not _STARTS_MARK[line[at]] or at < done:
            continue
        done, wide, kind = at, False, 0
        while done < len(line):
            code, following = character_at(line, done, len(line))
            kind = flags_of(code, pages, flags)
            is_mark = (kind & TERMINAL) != 0 and not _THAI <= code < _TIBETAN
            if not is_mark and (done == at or not kind & CLOSING):
                break
            wide |= is_mark and code >= _WIDE
            done = following
        if done > at and (done == len(line) or wide or kind & SPACE):
            n += _says_something(line, first, done, pages, flags)
            first = done
    return max(n + _says_something(line, first, len(line), pages, flags), 1)


@njit(cache=True, nogil=True)
def _judge_edited(data, start, end, marks, switches, min_words, pages, flags):  # type: ignore[no-untyped-def]
    """A line without its citations: the reason to drop it or `_KEPT`; of `_HAS_LOREM` and `_HAS_CURLY` those that reach
    their test; the line without white space at its ends, as bytes from `start`; its sentences, if it is kept."""
    first, last = _stripped(data, start, end, pages, flags)
    reached, verdict, n = 0, _KEPT, 0
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
        else:
            n = _count_sentences(data, first, last, pages, flags)
    return verdict, reached, first - start, last - start, n


@njit(cache=True, nogil=True)
def _judge_line(data, start, end, marks, switches, min_words, max_length, pages, flags):  # type: ignore[no-untyped-def]
    """As `_judge_edited`, for the line as it is in the text; the bytes are those of the line without citations."""
    if start == end:
        return _WHITE_SPACE, 0, 0, 0, 0
    if _has_long_word(data, start, end, max_length, pages, flags):
        return _MAX_WORD_LENGTH, 0, 0, 0, 0
    may_cite = marks & _HAS_BRACKET and switches >> _CITATIONS & 1
    if not may_cite or _next_citation(data, start, end, pages, flags)[0] == end:
        return _judge_edited(data, start, end, marks, switches, min_words, pages, flags)
    edited = _without_citations(data, start, end, pages, flags)
    n = len(edited)
    _, marks = _scan_line(edited, 0, n)
    verdict, reached, first, last, n = _judge_edited(edited, 0, n, marks, switches, min_words, pages, flags)
    return _CITATIONS if verdict == _WHITE_SPACE else verdict, reached, first, last, n


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
        *(types.int64, types.int64, types.int64),
        *(types.int64[:, ::1], types.int64[::1], types.int64[:, ::1]),
    ),
    cache=True,
    nogil=True,
)
def _judge_documents(data, offsets, pages, flags, switches, min_words, max_length, counts, starts, spans):  # type: ignore[no-untyped-def]
    n = 0
    for document in range(len(offsets) - 1):
        offset, end = offsets[document], offsets[document + 1]
        n_before, at = n, offset
        place, break_first, break_last = n, 0, 0  # of the last kept line's break, and where among the spans it belongs
        while at < end:
            stop, marks = _scan_line(data, at, end)
            following = min(stop + 1, end)
            if following < end and data[stop] == 0x0D and data[following] == 0x0A:
                following += 1
            verdict, reached, low, high, n_sentences = _judge_line(
                data, at, stop, marks, switches, min_words, max_length, pages, flags
            )
            counts[1, document] += n_sentences
            counts[2, document] += (reached & _HAS_CURLY) != 0
            counts[3, document] += (reached & _HAS_LOREM) != 0
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
