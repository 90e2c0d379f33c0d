r"""Tables that a text speaks of ("see Table 2") and does not contain: the trace of an extractor that dropped them.

Extractors differ most in what they do to tables, and models trained on the text feel it (Li et al. 2026, arXiv
2602.19548); no public filter known to us looks for it, so the definition is our own. `n_missing_tables` is the number
of different table numbers mentioned, `MOST_NUMBERS` at most, less the number of tables contained, and at least 0.

A *mention* is one of `WORDS` in any case, not after an ASCII letter, digit, "_" or "-"; then white space or "~" with at
most one line break; then a number: "1", "2.3", "S4", "A.1", "B-2", so one capital letter at most and groups of one to
three digits. After it may stand one letter ("2b" is table 2), but no word, digit or "%" ("3rd", "1024"). After a
plural, the numbers that follow count as well: "Tables 1, 2 and 4", of "Tables 3–6" the ends. Not seen: Roman numerals
("Table II"), languages without a word in the list. Wrongly seen: table 12 of a restaurant, and tables of other works
(nearly all mentions in source code: "see Table 3 of [1]").

A *table contained* is a mark of one (`<table`, `\begin{tabular…`, `\begin{longtable}`, `{|` of MediaWiki at a line's
start) or a run of two or more lines that look like rows. A *row* has two or more single "|", or a TAB between two
cells, or three or more cells parted by two or more spaces (not after a sentence mark: typists put two spaces there).
A *ruler* ("|---|---|", "=====  =====", "+----+----+") is a row after which each line up to a blank one is a row. White
space at a line's ends parts no cells. Cells that an extractor put on lines of their own are no table any more.
Only the numbers are compared: a text with one table that mentions another one counts as complete.
"""

import numpy as np
import numpy.typing as npt
from numba import njit, types

from pipeline.texts.buffers import Texts

# English, German, French, Spanish, Portuguese (and Polish), Italian, Dutch (and Danish), Swedish (and Norwegian).
PLURALS = ("tables", "tabellen", "tableaux", "tablas", "tabelas")
WORDS = ("tab.", "table", "tabelle", "tableau", "tabla", "tabela", "tabella", "tabel", "tabell", *PLURALS)
# Between the numbers after a plural: these words, or "," "&" "/" "-" "–", or such a sign and a word.
JOINTS = ("and", "or", "to", "und", "bis", "et", "ou", "y", "e", "a", "i", "en", "och", "og")
MOST_NUMBERS = 1024
MOST_DIGITS = 3


def _key(word: str) -> int:
    return int.from_bytes(word.encode(), "little")


_LONGEST = max(len(word) for word in WORDS) - len("tab")
_WORD_KEYS = np.array([_key(word[len("tab") :]) for word in WORDS], np.int64)
_PLURAL = np.array([word in PLURALS for word in WORDS])
_JOINT_KEYS = np.array([_key(word) for word in JOINTS], np.int64)
_LONGEST_JOINT = max(len(word) for word in JOINTS)
_ABBREVIATED = _key(".")

_MARKS = tuple(np.frombuffer(mark, np.uint8) for mark in (rb"<table", rb"\begin{tabular", rb"\begin{longtable}"))
_RULER = np.isin(np.arange(256), np.frombuffer(b"-=+|: \t", np.uint8))
_BLANK = np.isin(np.arange(256), np.frombuffer(b" \t\v\f", np.uint8))
_SENTENCE_END = np.isin(np.arange(256), np.frombuffer(b".!?:", np.uint8))
_IS_BLANK, _IS_PLAIN, _IS_ROW, _IS_RULER = range(4)

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)

_TEXT = types.Array(types.uint8, 1, "C", readonly=True)


def count(texts: Texts) -> npt.NDArray[np.int64]:
    """`n_missing_tables` of each document, int64 [n_documents]."""
    counts = np.zeros(texts.n_documents, np.int64)
    _count(texts.data, texts.offsets, counts)
    return counts


def first_mention(text: str) -> tuple[int, int] | None:
    """Where the first mention stands, word and number: characters [first, last) of `text`; None if there is none."""
    data = text.encode()
    array = np.frombuffer(data, np.uint8)
    array.flags.writeable = False
    span = np.empty(2, np.int64)
    _first_mention(array, span)
    first, last = span.tolist()
    return None if first < 0 else (len(data[:first].decode()), len(data[:last].decode()))


@njit(cache=True, nogil=True)
def _is_digit(byte):  # type: ignore[no-untyped-def]
    return 0x30 <= byte <= 0x39


@njit(cache=True, nogil=True)
def _is_letter(byte):  # type: ignore[no-untyped-def]
    return 0x61 <= byte | 0x20 <= 0x7A


