"""Rules: what is compared with which limit, and the decisions that follow.

A *rule set* is a dataclass whose fields are limits with their published defaults; a recipe names it, and may change
limits (`{gopher_quality: {min_words: 30}}`; null switches a rule off). A *custom comparison* is
`{signal: n_words, min: 20, max: 1000}`. Both become `Rule`s, which reject a document whose signal lies below a minimum
or above a maximum; a signal that equals the limit passes.

Defaults are made for English web pages and for code. Other languages: `min_stop_words: 0` (the stop words are English).

An empty text has 0 for each signal, so it is rejected by `gopher_quality`, `fineweb` and `code`, and by no rule of
`gopher_repetition`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from numbers import Real
from typing import Annotated, Any, get_type_hints

import numpy as np
import numpy.typing as npt

from pipeline.filtered.catalogue import SIGNALS

Limit = float | None
Entry = str | Mapping[str, Any]


class Kind(StrEnum):
    """Which side of the limit a rule rejects: `min` what lies below it, `max` what lies above it."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One comparison. `reason` is what a rejected document is given ("gopher_quality.min_words")."""

    reason: str
    signal: str
    kind: Kind
    limit: float


@dataclass(frozen=True)
class Min:
    """Marks a limit of a rule set: the least that the signal may be."""

    signal: str
    kind = Kind.MIN


@dataclass(frozen=True)
class Max:
    """Marks a limit of a rule set: the most that the signal may be."""

    signal: str
    kind = Kind.MAX


@dataclass(frozen=True, kw_only=True)
class GopherQuality:
    """Quality of English web pages: Rae et al. 2021 (Gopher, arXiv 2112.11446), section A1.1, "Quality Filtering"."""

    min_words: Annotated[Limit, Min("n_words")] = 50  # "does not contain between 50 and 100,000 words"
    max_words: Annotated[Limit, Max("n_words")] = 100_000
    min_mean_word_length: Annotated[Limit, Min("mean_word_length")] = 3.0  # "outside the range of 3 to 10 characters"
    max_mean_word_length: Annotated[Limit, Max("mean_word_length")] = 10.0
    max_hash_to_word_ratio: Annotated[Limit, Max("hash_to_word_ratio")] = 0.1  # "symbol-to-word ratio greater than 0.1"
    max_ellipsis_to_word_ratio: Annotated[Limit, Max("ellipsis_to_word_ratio")] = 0.1
    max_bullet_line_share: Annotated[Limit, Max("bullet_line_share")] = 0.9  # "more than 90% of lines"
    max_ellipsis_line_share: Annotated[Limit, Max("ellipsis_line_share")] = 0.3  # "more than 30% ending with …"
    min_alpha_word_share: Annotated[Limit, Min("alpha_word_share")] = 0.8  # "80% of words … at least one alphabetic"
    min_stop_words: Annotated[Limit, Min("n_stop_words")] = 2  # "at least two of the following English words"


@dataclass(frozen=True, kw_only=True)
class GopherRepetition:
    """Repetition: Rae et al. 2021 (Gopher, arXiv 2112.11446), section A1.1, "Repetition Removal", limits of table A1.

    The order is datatrove's: paragraphs, lines, n-grams. In scripts without spaces an n-gram is n letters, which repeat
    more readily than n words: raise the limits of the longer n-grams for long documents of such languages.
    """

    max_dup_paragraph_share: Annotated[Limit, Max("dup_paragraph_share")] = 0.30
    max_dup_paragraph_char_share: Annotated[Limit, Max("dup_paragraph_char_share")] = 0.20
    max_dup_line_share: Annotated[Limit, Max("dup_line_share")] = 0.30
    max_dup_line_char_share: Annotated[Limit, Max("dup_line_char_share")] = 0.20
    max_top_2gram_char_share: Annotated[Limit, Max("top_2gram_char_share")] = 0.20
    max_top_3gram_char_share: Annotated[Limit, Max("top_3gram_char_share")] = 0.18
    max_top_4gram_char_share: Annotated[Limit, Max("top_4gram_char_share")] = 0.16
    max_dup_5gram_char_share: Annotated[Limit, Max("dup_5gram_char_share")] = 0.15
    max_dup_6gram_char_share: Annotated[Limit, Max("dup_6gram_char_share")] = 0.14
    max_dup_7gram_char_share: Annotated[Limit, Max("dup_7gram_char_share")] = 0.13
    max_dup_8gram_char_share: Annotated[Limit, Max("dup_8gram_char_share")] = 0.12
    max_dup_9gram_char_share: Annotated[Limit, Max("dup_9gram_char_share")] = 0.11
    max_dup_10gram_char_share: Annotated[Limit, Max("dup_10gram_char_share")] = 0.10


