"""Bad words: the compiled search against the definition in plain Python."""

import pickle
import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered.bad_words import MOST_CHARACTERS, BadWords, first_match, found, parse
from pipeline.texts import buffers
from pipeline.texts.unicode_tables import UNSPACED_BLOCKS


def listed(*entries: str) -> BadWords:
    return parse("\n".join(entries).encode(), "list.txt")


def found_in(words: BadWords, *texts: str) -> list[bool]:
    result: list[bool] = found(pa.array(texts, pa.string()), words).tolist()
    return result


def fold(text: str) -> str:
    kept = []
    for char in text:
        if len(char.casefold()) == 1:
            folded = char.casefold()
        elif len(char.lower()) == 1:
            folded = char.lower()
        else:
            folded = char
        kept.append(char if ord(folded) < 128 <= ord(char) else folded)
    return "".join(kept)


def is_unspaced(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM" and any(a <= ord(char) <= b for a, b in UNSPACED_BLOCKS)


def borders(char: str) -> bool:
    """Whether an entry may stand beside this character ("" at the end of a text)."""
    if char == "" or is_unspaced(char) or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF:
        return True
    return char != "_" and unicodedata.category(char)[0] not in "LMN"


def stop_by_definition(text: str, first: int, entry: str) -> int:
    """Where the entry ends that begins at character `first`, or -1."""
    at = first
    for char in entry:
        if at >= len(text) or not (text[at].isspace() if char == " " else text[at] == char):
            return -1
        at += 1
        while char == " " and at < len(text) and text[at].isspace():
            at += 1
    before, behind = text[first - 1 : first], text[at : at + 1]
    fits = (is_unspaced(entry[0]) or borders(before)) and (is_unspaced(entry[-1]) or borders(behind))
    return at if fits else -1


def match_by_definition(text: str, entries: list[str]) -> tuple[int, int] | None:
    folded = fold(text)
    forms = {
        fold(unicodedata.normalize(form, fold(" ".join(entry.split())))) for entry in entries for form in ("NFC", "NFD")
    } | {fold(" ".join(entry.split())) for entry in entries}
    for first in range(len(folded)):
        stop = max(stop_by_definition(folded, first, form) for form in forms)
        if stop >= 0:
            return first, stop
    return None


@pytest.mark.parametrize(
    ("entry", "text", "match"),
    [
        ("darn", "Well, DARN it", "DARN"),
        ("Darn", "darn", "darn"),
        ("darn", "darning undarn darn_it darn2 2darn dárn", None),
        ("darn", "“darn”", "darn"),
        ("darn", "darn\u0301 but darn", "darn"),
        ("hot pocket", "a Hot \n\u00a0\u3000 Pocket!", "Hot \n\u00a0\u3000 Pocket"),
        ("hot pocket", "hotpocket hot, pocket", None),
        ("s&m", "bdsm, S&M.", "S&M"),
        ("2g1c", "2G1C", "2G1C"),
        ("🖕", "so 🖕\ufe0f", "🖕"),
        ("darn", "❤\ufe0fdarn", "darn"),
        ("café", "CAFE\u0301", "CAFE\u0301"),
        ("cafe\u0301", "Café", "Café"),
        ("cafe", "CAFE\u0301", None),
        ("λόγος", "ΛΌΓΟΣ", "ΛΌΓΟΣ"),
        ("straße", "STRASSE STRAẞE", "STRAẞE"),
        ("sik", "SİK ſik", None),
        ("сука", "Сука!", "Сука"),
        ("сука", "суками", None),
        ("笨蛋", "他是笨蛋吗", "笨蛋"),
        ("sm", "のSMクラブ", "SM"),
        ("sm", "osmクラブ", None),
        ("sm女", "SM女王", "SM女"),
        ("ลิง", "เป็นลิงที่ดี", "ลิง"),
        ("darn", "ที่darn", "darn"),
        ("गधा", "गधा।", "गधा"),
        ("गध", "गधा", None),
        ("a", "xa ba a", "a"),
        ("ab", "abc ab", "ab"),
        ("abc", "abc", "abc"),
    ],
)
def test_matches_by_hand(entry: str, text: str, match: str | None) -> None:
    words = listed(entry)
    span = first_match(text, words)
    assert (None if span is None else text[slice(*span)]) == match
    assert span == match_by_definition(text, [entry])
    assert found_in(words, text) == [match is not None]


LETTERS = st.sampled_from(list("abAB1_.- \n\t\u3000\x1c\u0085é\u0301\ufe0fßİſKςΣσяЯ我ลิカﾞ가ǅ🖕&"))


@settings(deadline=None, max_examples=400)
@given(
    st.lists(
        st.text(LETTERS, min_size=1, max_size=5).filter(lambda entry: entry.strip() != ""), min_size=1, max_size=5
    ),
    st.lists(st.text(LETTERS | st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=4),
    st.data(),
)
def test_the_search_finds_what_is_defined(entries: list[str], texts: list[str], data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(entries))
    at = data.draw(st.integers(0, len(texts[0])))
    texts.append(texts[0][:at] + data.draw(st.sampled_from([entry, entry.upper()])) + texts[0][at:])
    words = listed(*(" ".join(entry.split()) for entry in entries))
    expected = [match_by_definition(text, entries) for text in texts]
    assert [first_match(text, words) for text in texts] == expected
    assert found_in(words, *texts) == [span is not None for span in expected]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.text("abA1_-.&", min_size=1, max_size=4), min_size=1, max_size=4),
    st.text("abAB1_-.& \n", max_size=30),
)
def test_plain_words_in_plain_text_are_found_as_the_code_of_c4_finds_them(entries: list[str], text: str) -> None:
    entries = [entry.lower() for entry in entries]
    published = re.compile(rf"(?:\W|^)({'|'.join(map(re.escape, entries))})(?:\W|$)")
    assert found_in(listed(*entries), text) == [published.search(text.lower()) is not None]


