"""Rule sets under their published names and limits: dataclasses whose fields are limits on one signal each.

Defaults are made for English web pages and for code. Other languages: `min_stop_words: 0` (the stop words are English).

An empty text has 0 for each signal, so it is rejected by `gopher_quality`, `c4`, `fineweb` and `code`, and by no rule
of `gopher_repetition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

Limit = float | None


class Kind(StrEnum):
    """Which side of the limit a rule rejects: `min` what lies below it, `max` what lies above it."""

    MIN = "min"
    MAX = "max"


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
class C4:
    """Pages of C4: Raffel et al. 2020 (arXiv 1910.10683), section 2.2, as in the code that made it (see module `c4`).

    Counted are the lines that its line rules (`edit_rules.LineRules`; a recipe changes them beside these limits) leave;
    these lines are what is kept of a document. `bad_words: file` rejects pages with a word of that file.
    """

    min_lines: Annotated[Limit, Min("c4_lines")] = 1  # a page without lines is no page; the code asks for 5 sentences
    max_lorem_lines: Annotated[Limit, Max("c4_lorem_lines")] = 0  # "any page where the phrase "lorem ipsum" appeared"
    max_curly_lines: Annotated[Limit, Max("c4_curly_lines")] = 0  # "any pages that contained a curly bracket"
    min_sentences: Annotated[Limit, Min("c4_sentences")] = 5  # the paper's first version; c4_utils: 3


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


RuleSet = GopherQuality | GopherRepetition | C4 | FineWeb | Code
RULE_SETS: Mapping[str, type[RuleSet]] = {
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "c4": C4,
    "fineweb": FineWeb,
    "code": Code,
}
