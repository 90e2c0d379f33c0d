"""What in a text speaks against it: for each signal the spans that make its value too high, and those that make it too
low. Where something is missing ("too few words") there is nothing to show, and no spans.

The spans are those that the signal counts, by its own definition, except that empty lines are never shown.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.filtered import c4, pii, tables_mentioned
from pipeline.filtered.code_marks import GENERATED_LINES, GENERATED_MARKS, XML_CHARACTERS, XML_MARK
from pipeline.filtered.edit_rules import LineRules, PiiKind
from pipeline.filtered.examples import pieces
from pipeline.filtered.examples.pieces import Pairs, Spans
from pipeline.filtered.lines import SHORT_LINE_CHARACTERS
from pipeline.filtered.ngrams import DUPLICATE_NGRAMS, TOP_NGRAMS
from pipeline.filtered.rule_sets import Kind
from pipeline.texts.buffers import Texts, slices
from pipeline.texts.cuts import Cuts
from pipeline.texts.unicode_tables import CLOSING, DIGIT, LETTER, NUMBER, SPACE, TERMINAL, UPPER

Finder = Callable[[str], Spans | Pairs]

_BREAK = re.compile(r"\r\n|\r|\n")
_HASH = re.compile("#")
_ELLIPSIS = re.compile(r"\.\.\.|…")
_LOREM = re.compile("lorem ipsum", re.IGNORECASE | re.ASCII)
_GENERATED = re.compile("|".join(GENERATED_MARKS), re.IGNORECASE | re.ASCII)
_CURLY = re.compile(r"\{")
_XML = re.compile(re.escape(XML_MARK))
_C4_RULES = [number for number, name in enumerate(c4.REASONS) if name != "c4.white_space"]
# Lines dropped for these never reach C4's test for curly brackets.
_BEFORE_PAGE_RULES = [
    c4.REASONS.index(f"c4.{rule}") for rule in ("max_word_length", "terminal_mark", "min_line_words", "javascript")
]
# The expressions of `code_marks`, with how a match begins put first, so that other text is passed over quickly.
_ENCODED = tuple(
    map(
        re.compile,
        (
            r"(?<![a-zA-Z0-9+/\n=])[a-zA-Z0-9+/\n=]{64,}",
            r"(?=[0-9a-fA-F\\])(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}",
            r"\\u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4}){7,}",
        ),
    )
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """`spans`, ascending, and whether they weigh by their characters (else each counts as one)."""

    spans: Spans
    by_length: bool


_Shown = Mapping[Kind, Callable[[str], Evidence]]
_HIGH, _LOW = Kind.MAX, Kind.MIN


def find(text: str, signal: str, kind: Kind) -> Evidence:
    """What makes the signal of the text too low (`Kind.MIN`) or too high (`Kind.MAX`).

    `ValueError` for a signal that is not known.
    """
    if signal not in _SHOWN:
        raise ValueError(f"excerpts: unknown signal {signal!r}; known are {', '.join(_SHOWN)}")
    return _SHOWN[signal].get(kind, _each(_nothing))(text)


def _is_bulleted(line: str) -> bool:
    return line.lstrip().startswith(("•", "-"))


def _ends_in_ellipsis(line: str) -> bool:
    return line.rstrip().endswith(("...", "…"))


def _is_short(line: str) -> bool:
    return len(line) <= SHORT_LINE_CHARACTERS


def _ends_sentence(line: str) -> bool:
    end = line.rstrip(pieces.characters_with(SPACE | CLOSING))[-1:]
    return bool(end) and end in pieces.characters_with(TERMINAL)


def _longest(text: str, *, among: Finder) -> Pairs:
    """The longest of the spans, the first if there are several."""
    spans = np.asarray(among(text), np.int64).reshape(-1, 2).tolist()
    return [max(spans, key=lambda span: span[1] - span[0])] if spans else []


def _encoded(text: str) -> Pairs:
    return sorted(span for pattern in _ENCODED for span in pieces.matches(text, pattern=pattern))


def _generated_marks(text: str) -> Pairs:
    ends = [match.start() for match in islice(_BREAK.finditer(text), GENERATED_LINES)]
    head = text[: ends[-1]] if len(ends) == GENERATED_LINES else text
    return pieces.matches(head, pattern=_GENERATED)


def _xml_declaration(text: str) -> Pairs:
    return pieces.matches(text[:XML_CHARACTERS], pattern=_XML)


def _missing_tables(text: str) -> Pairs:
    mention = tables_mentioned.first_mention(text)
    return [] if mention is None else [mention]


def _cuts(text: str, find: Callable[[Texts], Cuts], reasons: Sequence[int]) -> Spans:
    """What other modules find, for one of the reasons: bytes turned into characters."""
    texts = next(slices(pa.array([text])))
    cuts = find(texts)
    spans = np.column_stack([cuts.first, cuts.last])[np.isin(cuts.reason, reasons)]
    characters_before = np.append(np.int64(0), np.cumsum((texts.data & 0xC0) != 0x80, dtype=np.int64))
    return np.take(characters_before, spans)


def _personal(text: str, *, kind: PiiKind) -> Spans:
    return _cuts(text, pii.find, [pii.KINDS.index(kind)])


def _c4_dropped(text: str, *, reasons: Sequence[int]) -> Spans:
    """What C4's line rules, as published, cut out for one of the reasons (indices of `c4.REASONS`)."""
    return _cuts(text, partial(c4.cut, rules=LineRules()), reasons)


