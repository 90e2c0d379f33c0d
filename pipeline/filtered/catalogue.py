"""The signals by name: what is measured on each document, in which unit. `signals.measure` measures them.

Counts are int64. Shares, ratios and means are float64, because limits are: 3 / 10 as float32 is greater than 0.3, and
a document exactly at a limit would be rejected. Unless said otherwise shares lie in [0, 1]; a share of nothing is 0, so
an empty text has 0 everywhere. `ch` are characters (code points); what words, lines and paragraphs are is said in
`words` and `lines`. (This module knows no compiler, so that recipes can be checked without numba.)

    n_bytes                     bytes of UTF-8
    n_chars                     ch
    letter_share                letters (category L) / ch
    alnum_share                 letters and numbers (categories L and N) / ch
    digit_share                 decimal digits (category Nd) / ch
    upper_share                 capital letters (categories Lu, Lt) / letters
    n_words                     words with a letter or number
    n_symbol_words              words without: "|", "—"
    mean_word_length            ch of the words with a letter or number / these words; letters of scripts without
                                spaces count `words.UNSPACED_LENGTH` times
    hash_to_word_ratio          "#" / all words, not bounded
    ellipsis_to_word_ratio      "…" and "..." / all words, not bounded
    alpha_word_share            words with a letter / all words
    n_stop_words                different ones of the eight English stop words that occur: 0 to 8
    n_lines                     lines, blank ones included
    mean_line_length            ch of lines without line breaks / lines, blank ones included
    max_line_length             ch of the longest line
    bullet_line_share           lines that start with a bullet / lines, blank ones included
    ellipsis_line_share         lines that end in an ellipsis / lines, blank ones included
    terminal_line_share         lines that end in a sentence mark / lines that are not blank
    short_line_share            lines of at most 30 ch / lines that are not blank
    line_break_to_word_ratio    line breaks / all words, not bounded
    dup_line_share              lines that equal an earlier one / lines that are not blank
    dup_line_char_share         ch of such lines / ch
    dup_paragraph_share         paragraphs that equal an earlier one / paragraphs
    dup_paragraph_char_share    ch of such paragraphs / ch
    top_{2,3,4}gram_char_share  ch of the most frequent n-gram of words, times its count / ch; above 1 where its
                                occurrences overlap
    dup_{5…10}gram_char_share   ch in n-grams of words that repeat an earlier one / ch
    n_generated_marks           marks of generated files in the first 5 lines: 0 to 5
    n_xml_declarations          1 if "<?xml version=" occurs in the first 100 ch
    encoded_char_share          ch in base64, hexadecimal and escaped data / ch; matches of two kinds count twice
    max_encoded_length          ch of the longest piece of such data
    c4_lines                    lines that C4's line rules keep
    c4_sentences                sentences of these lines
    c4_curly_lines              lines with "{" among those that C4's code looks at for it
    c4_lorem_lines              lines with "lorem ipsum", likewise
    c4_kept_share               bytes that C4's line rules keep / bytes
    n_emails, n_ip_addresses,   personal data, by the patterns of `pii`
    n_phone_numbers,
    n_card_numbers
    n_missing_tables            tables that the text speaks of ("Table 1") less the tables that it holds, at least 0
    compression_ratio           bytes / bytes when compressed, not bounded; measured only where a rule compares it

Differences from datatrove 0.10.1, FineWeb's tool, so that decisions can be compared:

* words: datatrove splits with spaCy, so that punctuation is a word of its own, and its share of words with a letter
  counts every comma against a text. What it leaves out of the number of words and their mean length are words made of
  a list of marks; here, words without letter or number.
* stop words are compared without case.
* lines: datatrove has `str.splitlines` for bullets and ellipses, "\\n+" for repeated lines, "\\n" for FineWeb's rules,
  so CRLF hides the sentence mark from it, and what stands before the first or after the last break counts as a line
  even if it is empty. Its paragraphs are parted by "\\n\\n", ours also by lines of white space.
* terminal_line_share: white space and closing brackets and quotes after the mark are looked through; Thai and Lao,
  which have no sentence marks, count as ended.
* dup_line_char_share: FineWeb's rule there divides by the characters without line breaks.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

_COUNT, _SHARE = np.dtype(np.int64), np.dtype(np.float64)

TEXT_SIGNALS = {
    "n_bytes": _COUNT,
    "n_chars": _COUNT,
    "letter_share": _SHARE,
    "alnum_share": _SHARE,
    "digit_share": _SHARE,
    "upper_share": _SHARE,
}
WORD_SIGNALS = {
    "n_words": _COUNT,
    "n_symbol_words": _COUNT,
    "mean_word_length": _SHARE,
    "hash_to_word_ratio": _SHARE,
    "ellipsis_to_word_ratio": _SHARE,
    "alpha_word_share": _SHARE,
    "n_stop_words": _COUNT,
}
LINE_SIGNALS = {
    "n_lines": _COUNT,
    "mean_line_length": _SHARE,
    "max_line_length": _COUNT,
    "bullet_line_share": _SHARE,
    "ellipsis_line_share": _SHARE,
    "terminal_line_share": _SHARE,
    "short_line_share": _SHARE,
}
DUPLICATE_SIGNALS = {
    "dup_line_share": _SHARE,
    "dup_line_char_share": _SHARE,
    "dup_paragraph_share": _SHARE,
    "dup_paragraph_char_share": _SHARE,
}
NGRAM_SIGNALS = {
    **{f"top_{n}gram_char_share": _SHARE for n in (2, 3, 4)},
    **{f"dup_{n}gram_char_share": _SHARE for n in (5, 6, 7, 8, 9, 10)},
}
CODE_SIGNALS = {
    "n_generated_marks": _COUNT,
    "n_xml_declarations": _COUNT,
    "encoded_char_share": _SHARE,
    "max_encoded_length": _COUNT,
}

# By the published line rules; where a recipe changes these, the signals are measured anew when deciding.
C4_SIGNALS = {
    "c4_lines": _COUNT,
    "c4_sentences": _COUNT,
    "c4_curly_lines": _COUNT,
    "c4_lorem_lines": _COUNT,
    "c4_kept_share": _SHARE,
}
PII_SIGNALS = {
    "n_emails": _COUNT,
    "n_ip_addresses": _COUNT,
    "n_phone_numbers": _COUNT,
    "n_card_numbers": _COUNT,
}

# The signals that are always measured, in the order of a dataset's columns, with their dtypes.
SIGNALS: Mapping[str, np.dtype[np.generic]] = MappingProxyType(
    TEXT_SIGNALS
    | WORD_SIGNALS
    | LINE_SIGNALS
    | {"line_break_to_word_ratio": _SHARE}
    | DUPLICATE_SIGNALS
    | NGRAM_SIGNALS
    | CODE_SIGNALS
    | C4_SIGNALS
    | PII_SIGNALS
    | {"n_missing_tables": _COUNT}
)

COMPRESSION = "compression_ratio"

# What a recipe's comparisons may name.
COMPARED: Mapping[str, np.dtype[np.generic]] = MappingProxyType({**SIGNALS, COMPRESSION: _SHARE})

# What rules of other fields compare: known only when it is decided on a text.
KNOWN_WHEN_DECIDING = ("language_score", "c4_bad_words")
