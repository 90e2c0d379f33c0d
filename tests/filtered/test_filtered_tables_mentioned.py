"""Tables that are missing, against a reference made of regular expressions."""

import re
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered.tables_mentioned import JOINTS, MOST_NUMBERS, PLURALS, WORDS, count, first_mention
from pipeline.texts.buffers import slices

BLANKS = " \t\v\f"
NUMBER = r"(?:[A-Z][.-]?)?[0-9]{1,3}(?:\.[0-9]{1,3})*(?![0-9]|\.[0-9])(?![A-Za-z][A-Za-z0-9_%]|[0-9_%])"
ANY_WORD = "|".join(sorted((re.escape(word) for word in WORDS if word != "tab."), key=len, reverse=True))
MENTION = re.compile(
    rf"(?<![A-Za-z0-9_-])(?ai:(?P<word>tab\.|(?:{ANY_WORD})(?![a-z])))"
    rf"(?P<gap>[ \t\v\f\r\n~\xa0\u2009\u202f]+)(?P<number>{NUMBER})"
)
FOLLOWING = re.compile(rf"[A-Za-z]?+ *+([,&/–-])?+ *+((?ai:{'|'.join(JOINTS)}) ++)?+({NUMBER})")
MARK = re.compile(r"<table(?![a-z])|\\begin\{(?:tabular|longtable\})", re.IGNORECASE | re.ASCII)
CELL_GAP = re.compile(rf"[^{BLANKS}.!?:][ \v\f]{{2,}}(?=[^{BLANKS}])")


def mentions_of(text: str) -> list[tuple[int, int, list[str]]]:
    """Where each mention stands, and the numbers it mentions."""
    found = []
    at = 0
    while match := MENTION.search(text, at):
        if match["gap"].count("\n") > 1 or match["gap"].count("\r") > 1:
            at = match.start() + 1
            continue
        numbers, at = [match["number"]], match.end()
        while match["word"].lower() in PLURALS and (more := FOLLOWING.match(text, at)) and (more[1] or more[2]):
            numbers.append(more[3])
            at = more.end()
        found.append((match.start(), match.end(), numbers))
    return found


def is_ruler(line: str) -> bool:
    return set(line) <= set("-=+|: \t") and len(re.findall("[-=]{2,}", line)) >= 2


def is_row(line: str) -> bool:
    pipes = len(re.findall(r"(?<!\|)\|(?!\|)", line))
    return pipes >= 2 or "\t" in line.strip(BLANKS) or len(CELL_GAP.findall(line)) >= 2


def tables_of(text: str) -> int:
    tables, run, ruled = 0, 0, False
    for line in re.split(r"\r\n|\r|\n", text):
        ruled = is_ruler(line) or (ruled and bool(line.strip(BLANKS)))
        run = run + 1 if ruled or is_row(line) else 0
        tables += (run == 2) + len(MARK.findall(line)) + line.startswith("{|")
    return tables


def reference(text: str) -> int:
    numbers = {number for _, _, several in mentions_of(text) for number in several}
    return max(min(len(numbers), MOST_NUMBERS) - tables_of(text), 0)


def measured(*texts: str) -> list[int]:
    return [int(n) for part in slices(pa.array(texts, pa.string())) for n in count(part)]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("As Table 1 shows, and Table 2 does not. (Table 1!)", 2),
        ("See Tables 2 and 3.", 2),
        ("Tables 1, 2, and 4; tables 3–6 / table 4b", 5),  # 1, 2, 4, 3, 6
        ("Table 2, 3 apples", 1),  # lists count after a plural only
        ("Tables 1 and 2 show 5 cases.", 2),
        ("TABLE 1, “tabelle 2”, (Tableau 3), Tabla 4, tabela 5, Tabella 6, tabel 7, TABELL 8, Tab. 9", 9),
        ("Table~1, Table\xa02, Table\n3, Table\r\n 4", 4),
        ("Table\n\n1, Table, 2, Table3, Tab 4", 0),
        ("Tables S1 and A.2, Table 3.1, Table 3.2.", 4),
        ("the table 3rd from left, table 1024, table 50%, table 10px, Table II, table_1", 0),
        ("vegetable 1, portable 2, round-table 3, timetables 4, tablet 5, tables_6", 0),
        ("见Table 1所示", 1),
    ],
)
def test_numbers_mentioned(text: str, missing: int) -> None:
    assert reference(text) == missing
    assert measured(text) == [missing]


