"""What was removed from a source, for its report: how alike the near duplicates are, and the largest clusters.

Tasks count (`count`, `Largest`), the driver adds up (`histogram`, `chosen`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

N_BINS = 20  # of the similarities of near duplicates, each 0.05 wide
N_LARGEST = 20

Note = list[Any]
"""A candidate for one of the largest clusters as JSON: [documents, doc_id in hex of the one that stands for it, number
of that one's source, row of the task's file of filtered documents that shows it]."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster of `size` documents, the `rank`-th largest. `doc_id` of source number `src` stands for it; it is shown
    by the document at `row` of the filtered documents of task `task`."""

    rank: int
    size: int
    doc_id: bytes
    src: int
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
    """The largest clusters that the documents of one task show: `N_LARGEST`, of equal ones the smallest doc_ids. A kept
    document shows the cluster that it stands for, a removed one that of an earlier dataset's document."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], Note] = {}

    def add(self, candidates: Iterable[Note]) -> None:
        """Look at the next documents; of several that show one cluster the first is taken."""
        for note in candidates:
            self._found.setdefault((note[1], note[2]), note)
        self._found = {(note[1], note[2]): note for note in self.notes()}

    def notes(self) -> list[Note]:
        """The candidates, the largest first."""
        return sorted(self._found.values(), key=lambda note: (-note[0], *note[1:]))[:N_LARGEST]


def chosen(notes: Iterable[tuple[int, list[Note]]]) -> list[Cluster]:
    """The largest clusters out of all tasks' candidates, given as (task, its notes): the largest first, of equal ones
    the smallest doc_id; each once, as the first task that has it shows it."""
    every = sorted((-size, doc_id, src, task, row) for task, found in notes for size, doc_id, src, row in found)
    first = {of_cluster[:3]: of_cluster for of_cluster in reversed(every)}
    return [
        Cluster(rank=rank, size=-size, doc_id=bytes.fromhex(doc_id), src=src, task=task, row=row)
        for rank, (size, doc_id, src, task, row) in enumerate(sorted(first.values())[:N_LARGEST])
    ]
