"""Shard files mapped into memory, and rows gathered from all of them by one numpy call.

numpy gathers from one array; the rows of a batch lie in as many mappings as it has shards, and a Python statement for
each row would cost as much as the copying. So rows are taken from one view of the whole address space, at the
addresses that their mappings have. Only addresses of shards that are mapped are ever looked up: that is this file's
task, and the reason why it is a file of its own. Long rows are copied one by one: a statement costs little beside 32
KiB, and the view would be of more bytes than numpy can count.
"""

import mmap
import os
import resource
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.loader.places import Int64s, Places
from pipeline.manifest import DamagedDatasetError

MAX_MAPPED_SHARDS = 4096
DESCRIPTOR_SHARE = 4  # a loader takes at most a quarter of the descriptors that the process may have: a mapping has one
STAMP_SECONDS = 5.0  # how long a file is believed to be the one that was mapped
LONG_ROW_BYTES = 2**15
ADDRESS_LIMIT = 2**47  # of user memory: x86-64 with four levels, arm64 with 48 bits has as much or more

Stamp = tuple[int, int, int]  # inode, modification time, size


class MappedShards:
    """The mapped shards of some places. Not for use by several threads at once.

    A shard is mapped on first use, and the one used longest ago goes where there are too many.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._window = _Window(places.row_bytes) if places.row_bytes < LONG_ROW_BYTES else None
        self._max_mapped = _max_mapped()
        self._mapped: dict[int, memoryview] = {}
        self._stamps: dict[int, Stamp] = {}
        self._first_row = np.zeros(places.n_shards, np.int64)  # the address of row 0; 0: not mapped
        self._used = np.zeros(places.n_shards, np.int64)  # the number of the last call that used it
        self._believed = np.zeros(places.n_shards, np.float64)  # until when its file is not looked at; 0: not mapped
        self._calls = 0

    def __len__(self) -> int:
        return len(self._mapped)

    @property
    def at_once(self) -> int:
        """How many shards may be asked for in one call."""
        return self._max_mapped

    def ensure(self, shard: Int64s) -> list[int]:
        """Map these shards, at most `at_once`. Those whose files are others than when they were mapped last are mapped
        anew and returned: what was verified of them no longer counts."""
        self._calls += 1
        self._used[shard] = self._calls
        now = time.monotonic()
        stale = shard[self._believed[shard] < now]
        return [k for k in np.unique(stale).tolist() if self._renew(k, now)] if len(stale) else []

    def gather(self, shard: Int64s, row: Int64s) -> npt.NDArray[np.uint8]:
        """These rows of shards that the last call of `ensure` has mapped: a new array [n, row_bytes]."""
        first_row = self._first_row[shard]
        if np.count_nonzero(first_row) < len(first_row):
            raise RuntimeError("a row was asked for whose shard is not mapped")
        if self._window is not None:
            return self._window.rows(first_row + row * self._places.row_bytes)
        rows = np.empty((len(row), self._places.row_bytes), np.uint8)
        starts = self._places.header_bytes[shard] + row * self._places.row_bytes
        for i, (k, start) in enumerate(zip(shard.tolist(), starts.tolist(), strict=True)):
            rows[i] = np.frombuffer(self._mapped[k], np.uint8, self._places.row_bytes, start)
        return rows

    def view(self, shard: int) -> memoryview:
        """The bytes of a mapped shard's file."""
        return self._mapped[shard]

    def drop(self, shard: int) -> None:
        """Forget the mapping of a shard; the next `ensure` opens its file anew."""
        self._unmap(shard)
        self._stamps.pop(shard, None)

    def close(self) -> None:
        """Give all mappings back."""
        for shard in list(self._mapped):
            self._unmap(shard)

    def _renew(self, shard: int, now: float) -> bool:
        """Look at the file, map it where it is not mapped; whether it is another than before."""
        stamp = self._stamp(shard)
        known = self._stamps.get(shard, stamp)
        if known != stamp:
            self.drop(shard)
        if shard not in self._mapped or not self._first_row[shard]:  # the latter: Ctrl-C came while it was mapped
            self._map(shard)
        self._believed[shard] = now + STAMP_SECONDS
        return known != stamp

    def _stamp(self, shard: int) -> Stamp:
        path = self._path(shard)
        try:
            found = path.stat()
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{path} is listed in its dataset's tables, but is not there") from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _map(self, shard: int) -> None:
        path, needed = self._path(shard), self._places.file_bytes(shard)
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size != needed:
                raise DamagedDatasetError(
                    f"{path} has {found.st_size} bytes, its {int(self._places.n_rows[shard])} rows need {needed}; "
                    "copy the file anew or make the dataset again"
                )
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        while len(self._mapped) >= self._max_mapped:
            self._drop_oldest()
        self._stamps[shard] = (found.st_ino, found.st_mtime_ns, found.st_size)
        self._mapped[shard] = memoryview(mapped)
        self._first_row[shard] = _address_of(mapped) + self._places.header_bytes[shard]

    def _drop_oldest(self) -> None:
        held = np.fromiter(self._mapped, np.int64, len(self._mapped))
        self._unmap(int(held[np.argmin(self._used[held])]))  # its stamp stays, for when it is mapped again

    def _unmap(self, shard: int) -> None:
        self._first_row[shard] = 0
        self._believed[shard] = 0
        self._mapped.pop(shard, None)

    def _path(self, shard: int) -> Path:
        return storage.local_path(self._places.url(shard))


class _Window:
    """The address space as rows that begin at every byte: a numpy array without memory of its own."""

    def __init__(self, row_bytes: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (1, True),  # numpy takes 0 for "no memory"; True: read only
            "shape": (ADDRESS_LIMIT - row_bytes, row_bytes),
            "strides": (1, 1),
        }
        self._rows: npt.NDArray[np.uint8] = np.asarray(self)

    def rows(self, address: Int64s) -> npt.NDArray[np.uint8]:
        """The rows at these addresses, copied."""
        rows: npt.NDArray[np.uint8] = self._rows[address - 1]
        return rows


def _address_of(mapped: mmap.mmap) -> int:
    return int(np.frombuffer(mapped, np.uint8).__array_interface__["data"][0])


def _max_mapped() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_MAPPED_SHARDS
    return max(1, min(MAX_MAPPED_SHARDS, soft // DESCRIPTOR_SHARE))
