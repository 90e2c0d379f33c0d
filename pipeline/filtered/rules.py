"""Rules: what a recipe's `rules:` list asks for, and which documents each rule hits.

An entry of the list is

* a rule set (`rule_sets`), whose limits may be changed: `gopher_quality`, `{gopher_quality: {min_words: 30}}`; null
  switches a rule off. Beside its limits `c4` takes the fields of `edit_rules.LineRules`, and `bad_words: file`;
* a comparison of one's own: `{signal: n_words, min: 20, max: 1000}`;
* masks for personal data: `mask_pii`, or `{mask_pii: [email, ip_address]}`.

Rule sets and comparisons become `Rule`s, which reject a document whose signal lies below a minimum or above a maximum;
a signal that equals the limit passes. All rules look at the document's own text; what changes texts (C4's line rules,
masks) comes after the decisions, wherever it stands in the list.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt

from pipeline.filtered.catalogue import COMPARED, KNOWN_WHEN_DECIDING
from pipeline.filtered.edit_rules import LineRules, PiiKind
from pipeline.filtered.rule_sets import RULE_SETS, Kind, Max, Min, RuleSet

Entry = str | Mapping[str, Any]

C4_SET, BAD_WORDS, MASK_PII = "c4", "bad_words", "mask_pii"
ENTRIES = (*RULE_SETS, MASK_PII)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One comparison. `reason` is what a rejected document is given ("gopher_quality.min_words")."""

    reason: str
    signal: str
    kind: Kind
    limit: float


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a recipe's `rules:` list asks for: comparisons in the listed order; C4's line rules; the file of C4's bad
    words; the kinds of personal data to mask. None or empty where it does not ask."""

    rules: tuple[Rule, ...] = ()
    lines: LineRules | None = None
    bad_words: str | None = None
    masks: tuple[PiiKind, ...] = ()


# A page with a word of the file: the signal is 1 where one was found.
BAD_WORDS_RULE = Rule(reason="c4.bad_words", signal="c4_bad_words", kind=Kind.MAX, limit=0.0)


def resolve(entries: Sequence[Entry]) -> Asked:
    """What a recipe's `rules:` list asks for.

    `ValueError` for unknown rule sets, limits and signals, limits that are not finite numbers, a minimum above its
    maximum, and what is asked for twice.
    """
    asked = Asked()
    for entry in entries:
        if isinstance(entry, str):
            more = _named(entry, {})
        elif isinstance(entry, Mapping) and "signal" in entry:
            more = Asked(rules=_custom(entry))
        elif isinstance(entry, Mapping) and len(entry) == 1:
            more = _named(*next(iter(entry.items())))
        else:
            raise ValueError(
                f"rules: {entry!r} is no rule; write a rule set ({', '.join(RULE_SETS)}), "
                f"{{rule set: {{limit: value}}}}, {{signal: name, min: value, max: value}} or {MASK_PII}"
            )
        asked = _joined(asked, more)
    return asked


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
    """The signals that the rules compare, each once, in the catalogue's order."""
    compared = {rule.signal for rule in rules}
    return tuple(name for name in (*COMPARED, *KNOWN_WHEN_DECIDING) if name in compared)


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
        found[:, column] = hit(signals[rule.signal], rule.kind, rule.limit)
    return found


def hit(values: npt.NDArray[Any], kind: Kind, limit: float) -> npt.NDArray[np.bool_]:
    """Which values a limit rejects: bool [n]."""
    return values < limit if kind is Kind.MIN else values > limit


def _joined(asked: Asked, more: Asked) -> Asked:
    reasons = [rule.reason for rule in asked.rules + more.rules]
    repeated = sorted({reason for reason in reasons if reasons.count(reason) > 1})
    if asked.masks and more.masks:
        repeated.append(MASK_PII)
    if repeated:
        raise ValueError(f"rules: {', '.join(repeated)} asked for twice; name each rule set and each comparison once")
    return Asked(
        rules=asked.rules + more.rules,
        lines=more.lines or asked.lines,
        bad_words=more.bad_words or asked.bad_words,
        masks=asked.masks + more.masks,
    )


def _named(name: Any, given: Any) -> Asked:
    if name == MASK_PII:
        return Asked(masks=_masks(given))
    if name not in RULE_SETS:
        raise ValueError(f"rules: unknown rule set {name!r}; known are {', '.join(ENTRIES)}")
    if not isinstance(given, Mapping):
        raise ValueError(f"rules: {name} is given {given!r}; limits are written as {{{name}: {{limit: value}}}}")
    of_lines = [field.name for field in fields(LineRules)] if name == C4_SET else []
    limits = [limit.name for limit in fields(RULE_SETS[name])]
    known = [*limits, *of_lines, *([BAD_WORDS] if name == C4_SET else [])]
    if unknown := [str(limit) for limit in given if limit not in known]:
        raise ValueError(f"rules: {name} has no limit {', '.join(unknown)}; it has {', '.join(known)}")
    rules = of_set(RULE_SETS[name](**{limit: value for limit, value in given.items() if limit in limits}))
    if name != C4_SET:
        return Asked(rules=rules)
    lines = LineRules(**{field: _line_rule(field, value) for field, value in given.items() if field in of_lines})
    file = given.get(BAD_WORDS)
    if file is not None and not (isinstance(file, str) and file):
        raise ValueError(f"rules: c4.bad_words is {file!r}; it is the path of a file, a word or phrase a line")
    return Asked(rules=rules + ((BAD_WORDS_RULE,) if file else ()), lines=lines, bad_words=file)


def _line_rule(field: str, value: Any) -> Any:
    """A field of `LineRules`: true or false, or where its default is a number, that or null."""
    is_switch = isinstance(getattr(LineRules(), field), bool)
    if is_switch and not isinstance(value, bool):
        raise ValueError(f"rules: c4.{field} is {value!r}; it is true or false")
    if not is_switch and value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"rules: c4.{field} is {value!r}; it is a whole number from 1, or null to switch the rule off")
    return value


def _masks(given: Any) -> tuple[PiiKind, ...]:
    kinds = list(PiiKind) if given == {} else given
    if not isinstance(kinds, list) or not kinds or (unknown := [kind for kind in kinds if kind not in list(PiiKind)]):
        shown = given if not isinstance(kinds, list) or not kinds else unknown
        raise ValueError(
            f"rules: {MASK_PII} is given {shown!r}; write {MASK_PII} for all kinds, or a list of some of: "
            f"{', '.join(PiiKind)}"
        )
    return tuple(kind for kind in PiiKind if kind in kinds)


def _custom(entry: Mapping[str, Any]) -> tuple[Rule, ...]:
    signal = entry["signal"]
    if signal not in COMPARED:
        raise ValueError(f"rules: unknown signal {signal!r}; known are {', '.join(COMPARED)}")
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