def test_the_longest_of_the_entries_that_begin_first() -> None:
    assert first_match("so big bad wolf", listed("bad wolf", "big", "big bad")) == (3, 10)


def test_each_entry_of_a_long_list_is_found() -> None:
    entries = [f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}w{i}" for i in range(5000)] + [
        "罵" + chr(0x4E00 + i) for i in range(500)
    ]
    words = listed(*entries)
    assert all(found_in(words, *(f"He said: {entry.upper()}!" for entry in entries)))
    assert not any(found_in(words, *(f"He said: {entry[:-1]}x罵 罵罵!" for entry in entries[:5000])))


def test_documents_do_not_run_into_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "SLICE_BYTES", 12)
    texts = pa.array(["xda", "rn", "", "a darn", "rnx", "darn", "da"])
    words = listed("darn")
    assert found(texts, words).tolist() == [False, False, False, True, False, True, False]
    assert found(texts[3:6], words).tolist() == [True, False, True]
    assert found(pa.chunked_array([texts[:4], texts[5:]]), words).tolist() == [False, False, False, True, True, False]
    assert found(pa.array([], pa.string()), words).dtype == np.bool_
    assert first_match("", words) is None


def test_a_list_is_read() -> None:
    data = "\ufeffBad  Wolf\r\n\n  # a comment\n#another\n caf\u00e9 \r\nbad wolf\n".encode()
    words = parse(data, "list.txt")
    assert words.words == ("bad wolf", "café")
    assert words.digest == listed("CAFÉ", "bad\u3000wolf").digest
    assert words.digest != listed("cafe", "bad wolf").digest
    assert pickle.loads(pickle.dumps(words)) == words


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"good\nb\xe9te\n", "list.txt, line 2: byte 2 is not UTF-8; save"),
        ("bad".encode("utf-16"), "list.txt, line 1: byte 1 is not UTF-8"),
        (b"", "list.txt: no words; give one"),
        (b"# nothing\n\n", "list.txt: no words"),
        (b"ok\n" + b"x " * 101, "list.txt, line 2: 'x x x .*has 201 characters, an entry at most 200"),
    ],
)
def test_what_is_no_list_is_told(data: bytes, error: str) -> None:
    assert MOST_CHARACTERS == 200
    with pytest.raises(ValueError, match=error):
        parse(data, "list.txt")
