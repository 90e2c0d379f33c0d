"""Rules as a recipe writes them, and the decisions that follow."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filtered.edit_rules import LineRules, PiiKind
from pipeline.filtered.rule_sets import RULE_SETS, GopherQuality, Kind
from pipeline.filtered.rules import BAD_WORDS_RULE, Rule, hits, of_set, resolve, signals_of
from pipeline.filtered.signals import SIGNALS, measure


def test_a_rule_set_has_its_published_limits() -> None:
    rules = resolve(["gopher_quality"]).rules
    assert rules[0] == Rule(reason="gopher_quality.min_words", signal="n_words", kind=Kind.MIN, limit=50.0)
    assert [(rule.reason.split(".")[1], rule.limit) for rule in rules] == [
        ("min_words", 50),
        ("max_words", 100_000),
        ("min_mean_word_length", 3),
        ("max_mean_word_length", 10),
        ("max_hash_to_word_ratio", 0.1),
        ("max_ellipsis_to_word_ratio", 0.1),
        ("max_bullet_line_share", 0.9),
        ("max_ellipsis_line_share", 0.3),
        ("min_alpha_word_share", 0.8),
        ("min_stop_words", 2),
    ]


def test_every_limit_compares_a_signal_and_says_so_by_its_kind() -> None:
    for rule in resolve(list(RULE_SETS)).rules:
        assert rule.signal in SIGNALS
        limit = rule.reason.split(".")[1]
        assert limit.startswith(f"{rule.kind}_")
        assert rule.signal.removeprefix("n_").removeprefix("max_").removeprefix("c4_") in limit


def test_limits_are_changed_and_switched_off() -> None:
    rules = resolve([{"gopher_quality": {"min_words": 30, "min_stop_words": None}}, "fineweb"]).rules
    assert rules[0].limit == 30.0
    assert "gopher_quality.min_stop_words" not in [rule.reason for rule in rules]
    assert rules[-1].reason == "fineweb.max_line_break_to_word_ratio"
    assert of_set(GopherQuality(min_words=30, min_stop_words=None)) == rules[:9]


def test_custom_comparisons_are_rules() -> None:
    assert resolve([{"signal": "n_words", "max": 100, "min": 20}]).rules == (
        Rule(reason="n_words.min", signal="n_words", kind=Kind.MIN, limit=20.0),
        Rule(reason="n_words.max", signal="n_words", kind=Kind.MAX, limit=100.0),
    )


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            ["gopher"],
            "unknown rule set 'gopher'; known are gopher_quality, gopher_repetition, c4, fineweb, code, mask_pii",
        ),
        ([{"c4": {"min_lines_words": 3}}], "c4 has no limit min_lines_words; it has min_lines.*policy.*bad_words"),
        ([{"c4": {"javascript": None}}], "c4.javascript is None; it is true or false"),
        ([{"c4": {"min_line_words": True}}], "c4.min_line_words is True; it is a whole number from 1, or null"),
        ([{"c4": {"max_word_length": 0}}], "c4.max_word_length is 0; it is a whole number from 1, or null"),
        ([{"c4": {"bad_words": 3}}], "c4.bad_words is 3; it is the path of a file"),
        (
            [{"mask_pii": ["emails"]}],
            r"mask_pii is given \['emails'\]; write mask_pii for all kinds, or a list of some",
        ),
        ([{"mask_pii": []}], r"mask_pii is given \[\]"),
        ([{"mask_pii": "email"}], "mask_pii is given 'email'"),
        (["mask_pii", {"mask_pii": ["email"]}], "mask_pii asked for twice"),
        ([{"fineweb": {"min_word": 3}}], "fineweb has no limit min_word; it has min_terminal_line_share"),
        ([{"fineweb": 3}], "fineweb is given 3; limits are written as"),
        ([{"gopher_quality": {"min_words": "30"}}], "gopher_quality.min_words is '30'; a limit is a number"),
        ([{"gopher_quality": {"min_words": True}}], "gopher_quality.min_words is True"),
        ([{"gopher_quality": {"max_words": float("nan")}}], "gopher_quality.max_words is nan"),
        ([{"gopher_quality": {"min_words": 200_000}}], "min_words = 200000 is above gopher_quality.max_words = 100000"),
        (["code", {"code": {"max_lines": 3}}], "code.max_lines.* asked for twice"),
        ([{"signal": "n_wrods", "min": 3}], "unknown signal 'n_wrods'; known are n_bytes"),
        ([{"signal": "n_words"}], "needs min, max or both"),
        ([{"signal": "n_words", "least": 3}], "needs min, max or both"),
        ([{"code": {}, "fineweb": {}}], "is no rule; write a rule set"),
        ([7], "7 is no rule"),
    ],
)
def test_mistakes_in_a_recipe_are_named(entries: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(entries)


RULES = resolve([{"signal": "n_words", "min": 3, "max": 5}, {"signal": "digit_share", "max": 0.3}]).rules
VALUES = {"n_words": np.array([2, 3, 5, 6, 2]), "digit_share": np.array([0.0, 0.3, 0.31, 1.0, 0.5])}


def test_c4_brings_its_line_rules_and_a_list_of_words() -> None:
    assert resolve(["c4"]).lines == LineRules()
    asked = resolve([{"c4": {"min_sentences": 3, "terminal_mark": False, "min_line_words": 5, "bad_words": "bad.txt"}}])
    assert asked.lines == LineRules(terminal_mark=False, min_line_words=5)
    assert asked.bad_words == "bad.txt"
    assert [rule.limit for rule in asked.rules] == [1, 0, 0, 3, 0]
    assert asked.rules[-1] == BAD_WORDS_RULE
    assert resolve(["code"]).lines is None


def test_masks_are_kinds_in_one_order() -> None:
    assert resolve(["mask_pii"]).masks == tuple(PiiKind)
    assert resolve([{"mask_pii": ["phone_number", "email"]}]).masks == (PiiKind.EMAIL, PiiKind.PHONE_NUMBER)
    assert resolve(["code"]).masks == ()


def test_hits_are_of_each_rule_by_itself() -> None:
    assert hits(VALUES, RULES).astype(int).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1]]


def test_without_rules_all_documents_stay() -> None:
    assert hits(VALUES, ()).shape == (5, 0)


def test_rules_say_which_signals_they_compare() -> None:
    assert signals_of(resolve(["fineweb", {"signal": "n_words", "min": 1}]).rules) == (
        "n_words",
        "terminal_line_share",
        "short_line_share",
        "line_break_to_word_ratio",
        "dup_line_char_share",
    )
    with pytest.raises(ValueError, match="the rules compare digit_share, which is not among the measured signals"):
        hits({"n_words": np.array([1])}, RULES)


PROSE = (
    "It was the best of times, and it was the worst of times; nobody who lived then could have told you which. "
    "The town lay with its back to the sea, and the wind that came over the hill brought the smell of hay. "
    "Whoever walked along the harbour in the evening saw how the boats, one after another, were made fast."
)


def reason_of(text: str, entries: list[Any]) -> str | None:
    rules = resolve(entries).rules
    found = hits(measure(pa.array([text]), signals_of(rules)), rules)[0]
    return next((rule.reason for rule, hit in zip(rules, found, strict=True) if hit), None)


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (PROSE, "gopher_quality", None),
        (PROSE, "gopher_repetition", None),
        (PROSE, "fineweb", None),
        ("", "gopher_quality", "gopher_quality.min_words"),
        ("", "gopher_repetition", None),
        ("", "fineweb", "fineweb.min_terminal_line_share"),
        ("", "code", "code.min_alnum_share"),
        ("", "c4", "c4.min_lines"),
        (PROSE, "c4", "c4.min_sentences"),
        (f"{PROSE}\n{PROSE}", "c4", None),
        (f"{PROSE}\n{PROSE}\nif (x) {{ return; }} And so on.", "c4", "c4.max_curly_lines"),
        ("\n".join([PROSE, PROSE, "if (x) { return; }"]), "c4", None),  # a line that is dropped before
        (f"{PROSE}\n{PROSE}\nLorem Ipsum dolor sit amet.", "c4", "c4.max_lorem_lines"),
        ("a b " * 50, "gopher_quality", "gopher_quality.min_mean_word_length"),
        ("#tag " + PROSE.replace(" ", " #"), "gopher_quality", "gopher_quality.max_hash_to_word_ratio"),
        ("schön ist das Leben " * 20, "gopher_quality", "gopher_quality.min_stop_words"),
        ("\n\n".join([PROSE] * 2), "gopher_repetition", "gopher_repetition.max_dup_paragraph_share"),
        ("\n".join([PROSE] * 2), "gopher_repetition", "gopher_repetition.max_dup_line_share"),
        (f"{PROSE} {PROSE}", "gopher_repetition", "gopher_repetition.max_dup_5gram_char_share"),
        (PROSE.replace(" ", "\n"), "fineweb", "fineweb.min_terminal_line_share"),
        (PROSE.replace(" ", ".\n"), "fineweb", "fineweb.max_short_line_share"),
        (
            f"{PROSE}\nShare this page now, and tell us.\nShare this page now, and tell us.",
            "fineweb",
            "fineweb.max_dup_line_char_share",
        ),
        ("def f(x):\n    return x + 1\n", "code", None),
        ("# Code generated automatically\nx = 1\n", "code", "code.max_generated_marks"),
        ("x = 1\n" * 5 + "# autogenerated\n", "code", None),
        ('<?xml version="1.0"?>\n<a>text</a>\n', "code", "code.max_xml_declarations"),
        ("data = '" + "ab0+" * 200 + "'\nother = 1\n" * 50, "code", "code.max_encoded_char_share"),
        ("[" + "1.0, " * 30 + "]\n", "code", "code.max_mean_line_length"),
        ("\n".join(["{" + "-" * 30 + "}"] * 3), "code", "code.min_alnum_share"),
    ],
)
def test_rule_sets_decide_as_published(text: str, name: str, reason: str | None) -> None:
    assert reason_of(text, [name]) == reason
