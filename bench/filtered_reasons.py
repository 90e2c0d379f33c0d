"""Why datatrove's filters and ours decide otherwise on a text.

Found by trial: datatrove is given the text, or the words, with one difference taken away (`VARIATIONS`), and where it
then decides as we do, that difference is the reason.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import peers
from pipeline.filtered import rules
from pipeline.filtered.rule_sets import RULE_SETS, FineWeb

KEPT = "kept"
# datatrove's reasons by the limits of ours that they stand for.
LIMITS = {
    "gopher_short_doc": "min_words",
    "gopher_long_doc": "max_words",
    "gopher_below_avg_threshold": "min_mean_word_length",
    "gopher_above_avg_threshold": "max_mean_word_length",
    "gopher_too_many_hashes": "max_hash_to_word_ratio",
    "gopher_too_many_ellipsis": "max_ellipsis_to_word_ratio",
    "gopher_too_many_bullets": "max_bullet_line_share",
    "gopher_too_many_end_ellipsis": "max_ellipsis_line_share",
    "gopher_below_alpha_threshold": "min_alpha_word_share",
    "gopher_enough_stop_words": "min_stop_words",
    "dup_para_frac": "max_dup_paragraph_share",
    "dup_para_char_frac": "max_dup_paragraph_char_share",
    "dup_line_frac": "max_dup_line_share",
    "dup_line_char_frac": "max_dup_line_char_share",
    **{f"top_{n}_gram": f"max_top_{n}gram_char_share" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"max_dup_{n}gram_char_share" for n in (5, 6, 7, 8, 9, 10)},
    "line_punct_ratio": "min_terminal_line_share",
    "short_line_ratio": "max_short_line_share",
    "char_dup_ratio": "max_dup_line_char_share",
    "list_ratio": "max_line_break_to_word_ratio",
    "too_few_sentences": "min_sentences",
    "lorem_ipsum": "max_lorem_lines",
    "curly_bracket": "max_curly_lines",
}
NEAR = 0.05

Reasons = Mapping[str, Sequence[str]]
"""By rule set, of each text: KEPT, or the limit for which it is rejected."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Decisions on texts, and what C4's line rules leave of them, None where datatrove's filter does not get so far."""

    reasons: Reasons
    cleaned: Sequence[str | None]


@dataclass(frozen=True, kw_only=True)
class Variation:
    """A difference taken away: `rewrite` changes the texts that datatrove is given, `options` how it looks at them."""

    name: str
    rewrite: Callable[[str], str] = str
    options: tuple[str, ...] = ()


def _sub(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, replacement, text)


WHITE_SPACE = ("--words", "white_space")
BARE = ("--words", "bare_stop_words")  # and else split at white space
_MARK = "[.!?…。！？]"
_SEEN_THROUGH = r"[^\S\r\n\"')\]}»”’*`]|[\"')\]}»”’*`]"
# Thai, Lao, Tibetan; Burmese; Khmer; kana; Han: enough of the scripts without spaces for this.
_UNSPACED = r"\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
VARIATIONS = (
    Variation(name="lines of white space are blank", rewrite=_sub(r"(?m)^[^\S\n]+$", "")),
    Variation(name="CR and CRLF end a line", rewrite=_sub(r"\r\n?", "\n")),
    Variation(
        name="FF, VT, U+2028 and their like end no line", rewrite=_sub("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", " ")
    ),
    Variation(name="no line before the first break or after the last", rewrite=lambda text: text.strip("\r\n")),
    Variation(name="stop words: without case and marks", options=BARE),
    Variation(name="words without letter or number are symbols", options=("--symbols",)),
    Variation(
        name="an end mark may stand before quotes, brackets, white space",
        rewrite=_sub(rf"(?m)({_MARK})(?:{_SEEN_THROUGH})+$", r"\1"),
    ),
    Variation(name="end marks of other scripts, other quotation marks", options=("--end-marks",)),
    Variation(
        name="citations are cut before words and ends are looked at",
        rewrite=_sub(r"\[\d*\]|\[edit\]|\[citation needed\]", ""),
    ),
    Variation(name="letters of scripts without spaces are words", rewrite=_sub(rf"([{_UNSPACED}])", r" \1")),
)
LINE_CHARACTERS = next(rule for rule in rules.of_set(FineWeb()) if rule.signal == "dup_line_char_share")
SENTENCES = "sentences are counted otherwise, of the same lines"
DIVISOR = "characters: line breaks count"
SEVERAL = "several of these"


