"""C4's line rules equal a slow reference that is written from the published definitions, on strings."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.filtered.c4 import REASONS, cut, measure
from pipeline.filtered.catalogue import C4_SIGNALS
from pipeline.filtered.edit_rules import LineRules
from pipeline.texts.buffers import Texts, slices
from pipeline.texts.cuts import Cuts
from pipeline.texts.unicode_tables import ALSO_TERMINAL, SENTENCE_TERMINALS
from tests.filtered.test_filtered_signals import words_of

DEFAULT_RULES = LineRules()
OFF = LineRules(
    terminal_mark=False, min_line_words=None, max_word_length=None, javascript=False, policy=False, citations=False
)
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
QUOTES = "\"'\u2018\u2019\u201c\u201d«»‹›」』"
MARKS = "".join(chr(code) for a, b in (*SENTENCE_TERMINALS, ALSO_TERMINAL[0]) for code in range(a, b + 1))
THAI_AND_LAO = "".join(chr(code) for a, b in ALSO_TERMINAL[1:] for code in range(a, b + 1))
CLOSING = "\"'" + "".join(char for char in map(chr, range(0x110000)) if unicodedata.category(char) in ("Pe", "Pf"))
SENTENCE_END = re.compile(f"[{re.escape(MARKS)}][{re.escape(MARKS + CLOSING)}]*")


def count_sentences(line: str) -> int:
    sentences, start = [], 0
    for run in SENTENCE_END.finditer(line):
        after = line[run.end() : run.end() + 1]
        if not after or after.isspace() or any(char in MARKS and char >= "\u3000" for char in run.group()):
            sentences.append(line[start : run.end()])
            start = run.end()
    sentences.append(line[start:])
    return max(1, sum(any(char.isalnum() for char in sentence) for sentence in sentences))


def lower(text: str) -> str:
    return re.sub("[A-Z]", lambda match: match.group().lower(), text)


@dataclass
class Page:
    """What C4's published loop over lines makes of a text."""

    kept: list[tuple[str, str]] = field(default_factory=list)  # line, the break after it
    signals: Counter[str] = field(default_factory=Counter)
    cut_bytes: Counter[str] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        return "".join(line + line_break for line, line_break in self.kept).rstrip("\r\n")


def judge(line: str, rules: LineRules, signals: Counter[str]) -> tuple[str, str]:
    """The reason to drop a line, or "", and the edited line."""
    line = line.strip()
    if not line:
        return "white_space", line
    if rules.max_word_length is not None and any(len(word) > rules.max_word_length for word in words_of(line)[0]):
        return "max_word_length", line
    if rules.citations:
        line = CITATION.sub("", line).strip()
        if not line:
            return "citations", line
    if rules.terminal_mark and (line[-1] not in MARKS + QUOTES + THAI_AND_LAO or line.endswith("...")):
        return "terminal_mark", line
    if rules.min_line_words is not None and len(words_of(line)[0]) < rules.min_line_words:
        return "min_line_words", line
    signals["c4_lorem_lines"] += "lorem ipsum" in lower(line)
    if rules.javascript and "javascript" in lower(line):
        return "javascript", line
    signals["c4_curly_lines"] += "{" in line
    if rules.policy and any(phrase in lower(line) for phrase in POLICY):
        return "policy", line
    return "", line


def reference(text: str, rules: LineRules) -> Page:
    page = Page()
    parts = [*re.split(r"(\r\n|\r|\n)", text), ""]
    for raw, line_break in zip(parts[::2], parts[1::2], strict=True):
        reason, line = judge(raw, rules, page.signals)
        if reason:
            page.cut_bytes[f"c4.{reason}"] += len((raw + line_break).encode())
            continue
        page.kept.append((line, line_break))
        page.signals["c4_lines"] += 1
        page.signals["c4_sentences"] += count_sentences(line)
        cited = sum(len(match.encode()) for match in CITATION.findall(raw)) if rules.citations else 0
        page.cut_bytes["c4.citations"] += cited
        page.cut_bytes["c4.white_space"] += len(raw.encode()) - len(line.encode()) - cited
    if page.kept:
        page.cut_bytes["c4.white_space"] += len(page.kept[-1][1])
    return page


def spans(cuts: Cuts, row: int) -> list[tuple[int, int, str]]:
    at = slice(cuts.starts[row], cuts.starts[row + 1])
    return [
        (a, b, REASONS[reason]) for a, b, reason in zip(cuts.first[at], cuts.last[at], cuts.reason[at], strict=True)
    ]


def edited(text: str, cut_spans: Sequence[tuple[int, int, str]]) -> str:
    data, at, left = text.encode(), 0, b""
    for first, last, _ in cut_spans:
        assert at <= first < last <= len(data)
        left += data[at:first]
        at = last
    return (left + data[at:]).decode()


def as_texts(*texts: str) -> Texts:
    (found,) = slices(pa.array(texts))
    return found


def cleaned(text: str, rules: LineRules = DEFAULT_RULES) -> str:
    return edited(text, spans(cut(as_texts(text), rules), 0))


