"""Personal data in texts, by documented patterns: what each kind is, and is not, stands in the module that finds it.

Patterns prefer precision: what they find is masked in what models learn from, and a version or a row of a table that is
masked harms more texts than an odd spelling that is left. Names, postal addresses and identity numbers are not looked
for. What is set aside for examples, documentation and fiction is nobody's, and is not found.

Where findings overlap, the kind that `PiiKind` names first stays ("212-555-2368@mail.org" is an e-mail address).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.filtered.edit_rules import PiiKind
from pipeline.filtered.pii.cards import find_card_numbers
from pipeline.filtered.pii.emails import find_emails
from pipeline.filtered.pii.ip_addresses import find_ip_addresses
from pipeline.filtered.pii.phones import find_phone_numbers
from pipeline.texts.buffers import Texts
from pipeline.texts.cuts import Cuts

KINDS = tuple(PiiKind)
MASKS = {
    PiiKind.EMAIL: b"<EMAIL>",
    PiiKind.IP_ADDRESS: b"<IP_ADDRESS>",
    PiiKind.PHONE_NUMBER: b"<PHONE_NUMBER>",
    PiiKind.CARD_NUMBER: b"<CARD_NUMBER>",
}

Positions = npt.NDArray[np.int64]

# data, offsets, and room for the first and last (exclusive) bytes of what is found → how many are found
_FINDERS: dict[PiiKind, Callable[[npt.NDArray[np.uint8], Positions, Positions, Positions], int]] = {
    PiiKind.EMAIL: find_emails,
    PiiKind.IP_ADDRESS: find_ip_addresses,
    PiiKind.PHONE_NUMBER: find_phone_numbers,
    PiiKind.CARD_NUMBER: find_card_numbers,
}
_LEAST_BYTES = 7  # of "a@b.cc" and the byte before the next one: nothing shorter is found


def find(texts: Texts) -> Cuts:
    """The personal data of each document; `reason` is the index into `KINDS`."""
    first, last, reason = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)
    for kind, name in enumerate(KINDS):
        more_first, more_last = _found(_FINDERS[name], texts)
        free = ~_overlap(more_first, more_last, first, last)
        first, last = np.append(first, more_first[free]), np.append(last, more_last[free])
        reason = np.append(reason, np.full(int(free.sum()), kind, np.uint8))
        order = np.argsort(first)
        first, last, reason = first[order], last[order], reason[order]
    starts = np.searchsorted(first, texts.offsets)
    begin = np.repeat(texts.offsets[:-1], np.diff(starts))
    return Cuts(starts=starts, first=first - begin, last=last - begin, reason=reason)


def count(texts: Texts) -> npt.NDArray[np.int64]:
    """How many of each kind are in each document, int64 [len(KINDS), n_documents]."""
    found = find(texts)
    place = found.reason.astype(np.int64) * found.n_documents + found.documents()
    return np.bincount(place, minlength=len(KINDS) * found.n_documents).reshape(len(KINDS), found.n_documents)


def _found(
    finder: Callable[[npt.NDArray[np.uint8], Positions, Positions, Positions], int], texts: Texts
) -> tuple[Positions, Positions]:
    room = (int(texts.n_bytes.sum()) + texts.n_documents) // _LEAST_BYTES
    first, last = np.empty(room, np.int64), np.empty(room, np.int64)
    n = finder(texts.data, texts.offsets, first, last)
    return first[:n].copy(), last[:n].copy()


def _overlap(
    first: Positions, last: Positions, others_first: Positions, others_last: Positions
) -> npt.NDArray[np.bool_]:
    """Which spans overlap any of the others, which are ascending and do not overlap each other."""
    following = np.searchsorted(others_last, first, side="right")  # the first one that ends behind the span's start
    starts = np.append(others_first, np.iinfo(np.int64).max)[following]
    return np.asarray(starts < last)
