"""Excerpts hold what triggered the rule, are never too long, and the spans behind them are what the signals count."""

import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filtered.catalogue import COMPARED, KNOWN_WHEN_DECIDING
from pipeline.filtered.examples import evidence, excerpts
from pipeline.filtered.examples.excerpts import LIMIT, Excerpt, around, beginning, of_signal
from pipeline.filtered.rule_sets import Kind
from pipeline.filtered.signals import measure

SIGNALS = (*COMPARED, *KNOWN_WHEN_DECIDING)
# A long text with nothing in it that a rule below looks for: each line ends as it should, and no two are the same.
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero")
PROSE = "".join(f"Sentence {a} {b} comes after all those before it.\n" for a in NUMBERS for b in NUMBERS)
BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4aa" * 2


@pytest.mark.parametrize("signal", SIGNALS)
def test_each_signal_has_an_excerpt(signal: str) -> None:
    for kind in Kind:
        for text in ("", "\r\n", "a", "我们去公园散步。" * 200, "ไทย " * 400, PROSE, "\x00" * 600):
            found = of_signal(text, signal, kind)
            assert bool(found.text) == bool(text)
            assert len(found.text) <= LIMIT
            assert found.at in range(len(text) + 1)


@pytest.mark.parametrize(
    ("signal", "kind", "trigger"),
    [
        ("letter_share", "min", "=-=" * 80),
        ("letter_share", "max", "Donaudampfschifffahrtsgesellschaftskapitän" * 2),
        ("alnum_share", "min", "+" + "-" * 80 + "+"),
        ("alnum_share", "max", "a1" * 40),
        ("digit_share", "max", "3141592653"),
        ("digit_share", "max", "٣٤٥٦٧٨٩"),
        ("upper_share", "max", "BUY NOW"),
        ("upper_share", "min", "x" * 90),
        ("n_symbol_words", "max", "— 👍 —"),
        ("mean_word_length", "max", "https://example.org/" + "path/" * 30),
        ("hash_to_word_ratio", "max", "#cats #dogs"),
        ("ellipsis_to_word_ratio", "max", "well… so..."),
        ("alpha_word_share", "min", "12 | 7 | 2024"),
        ("mean_line_length", "max", "no break " * 20 + "here."),
        ("mean_line_length", "min", "Hm.\nSo.\nYes.\nNo.\nOh.\nWell.\nNow.\n"),
        ("max_line_length", "max", "no break " * 20 + "here."),
        ("bullet_line_share", "max", "• eggs.\n- milk.\n"),
        ("ellipsis_line_share", "max", "read more ...\nand more…\n"),
        ("terminal_line_share", "min", "Home\nAbout us\nLog in\n"),
        ("short_line_share", "max", "One.\nTwo.\nThree.\n"),
        ("line_break_to_word_ratio", "max", "\r\n\r\n\r\n"),
        ("dup_line_share", "max", "Sentence two six comes after all those before it."),
        ("dup_line_char_share", "max", "Sentence two six comes after all those before it."),
        ("top_2gram_char_share", "max", "buy shoes " * 250),
        ("top_3gram_char_share", "max", "buy the shoes " * 250),
        ("top_4gram_char_share", "max", "buy the red shoes " * 250),
        ("encoded_char_share", "max", BASE64),
        ("encoded_char_share", "max", "0x4f, 0x4e,".replace(" ", "") * 8),
        ("max_encoded_length", "max", "\\u00e9" * 20),
        ("c4_curly_lines", "max", "if (x) { y(); } in a sentence."),
        ("c4_lorem_lines", "max", "Here is Lorem IPSUM dolor sit amet."),
        ("c4_kept_share", "min", "Home | About us | Log in"),
        ("n_emails", "max", "jane.doe@uni-bonn.de"),
        ("n_missing_tables", "max", "Table 3"),
    ],
)
def test_the_excerpt_shows_the_trigger(signal: str, kind: str, trigger: str) -> None:
    text = f"{PROSE}\n{trigger}\n{PROSE.replace('Sentence', 'Phrase')}"
    found = of_signal(text, signal, Kind(kind))
    first = text.index(trigger, len(PROSE))
    assert trigger[: LIMIT // 2].replace("\r\n", "\n") in found.text
    assert first - LIMIT < found.at < first + len(trigger)
    assert found.text.startswith("…")
    assert found.text.endswith("…")


def spans(text: str, signal: str, kind: str = "max") -> list[str]:
    return [text[first:last] for first, last in evidence.find(text, signal, Kind(kind)).spans]


FRAGMENTS = [
    *(
        "the",
        "The",
        "«that»",
        "cat.",
        "é",
        "e\u0301",
        "Ǆ",
        "ⅷ",
        "²",
        "٣",
        "한국어",
        "我们",
        "天。",
        "GPT-4",
        "ひら",
        "ไทย",
    ),
    *("〇", "𠀀", "々", "\u200b", "\x1c", "\x85", "\u2028", "\u3000", "\xa0", "_", "a@b.de", "192.0.2.7", "8.8.8.8"),
    *("#", "...", "…", "•", "-", '."', "?)", "—", "{", "Table 1", "lorem ipsum", "Auto-Generated", '<?xml version="1'),
    *(" ", " ", " ", "\n", "\n", "\n\n", "\n \n", "\r", "\r\n", "48 ", "0x4f,", "\\u00e9", BASE64),
]
FEW = ["a", "bb", "c.", "我", " ", " ", "\n", "\n\n"]
MIXED = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=60).map("".join)
TEXT = MIXED | st.lists(st.sampled_from(FEW), max_size=120).map("".join)