def explain(
    texts: Sequence[str], ours: Judged, values: Mapping[str, Any], theirs: Judged, differing: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], str]:
    """Why each of the `differing` (rule set, number of the text) was decided otherwise; the words are the same.

    `values` are our signals of the texts.
    """
    asked = sorted({text for _, text in differing})
    place = {text: number for number, text in enumerate(asked)}
    found: dict[tuple[str, int], str] = {}
    for name, text in differing:
        both = {ours.reasons[name][text], theirs.reasons[name][text]}
        if name == "c4" and "min_sentences" in both and same_lines(ours.cleaned[text], theirs.cleaned[text]):
            found[name, text] = SENTENCES
        elif name == "fineweb" and both == {KEPT, "max_dup_line_char_share"} and _is_divisor(texts, values, text):
            found[name, text] = DIVISOR
    for variation in (*VARIATIONS, _all()):
        decided = _varied([texts[text] for text in asked], variation, peers.FILTERS)
        for name, text in differing:
            is_kept = decided[place[text]]["reasons"][name] is None
            if is_kept == (ours.reasons[name][text] == KEPT):
                found.setdefault((name, text), variation.name)
    for name, text in differing:
        if (name, text) not in found and _is_near(name, ours.reasons, theirs.reasons, values, text):
            found[name, text] = f"within {NEAR:.0%} of the limit"
    return found


def explain_lines(texts: Sequence[str], ours: Judged, asked: Sequence[int]) -> dict[int, str]:
    """Why C4's line rules leave other lines of each of the `asked` texts."""
    found: dict[int, str] = {}
    for variation in (*VARIATIONS, _all()):
        decided = _varied([texts[text] for text in asked], variation, ["c4"], "--any-sentences")
        for text, one in zip(asked, decided, strict=True):
            if same_lines(ours.cleaned[text], one["kept"]):
                found.setdefault(text, variation.name)
    return found


def _varied(texts: Sequence[str], variation: Variation, filters: Sequence[str], *options: str) -> list[dict[str, Any]]:
    """What datatrove decides with a difference taken away."""
    words = () if "--words" in variation.options else WHITE_SPACE
    changed = [variation.rewrite(text) for text in texts]
    return peers.decisions(changed, filters, *words, *variation.options, *options)


def same_lines(ours: str | None, theirs: str | None) -> bool:
    """Whether both left the same of a text, white space aside."""
    return ours is not None and theirs is not None and "".join(ours.split()) == "".join(theirs.split())


def _all() -> Variation:
    def rewrite(text: str) -> str:
        for variation in VARIATIONS:
            text = variation.rewrite(text)
        return text

    return Variation(name=SEVERAL, rewrite=rewrite, options=(*BARE, "--symbols", "--end-marks"))


def _is_divisor(texts: Sequence[str], values: Mapping[str, Any], text: int) -> bool:
    """FineWeb's share of characters in repeated lines is above the limit for datatrove alone, which divides by the
    characters without line breaks."""
    share, limit = float(values["dup_line_char_share"][text]), LINE_CHARACTERS.limit
    n = len(texts[text])
    return share <= limit < share * n / max(1, n - texts[text].count("\n"))


def _is_near(name: str, ours: Reasons, theirs: Reasons, values: Mapping[str, Any], text: int) -> bool:
    """Whether what we measured for the rule that one side rejects by lies near its limit."""
    which = {f"{name}.{ours[name][text]}", f"{name}.{theirs[name][text]}"}
    compared = [rule for rule in rules.of_set(RULE_SETS[name]()) if rule.reason in which]
    return any(abs(values[rule.signal][text] - rule.limit) <= NEAR * rule.limit for rule in compared)