@dataclass(frozen=True, kw_only=True)
class FineWeb:
    """FineWeb's own rules: Penedo et al. 2024 (arXiv 2406.17557), section 3.6, with the defaults of its published code,
    `FineWebQualityFilter` of datatrove 0.10.1. (A document exactly at a limit passes there; the paper rejects it.)"""

    min_terminal_line_share: Annotated[Limit, Min("terminal_line_share")] = 0.12  # "ending with punctuation … <= 0.12"
    max_short_line_share: Annotated[Limit, Max("short_line_share")] = 0.67  # "shorter than 30 characters … >= 0.67"
    # "characters in duplicated lines … >= 0.1" in the paper, 0.01 in the code (`char_duplicates_ratio`)
    max_dup_line_char_share: Annotated[Limit, Max("dup_line_char_share")] = 0.01
    max_line_break_to_word_ratio: Annotated[Limit, Max("line_break_to_word_ratio")] = (
        0.3  # the code only, `new_line_ratio`
    )


@dataclass(frozen=True, kw_only=True)
class Code:
    """Source code: the filters of BigCode that do not ask for the programming language.

    Sources: A, Ben Allal et al. 2023 (SantaCoder, arXiv 2301.03988), and its code, `preprocessing/filtering.py` of
    bigcode-project/bigcode-dataset, filter "basic"; B, Li et al. 2023 (StarCoder, arXiv 2305.06161); C, Lozhkov et al.
    2024 (StarCoder 2 and The Stack v2, arXiv 2402.19173), section 2.1, "Basic filters". Data files need limits of their
    own: C allows JSON, YAML and text 512 lines (`{signal: n_lines, max: 512}`).
    """

    max_mean_line_length: Annotated[Limit, Max("mean_line_length")] = 100  # A, B, C; before them Chen et al. 2021
    max_line_length: Annotated[Limit, Max("max_line_length")] = 1000  # A, B, C
    max_lines: Annotated[Limit, Max("n_lines")] = 100_000  # C: "likely to be data or generated code"
    min_alnum_share: Annotated[Limit, Min("alnum_share")] = 0.25  # A; B and C ask it of `letter_share`
    max_generated_marks: Annotated[Limit, Max("n_generated_marks")] = 0  # C
    max_xml_declarations: Annotated[Limit, Max("n_xml_declarations")] = 0  # B: all languages but XSLT
    max_encoded_length: Annotated[Limit, Max("max_encoded_length")] = 1024  # C: "longer than 1024 characters"
    max_encoded_char_share: Annotated[Limit, Max("encoded_char_share")] = 0.5  # C: "more than 50% of the file"


RuleSet = GopherQuality | GopherRepetition | FineWeb | Code
RULE_SETS: Mapping[str, type[RuleSet]] = {
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "fineweb": FineWeb,
    "code": Code,
}


def resolve(entries: Sequence[Entry]) -> tuple[Rule, ...]:
    """The rules of a recipe's `rules:` list, in its order.

    An entry is a rule set's name, `{name: {limit: value, …}}`, or `{signal: name, min: value, max: value}`.
    `ValueError` for unknown rule sets, limits and signals, limits that are not finite numbers, a minimum above its
    maximum, and rules that are asked for twice.
    """
    rules: list[Rule] = []
    for entry in entries:
        if isinstance(entry, str):
            rules += _named(entry, {})
        elif isinstance(entry, Mapping) and "signal" in entry:
            rules += _custom(entry)
        elif isinstance(entry, Mapping) and len(entry) == 1:
            rules += _named(*next(iter(entry.items())))
        else:
            raise ValueError(
                f"rules: {entry!r} is no rule; write a rule set ({', '.join(RULE_SETS)}), "
                "{rule set: {limit: value}} or {signal: name, min: value, max: value}"
            )
    reasons = [rule.reason for rule in rules]
    if repeated := sorted({reason for reason in reasons if reasons.count(reason) > 1}):
        raise ValueError(f"rules: {', '.join(repeated)} asked for twice; name each rule set and each comparison once")
    return tuple(rules)


