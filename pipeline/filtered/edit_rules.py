"""What a recipe may have changed in texts: C4's line rules and masks of personal data. (No compiler is needed here.)"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class LineRules:
    """C4's rules for lines (Raffel et al. 2020, arXiv 1910.10683, section 2.2; what the paper leaves open, as in the
    code that made C4, `c4_utils.py` of tensorflow/datasets). A line that breaks one is dropped; False or None switches
    a rule off.

    `terminal_mark`: lines end in a sentence mark or quotation mark, and not in an ellipsis. `min_line_words`: the least
    words of a line. `max_word_length`: characters; lines with a longer word are dropped. `javascript`, `policy`: lines
    that hold the word, or one of the phrases about cookies and terms, are dropped. `citations`: "[1]", "[]", "[edit]"
    and "[citation needed]" are cut out of lines.
    """

    terminal_mark: bool = True
    min_line_words: int | None = 3
    max_word_length: int | None = 1000
    javascript: bool = True
    policy: bool = True
    citations: bool = True


class PiiKind(StrEnum):
    """Kinds of personal data that are counted, and masked where a recipe asks for it."""

    EMAIL = "email"
    IP_ADDRESS = "ip_address"
    PHONE_NUMBER = "phone_number"
    CARD_NUMBER = "card_number"
