"""Spans that are to be cut out of documents: what finds them (`c4`, `pii`) and what cuts them (`edits`) meet here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, eq=False)
class Cuts:
    """Spans of documents, ascending and without overlap within a document, none empty.

    Document d has the spans `starts[d]` … `starts[d + 1]`-1 (int64 [n_documents + 1]) of `first` and `last` (int64:
    bytes of its text, from its beginning, `last` exclusive) and `reason` (uint8: an index into the reasons of whatever
    found them). Spans start and end between characters.
    """

    starts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    reason: npt.NDArray[np.uint8]

    @property
    def n_documents(self) -> int:
        return len(self.starts) - 1

    def documents(self) -> npt.NDArray[np.int64]:
        """The document of each span, int64 [n_spans]."""
        return np.repeat(np.arange(self.n_documents), np.diff(self.starts))


def of_documents(cuts: Cuts, chosen: npt.NDArray[np.bool_]) -> Cuts:
    """The cuts of some of the documents (bool [n_documents]), as those of a run of just them."""
    which = chosen[cuts.documents()]
    return Cuts(
        starts=np.append(0, np.cumsum(np.diff(cuts.starts)[chosen])),
        first=cuts.first[which],
        last=cuts.last[which],
        reason=cuts.reason[which],
    )


def concatenate(parts: Sequence[Cuts]) -> Cuts:
    """The cuts of runs of documents, as those of all documents."""
    before = np.cumsum([0, *(len(part.first) for part in parts)])
    return Cuts(
        starts=np.concatenate([[0], *(part.starts[1:] + n for part, n in zip(parts, before, strict=False))]).astype(
            np.int64
        ),
        first=np.concatenate([np.empty(0, np.int64), *(part.first for part in parts)]),
        last=np.concatenate([np.empty(0, np.int64), *(part.last for part in parts)]),
        reason=np.concatenate([np.empty(0, np.uint8), *(part.reason for part in parts)]),
    )
