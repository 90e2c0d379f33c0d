"""The table says of each code point what `str` and `unicodedata` say."""

import unicodedata

import numpy as np

from pipeline.texts.unicode_tables import DIGIT, LETTER, NUMBER, SPACE, TERMINAL, UNSPACED, flags_of_all, tables

ALL = [chr(code) for code in range(0x110000)]


def having(flag: int) -> set[str]:
    return {ALL[code] for code in np.flatnonzero(flags_of_all() & flag)}


def test_flags_are_those_of_str() -> None:
    assert having(SPACE) == {char for char in ALL if char.isspace()}
    assert having(LETTER) == {char for char in ALL if char.isalpha()}
    assert having(LETTER | NUMBER) == {char for char in ALL if char.isalnum()}
    assert having(DIGIT) == {char for char in ALL if char.isdecimal()}


def test_unspaced_letters_are_those_of_scripts_without_spaces() -> None:
    unspaced = having(UNSPACED)
    assert set("我々ひカーｶไลកမཀ𠀀") <= unspaced
    assert not unspaced & set("aß한שلहΩ，。1ํ")
    assert {unicodedata.name(char, "?").split()[0] for char in unspaced} == {
        *("THAI", "LAO", "TIBETAN", "MYANMAR", "KHMER", "TAI", "NEW"),
        *("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "HENTAIGANA"),
    }


def test_marks_of_many_scripts_end_a_sentence() -> None:
    assert set(".!?。！？؟۔।။።։") <= having(TERMINAL)
    assert not having(TERMINAL) & set(",;:，、…-'\"")


def test_the_two_stages_give_the_same_flags() -> None:
    table = tables()
    codes = np.arange(0x110000)
    np.testing.assert_array_equal(table.flags[(table.pages[codes >> 8] << 8) + (codes & 255)], flags_of_all())
    np.testing.assert_array_equal(table.flags[:128], flags_of_all()[:128])
    assert len(table.pages) == 1 << 13  # any 21-bit number can be looked up
