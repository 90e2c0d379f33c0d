"""What was removed from a source, for its report: how alike the near duplicates are, and the largest clusters.

Tasks count (`count`, `Largest`), the driver adds up (`histogram`, `chosen`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.document import doc_id_bytes

N_BINS = 20  # of the similarities of near duplicates, each 0.05 wide
N_LARGEST = 20

Note = list[Any]
"""A candidate for one of the largest clusters as JSON: [documents, doc_id of the kept one in hex, its row among the
task's kept documents]."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster of `size` documents, the `rank`-th largest. The kept one, `doc_id`, is at `row` of the kept documents
    of task `task`."""

    rank: int
    size: int
    doc_id: bytes
    task: int
    row: int


def count(removed: pa.RecordBatch) -> Counter[str]:
    """The near duplicates among removed documents (rows of the table `removed`) by similarity, to be added up:
    `similarity:<bin>`; bin i holds similarities from i / 20 (included) to (i + 1) / 20, the last bin also 1.
    `ValueError` for a similarity that is not from 0 to 1.
    """
    similarity = removed.column("similarity").filter(pc.equal(removed.column("kind"), "near"))
    values = similarity.to_numpy(zero_copy_only=False)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise ValueError(f"a near duplicate has a similarity of {values[wrong][0]}; similarities are from 0 to 1")
    borders = np.arange(1, N_BINS) / N_BINS
    bins, numbers = np.unique(np.searchsorted(borders, values, side="right"), return_counts=True)
    return Counter({f"similarity:{number}": n for number, n in zip(bins.tolist(), numbers.tolist(), strict=True)})


def histogram(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """What `count` counted: the near duplicates by bin, `from` and `to` (not included, but for the last one), and
    `documents`."""
    return [
        {"from": number / N_BINS, "to": (number + 1) / N_BINS, "documents": counts.get(f"similarity:{number}", 0)}
        for number in range(N_BINS)
    ]


class Largest:
    """The largest clusters of the documents that one task keeps: `N_LARGEST`, of equal ones the smallest doc_ids."""

    def __init__(self) -> None:
        self._found: list[Note] = []
        self._rows = 0

    def add(self, doc_ids: pa.Array, sizes: npt.NDArray[np.int64]) -> None:
        """Look at the next documents that the task keeps: `doc_ids` binary [n], and the `sizes` of their clusters
        (int64 [n]); 1, a document that is alone, is none."""
        smallest = self._found[-1][0] if len(self._found) == N_LARGEST else 2
        rows = np.flatnonzero(sizes >= smallest)
        ids = doc_id_bytes(doc_ids.take(pa.array(rows)))
        halves = ids.view(">u8").astype(np.uint64)
        for place in np.lexsort((halves[:, 1], halves[:, 0], -sizes[rows]))[:N_LARGEST]:
            self._found.append([int(sizes[rows[place]]), ids[place].tobytes().hex(), int(rows[place]) + self._rows])
        self._found = sorted(self._found, key=lambda note: (-note[0], note[1]))[:N_LARGEST]
        self._rows += len(doc_ids)

    def notes(self) -> list[Note]:
        """The candidates as JSON, the largest first."""
        return self._found


def chosen(notes: Iterable[tuple[int, list[Note]]]) -> list[Cluster]:
    """The largest clusters out of all tasks' candidates, given as (task, its notes): the largest first, of equal ones
    the smallest doc_id."""
    found = sorted((-size, doc_id, task, row) for task, candidates in notes for size, doc_id, row in candidates)
    return [
        Cluster(rank=rank, size=-size, doc_id=bytes.fromhex(doc_id), task=task, row=row)
        for rank, (size, doc_id, task, row) in enumerate(found[:N_LARGEST])
    ]