@settings(deadline=None, max_examples=150)
@given(TEXT)
def test_the_spans_are_what_the_signals_count(text: str) -> None:
    measured = {name: values[0].item() for name, values in measure(pa.array([text])).items()}
    n_chars, n_lines = max(measured["n_chars"], 1), max(measured["n_lines"], 1)
    n_words = max(measured["n_words"] + measured["n_symbol_words"], 1)

    def n(signal: str) -> int:
        return len(spans(text, signal))

    def parted(signal: str, size: Callable[[list[str]], int]) -> float:
        high, low = size(spans(text, signal)), size(spans(text, signal, "min"))
        return high / max(high + low, 1)

    def characters(signal: str) -> int:
        return len("".join(spans(text, signal)))

    def words_of(signal: str) -> int:
        return len("".join("".join(spans(text, signal)).split()))

    def top(signal: str) -> int:
        shown = spans(text, signal)
        return len(shown) * len(" ".join(shown[0].split())) if shown else 0

    expected = {
        **{f"{kind}_share": parted(f"{kind}_share", total_length) for kind in ("letter", "alnum", "digit", "upper")},
        **{f"{kind}_share": parted(f"{kind}_share", len) for kind in ("alpha_word", "terminal_line", "short_line")},
        "n_symbol_words": n("n_symbol_words"),
        **{
            f"{kind}_to_word_ratio": n(f"{kind}_to_word_ratio") / n_words for kind in ("hash", "ellipsis", "line_break")
        },
        **{f"{kind}_line_share": n(f"{kind}_line_share") / n_lines for kind in ("bullet", "ellipsis")},
        "max_line_length": characters("max_line_length"),
        "dup_line_char_share": characters("dup_line_char_share") / n_chars,
        "dup_paragraph_char_share": characters("dup_paragraph_char_share") / n_chars,
        **{signal: top(signal) / n_chars for signal in map("top_{}gram_char_share".format, (2, 3, 4))},
        **{signal: words_of(signal) / n_chars for signal in map("dup_{}gram_char_share".format, range(5, 11))},
        "encoded_char_share": characters("encoded_char_share") / n_chars,
        "max_encoded_length": characters("max_encoded_length"),
        **{signal: n(signal) for signal in ("n_emails", "n_ip_addresses", "n_phone_numbers", "n_card_numbers")},
    }
    assert {name: measured[name] for name in expected} == expected
    for signal in ("n_generated_marks", "n_xml_declarations"):
        assert bool(measured[signal]) == bool(n(signal)), signal
    for signal in ("n_missing_tables", "c4_curly_lines", "c4_lorem_lines"):
        assert n(signal) or not measured[signal], signal


def total_length(parts: list[str]) -> int:
    return sum(map(len, parts))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXT, st.integers(1, 30)), max_size=3), st.sampled_from(SIGNALS), st.sampled_from(Kind))
