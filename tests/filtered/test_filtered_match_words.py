"""Words in normal form: the compiled pass against the definition in plain Python."""

import unicodedata
from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered.match_words import BASE, folds, hash_words, run_hashes, word_places
from pipeline.texts.buffers import slices
from pipeline.texts.unicode_tables import UNSPACED, flags_of_all

UNSPACED_LETTERS = {chr(code) for code in np.flatnonzero(flags_of_all() & UNSPACED)}


def words_by_definition(text: str) -> list[str]:
    """Slow and independent: whole strings, one rule after the other."""
    text = unicodedata.normalize("NFKD", text)
    text = "".join(char if unicodedata.category(char)[0] == "M" else char.casefold() for char in text)
    text = unicodedata.normalize("NFKD", text)
    kept = [char for char in text if unicodedata.category(char) != "Cf" or char == "\u200b"]
    kept = [char for char in kept if not 0xFE00 <= ord(char) <= 0xFE0F and not 0xE0100 <= ord(char) <= 0xE01EF]
    text = unicodedata.normalize("NFKD", "".join(kept).replace("\u034f", ""))
    runs = groupby(text, key=lambda char: unicodedata.category(char)[0] in "LMN")
    words: list[str] = []
    for run in ("".join(chars) for is_word, chars in runs if is_word):
        opened = ""  # the kind of the last word of this run
        for char in run:
            if unicodedata.category(char)[0] == "M":
                if opened:
                    words[-1] += char
            elif opened == "spaced" and char not in UNSPACED_LETTERS:
                words[-1] += char
            else:
                words.append(char)
                opened = "alone" if char in UNSPACED_LETTERS else "spaced"
    return words


def word_hashes(*texts: str) -> list[list[int]]:
    found = []
    for part in slices(pa.array(texts, pa.large_string())):
        words = hash_words(part)
        n = np.arange(1, len(words.prefixes))
        hashes = run_hashes(words.prefixes, n, np.ones_like(n)).tolist()
        found += [hashes[first:last] for first, last in zip(words.starts[:-1], words.starts[1:], strict=True)]
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's HAT, 3.14!", "the cat s hat 3 14"),
        ("snake_case a+b -- 50%", "snake case a b 50"),
        ("STRASSE ΟΔΟΣ ﬁne x² ½", "strasse οδοσ fine x2 1 2"),
        ("con\u00adtra zero\u200dwidth two\u200bwords \ufeffstart", "contra zerowidth two words start"),
        ("don´t ¨", "don t"),
        ("我们use GPT-4。ｶﾞ 株㈱", "我 们 use gpt 4 カ\u3099 株 株"),
        ("ที่นี่", "ท\u0e35\u0e48 น\u0e35\u0e48"),
        ("한국어 👍 ∑", unicodedata.normalize("NFD", "한국어")),
        ("٣ km", "٣ km"),
        ("a\u0301\u0323 q\u0315\u0300\u0301", "a\u0323\u0301 q\u0300\u0301\u0315"),
        ("\u0301 ,,,\n", ""),
    ],
)
def test_words_by_hand(text: str, words: str) -> None:
    assert words_by_definition(text) == words.split()
    assert word_hashes(text) == word_hashes(words)


HARD = st.sampled_from(
    list(
        "aZß İıςΣé\u0301\u0323\u0315\u0345ᾳᾴ्कि한ᄒ我ｶﾞカゟ㌖ﷺ½ǆ\u00ad\u200b\u200d\ufe0f\u034f_.'’ \n\t٣ท\u0e33\u0e48🤗𝐀Ⅷ"
    )
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(HARD | st.characters(codec="utf-8"), max_size=25), min_size=1, max_size=4))
def test_the_pass_splits_as_defined(texts: list[str]) -> None:
    expected = [words_by_definition(text) for text in texts]
    found = word_hashes(*texts)
    assert [len(words) for words in found] == [len(words) for words in expected]
    numbers: dict[str, int] = {}
    for words, hashes in zip(expected, found, strict=True):
        for word, value in zip(words, hashes, strict=True):
            assert numbers.setdefault(word, value) == value
    assert len(set(numbers.values())) == len(numbers)


@settings(deadline=None, max_examples=200)
@given(st.text(HARD | st.characters(codec="utf-8"), max_size=25))
def test_forms_of_one_text_have_the_same_words(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    plain = [
        form for form in forms if not set("\u0345\u034f\u200d\ufe0f\u00ad") & set(unicodedata.normalize("NFD", form))
    ]
    assert len({str(words) for words in word_hashes(*plain)}) <= 1


def test_every_code_point_becomes_what_is_defined() -> None:
    codes = [code for code in range(0x110000) if unicodedata.category(chr(code)) != "Cs"]
    found = word_hashes(*(f"a{chr(code)}b" for code in codes[::7]))
    expected = word_hashes(*(" ".join(words_by_definition(f"a{chr(code)}b")) for code in codes[::7]))
    assert found == expected


def test_runs_of_words_are_the_same_wherever_they_stand() -> None:
    here, there = (hash_words(next(slices(pa.array([text])))) for text in ("a b c d e", "x y b, C; D"))
    lengths = np.array([3])
    same = [run_hashes(here.prefixes, np.array([4]), lengths), run_hashes(there.prefixes, np.array([5]), lengths)]
    assert same[0] == same[1]
    other = run_hashes(here.prefixes, np.array([4, 4]), np.array([2, 4]))
    assert len({*other.tolist(), *same[0].tolist()}) == 3
    assert int(BASE) % 8 == 5


def test_more_words_than_bytes() -> None:
    # ﷺ is four words; without spaces between them the last of each and the first of the next are one.
    assert len(word_hashes("㌖" * 1000)[0]) == 6000
    assert len(word_hashes("ﷺ" * 1000 + "a " * 1000)[0]) == 3 * 1000 + 1000


def test_malformed_utf8_stays_inside_the_text() -> None:
    broken = pa.array([b"\xff\xf4 a\xe4", b"b \xf3\xff"]).view(pa.string())
    assert [len(hash_words(part).prefixes) - 1 for part in slices(broken)] == [2]
    assert len(folds().folds) == 1 << 21  # what four bytes can spell


def test_where_words_stand() -> None:
    text = "Aé  b\u0301, 我们 ½ extraordinarily-long\n\t_x"
    places = word_places(text.encode())
    pieces = [text.encode()[first:last].decode() for first, last in places.tolist()]
    assert pieces == ["Aé", "b\u0301", "我", "们", "½", "½", "extraordinarily", "long", "x"]
    assert word_places(b"").shape == (0, 2)


@settings(deadline=None, max_examples=300)
@given(
    st.text(st.sampled_from(list("abcdefghXYZ019 ,_-\n[`{@/:\x00\x7fé我\u0301")), max_size=60),
    st.integers(0, 20),
)
def test_ascii_read_in_eights_gives_the_same_words_wherever_it_stands(text: str, before: int) -> None:
    alone = [word_hashes(word)[0][0] for word in words_by_definition(text)]
    assert word_hashes("," * before + text + "," * 20) == [alone]
    data = ("," * before + text).encode()
    pieces = [words_by_definition(data[first:last].decode()) for first, last in word_places(data).tolist()]
    assert pieces == [[word] for word in words_by_definition(text)]
