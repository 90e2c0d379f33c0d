"""Measure the signals of `catalogue`: formulas over the counts of the compiled passes."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered import c4, code_marks, lines, ngrams, pii, repetition, tables_mentioned, words
from pipeline.filtered.catalogue import (
    C4_SIGNALS,
    CODE_SIGNALS,
    DUPLICATE_SIGNALS,
    LINE_SIGNALS,
    NGRAM_SIGNALS,
    PII_SIGNALS,
    SIGNALS,
    WORD_SIGNALS,
)
from pipeline.filtered.edit_rules import LineRules
from pipeline.texts import characters
from pipeline.texts.buffers import Texts, slices

__all__ = ["SIGNALS", "VERSION", "measure"]

Signal = npt.NDArray[Any]  # of int64 or float64, as the catalogue says

# Goes up when the same texts give other numbers, or other files. What also decides: `unicode_tables.UNICODE_VERSION`.
VERSION = 3


def measure(texts: pa.Array | pa.ChunkedArray, needed: Collection[str] = tuple(SIGNALS)) -> dict[str, Signal]:
    """The `needed` signals of each document, in the order of `SIGNALS`: arrays of `len(texts)` with the dtypes there.

    `texts` are string or large_string without nulls. Passes that no needed signal asks for are left out.
    `ValueError` for other texts, and for unknown signals.
    """
    if unknown := sorted(set(needed) - set(SIGNALS)):
        raise ValueError(f"unknown signals {', '.join(unknown)}; known are {', '.join(SIGNALS)}")
    measured = [_measure(part, set(needed)) for part in slices(texts)]
    return {
        name: np.concatenate([np.empty(0, dtype), *(part[name] for part in measured)])
        for name, dtype in SIGNALS.items()
        if name in needed
    }


def _measure(texts: Texts, needed: set[str]) -> dict[str, Signal]:
    chars = characters.count(texts)
    found = _of_text(texts, chars)
    ratio_of_breaks = "line_break_to_word_ratio" in needed
    if ratio_of_breaks or needed & (WORD_SIGNALS.keys() | NGRAM_SIGNALS.keys()):
        split = words.split(texts)
        found |= _of_words(split, chars)
        if needed & NGRAM_SIGNALS.keys():
            found |= _of_ngrams(split, chars)
    if ratio_of_breaks or needed & (LINE_SIGNALS.keys() | DUPLICATE_SIGNALS.keys()):
        cut = lines.split(texts)
        found |= _of_lines(cut)
        if ratio_of_breaks:
            found["line_break_to_word_ratio"] = _ratio(cut.breaks, split.n)
        if needed & DUPLICATE_SIGNALS.keys():
            found |= _of_duplicates(cut, chars)
    if needed & CODE_SIGNALS.keys():
        found |= _of_code(code_marks.find(texts), chars)
    if needed & C4_SIGNALS.keys():
        found |= c4.measure(texts, LineRules())
    if needed & PII_SIGNALS.keys():
        found |= dict(zip(PII_SIGNALS, pii.count(texts), strict=True))
    if "n_missing_tables" in needed:
        found["n_missing_tables"] = tables_mentioned.count(texts)
    return found


def _ratio(part: characters.Counts, whole: characters.Counts) -> npt.NDArray[np.float64]:
    return np.divide(part, np.maximum(whole, 1), dtype=np.float64)


def _of_text(texts: Texts, chars: characters.Characters) -> dict[str, Signal]:
    return {
        "n_bytes": texts.n_bytes,
        "n_chars": chars.characters,
        "letter_share": _ratio(chars.letters, chars.characters),
        "alnum_share": _ratio(chars.letters + chars.numbers, chars.characters),
        "digit_share": _ratio(chars.digits, chars.characters),
        "upper_share": _ratio(chars.upper, chars.letters),
    }


def _of_words(split: words.Words, chars: characters.Characters) -> dict[str, Signal]:
    return {
        "n_words": split.n - split.symbols,
        "n_symbol_words": split.symbols,
        "mean_word_length": _ratio(split.length, split.n - split.symbols),
        "hash_to_word_ratio": _ratio(chars.hashes, split.n),
        "ellipsis_to_word_ratio": _ratio(chars.ellipses, split.n),
        "alpha_word_share": _ratio(split.alpha, split.n),
        "n_stop_words": split.stop,
    }


def _of_ngrams(split: words.Words, chars: characters.Characters) -> dict[str, Signal]:
    repeated = ngrams.ngram_characters(split)
    return {name: _ratio(count, chars.characters) for name, count in zip(NGRAM_SIGNALS, repeated.values(), strict=True)}


def _of_lines(cut: lines.Lines) -> dict[str, Signal]:
    return {
        "n_lines": cut.n,
        "mean_line_length": _ratio(cut.characters, cut.n),
        "max_line_length": cut.longest,
        "bullet_line_share": _ratio(cut.bulleted, cut.n),
        "ellipsis_line_share": _ratio(cut.ellipsis, cut.n),
        "terminal_line_share": _ratio(cut.terminated, cut.texts.n),
        "short_line_share": _ratio(cut.short, cut.texts.n),
    }


def _of_duplicates(cut: lines.Lines, chars: characters.Characters) -> dict[str, Signal]:
    repeated_lines = repetition.duplicates(cut.texts)
    repeated_paragraphs = repetition.duplicates(cut.paragraphs)
    return {
        "dup_line_share": _ratio(repeated_lines.n, cut.texts.n),
        "dup_line_char_share": _ratio(repeated_lines.characters, chars.characters),
        "dup_paragraph_share": _ratio(repeated_paragraphs.n, cut.paragraphs.n),
        "dup_paragraph_char_share": _ratio(repeated_paragraphs.characters, chars.characters),
    }


def _of_code(marks: code_marks.CodeMarks, chars: characters.Characters) -> dict[str, Signal]:
    return {
        "n_generated_marks": marks.generated,
        "n_xml_declarations": marks.xml,
        "encoded_char_share": _ratio(marks.encoded, chars.characters),
        "max_encoded_length": marks.longest,
    }
