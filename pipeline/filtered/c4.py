"""C4's line rules: which lines of a text are kept, what is cut out of it, and the numbers that its page rules look at.

The paper (Raffel et al. 2020, arXiv 1910.10683, section 2.2) names the rules; their order and what it leaves open are
those of the code that made C4 (`clean_page` in `c4_utils.py` of tensorflow/datasets; datatrove's `C4QualityFilter` goes
the same way). A line, stripped of white space, goes through

    max_word_length   dropped if a word has more characters
    citations         `\\[\\d*\\]|\\[edit\\]|\\[citation needed\\]` is cut out of it, once from left to right
    terminal_mark     dropped if it does not end in a sentence or quotation mark, or ends in an ellipsis
    min_line_words    dropped if it has fewer words
    (lorem ipsum      counted, for a rule on pages)
    javascript        dropped if it holds "javascript"
    (curly bracket    counted, for a rule on pages)
    policy            dropped if it holds one of `POLICY_PHRASES`
    (sentences        of the lines that are left are counted, for a rule on pages)

so a page rule sees only what the lines before it left: a "{" in a line without an end mark rejects no page. The limits
are the recipe's: at least 3 words and 5 sentences in the paper's first version and in datatrove, 5 words and 3
sentences in its later versions and in c4_utils.

Where this differs from the published code, deliberately:

* A line is one of `lines` (LF, CR, CRLF); `str.splitlines` also breaks at vertical tabs, form feeds, U+001C to U+001E,
  U+0085, U+2028 and U+2029. Line breaks stay as they are. A blank line is never kept, whatever rules are switched off.
* White space that a citation leaves at a line's ends is cut before the next test: "Two words here. [1]" is kept.
* End marks are those of `unicode_tables.TERMINAL` (every letter of Thai and Lao is one) and `QUOTATION_MARKS`; c4_utils
  has . ? ! and ", datatrove these and '. The ellipsis is "..." or U+2026.
* Words are those of `words`: a Chinese line is not too short, nor one long word. They are counted after citations were
  cut, as in c4_utils (datatrove: before).
* Phrases are compared without case in ASCII only; `str.lower` also makes a "k" of the sign for kelvin, U+212A.
* Sentences are those of `sentences`, not nltk's or spaCy's.
"""

import numpy as np
import numpy.typing as npt

from pipeline.filtered import c4_lines, sentences
from pipeline.filtered.c4_lines import REASONS
from pipeline.filtered.edit_rules import LineRules
from pipeline.texts import edits
from pipeline.texts.buffers import Texts
from pipeline.texts.cuts import Cuts

__all__ = ["REASONS", "cut", "measure"]


def measure(texts: Texts, rules: LineRules) -> dict[str, npt.NDArray[np.generic]]:
    """The numbers of each document that C4's rules on pages look at, one array of [n_documents] each, as
    `catalogue.C4_SIGNALS`.

    `c4_lines`: lines kept; `c4_sentences`: their sentences; `c4_curly_lines`, `c4_lorem_lines`: lines that hold "{" or
    "lorem ipsum" (in any case) and reach that test; `c4_kept_share`: bytes left by `cut`, of all bytes (0 of none).
    """
    judged = c4_lines.judge(texts, rules)
    left = edits.without(texts, judged.cuts)
    return {
        "c4_lines": judged.kept,
        "c4_sentences": sentences.count(left),
        "c4_curly_lines": judged.curly,
        "c4_lorem_lines": judged.lorem,
        "c4_kept_share": left.n_bytes / np.maximum(texts.n_bytes, 1),
    }


def cut(texts: Texts, rules: LineRules) -> Cuts:
    """What to cut out of each document, `reason` by `REASONS`. What is left are its kept lines, stripped and without
    citations, each but the last with the break that ended it in the text."""
    return c4_lines.judge(texts, rules).cuts