def test_excerpts_are_short_and_from_the_text(parts: list[tuple[str, int]], signal: str, kind: Kind) -> None:
    text = "".join(part * times for part, times in parts)
    found = of_signal(text, signal, kind)
    assert len(found.text) <= LIMIT
    assert 0 <= found.at <= len(text)
    shown = found.text if len(text) <= LIMIT else found.text.removeprefix("…").removesuffix("…")
    possible = excerpts.beginning(text[max(found.at - excerpts.BEFORE, 0) :][:LIMIT])
    assert shown in possible.text or len(text) <= LIMIT
    assert not [char for char in found.text if (ord(char) < 32 and char not in "\t\n") or 127 <= ord(char) < 160]


def test_the_densest_part_is_shown_and_of_equal_ones_the_first() -> None:
    text = f"# {PROSE} # # # {PROSE} # # # # {PROSE} # # # # {PROSE}"
    assert of_signal(text, "hash_to_word_ratio", Kind.MAX).at == text.index("# # # #")


def test_some_context_stands_around_the_trigger() -> None:
    first = len(PROSE)
    text = f"{PROSE}jane.doe@uni-bonn.de\n{PROSE}"
    found = around(text, first, first + 20)
    assert found == Excerpt(text=f"…{PROSE[-80:]}jane.doe@uni-bonn.de\n{PROSE[:159]}…", at=first)
    assert found == of_signal(text, "n_emails", Kind.MAX)


def test_a_span_that_is_too_long_shows_its_beginning() -> None:
    text = f"{PROSE}\n{'x' * 2000}\n{PROSE}"
    found = of_signal(text, "max_line_length", Kind.MAX)
    assert found.text.endswith("\n" + "x" * (LIMIT - 82) + "…")
    assert len(found.text) == LIMIT
    assert found.at == len(PROSE) + 1


def test_what_fits_is_shown_whole() -> None:
    assert of_signal("a # b" + " c" * 240, "hash_to_word_ratio", Kind.MAX) == Excerpt(text="a # b" + " c" * 240, at=2)
    assert beginning("x" * LIMIT) == Excerpt(text="x" * LIMIT, at=0)
    assert beginning("x" * (LIMIT + 1)) == Excerpt(text="x" * (LIMIT - 1) + "…", at=0)


def test_at_the_end_nothing_is_left_out() -> None:
    assert around(PROSE + "x", len(PROSE), len(PROSE) + 1) == Excerpt(text=f"…{PROSE[-80:]}x", at=len(PROSE))


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert (
        beginning("a\x1b[31m\tb\x00\r\nc\rd\x9b\u202ee\u2067").text == "a\ufffd[31m\tb\ufffd\nc\nd\ufffd\ufffde\ufffd"
    )


def test_curly_brackets_are_shown_where_c4_looks_at_them() -> None:
    text = f"color {{\n{PROSE}This line has a {{ and an end.\n"
    assert of_signal(text, "c4_curly_lines", Kind.MAX).at == text.index("{", len(PROSE))
    assert of_signal(f"{PROSE}color {{\n", "c4_curly_lines", Kind.MAX).at == len(PROSE) + len("color ")


def test_spans_outside_the_text_and_unknown_signals_are_refused() -> None:
    with pytest.raises(ValueError, match="characters 2 to 4 do not lie in a text of 3"):
        around("abc", 2, 4)
    with pytest.raises(ValueError, match="unknown signal 'n_wrods'; known are n_bytes"):
        of_signal("abc", "n_wrods", Kind.MAX)


# One for each way in which a text is taken apart.
SLOWEST = (
    *("encoded_char_share", "dup_10gram_char_share", "top_2gram_char_share", "terminal_line_share", "upper_share"),
    *("n_generated_marks", "dup_paragraph_share", "line_break_to_word_ratio"),
)
HOSTILE = {
    "prose": PROSE * 120,
    "line breaks": "\n" * 1_000_000,
    "short lines": "a\n" * 500_000,
    "almost hexadecimal": ("ab " * 7 + "zz ") * 40_000,
    "hexadecimal and spaces": ("ab" + " " * 500) * 2_000,
    "almost base64": ("a" * 63 + " ") * 15_000,
    "escapes": "\\u00e" * 200_000,
    "one letter": "a" * 1_000_000,
    "longer than what is looked at": "x. " * 2_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_takes_little_time(name: str) -> None:
    start = time.process_time()
    for signal in SLOWEST:
        of_signal(HOSTILE[name], signal, Kind.MAX)
    assert time.process_time() - start < 60  # 1 s on a laptop; anything quadratic would take hours