@njit(cache=True, nogil=True)
def _letters(data, at, end, most):  # type: ignore[no-untyped-def]
    """The ASCII letters from byte `at`, small, as a number (`_key`), and where they end; -1 if more than `most`."""
    key, stop = np.int64(0), at
    while stop < end and _is_letter(data[stop]):
        if stop - at == most:
            return np.int64(-1), stop
        key |= np.int64(data[stop] | 0x20) << (8 * (stop - at))
        stop += 1
    return key, stop


@njit(cache=True, nogil=True)
def _space(data, at, end):  # type: ignore[no-untyped-def]
    """Where the white space (or "~") of one character ends that starts at byte `at`; `at` if there is none."""
    if at >= end:
        return at
    if data[at] == 0x20 or data[at] == 0x7E or 0x09 <= data[at] <= 0x0D:
        return at + 1
    if at + 1 < end and data[at] == 0xC2 and data[at + 1] == 0xA0:  # no-break space
        return at + 2
    if at + 2 < end and data[at] == 0xE2 and data[at + 1] == 0x80 and (data[at + 2] == 0x89 or data[at + 2] == 0xAF):
        return at + 3  # thin space, narrow no-break space
    return at


@njit(cache=True, nogil=True)
def _gap(data, at, end):  # type: ignore[no-untyped-def]
    """Where the white space ends that starts at byte `at`; -1 if there is none, or more than one line break."""
    feeds = returns = 0
    start, following = at, _space(data, at, end)
    while following > at:
        feeds += data[at] == 10
        returns += data[at] == 13
        at, following = following, _space(data, following, end)
    return at if at > start and feeds <= 1 and returns <= 1 else -1


@njit(cache=True, nogil=True)
def _number(data, at, end):  # type: ignore[no-untyped-def]
    """Where the number of a table ends that starts at byte `at`; -1 if none does."""
    if at < end and 0x41 <= data[at] <= 0x5A:
        at += 1
        if at < end and (data[at] == 0x2E or data[at] == 0x2D):
            at += 1
    while True:
        start = at
        while at < end and at - start <= MOST_DIGITS and _is_digit(data[at]):
            at += 1
        if not 1 <= at - start <= MOST_DIGITS:
            return -1
        if at + 1 < end and data[at] == 0x2E and _is_digit(data[at + 1]):
            at += 1
        else:
            break
    after = at
    if after < end and _is_letter(data[after]):
        after += 1
    if after < end and (
        _is_letter(data[after]) or _is_digit(data[after]) or data[after] == 0x5F or data[after] == 0x25
    ):
        return -1
    return at


@njit(cache=True, nogil=True)
def _mention(data, start, at, end):  # type: ignore[no-untyped-def]
    """The first mention whose "b" stands at byte `at` or later in the text [start, end): where its word starts, its
    number starts and ends, and whether the word is a plural; -1 everywhere if there is none."""
    for b in range(max(at, start + 2), end):
        # "b" is rarer than "t" and "a": a wrong guess of the processor costs more than the comparison
        if data[b] | 0x20 != 0x62 or data[b - 1] | 0x20 != 0x61 or data[b - 2] | 0x20 != 0x74:
            continue
        first = b - 2
        if first > start:
            before = data[first - 1]
            if _is_letter(before) or _is_digit(before) or before == 0x5F or before == 0x2D:
                continue
        key, stop = _letters(data, b + 1, end, _LONGEST)
        if key == 0 and stop < end and data[stop] == 0x2E:
            key, stop = np.int64(_ABBREVIATED), stop + 1
        for word in range(len(_WORD_KEYS)):
            if _WORD_KEYS[word] == key:
                number = _gap(data, stop, end)
                last = _number(data, number, end) if number >= 0 else -1
                if last >= 0:
                    return first, number, last, _PLURAL[word]
    return -1, -1, -1, False


@njit(cache=True, nogil=True)
def _spaces(data, at, end):  # type: ignore[no-untyped-def]
    while at < end and data[at] == 0x20:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _next_number(data, at, end):  # type: ignore[no-untyped-def]
    """Where the number starts and ends that a joint connects with the one that ends at byte `at`; or -1."""
    if at < end and _is_letter(data[at]):
        at += 1
    at = _spaces(data, at, end)
    sign = at
    if at < end and (data[at] == 0x2C or data[at] == 0x26 or data[at] == 0x2F or data[at] == 0x2D):
        at += 1
    elif at + 2 < end and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0x93:
        at += 3
    joined = at > sign
    at = _spaces(data, at, end)
    key, stop = _letters(data, at, end, _LONGEST_JOINT)
    if key > 0 and stop < end and data[stop] == 0x20:
        for joint in _JOINT_KEYS:
            if joint == key:
                joined, at = True, _spaces(data, stop, end)
                break
    last = _number(data, at, end) if joined else -1
    return (at, last) if last >= 0 else (-1, -1)