def assert_equal(texts: Sequence[str], rules: LineRules) -> None:
    for part in slices(pa.array(texts, pa.string())):
        assert part.n_documents == len(texts)
        measured, cuts = measure(part, rules), cut(part, rules)
    assert {name: values.dtype for name, values in measured.items()} == C4_SIGNALS
    for row, text in enumerate(texts):
        page = reference(text, rules)
        left = edited(text, spans(cuts, row))
        assert left == page.text, f"{text!r} under {rules}"
        assert left.count("\r\n") + len(re.findall(r"\r(?!\n)|(?<!\r)\n", left)) == max(len(page.kept) - 1, 0)
        for name in ("c4_lines", "c4_sentences", "c4_curly_lines", "c4_lorem_lines"):
            assert measured[name][row] == page.signals[name], f"{name} of {text!r} under {rules}"
        assert measured["c4_kept_share"][row] == len(left.encode()) / max(len(text.encode()), 1)
        cut_bytes: Counter[str] = Counter()
        for first, last, reason in spans(cuts, row):
            cut_bytes[reason] += last - first
        assert cut_bytes == +page.cut_bytes, f"{text!r} under {rules}"


FRAGMENTS = [
    *(
        "The cat",
        "sat",
        " on a",
        "x",
        "é",
        "e\u0301",
        "한국어",
        "我们",
        "。",
        "，",
        "！」",
        "ไทย",
        "ລາວ",
        "ས།",
        "ក។",
        "שלום",
        "؟",
    ),
    *(" ", " ", " ", "\t", "\u3000", "\xa0", "\x1c", "\x85", "\u2028", "\x0c", "\x00", "\ufeff", "👩‍👧", "½"),
    *("\n", "\n", "\n", "\r\n", "\r\n", "\r", "\n\n", " \r\n \n"),
    *(".", ".", ".", ". ", "! ", "?", '."', ".)", ".”", "“", "’", "»", "…", "...", "..", "-", "!?) ", "．"),
    *("[1]", "[12]", "[]", "[edit]", "[citation needed]", "[", "]", "[٣]", "[²]", "[1", "[Edit]", "[ 1]", "[[1]]"),
    *("javascript", "JAVASCRIPT", "Java[2]Script", "java", "lorem ipsum", "Lorem IPSUM", "lorem  ipsum", "{", "}"),
    *(
        "Terms of Use",
        "privacy policy",
        "COOKIE policy",
        "uses cookies",
        "use of cookies",
        "use coo",
        "kies",
        "cookies",
    ),
    *("cooKie policy", "u" * 9, "我" * 9, "ส" * 9, "privacy policyjavascriptlorem ipsumterms of use"),
]
TEXT = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=50).map("".join)
KEPT = ["One two three", "\u3000", ". ", ".", "[1]", "[edit]", " ", "\n", "\r\n", "{", "我们去。", "use cookies"]
PROSE = st.lists(st.sampled_from(KEPT), max_size=40).map("".join)
RULES = st.builds(
    LineRules,
    terminal_mark=st.booleans(),
    min_line_words=st.sampled_from([None, 0, 1, 3, 5]),
    max_word_length=st.sampled_from([None, 1, 5, 8, 9, 1000]),
    javascript=st.booleans(),
    policy=st.booleans(),
    citations=st.booleans(),
)


@settings(deadline=None, max_examples=250)
@given(st.lists(TEXT | PROSE, min_size=1, max_size=8), RULES | st.just(DEFAULT_RULES))
@example(["", "\n", "a [1] [edit]b.[12]", "  [1] [2] a b c. [3]  \r\n[4]\n"], DEFAULT_RULES)
@example(["cookies are what we had.\nThere is much use "], DEFAULT_RULES)
@example(["\n\n\n", "abc "], OFF)
@example(["a\r", "\rb", "[1]\n a \n\n", "\r\n\r\n"], replace(OFF, citations=True))
def test_lines_and_numbers_equal_the_reference(texts: list[str], rules: LineRules) -> None:
    assert_equal(texts, rules)


@pytest.mark.parametrize("rules", [DEFAULT_RULES, OFF, LineRules(min_line_words=5), LineRules(max_word_length=20)])
def test_real_text_equals_the_reference(rules: LineRules) -> None:
    installed = Path(np.__file__).parent.parent
    files = [*sorted(installed.glob("*.dist-info/**/LICENSE*"))[:40], Path(re.__file__), Path(__file__)]
    assert_equal([file.read_bytes().decode(errors="replace") for file in files if file.is_file()], rules)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 12), st.integers(5, 12), st.sampled_from([" ", "\t", "\u3000", "\n"]), st.sampled_from("xé我"))
