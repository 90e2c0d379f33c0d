"""The types of a recipe's fields: amounts, weights, names, globs, lists. Each takes what YAML gives, and says in a
`ValueError` what is wrong with it and how to write it; the place is added by `recipe_errors`."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any

from fsspec.utils import glob_translate
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.filtered import rules
from pipeline.filtered.catalogue import SIGNALS
from pipeline.filtered.language_codes import LANGUAGES
from pipeline.filtered.rules import Entry
from pipeline.mds import frames

UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
MAX_AMOUNT = 10**18
MAX_NUMBER = 2**31 - 1
NUMBER = r"[0-9][0-9_]{0,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?"
"""More digits of an exponent would fill the memory, and more others are no number that anyone measured."""


def parse_amount(value: object) -> int:
    """`20M` → 20000000. Numbers with an optional K, M, B or T (powers of 1000); the result is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not an amount; write a number with an optional K, M, B or T, as 20M")
    match = re.fullmatch(rf"\s*({NUMBER})\s*([KMBT]?)\s*", str(value), re.IGNORECASE)
    if match is None:
        raise ValueError("is not an amount; write a positive number with an optional K, M, B or T, as 20M")
    amount = Fraction(match[1].replace("_", "")) * UNITS[match[2].upper()]
    if amount < 1 or amount > MAX_AMOUNT:
        raise ValueError(f"must be from 1 to {MAX_AMOUNT // UNITS['T']}T")
    if amount.denominator != 1:
        raise ValueError(f"is {float(amount)}, which is not a whole number; leave out the fraction")
    return amount.numerator


def parse_weight(value: object) -> Fraction:
    """A share as an exact fraction: 0.4 is 2/5, never the binary number next to it; `1/3` is taken too.

    Apart from 0 its size is from 1/`MAX_AMOUNT` to `MAX_AMOUNT`: no budget has a token for less.
    """
    if isinstance(value, Fraction):
        return value
    text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    match = re.fullmatch(rf"\s*(-?{NUMBER})\s*(?:/\s*({NUMBER}))?\s*", text)
    if match is None or (match[2] and not Fraction(match[2])):
        raise ValueError("is not a number; write it as 0.4 or 2/5")
    weight = Fraction(match[1]) / Fraction(match[2] or 1)
    if weight and not Fraction(1, MAX_AMOUNT) <= abs(weight) <= MAX_AMOUNT:
        raise ValueError("must be from 1e-18 to 1e18; weights are shares, of any sum, as 0.4")
    return weight


def _positive(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError("must be above 0; leave the source out if it is not to be served")
    return value


def _not_negative(value: Fraction) -> Fraction:
    if value < 0:
        raise ValueError("must not be below 0")
    return value


def check_name(value: str) -> str:
    """The name of a mix or a source; `ValueError` for what is none."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", value):
        raise ValueError(
            "must be made of at most 64 lower-case letters, digits, '-' and '_' (it becomes the name of a folder)"
        )
    return value


def _relative_glob(value: str) -> str:
    if not value or value.startswith("/") or ".." in value.split("/") or "://" in value:
        raise ValueError("must be a path or glob below the source's root, as '2024/*.jsonl.zst'")
    try:
        re.compile(glob_translate(value))
    except (ValueError, re.error) as error:
        raise ValueError(f"is not a glob: {error}; write it as '2024/*.jsonl.zst' or '**/*.parquet'") from error
    return value


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def known_rules(entries: tuple[Any, ...]) -> tuple[Entry, ...]:
    """The entries of a source's `rules:`, unchanged; `ValueError` for those that `filtered.rules` does not know."""
    for entry in entries:
        if isinstance(entry, Mapping) and not isinstance(entry.get("signal", ""), str):
            raise ValueError(
                f"rules: the signal {entry['signal']!r} is not text; write it as {{signal: n_words, min: 3}}"
            )
    rules.resolve(entries)
    return entries


def _language(value: str) -> str:
    if value not in LANGUAGES:
        raise ValueError(f"is not a language that the identification knows; known are {', '.join(sorted(LANGUAGES))}")
    return value


def _signal(value: str) -> str:
    if value not in SIGNALS:
        raise ValueError(f"is not a signal; known are {', '.join(SIGNALS)}")
    return value


def _compression(value: str) -> str:
    try:
        frames.level_of(value)
    except ValueError as error:
        raise ValueError("must be zstd, or zstd with a level, as zstd:3 (1 to 22)") from error
    return value


FromList = BeforeValidator(_listed)
Amount = Annotated[int, BeforeValidator(parse_amount)]
Weight = Annotated[Fraction, BeforeValidator(parse_weight), AfterValidator(_positive)]
StageWeight = Annotated[Fraction, BeforeValidator(parse_weight), AfterValidator(_not_negative)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
Text = Annotated[str, Field(min_length=1)]
Compression = Annotated[str, AfterValidator(_compression)]
Name = Annotated[str, AfterValidator(check_name)]
Glob = Annotated[str, AfterValidator(_relative_glob)]
Language = Annotated[str, AfterValidator(_language)]
Signal = Annotated[str, AfterValidator(_signal)]
