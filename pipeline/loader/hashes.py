"""The checksums of granules on this machine's disks: read by pages, when a granule of the page is read first.

They are not mapped: a mapping holds a file descriptor, and a mix has as many tables as its sources have parts.
"""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.loader.parts import OpenPart
from pipeline.manifest import DamagedDatasetError

PAGE = 8192  # checksums: 64 KiB, those of 256 MiB of rows
HELD_PAGES = 512  # 32 MiB


class HashPages:
    """The checksums of some parts' granules."""

    def __init__(self, parts: Sequence[OpenPart]) -> None:
        self._parts = parts
        self._held: OrderedDict[tuple[int, int], npt.NDArray[np.uint64]] = OrderedDict()

    def of(self, part: npt.NDArray[np.int64], number: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """The xxh3-64 of granules number[i] of parts part[i]."""
        page, inside = np.divmod(number, PAGE)
        expected = np.empty(len(number), np.uint64)
        keys = part << 32 | page
        for key in np.unique(keys).tolist():
            mine = keys == key
            expected[mine] = self._page(key >> 32, key & 0xFFFFFFFF)[inside[mine]]
        return expected

    def _page(self, part: int, page: int) -> npt.NDArray[np.uint64]:
        hashes = self._held.get((part, page))
        if hashes is None:
            hashes = self._held[part, page] = self._read(part, page)
        self._held.move_to_end((part, page))
        if len(self._held) > HELD_PAGES:
            self._held.popitem(last=False)
        return hashes

    def _read(self, part: int, page: int) -> npt.NDArray[np.uint64]:
        opened = self._parts[part]
        n = min(PAGE, opened.table.n_granules - page * PAGE)
        url = storage.join(opened.folder, "granules.bin")
        with storage.local_path(url).open("rb") as file:
            file.seek(8 * page * PAGE)
            data = file.read(8 * n)
        if len(data) < 8 * n:
            raise DamagedDatasetError(f"{url} ends before checksum {page * PAGE + n}; copy the file anew")
        return np.frombuffer(data, "<u8")
