"""Granules of an object store's shards, verified: one request for neighbours, again where a checksum is wrong.

A body that was damaged on its way is other bytes each time; the same wrong checksum twice is damage in the store, or in
the table of checksums, which is read again then.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import storage
from pipeline.loader.cache import DiskCache
from pipeline.loader.fetch import Fetcher
from pipeline.loader.parts import DamagedDatasetError
from pipeline.loader.places import Places

HASH_PAGE = 8192  # checksums read at once: 64 KiB, those of 256 MiB of rows
HELD_PAGES = 512  # 32 MiB

Hashes = npt.NDArray[np.uint64]


class CheckedGranules:
    """Runs on the fetcher's event loop alone."""

    def __init__(self, places: Places, fetcher: Fetcher, cache: DiskCache | None) -> None:
        self._places = places
        self._fetcher = fetcher
        self._cache = cache
        self._pages: OrderedDict[tuple[int, int], asyncio.Task[Hashes]] = OrderedDict()

    async def read(self, shard: int, first: int, last: int) -> list[bytes | memoryview]:
        """The granules [first, last) of a shard (numbered over all parts), from the cache or the store."""
        expected = await self._expected(first, last)
        found: list[bytes | memoryview | None] = [None] * (last - first)
        if self._cache is not None:
            found = await asyncio.to_thread(self._cache.read, *self._keys(first, last), expected)
        for begin, end in _runs([i for i, data in enumerate(found) if data is None]):
            fetched = await self._fetched(shard, first + begin, expected[begin:end])
            found[begin:end] = fetched
            if self._cache is not None:
                await asyncio.to_thread(self._cache.write, *self._keys(first + begin, first + end), fetched)
        return [data for data in found if data is not None]

    def cancel(self) -> None:
        """Give up the checksums that are being read: no request goes on for a reader that has ended."""
        for task in self._pages.values():
            task.cancel()

    async def _fetched(self, shard: int, first: int, expected: Sequence[int]) -> list[bytes | memoryview]:
        deadline = self._fetcher.deadline()
        spans = self._spans(shard, first, len(expected))
        data = memoryview(await self._read(shard, spans[0][0], spans[-1][1], deadline))
        start = spans[0][0]
        pieces: list[bytes | memoryview] = [data[a - start : b - start] for a, b in spans]
        for i, hash in enumerate(expected):
            wrong = xxhash.xxh3_64_intdigest(pieces[i])
            if wrong != hash:
                pieces[i] = await self._again(shard, first + i, spans[i], wrong, hash, deadline)
        return pieces

    async def _again(
        self, shard: int, granule: int, span: tuple[int, int], wrong: int, expected: int, deadline: float
    ) -> bytes:
        """A granule whose checksum was `wrong`, read until it is right, or the same wrong one has come twice."""
        seen, failures = {wrong}, 0
        while True:
            failures += 1
            error = DamagedDatasetError(
                f"{self._places.says(granule)} is damaged: its xxh3-64 is {wrong:016x}, expected {expected:016x}"
            )
            await self._fetcher.pause(failures, deadline, self._places.says(granule), error)
            data = await self._read(shard, *span, deadline)
            wrong = xxhash.xxh3_64_intdigest(data)
            if wrong != expected and wrong in seen:
                expected = await self._expected_anew(granule)
            if wrong == expected:
                return data
            if wrong in seen:
                raise DamagedDatasetError(
                    f"{self._places.says(granule)} is damaged: its xxh3-64 is {wrong:016x}, expected {expected:016x}; "
                    "copy the file anew or make the dataset again"
                )
            seen.add(wrong)

    async def _read(self, shard: int, start: int, stop: int, deadline: float) -> bytes:
        url = self._places.url(shard)
        try:
            return await self._fetcher.read(url, start, stop, deadline)
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{url} is listed in its dataset's tables, but is not there") from error

    def _spans(self, shard: int, first: int, n: int) -> list[tuple[int, int]]:
        starts, stops = self._places.spans(np.full(n, shard), np.arange(first, first + n))
        return list(zip(starts.tolist(), stops.tolist(), strict=True))

    def _keys(self, first: int, last: int) -> tuple[str, range]:
        """The part's fingerprint, and the numbers of these granules in it."""
        part, number = self._places.part_of(first)
        return self._places.parts[part].fingerprint, range(number, number + last - first)

    async def _expected(self, first: int, last: int) -> list[int]:
        part, number = self._places.part_of(first)
        pages = range(number // HASH_PAGE, (number + last - first - 1) // HASH_PAGE + 1)
        hashes = np.concatenate([await asyncio.shield(self._page(part, page)) for page in pages])
        begin = number - pages[0] * HASH_PAGE
        expected: list[int] = hashes[begin : begin + last - first].tolist()
        return expected

    async def _expected_anew(self, granule: int) -> int:
        part, number = self._places.part_of(granule)
        self._pages.pop((part, number // HASH_PAGE), None)
        return (await self._expected(granule, granule + 1))[0]

    def _page(self, part: int, page: int) -> "asyncio.Task[Hashes]":
        task = self._pages.get((part, page))
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._pages[part, page] = asyncio.create_task(self._read_page(part, page))
        self._pages.move_to_end((part, page))
        while len(self._pages) > HELD_PAGES:
            self._pages.popitem(last=False)
        return task

    async def _read_page(self, part: int, page: int) -> Hashes:
        opened = self._places.parts[part]
        last = min((page + 1) * HASH_PAGE, opened.table.n_granules)
        url = storage.join(opened.folder, "granules.bin")
        try:
            return np.frombuffer(await self._fetcher.read(url, 8 * page * HASH_PAGE, 8 * last), "<u8")
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{url} is listed in its dataset's manifest, but is not there") from error


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges [first, last) of neighbours."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    return runs
