"""What is known of an object store's granules before they are read: checksums, and where the bytes lie.

Both stand in tables beside the shards, which are read by pages and held. (Where rows are not compressed, their place
follows from arithmetic.)
"""

import asyncio
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.loader.fetch import Fetcher
from pipeline.loader.places import Places
from pipeline.manifest import DamagedDatasetError
from pipeline.mds.frames import FRAMES, PAGE, page_span, parse_page

HELD_PAGES = 512  # of PAGE checksums, 64 KiB: 32 MiB, and as much again of frames


class Known(NamedTuple):
    """A granule: the xxh3-64 of its rows, their `n_bytes`, and the bytes [start, stop) of its shard's file that hold
    them."""

    hash: int
    n_bytes: int
    start: int
    stop: int


class _Page(NamedTuple):
    hashes: npt.NDArray[np.uint64]
    frames: npt.NDArray[np.uint32] | None  # [n, 2]; None: not compressed


class KnownGranules:
    """Runs on the fetcher's event loop alone."""

    def __init__(self, places: Places, fetcher: Fetcher) -> None:
        self._places = places
        self._fetcher = fetcher
        self._pages: OrderedDict[tuple[int, int], asyncio.Task[_Page]] = OrderedDict()

    async def of(self, shard: int, first: int, last: int) -> list[Known]:
        """The granules [first, last) of a shard (numbered over all parts)."""
        part, number = self._places.part_of(first)
        pages = range(number // PAGE, (number + last - first - 1) // PAGE + 1)
        read = [await asyncio.shield(self._page(part, page)) for page in pages]
        inside = slice(number - pages[0] * PAGE, number - pages[0] * PAGE + last - first)
        hashes = np.concatenate([page.hashes for page in read])[inside].tolist()
        starts, stops = self._places.spans(np.full(last - first, shard), np.arange(first, last))
        sizes = (stops - starts).tolist()
        frames = [page.frames for page in read if page.frames is not None]
        if frames:
            starts, stops = np.concatenate(frames)[inside].T
        return [Known(*one) for one in zip(hashes, sizes, starts.tolist(), stops.tolist(), strict=True)]

    async def anew(self, shard: int, granule: int) -> Known:
        """A granule, as the tables have it now."""
        part, number = self._places.part_of(granule)
        self._pages.pop((part, number // PAGE), None)
        return (await self.of(shard, granule, granule + 1))[0]

    def cancel(self) -> None:
        """Give up the tables that are being read: no request goes on for a reader that has ended."""
        for task in self._pages.values():
            task.cancel()

    def _page(self, part: int, page: int) -> "asyncio.Task[_Page]":
        task = self._pages.get((part, page))
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._pages[part, page] = asyncio.create_task(self._read_page(part, page))
        self._pages.move_to_end((part, page))
        while len(self._pages) > HELD_PAGES:
            self._pages.popitem(last=False)
        return task

    async def _read_page(self, part: int, page: int) -> _Page:
        last = min((page + 1) * PAGE, self._places.parts[part].table.n_granules)
        hashes = np.frombuffer(await self._read(part, "granules.bin", 8 * page * PAGE, 8 * last), "<u8")
        if not self._places.parts[part].compressed:
            return _Page(hashes, None)
        return _Page(hashes, await self._frames(part, page))

    async def _frames(self, part: int, page: int) -> npt.NDArray[np.uint32]:
        """The frames of a page, read until its checksum is right, or the same wrong bytes have come twice."""
        deadline, failures, seen = self._fetcher.deadline(), 0, set[bytes]()
        span = page_span(page, self._places.parts[part].table.n_granules)
        while True:
            data = await self._read(part, FRAMES, *span)
            try:
                return parse_page(data, self._places.granule_bytes, self._url(part, FRAMES))
            except ValueError as error:
                if data in seen:
                    raise DamagedDatasetError(f"{error}; copy the file anew or make the dataset again") from error
                seen.add(data)
                failures += 1
                await self._fetcher.pause(failures, deadline, self._url(part, FRAMES), error)

    async def _read(self, part: int, name: str, start: int, stop: int) -> bytes:
        url = self._url(part, name)
        try:
            return await self._fetcher.read(url, start, stop)
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{url} is listed in its dataset's manifest, but is not there") from error

    def _url(self, part: int, name: str) -> str:
        return storage.join(self._places.parts[part].folder, name)
