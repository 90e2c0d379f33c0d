"""Excerpts of the documents that are shown for a reason: text around what triggered it."""

import numpy as np
import pyarrow as pa

from pipeline.filtered import bad_words, contamination
from pipeline.filtered.decisions import CONTAMINATED, Choice, Reason
from pipeline.filtered.evaluation_items import EvaluationItems, StoredItems
from pipeline.filtered.examples import excerpts
from pipeline.filtered.examples.excerpts import Excerpt
from pipeline.filtered.rules import BAD_WORDS_RULE


def excerpt(text: str, reason: Reason, choice: Choice) -> Excerpt:
    """What to show of a document that `reason` hits."""
    if reason.rule is None:
        kind, _, name = reason.name.partition(".")
        if choice.items is not None and kind == CONTAMINATED:
            return _around_item(text, choice.items, name, choice.min_overlap)
        return excerpts.beginning(text)
    if reason.rule == BAD_WORDS_RULE and choice.bad_words is not None:
        match = bad_words.first_match(text, choice.bad_words)
        return excerpts.around(text, *match) if match else excerpts.beginning(text)
    return excerpts.of_signal(text, reason.rule.signal, reason.rule.kind)


def _around_item(text: str, items: EvaluationItems | StoredItems, name: str, min_overlap: float) -> Excerpt:
    """The passage with the strongest match of an item of the set."""
    found = contamination.find(pa.array([text], pa.large_string()), items.index, min_overlap=min_overlap)
    own = np.flatnonzero(items.index.in_sets[found.item, items.sets.index(name)])
    if not len(own):
        return excerpts.beginning(text)
    best, raw = own[np.argmax(found.overlap[own])], text.encode()
    return excerpts.around(text, *(len(raw[:at].decode()) for at in (found.first[best], found.last[best])))
