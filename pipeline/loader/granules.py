"""The rows of any samples, from mapped shards, each granule verified against its checksum before it is first served.

All shards of all parts of all sources stand in one row, ordered by source, part and shard; so one binary search finds
the shards of a whole batch, whatever its sources are. Shards are mapped on first use, and the mapping that was used
longest ago goes first: a mapping holds a file descriptor.
"""

import mmap
import resource
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.loader.parts import DamagedDatasetError, OpenPart
from pipeline.mds.checksums import granule_hashes, granule_samples, shard_name
from pipeline.mds.layout import fixed_row_offset

MAX_MAPPED_SHARDS = 4096
DESCRIPTOR_SHARE = 4  # a loader takes at most a quarter of the descriptors that the process may have

Int64s = npt.NDArray[np.int64]


class Granules:
    """The samples of a plan's sources: (source, sample) → row of `sequence_length` tokens of `dtype`.

    `parts[s]` are the opened parts of source s, in the plan's order. Not for use by several threads at once.
    """

    def __init__(self, parts: Sequence[Sequence[OpenPart]], sequence_length: int, dtype: str) -> None:
        self._parts = [part for of_source in parts for part in of_source]
        self._columns = {"tokens": f"ndarray:{dtype}:{sequence_length}"}
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._row_bytes = sequence_length * self._dtype.itemsize
        self._per_granule = granule_samples(self._row_bytes)
        tables = [part.table for part in self._parts]
        self._source_first = _starts([sum(part.table.n_samples for part in of_source) for of_source in parts])
        self._part_shard = _starts([len(table.number) for table in tables])
        self._part_granule = _starts([table.n_granules for table in tables])
        self._number = _joined([table.number for table in tables])
        self._n_rows = _joined([np.diff(table.first_sample) for table in tables])
        self._first_sample = _starts(self._n_rows)
        self._first_granule = _starts(_joined([np.diff(table.first_granule) for table in tables]))
        self._verified = np.zeros(int(self._first_granule[-1]) // 8 + 1, np.uint8)  # one bit a granule
        self._mapped: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()
        self._max_mapped = _max_mapped()

    def gather(self, source: npt.NDArray[np.int16], sample: Int64s) -> npt.NDArray[Any]:
        """The rows of (source[i], sample[i]): a new array [n, sequence_length] of `dtype`.

        They are copied as bytes first: a shard's rows may begin at an odd byte, from where casts are slow.
        `DamagedDatasetError` names shard file, granule, expected and found where a checksum, a size or a file is wrong.
        """
        place = self._source_first[source] + sample  # among all samples of all sources
        shard = np.searchsorted(self._first_sample, place, side="right") - 1
        row = place - self._first_sample[shard]
        granule = self._first_granule[shard] + row // self._per_granule
        for i in np.flatnonzero(self._verified[granule >> 3] >> (granule & 7) & 1 == 0).tolist():
            self._verify(int(shard[i]), int(granule[i]))
        out = np.empty((len(sample), self._row_bytes), np.uint8)
        for i, (k, j) in enumerate(zip(shard.tolist(), row.tolist(), strict=True)):
            out[i] = self._rows(k)[j]
        return out.view(self._dtype)

    def close(self) -> None:
        """Give the mapped shards back; another `gather` maps them again."""
        self._mapped.clear()

    def _verify(self, shard: int, granule: int) -> None:
        """Compare a granule with its checksum; where it differs, once more from the file opened anew."""
        if self._verified[granule >> 3] >> (granule & 7) & 1:
            return  # another row of the same batch was here first
        part = self._part_of(shard)
        expected = int(self._parts[part].hashes[granule - self._part_granule[part]])
        found = self._hash(shard, granule)
        if found != expected:
            del self._mapped[shard]
            found = self._hash(shard, granule)
        if found != expected:
            number = granule - int(self._first_granule[shard])
            raise DamagedDatasetError(
                f"{self._path(shard)}: granule {number} (rows {number * self._per_granule} and on) is damaged: "
                f"its xxh3-64 is {found:016x}, expected {expected:016x}; copy the file anew or make the dataset again"
            )
        self._verified[granule >> 3] |= 1 << (granule & 7)

    def _hash(self, shard: int, granule: int) -> int:
        first = (granule - int(self._first_granule[shard])) * self._per_granule
        return int(granule_hashes(self._rows(shard)[first : first + self._per_granule])[0])

    def _rows(self, shard: int) -> npt.NDArray[np.uint8]:
        """The mapped rows of a shard: [its samples, row_bytes]."""
        rows = self._mapped.get(shard)
        if rows is None:
            while len(self._mapped) >= self._max_mapped:
                self._mapped.popitem(last=False)
            rows = self._mapped[shard] = self._map(shard)
        else:
            self._mapped.move_to_end(shard)
        return rows

    def _map(self, shard: int) -> npt.NDArray[np.uint8]:
        path = self._path(shard)
        n_rows = int(self._n_rows[shard])
        offset = fixed_row_offset(self._columns, n_rows)
        listed = self._parts[self._part_of(shard)].shard_bytes.get(path.name)
        try:
            with path.open("rb") as file:
                found = file.seek(0, 2)
                if found != listed or found != offset + n_rows * self._row_bytes:
                    raise DamagedDatasetError(
                        f"{path} has {found} bytes, the dataset's manifest says {listed}, and {n_rows} rows need "
                        f"{offset + n_rows * self._row_bytes}; copy the file anew or make the dataset again"
                    )
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{path} is listed in its dataset's tables, but is not there") from error
        return np.frombuffer(mapped, np.uint8, n_rows * self._row_bytes, offset).reshape(n_rows, self._row_bytes)

    def _part_of(self, shard: int) -> int:
        return int(np.searchsorted(self._part_shard, shard, side="right")) - 1

    def _path(self, shard: int) -> Path:
        return self._parts[self._part_of(shard)].folder / shard_name(int(self._number[shard]))


def _starts(counts: Sequence[int] | Int64s) -> Int64s:
    """int64 [n + 1]: where each of n runs of these lengths begins, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(counts, np.int64))])


def _joined(arrays: list[Int64s]) -> Int64s:
    return np.concatenate([np.empty(0, np.int64), *arrays])


def _max_mapped() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_MAPPED_SHARDS
    return max(1, min(MAX_MAPPED_SHARDS, soft // DESCRIPTOR_SHARE))