@njit(cache=True, nogil=True)
def _add(data, first, last, seen, n):  # type: ignore[no-untyped-def]
    """Add the number in bytes [first, last) to the `n` in the hash table `seen`; how many it holds then."""
    value = _FNV_OFFSET
    for i in range(first, last):
        value = (value ^ np.uint64(data[i])) * _FNV_PRIME
    value = max(value, np.uint64(1))  # 0 marks a free place
    place = np.int64(value % np.uint64(len(seen)))
    while seen[place] != 0 and seen[place] != value:
        place = (place + 1) % len(seen)
    if seen[place] == value or n == MOST_NUMBERS:
        return n
    seen[place] = value
    return n + 1


@njit(cache=True, nogil=True)
def _numbers(data, start, end, seen):  # type: ignore[no-untyped-def]
    """How many different numbers are mentioned; `seen` is empty before and after."""
    n = 0
    _, number, last, plural = _mention(data, start, start, end)
    while last >= 0:
        at = last
        while last >= 0:
            n = _add(data, number, last, seen, n)
            at = last
            number, last = _next_number(data, last, end) if plural else (-1, -1)
        _, number, last, plural = _mention(data, start, at, end)
    if n:
        seen[:] = 0
    return n


@njit(cache=True, nogil=True)
def _mark(data, at, end):  # type: ignore[no-untyped-def]
    """Whether the mark of a table starts at byte `at`, which holds "<" or a backslash."""
    for mark in _MARKS:
        stop = at + len(mark)
        found = stop <= end
        for i in range(len(mark)):
            if not found:
                break
            byte = data[at + i]
            found = (byte | 0x20 if 0x41 <= byte <= 0x5A else byte) == mark[i]
        if found:
            return data[at] != 0x3C or stop == end or not _is_letter(data[stop])  # not "<tablet"
    return False


@njit(cache=True, nogil=True)
def _scan_line(data, start, end):  # type: ignore[no-untyped-def]
    """The line that starts at byte `start`: where it ends, what it is, and how many marks of tables it holds."""
    at, gap, tab, last = start, 0, False, np.int64(-1)  # white space before `at`; the last byte that was none
    pipes = tabs = gaps = dashes = dash_groups = marks = 0
    ruler = True
    while at < end and data[at] != 10 and data[at] != 13:
        byte = data[at]
        ruler &= _RULER[byte]
        dashes = dashes + 1 if byte == 0x2D or byte == 0x3D else 0
        dash_groups += dashes == 2
        if _BLANK[byte]:
            gap, tab = gap + 1, tab or byte == 9
            at += 1
            continue
        if last >= 0 and tab:
            tabs += 1
        elif last >= 0 and gap >= 2 and not _SENTENCE_END[last]:
            gaps += 1
        if byte == 0x7C:
            pipes += not (at > start and data[at - 1] == byte) and not (at + 1 < end and data[at + 1] == byte)
            marks += last == 0x7B and gap == 0 and at - 1 == start
        elif byte == 0x3C or byte == 0x5C:
            marks += _mark(data, at, end)
        last, gap, tab = np.int64(byte), 0, False
        at += 1
    if last < 0:
        return at, _IS_BLANK, 0
    if ruler and dash_groups >= 2:
        return at, _IS_RULER, marks
    return at, _IS_ROW if pipes >= 2 or tabs >= 1 or gaps >= 2 else _IS_PLAIN, marks


@njit(cache=True, nogil=True)
def _tables(data, start, end):  # type: ignore[no-untyped-def]
    """How many tables the text contains."""
    tables, run, ruled, at = 0, 0, False, start
    while at < end:
        at, kind, marks = _scan_line(data, at, end)
        ruled = kind == _IS_RULER or (ruled and kind != _IS_BLANK)
        run = run + 1 if kind >= _IS_ROW or ruled else 0
        tables += (run == 2) + marks
        at += 2 if at + 1 < end and data[at] == 13 and data[at + 1] == 10 else 1
    return tables


@njit(types.void(_TEXT, types.int64[::1], types.int64[::1]), cache=True, nogil=True)
def _count(data, offsets, counts):  # type: ignore[no-untyped-def]
    seen = np.zeros(2 * MOST_NUMBERS, np.uint64)
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        numbers = _numbers(data, start, end, seen)
        if numbers:  # no text needs its tables counted otherwise
            counts[document] = max(numbers - _tables(data, start, end), 0)


@njit(types.void(_TEXT, types.int64[::1]), cache=True, nogil=True)
def _first_mention(data, span):  # type: ignore[no-untyped-def]
    span[0], _, span[1], _ = _mention(data, 0, 0, len(data))