def test_no_word_is_longer_than_the_limit(before: int, length: int, space: str, char: str) -> None:
    assert_equal([f"{'ab' * before}{space}{char * length}{space}c d."], LineRules(max_word_length=8))


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("It ends in a period.", True),
        ("Does it end in a question mark?", True),
        ("It ends in an exclamation mark!", True),
        ('She said "end quotation mark"', True),
        ("She said “end quotation mark”", True),
        ("Er sagte „auf deutsche Art“", True),
        ("It ends in nothing", False),
        ("It ends in a bracket.)", False),
        ("It is unfinished...", False),
        ("It is unfinished…", False),
        ("“It is unfinished...”", True),  # the published tests look at the very end
        ("Two words.", False),
        ("Three short words.", True),
        ("- - .", True),  # words are what stands between white space
        ("今天天气很好，我们去公园散步。", True),
        ("這是。", False),
        ("हम आज बाज़ार जाएँगे।", True),
        ("วันนี้อากาศดีมาก", True),
        ("Please enable JavaScript to view this page.", False),
        ("This is about java and script.", True),
        ("By going on you accept our Terms Of Use.", False),
        ("We honour your privacy, by policy.", True),
        ("This site uses cookies.", False),
        ("Grandma baked cookies for us.", True),
        ("x" * 1000 + " is long.", True),
        ("x" * 1001 + " is too long.", False),
        ("我" * 2000 + "。", True),
    ],
)
def test_which_lines_are_kept(line: str, kept: bool) -> None:
    assert cleaned(line) == (line if kept else "")


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("a [1] [edit]b c d.[12]", "a  b c d."),
        ("[edit] Where it began. [citation needed] ", "Where it began."),
        ("See[[1]] for this[].", "See[] for this."),
        ("It is Java[1]Script, dear.", ""),
        ("What [Edit] and [a1] are.", "What [Edit] and [a1] are."),
        ("[1] [2].", ""),
        ("One [1] [2] two.", ""),
    ],
)
def test_citations_are_cut_before_the_other_tests(line: str, left: str) -> None:
    assert cleaned(line) == left


def test_what_is_left_and_why_the_rest_went() -> None:
    text = (
        "  A first line here. [1]\r\n\r\nMenu\n\tTwo words.\n[edit]\nIt is a second line.\nMenu\nWe use cookies here.\n"
    )
    cuts = spans(cut(as_texts(text), DEFAULT_RULES), 0)
    assert edited(text, cuts) == "A first line here.\r\nIt is a second line."
    assert [(text[first:last], reason.removeprefix("c4.")) for first, last, reason in cuts] == [
        ("  ", "white_space"),
        (" ", "white_space"),
        ("[1]", "citations"),
        ("\r\n", "white_space"),
        ("Menu\n", "terminal_mark"),
        ("\tTwo words.\n", "min_line_words"),
        ("[edit]\n", "citations"),
        ("\n", "white_space"),
        ("Menu\n", "terminal_mark"),
        ("We use cookies here.\n", "policy"),
    ]


def test_page_rules_see_only_what_the_lines_before_them_left() -> None:
    text = "function f() {\nlorem ipsum\nEnable javascript { now.\nLorem Ipsum Javascript!\nWe use cookies {}.\n"
    measured = measure(as_texts(text, "A line with { in it.\nA line without it."), DEFAULT_RULES)
    assert measured["c4_curly_lines"].tolist() == [1, 1]  # the policy line is looked at before it is dropped
    assert measured["c4_lorem_lines"].tolist() == [1, 0]
    assert measured["c4_lines"].tolist() == [0, 2]


def test_a_document_of_which_nothing_is_left_is_cut_whole() -> None:
    text = "Menu\n\nHome | About\n  \nLog in"
    cuts = spans(cut(as_texts(text, ""), DEFAULT_RULES), 0)
    assert sum(last - first for first, last, _ in cuts) == len(text)
    assert spans(cut(as_texts(text, ""), DEFAULT_RULES), 1) == []


def test_with_all_rules_off_only_white_space_goes() -> None:
    assert cleaned(" a [1]\u3000\n\n\t{\r\n \n", OFF) == "a [1]\n{"


def test_documents_do_not_touch_each_other() -> None:
    texts = ["Menu", "Menu", "Use cook", "ies here. So be it.", "[1", "] this is it.", "", "\r", "\nA line is here."]
    assert_equal(texts, DEFAULT_RULES)
    part = as_texts(*texts)
    tail = Texts(data=part.data, offsets=part.offsets[3:])
    assert [spans(cut(tail, DEFAULT_RULES), row) for row in range(6)] == [
        spans(cut(part, DEFAULT_RULES), row) for row in range(3, 9)
    ]


@pytest.mark.parametrize("piece", ["[1", "[1]", "a [1] ", "\n", "a\n\n", ". ", "我", "use cookie", "x" * 1001, " [ \r"])
def test_long_texts_take_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece)) + "\nAnd so it was.\n"
    assert cleaned(text).endswith("And so it was.")  # milliseconds; many minutes if each byte led to a scan of the rest


def test_broken_utf8_does_not_lead_out_of_the_text() -> None:
    broken = [b"\xff\xff\xff\xff", b"caf\xc3", b"\x80\x80", b"a b \xf0\x9f", b"\xe6\x88[\xd9", b"a b c.\xe3"]
    texts = Texts(data=np.frombuffer(b"".join(broken), np.uint8), offsets=np.cumsum([0, *map(len, broken)]))
    cuts = cut(texts, OFF)
    assert (cuts.last <= texts.n_bytes[cuts.documents()]).all()
    assert measure(texts, OFF)["c4_lines"].tolist() == [1] * 6