def _c4_matches(text: str, *, pattern: re.Pattern[str]) -> Spans:
    """Matches in the lines that C4 looks at for its page rules; all of them, if that leaves none (with line rules other
    than the published ones C4 looks at other lines)."""
    found = np.array(pieces.matches(text, pattern=pattern), np.int64).reshape(-1, 2)
    dropped = _c4_dropped(text, reasons=_BEFORE_PAGE_RULES)
    looked_at = np.searchsorted(dropped[:, 0], found[:, 0], side="right") == np.searchsorted(
        dropped[:, 1], found[:, 0], side="right"
    )
    return found[looked_at] if looked_at.any() else found


def _nothing(text: str) -> Pairs:
    return []


def _evidence(text: str, *, find: Finder, by_length: bool) -> Evidence:
    return Evidence(spans=np.asarray(find(text), np.int64).reshape(-1, 2), by_length=by_length)


def _each(find: Callable[..., Spans | Pairs], **options: Any) -> Callable[[str], Evidence]:
    return partial(_evidence, find=partial(find, **options), by_length=False)


def _by_length(find: Callable[..., Spans | Pairs], **options: Any) -> Callable[[str], Evidence]:
    return partial(_evidence, find=partial(find, **options), by_length=True)


def _characters(flags: int) -> _Shown:
    return {
        _HIGH: _by_length(pieces.character_runs, of=flags),
        _LOW: _by_length(pieces.runs_between, flags=flags),
    }


def _lines(test: Callable[[str], bool]) -> _Shown:
    return {
        _HIGH: _each(pieces.lines_that, test=test),
        _LOW: _each(pieces.lines_that, test=test, wanted=False),
    }


_LONGEST_LINE = _each(_longest, among=partial(pieces.matches, pattern=pieces.LINE))
_LONGEST_ENCODED = _each(_longest, among=_encoded)

# The signals of `catalogue`. Where a side is missing, the document is shown as a whole.
_SHOWN: Mapping[str, _Shown] = {
    **{name: {} for name in ("n_bytes", "n_chars", "n_words", "n_stop_words", "n_lines")},
    **{name: {} for name in ("c4_lines", "c4_sentences", "c4_bad_words", "language_score")},
    "letter_share": _characters(LETTER),
    "alnum_share": _characters(LETTER | NUMBER),
    "digit_share": _characters(DIGIT),
    "upper_share": {
        _HIGH: _by_length(pieces.character_runs, of=UPPER),
        _LOW: _by_length(pieces.character_runs, of=LETTER, but=UPPER),
    },
    "n_symbol_words": {_HIGH: _each(pieces.words_without, flags=LETTER | NUMBER)},
    "mean_word_length": {
        _HIGH: _by_length(pieces.words_beyond_mean, longer=True),
        _LOW: _each(pieces.words_beyond_mean, longer=False),
    },
    "hash_to_word_ratio": {_HIGH: _each(pieces.matches, pattern=_HASH)},
    "ellipsis_to_word_ratio": {_HIGH: _each(pieces.matches, pattern=_ELLIPSIS)},
    "alpha_word_share": {
        _HIGH: _each(pieces.words_with, flags=LETTER),
        _LOW: _each(pieces.words_without, flags=LETTER),
    },
    "mean_line_length": {_HIGH: _LONGEST_LINE, _LOW: _each(pieces.short_lines)},
    "max_line_length": {_HIGH: _LONGEST_LINE, _LOW: _LONGEST_LINE},
    "bullet_line_share": _lines(_is_bulleted),
    "ellipsis_line_share": _lines(_ends_in_ellipsis),
    "terminal_line_share": _lines(_ends_sentence),
    "short_line_share": _lines(_is_short),
    "line_break_to_word_ratio": {_HIGH: _each(pieces.matches, pattern=_BREAK)},
    "dup_line_share": {_HIGH: _each(pieces.duplicate_lines)},
    "dup_line_char_share": {_HIGH: _by_length(pieces.duplicate_lines)},
    "dup_paragraph_share": {_HIGH: _each(pieces.duplicate_paragraphs)},
    "dup_paragraph_char_share": {_HIGH: _by_length(pieces.duplicate_paragraphs)},
    **{f"top_{n}gram_char_share": {_HIGH: _each(pieces.top_ngram, n=n)} for n in TOP_NGRAMS},
    **{f"dup_{n}gram_char_share": {_HIGH: _by_length(pieces.duplicate_ngrams, n=n)} for n in DUPLICATE_NGRAMS},
    "n_generated_marks": {_HIGH: _each(_generated_marks)},
    "n_xml_declarations": {_HIGH: _each(_xml_declaration)},
    "encoded_char_share": {_HIGH: _by_length(_encoded)},
    "max_encoded_length": {_HIGH: _LONGEST_ENCODED, _LOW: _LONGEST_ENCODED},
    "c4_curly_lines": {_HIGH: _each(_c4_matches, pattern=_CURLY)},
    "c4_lorem_lines": {_HIGH: _each(_c4_matches, pattern=_LOREM)},
    "c4_kept_share": {_LOW: _by_length(_c4_dropped, reasons=_C4_RULES)},
    "n_emails": {_HIGH: _each(_personal, kind=PiiKind.EMAIL)},
    "n_ip_addresses": {_HIGH: _each(_personal, kind=PiiKind.IP_ADDRESS)},
    "n_phone_numbers": {_HIGH: _each(_personal, kind=PiiKind.PHONE_NUMBER)},
    "n_card_numbers": {_HIGH: _each(_personal, kind=PiiKind.CARD_NUMBER)},
    "n_missing_tables": {_HIGH: _each(_missing_tables)},
    # What compresses too well repeats itself; 5 words are the shortest repetition that Gopher's rules look at.
    "compression_ratio": {_HIGH: _by_length(pieces.duplicate_ngrams, n=min(DUPLICATE_NGRAMS))},
}