def of_set(chosen: RuleSet) -> tuple[Rule, ...]:
    """The rules of one rule set, in the order of its fields; `ValueError` for limits that are no numbers, or exclude
    every document."""
    name = next(name for name, kind in RULE_SETS.items() if isinstance(chosen, kind))
    hints = get_type_hints(type(chosen), include_extras=True)
    bounds: dict[str, Min | Max] = {limit: hint.__metadata__[0] for limit, hint in hints.items()}
    return _rules(
        (f"{name}.{limit}", bounds[limit].signal, bounds[limit].kind, value) for limit, value in asdict(chosen).items()
    )


def signals_of(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The signals that the rules compare, each once, in the order of `SIGNALS`."""
    compared = {rule.signal for rule in rules}
    return tuple(name for name in SIGNALS if name in compared)


def hits(signals: Mapping[str, npt.NDArray[Any]], rules: Sequence[Rule]) -> npt.NDArray[np.bool_]:
    """Which rules reject which documents, each rule by itself: bool [n_documents, n_rules].

    `signals` holds an array [n_documents] for each signal that the rules compare, and at least one.
    """
    if missing := [name for name in signals_of(rules) if name not in signals]:
        raise ValueError(
            f"the rules compare {', '.join(missing)}, which is not among the measured signals {list(signals)}"
        )
    n_documents = len(next(iter(signals.values())))
    found = np.zeros((n_documents, len(rules)), np.bool_)
    for column, rule in enumerate(rules):
        values = signals[rule.signal]
        found[:, column] = values < rule.limit if rule.kind is Kind.MIN else values > rule.limit
    return found


def decide(signals: Mapping[str, npt.NDArray[Any]], rules: Sequence[Rule]) -> npt.NDArray[np.int16]:
    """For each document the index of the first rule that rejects it, or -1 if it is kept: int16 [n_documents]."""
    found = hits(signals, rules)
    if not rules:
        return np.full(len(found), -1, np.int16)
    return np.where(found.any(axis=1), found.argmax(axis=1), -1).astype(np.int16)


def _named(name: Any, limits: Any) -> tuple[Rule, ...]:
    if name not in RULE_SETS:
        raise ValueError(f"rules: unknown rule set {name!r}; known are {', '.join(RULE_SETS)}")
    if not isinstance(limits, Mapping):
        raise ValueError(f"rules: {name} is given {limits!r}; limits are written as {{{name}: {{limit: value}}}}")
    known = [limit.name for limit in fields(RULE_SETS[name])]
    if unknown := [str(limit) for limit in limits if limit not in known]:
        raise ValueError(f"rules: {name} has no limit {', '.join(unknown)}; it has {', '.join(known)}")
    return of_set(RULE_SETS[name](**limits))


def _custom(entry: Mapping[str, Any]) -> tuple[Rule, ...]:
    signal = entry["signal"]
    if signal not in SIGNALS:
        raise ValueError(f"rules: unknown signal {signal!r}; known are {', '.join(SIGNALS)}")
    limits = {name: value for name, value in entry.items() if name != "signal"}
    if not limits or not set(limits) <= set(Kind):
        raise ValueError(f"rules: {dict(entry)!r} needs min, max or both, and takes nothing else")
    return _rules((f"{signal}.{kind}", signal, kind, limits[kind]) for kind in Kind if kind in limits)


def _rules(comparisons: Iterable[tuple[str, str, Kind, Any]]) -> tuple[Rule, ...]:
    """Rules of (reason, signal, kind, limit), those without a limit left out."""
    rules = tuple(
        Rule(reason=reason, signal=signal, kind=kind, limit=_number(reason, limit))
        for reason, signal, kind, limit in comparisons
        if limit is not None
    )
    least = {rule.signal: rule for rule in rules if rule.kind is Kind.MIN}
    for rule in rules:
        low = least.get(rule.signal)
        if rule.kind is Kind.MAX and low and low.limit > rule.limit:
            raise ValueError(
                f"rules: {low.reason} = {low.limit:g} is above {rule.reason} = {rule.limit:g}: "
                "every document would be rejected"
            )
    return rules


def _number(reason: str, limit: Any) -> float:
    if isinstance(limit, bool) or not isinstance(limit, Real) or not math.isfinite(limit):
        raise ValueError(f"rules: {reason} is {limit!r}; a limit is a number, or null to switch the rule off")
    return float(limit)
