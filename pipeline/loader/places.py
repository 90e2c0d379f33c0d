"""Where the samples of a plan's sources lie: (source, sample) → shard, row and granule, by arithmetic on small tables.

All shards of all parts of all sources stand in one row, ordered by source, part and shard; so one binary search finds
the shards of a whole batch, whatever its sources are. Nothing here reads a shard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.loader.parts import OpenPart
from pipeline.mds.checksums import granule_samples
from pipeline.mds.layout import fixed_row_offset

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Located:
    """Row row[i] of shard shard[i] lies in granule granule[i]; shards and granules are numbered over all parts."""

    shard: Int64s
    row: Int64s
    granule: Int64s

    def __getitem__(self, part: slice) -> "Located":
        return Located(shard=self.shard[part], row=self.row[part], granule=self.granule[part])

    def __len__(self) -> int:
        return len(self.shard)


class Places:
    """The shards of a plan's sources. `parts[s]` are the opened parts of source s, in the plan's order.

    n_rows [n_shards], header_bytes [n_shards] (before row 0), first_granule [n_shards + 1]: int64.
    """

    def __init__(self, parts: Sequence[Sequence[OpenPart]], sequence_length: int, dtype: str) -> None:
        self.parts = [part for of_source in parts for part in of_source]
        self.dtype: np.dtype[Any] = np.dtype(dtype).newbyteorder("<")
        self.row_bytes = sequence_length * self.dtype.itemsize
        self.per_granule = granule_samples(self.row_bytes)
        tables = [part.table for part in self.parts]
        self._source_first = _starts([sum(part.table.n_samples for part in of_source) for of_source in parts])
        self._part_shard = _starts([len(table.number) for table in tables])
        self._part_granule = _starts([table.n_granules for table in tables])
        self.n_rows = _joined([np.diff(table.first_sample) for table in tables])
        self._first_sample = _starts(self.n_rows)
        self.first_granule = _starts(_joined([np.diff(table.first_granule) for table in tables]))
        # a header has four bytes for each row: mds.layout
        self.header_bytes = fixed_row_offset({"tokens": f"ndarray:{dtype}:{sequence_length}"}, 0) + 4 * self.n_rows

    @property
    def n_shards(self) -> int:
        return len(self.n_rows)

    @property
    def n_granules(self) -> int:
        return int(self.first_granule[-1])

    def locate(self, source: npt.NDArray[np.int16], sample: Int64s) -> Located:
        """Where (source[i], sample[i]) lies."""
        place = self._source_first[source] + sample  # among all samples of all sources
        shard = np.searchsorted(self._first_sample, place, side="right") - 1
        row = place - self._first_sample[shard]
        return Located(shard=shard, row=row, granule=self.first_granule[shard] + row // self.per_granule)

    def spans(self, shard: Int64s, granule: Int64s) -> tuple[Int64s, Int64s]:
        """The bytes [first, last) of these granules in their shards' files."""
        first_row = (granule - self.first_granule[shard]) * self.per_granule
        last_row = np.minimum(first_row + self.per_granule, self.n_rows[shard])
        header = self.header_bytes[shard]
        return header + first_row * self.row_bytes, header + last_row * self.row_bytes

    def shards_of(self, granule: Int64s) -> Int64s:
        """The shards of these granules."""
        return np.searchsorted(self.first_granule, granule, side="right") - 1

    def parts_of(self, granule: Int64s) -> tuple[Int64s, Int64s]:
        """The parts of these granules, and their numbers there."""
        part = np.searchsorted(self._part_granule, granule, side="right") - 1
        return part, granule - self._part_granule[part]

    def part_of(self, granule: int) -> tuple[int, int]:
        """The part of a granule, and its number there."""
        part = int(np.searchsorted(self._part_granule, granule, side="right")) - 1
        return part, granule - int(self._part_granule[part])

    def first_row_of(self, located: Located) -> Int64s:
        """The first rows, in their shards, of the granules of these rows."""
        return located.row // self.per_granule * self.per_granule

    @property
    def granule_bytes(self) -> int:
        """Of a whole granule; a shard's last one may be shorter."""
        return self.per_granule * self.row_bytes

    def file_bytes(self, shard: int) -> int:
        """What the file of a shard must have, from its header to its last row."""
        return int(self.header_bytes[shard] + self.n_rows[shard] * self.row_bytes)

    def url(self, shard: int) -> str:
        """The file of a shard."""
        part = int(np.searchsorted(self._part_shard, shard, side="right")) - 1
        return self.parts[part].shard_url(shard - int(self._part_shard[part]))

    def says(self, granule: int) -> str:
        """A granule as messages name it: `…/shard.00017.mds: granule 3 (rows 24 and on)`."""
        shard = int(self.shards_of(np.array([granule]))[0])
        number = granule - int(self.first_granule[shard])
        return f"{self.url(shard)}: granule {number} (rows {number * self.per_granule} and on)"


def _starts(counts: Sequence[int] | Int64s) -> Int64s:
    """int64 [n + 1]: where each of n runs of these lengths begins, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(counts, np.int64))])


def _joined(arrays: list[Int64s]) -> Int64s:
    return np.concatenate([np.empty(0, np.int64), *arrays])
