"""Excerpts of the documents that are shown for a reason: text around what triggered it."""

import numpy as np
import pyarrow as pa

from pipeline.filtered import bad_words, contamination
from pipeline.filtered.decisions import Choice, EvaluationItems, Reason
from pipeline.filtered.examples import excerpts
from pipeline.filtered.examples.excerpts import Excerpt
from pipeline.filtered.rules import BAD_WORDS_RULE

# Evaluation items are looked for in pieces of a text that overlap by half; shown is the piece that holds most of one.
PIECE_CHARACTERS = 400


def excerpt(text: str, reason: Reason, choice: Choice) -> Excerpt:
    """What to show of a document that `reason` hits."""
    if reason.rule is None:
        is_listed = choice.items is not None and reason.name.startswith("contaminated.")
        return _around_item(text, choice.items) if is_listed and choice.items else excerpts.beginning(text)
    if reason.rule == BAD_WORDS_RULE and choice.bad_words is not None:
        match = bad_words.first_match(text, choice.bad_words)
        return excerpts.around(text, *match) if match else excerpts.beginning(text)
    return excerpts.of_signal(text, reason.rule.signal, reason.rule.kind)


def _around_item(text: str, items: EvaluationItems) -> Excerpt:
    starts = range(0, max(1, len(text) - PIECE_CHARACTERS // 2), PIECE_CHARACTERS // 2)
    pieces = pa.array([text[start : start + PIECE_CHARACTERS] for start in starts], pa.large_string())
    overlaps = contamination.find(pieces, items.index, min_overlap=1.0).overlap
    first = starts[int(np.argmax(overlaps))]
    return excerpts.around(text, first, min(len(text), first + PIECE_CHARACTERS))
