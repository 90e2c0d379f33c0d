"""What of evaluation items is common in a source: in how many documents of a sample their seeds stand, and those items
as such that are looked for as a whole or as a line (`item_index`).

A document that is nearly a copy of one before it in its task is left out: a thousand copies of a page that quotes an
item make it no boilerplate. What stands in many *different* documents does.

The sample: at most `SAMPLE_TASKS` files, evenly spread over those of the source, of each its first row groups, about
`SAMPLE_TASKS · 16 MiB` in all.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered import contamination
from pipeline.filtered.item_index import ItemIndex, Kind, is_common, without_common

STAGE = "commonness"
VERSION = 1
SAMPLE_TASKS = 8  # at most `item_index.COMMON_DOCUMENTS`: one copy in each task is not common yet
SAMPLE_GROUPS = 16  # row groups of `sink.ROW_GROUP_BYTES`

Counts = npt.NDArray[np.int64]
File = TypeVar("File")


class Sample:
    """The documents of one task: in how many each seed stands (`seeds` int64 [n_seeds]), and each item (`items` int64
    [n_items], of those looked for as a whole or a line); `n_documents` without near-copies."""

    def __init__(self, index: ItemIndex) -> None:
        self.seeds, self.items = np.zeros(len(index.hashes), np.int64), np.zeros(index.n_items, np.int64)
        self.n_documents = 0
        self._index = index
        self._seen: set[int] = set()

    def add(self, texts: pa.Array) -> None:
        """Count the next documents."""
        sketches = contamination.sketches(texts).tolist()
        new = []
        for number, sketch in enumerate(sketches):
            if sketch not in self._seen:
                self._seen.add(sketch)
                new.append(number)
        chosen = texts.take(pa.array(new, pa.int64()))
        self.n_documents += len(new)
        self.seeds += contamination.count_seeds(chosen, self._index)
        found = contamination.find(chosen, self._index, min_overlap=1.0)
        pairs = np.unique(np.stack([found.document, found.item]), axis=1)
        whole = np.isin(self._index.kinds[pairs[1]], (Kind.WHOLE, Kind.LINE))
        self.items += np.bincount(pairs[1][whole], minlength=self._index.n_items)


def sampled_files(files: Sequence[File]) -> list[File]:
    """The files that the sample is taken from."""
    n = min(SAMPLE_TASKS, len(files))
    return [files[number * len(files) // n] for number in range(n)]


def sampled_groups(n_files: int) -> int:
    """How many row groups of each file the sample has."""
    return -(-SAMPLE_GROUPS // max(1, n_files))


def without(index: ItemIndex, seeds: Counts, items: Counts, n_documents: int) -> ItemIndex:
    """The index for the source, given in how many of `n_documents` the seeds and items stand."""
    return without_common(index, is_common(seeds, n_documents), is_common(items, n_documents))
