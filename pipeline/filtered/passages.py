"""Passages that hold evaluation items, cut out of documents with a margin.

*Margin*: a cut begins where the line of the passage's first word begins, and ends where the line of its last word ends
(its break included), if that is within `MARGIN_BYTES`; otherwise after, or before, the last white space within them.
Cuts that touch are one. What is left between two cuts, or at the ends of the text, is cut, too, if it has fewer than
`LEAST_PART_BYTES`; a document of which nothing is left is rejected. The two numbers are those of the decontamination of
GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C: 200 characters to both sides, and parts of at least 200).
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered.contamination import Matches
from pipeline.texts.cuts import Cuts

MARGIN_BYTES = 200
LEAST_PART_BYTES = 200
REASON = "contaminated_passage"

Span = tuple[int, int]

_BREAK = re.compile(rb"\r\n?|\n")


@dataclass(frozen=True, kw_only=True, eq=False)
class Passages:
    """What is cut out of documents, all for reason 0; and those of which nothing is left: `gone` bool [n]."""

    cuts: Cuts
    gone: npt.NDArray[np.bool_]


def passages(texts: pa.Array, found: Matches) -> Passages:
    """The cuts for what was found in these texts."""
    starts, gone = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts), np.bool_)
    cuts: list[Span] = []
    documents, begins = np.unique(found.document, return_index=True)
    for document, mine in zip(documents.tolist(), np.split(np.arange(len(found.document)), begins[1:]), strict=False):
        text = texts[document].as_py().encode()
        own = of_text(text, list(zip(found.first[mine].tolist(), found.last[mine].tolist(), strict=True)))
        gone[document] = own == [(0, len(text))]
        starts[document + 1] = len(own)
        cuts += own
    first, last = zip(*cuts, strict=True) if cuts else ((), ())
    return Passages(
        cuts=Cuts(
            starts=np.cumsum(starts),
            first=np.array(first, np.int64),
            last=np.array(last, np.int64),
            reason=np.zeros(len(first), np.uint8),
        ),
        gone=gone,
    )


def of_text(text: bytes, found: list[Span]) -> list[Span]:
    """The spans to cut out of a text for the passages found, ascending; all of the text where too little is left."""
    cuts: list[Span] = []
    end = 0
    for first, last in sorted(_with_margin(text, span) for span in found):
        if first - end < LEAST_PART_BYTES:
            first = cuts.pop()[0] if cuts else 0
        end = max(last, end)
        cuts.append((first, end))
    if cuts and len(text) - end < LEAST_PART_BYTES:
        cuts[-1] = (cuts[-1][0], len(text))
    return cuts


def _with_margin(text: bytes, span: Span) -> Span:
    first, last = span
    before, behind = text[max(0, first - MARGIN_BYTES) : first], text[last : last + MARGIN_BYTES]
    breaks = [match.end() for match in _BREAK.finditer(before)]
    if breaks:
        first -= len(before) - breaks[-1]
    elif len(before) < MARGIN_BYTES:
        first = 0
    else:
        first -= len(before) - (before.find(b" ") + 1 or _next_character(before))
    ends = _BREAK.search(behind)
    if ends:
        return first, last + ends.end()
    if len(behind) < MARGIN_BYTES:
        return first, len(text)
    space = behind.rfind(b" ")
    return first, last + (space if space >= 0 else _last_character(behind))


def _next_character(part: bytes) -> int:
    """Where the first character that begins in the part begins."""
    return next((at for at in range(len(part)) if part[at] & 0xC0 != 0x80), len(part))


def _last_character(part: bytes) -> int:
    """Where the last character that begins in the part begins."""
    return next((at for at in range(len(part) - 1, -1, -1) if part[at] & 0xC0 != 0x80), 0)
