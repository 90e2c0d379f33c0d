"""What a recipe changes in the texts that it keeps: passages that hold evaluation items, C4's line rules and masks of
personal data, put together.

All look at the raw text. So what a citation parts ("jane[1]@x.org"), or what touches other personal data without
anything between them, is not masked; of an address that a dropped line holds in part, nothing stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.filtered import c4, passages, pii
from pipeline.filtered.decisions import Choice
from pipeline.filtered.edit_rules import PiiKind
from pipeline.filtered.rules import MASK_PII
from pipeline.texts import edits
from pipeline.texts.buffers import slices
from pipeline.texts.cuts import Cuts, concatenate
from pipeline.texts.edits import Account, Edited


@dataclass(frozen=True, kw_only=True, eq=False)
class Changed:
    """The changed texts with their edit lists, and the account of each of `reasons(choice)`."""

    edited: Edited
    account: Account


def reasons(choice: Choice) -> tuple[str, ...]:
    """Why something is cut or masked in kept texts, in the order of the accounts; empty where nothing is changed."""
    of_passages = (passages.REASON,) if choice.cut_passages and choice.items is not None else ()
    of_lines = c4.REASONS if choice.lines is not None else ()
    return (*of_passages, *of_lines, *(f"{MASK_PII}.{kind}" for kind in choice.masks))


def change(texts: pa.Array, choice: Choice, contaminated: Cuts | None = None) -> Changed:
    """Cut and mask what the choice asks for; `texts` are string or large_string without nulls, `contaminated` the
    passages to cut out of them where it asks for that."""
    n_lines = len(c4.REASONS) if choice.lines is not None else 0
    n_passages = 1 if contaminated is not None else 0
    cuts = _cuts(texts, choice, n_lines)
    if contaminated is not None:
        cuts = contaminated if cuts is None else edits.together(contaminated, cuts, n_passages)
    if cuts is None:
        raise ValueError("nothing is to be changed: ask `reasons` first")
    written = [b""] * (n_passages + n_lines) + [pii.MASKS[kind] for kind in choice.masks]
    everything = np.ones(len(texts), np.bool_)
    return Changed(edited=edits.apply(texts, cuts, written), account=edits.account(cuts, everything, written))


def _cuts(texts: pa.Array, choice: Choice, n_lines: int) -> Cuts | None:
    """Lines and masks; None where the choice asks for neither."""
    if choice.lines is None and not choice.masks:
        return None
    found = []
    for part in slices(texts):
        masked = _only(pii.find(part), choice.masks) if choice.masks else None
        if choice.lines is None:
            found += [masked] if masked is not None else []
            continue
        dropped = c4.cut(part, choice.lines)
        found.append(dropped if masked is None else edits.together(dropped, masked, n_lines))
    return concatenate(found)


def _only(cuts: Cuts, kinds: Sequence[PiiKind]) -> Cuts:
    """The spans of some kinds, their reasons numbered by their place in `kinds`."""
    numbers = np.full(len(pii.KINDS), -1)
    for number, kind in enumerate(kinds):
        numbers[pii.KINDS.index(kind)] = number
    reason = numbers[cuts.reason]
    kept = reason >= 0
    return Cuts(
        starts=np.concatenate([[0], np.cumsum(kept)])[cuts.starts],
        first=cuts.first[kept],
        last=cuts.last[kept],
        reason=reason[kept].astype(np.uint8),
    )
