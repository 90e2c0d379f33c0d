"""What is shown of a rejected document in reports: the text around what a rule was triggered by.

An excerpt is at most `LIMIT` characters, marks included: the stretch that holds the most evidence (`evidence`; of equal
ones the first), with some text before and after it. "…" stands where text is left out.

Texts of strangers are printed in terminals, so control characters (category Cc) are shown as U+FFFD, and so are those
that turn the direction of writing for all that follows (U+202A to U+202E, U+2066 to U+2069). Tabs stay, and line breaks
are shown as LF: a CR alone would let a line hide the one before.
"""

import re
from dataclasses import dataclass

import numpy as np

from pipeline.filtered.examples.evidence import Evidence, find
from pipeline.filtered.rule_sets import Kind

LIMIT = 500
BEFORE = 80  # at most as many characters before the first piece of evidence
AFTER = 160  # and after the last one
# Of longer texts only the beginning is looked at, so that one document cannot hold up a report.
MOST_CHARACTERS = 1_000_000

_LEFT_OUT = "…"
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_OTHER_BREAKS = re.compile("\r\n?")


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """`text`: what is shown, at most `LIMIT` characters. `at`: the character of the document where the evidence shown
    begins; 0 where the document as a whole is meant."""

    text: str
    at: int


def of_signal(text: str, signal: str, kind: Kind) -> Excerpt:
    """What makes the signal too low (`Kind.MIN`) or too high (`Kind.MAX`); the beginning if something is missing.

    `signal` is one of `catalogue.COMPARED` or `catalogue.KNOWN_WHEN_DECIDING`; `ValueError` for another.
    """
    found = find(text[:MOST_CHARACTERS], signal, kind)
    return _around_most(text, found) if len(found.spans) else beginning(text)


def around(text: str, first: int, last: int) -> Excerpt:
    """The characters [first, last) and what stands around them; their beginning if they are too many.

    `ValueError` if they do not lie in the text.
    """
    if not 0 <= first <= last <= len(text):
        raise ValueError(f"excerpts: characters {first} to {last} do not lie in a text of {len(text)}")
    return _around_most(text, Evidence(spans=np.array([[first, last]]), by_length=True))


def beginning(text: str) -> Excerpt:
    """The beginning, of a document that is meant as a whole."""
    return _cut(text, 0, len(text), 0)


def _around_most(text: str, evidence: Evidence) -> Excerpt:
    """The excerpt that begins shortly before the span from which on it holds the most."""
    first, last = evidence.spans.T
    stops = first + (LIMIT - BEFORE - 2 * len(_LEFT_OUT))  # where an excerpt that begins before each span ends
    if evidence.by_length:
        after = np.searchsorted(first, stops)  # the first span that does not begin in the excerpt
        total = np.append(0, np.cumsum(last - first))
        held = total[after] - total[:-1] - np.maximum(last[after - 1] - stops, 0)
    else:
        after = np.searchsorted(last, stops, side="right")  # … that does not end in it
        held = after - np.arange(len(first))
    best = int(np.argmax(np.maximum(held, 0)))
    final = max(int(after[best]) - 1, best)
    return _cut(text, max(int(first[best]) - BEFORE, 0), int(last[final]) + AFTER, int(first[best]))


def _cut(text: str, start: int, stop: int, at: int) -> Excerpt:
    """The characters from `start` to `stop`, or as many as fit; all of the text if it fits."""
    if len(text) > LIMIT:
        before = _LEFT_OUT if start > 0 else ""
        if stop < len(text) or len(before) + len(text) - start > LIMIT:
            text = before + text[start : min(stop, start + LIMIT - len(before) - len(_LEFT_OUT))] + _LEFT_OUT
        else:
            text = before + text[start:]
    return Excerpt(text=_OTHER_BREAKS.sub("\n", _UNSAFE.sub("\ufffd", text)), at=at)