@pytest.mark.parametrize(
    ("table", "tables"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |", 1),
        ("a | b\n--- | ---\n1 | 2", 1),
        ("a | b | c\n1 | 2 | 3", 1),
        ("a | b | c", 0),  # one line is no table
        ("a || b || c\nd || e || f", 0),  # code
        ("a\tb\r\nc\td", 1),
        ("\tif a:\n\t\treturn b\n\t\n\tc", 0),  # indented code
        ("a  b   c\nd  e   f", 1),
        ("a  b\nc  d", 0),
        ("One.  Two.  Three.  Four.\nFive.  Six.  Seven.  Eight.", 0),  # two spaces after a sentence
        ("=====  =====\nA      B\n=====  =====\n1      2\n=====  =====", 1),
        ("+---+---+\n| a | b |\n+---+---+\n\n+---+---+\n| a | b |\n+---+---+", 2),
        ("---\ntitle: x\n---\n\n* * *\n=====", 0),
        ("<table class='x'><tr><td>1</td></tr></table>\n<TABLE>\n<tablet>", 2),
        ("\\begin{tabular}{ll}\n1 & 2\n\\end{tabular}\n\\begin{longtable}{ll}\n\\begin{tabularx}{9cm}{ll}", 3),
        ('{| class="wikitable"\n|-\n! A !! B\n|-\n| 1 || 2\n|}', 1),
        ("x {| y", 0),
    ],
)
def test_tables_contained(table: str, tables: int) -> None:
    text = "Table 1 Table 2 Table 3 Table 4\n\n" + table
    assert tables_of(text) == tables
    assert measured(text) == [4 - tables]


def test_more_tables_than_numbers_are_no_missing_table() -> None:
    assert measured("Table 1\na\tb\nc\td\n\na\tb\nc\td\n", "", "a\tb\nc\td\n", "Table 1\na\tb\n\nc\td") == [0, 0, 0, 1]


def test_documents_do_not_see_their_neighbours() -> None:
    array = pa.array(["Ta", "ble 1", "Table", " 1", "Table 1", "1", "a\tb\n", "a\tb\nTable 1", "|"])
    (part,) = slices(array[1:])
    assert count(part).tolist() == [0, 0, 0, 1, 0, 0, 1, 0]
    assert count(part).dtype == np.int64
    (wide,) = slices(array.cast(pa.large_string()))
    assert count(wide).tolist() == [0, 0, 0, 0, 1, 0, 0, 1, 0]


def test_numbers_count_up_to_a_bound() -> None:
    numbers = [f"{chapter}.{n}" for chapter in range(1, 6) for n in range(400)]
    for n in (MOST_NUMBERS - 1, MOST_NUMBERS, MOST_NUMBERS + 1, len(numbers)):
        text = " ".join(f"Table {number}" for number in numbers[:n])
        assert measured(text, "Table 1") == [min(n, MOST_NUMBERS), 1]


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("", None),
        ("a table", None),
        ("Ünïcode 👍 “Table S1a”, Table 2", "Table S1"),
        ("x\nTabelle\n 3.", "Tabelle\n 3"),
    ],
)
def test_the_first_mention_is_found_again(text: str, mention: str | None) -> None:
    span = first_mention(text)
    assert (span and text[slice(*span)]) == mention


FRAGMENTS = [
    *("table", "Table", "TABLES", "Tables", "tab.", "Tab.", "tabelle", "Tabellen", "tableaux", "tabela", "tablas"),
    *("Table 1", "tables 2", "vegetable", "tabl", "ta", "b", "t", "e", "a", "S", "A.", "B-", "x", "and", "ſ", "K", "é"),
    *("1", "2", "3", "12", "999", "1000", ".", "%", "_", "~", "\xa0", "\u2009", "\u202f", " ", " ", " ", "  ", "   "),
    *("\n", "\n", "\r", "\r\n", "\n\n", "\t", "\v", "\f", "\x00", "\x85", ",", "&", "–", "-", "/", ";", " and ", ", "),
    *("|", "||", "---", "==", "+", ":", "!", "?", "| a | b |", "a\tb", "a  b  c", "a   b   c\n", "|--|--|", "-- --"),
    *("<table", "<TABLE>", "<tablet", "\\begin{tabular}", "\\begin{longtable}", "\\begin{", "{|", "{", "👍", "我们"),
]
TEXT = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=2), max_size=40).map("".join)
LINES = st.lists(
    st.sampled_from(["a\tb", "a b", "|a|b", "-- --", "==", "a  b  c", "Table 1", "Tables 2, 3 to 7", "", " "])
)


@settings(deadline=None, max_examples=150)
@given(st.lists(TEXT | LINES.map("\n".join), min_size=1, max_size=20))
def test_the_signal_equals_the_reference(texts: list[str]) -> None:
    for text, missing in zip(texts, measured(*texts), strict=True):
        assert missing == reference(text), repr(text)
        found = mentions_of(text)
        assert first_mention(text) == (found[0][:2] if found else None), repr(text)


@pytest.mark.parametrize(
    "text",
    [
        "Table 1" + "|" * 2_000_000,
        "Table 1" + "\t" * 2_000_000,
        "Table 1 Table" + " " * 2_000_000,
        "Table 1" + "\n" * 2_000_000,
        "Table 1" + "<" * 2_000_000,
        "tables 1" + ", 1" * 700_000,
        "Table " + "1." * 1_000_000,
        "Table " + "1" * 2_000_000,
        "tab" * 700_000,
        "".join(f"Table {n % 997}.{n % 991} " for n in range(150_000)),
    ],
)
def test_long_texts_take_linear_time(text: str) -> None:
    before = time.process_time()
    measured(text)
    assert time.process_time() - before < 2  # 10 to 50 ms; a pass over all pairs of bytes would take an hour
