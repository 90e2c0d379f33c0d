"""Granules of an object store's shards, verified: one request for neighbours, again where a checksum is wrong.

A body that was damaged on its way is other bytes each time; the same wrong checksum twice is damage in the store, or in
the tables beside the shards, which are read again then. Compressed shards are read alike: a granule is a frame of them,
its checksum that of its rows.
"""

import asyncio
from collections.abc import Sequence

import xxhash

from pipeline.loader.cache import DiskCache
from pipeline.loader.fetch import Fetcher
from pipeline.loader.known import Known, KnownGranules
from pipeline.loader.places import Places
from pipeline.manifest import DamagedDatasetError
from pipeline.mds.frames import decompress

Bytes = bytes | memoryview


class CheckedGranules:
    """Runs on the fetcher's event loop alone."""

    def __init__(self, places: Places, fetcher: Fetcher, cache: DiskCache | None) -> None:
        self._places = places
        self._fetcher = fetcher
        self._cache = cache
        self._known = KnownGranules(places, fetcher)

    async def read(self, shard: int, first: int, last: int) -> list[Bytes]:
        """The granules [first, last) of a shard (numbered over all parts), from the cache or the store."""
        known = await self._known.of(shard, first, last)
        found: list[Bytes | None] = [None] * len(known)
        if self._cache is not None:
            hashes = [one.hash for one in known]
            found = await asyncio.to_thread(self._cache.read, *self._keys(first, last), hashes)
        for begin, end in _runs([i for i, data in enumerate(found) if data is None]):
            fetched = await self._fetched(shard, first + begin, known[begin:end])
            found[begin:end] = fetched
            if self._cache is not None:
                await asyncio.to_thread(self._cache.write, *self._keys(first + begin, first + end), fetched)
        return [data for data in found if data is not None]

    def cancel(self) -> None:
        """Give up the tables that are being read: no request goes on for a reader that has ended."""
        self._known.cancel()

    async def _fetched(self, shard: int, first: int, known: Sequence[Known]) -> list[Bytes]:
        deadline = self._fetcher.deadline()
        start = known[0].start
        data = memoryview(await self._read(shard, start, known[-1].stop, deadline))
        pieces = await self._unpacked(first, known, [data[one.start - start : one.stop - start] for one in known])
        for i, one in enumerate(known):
            found = xxhash.xxh3_64_intdigest(pieces[i])
            if found != one.hash:
                pieces[i] = await self._again(shard, first + i, one, found, deadline)
        return pieces

    async def _again(self, shard: int, granule: int, known: Known, wrong: int, deadline: float) -> Bytes:
        """A granule whose checksum was `wrong`, read until it is right, or the same wrong one has come twice."""
        seen, failures = {(wrong, known)}, 0
        while True:
            failures += 1
            error = self._damaged(granule, wrong, known.hash)
            await self._fetcher.pause(failures, deadline, self._places.says(granule), error)
            data = memoryview(await self._read(shard, known.start, known.stop, deadline))
            [piece] = await self._unpacked(granule, [known], [data])
            wrong = xxhash.xxh3_64_intdigest(piece)
            if wrong != known.hash and (wrong, known) in seen:
                before, known = known, await self._known.anew(shard, granule)
                if known == before:
                    raise self._damaged(granule, wrong, known.hash, "; copy the file anew or make the dataset again")
            if wrong == known.hash:
                return piece
            seen.add((wrong, known))

    def _damaged(self, granule: int, wrong: int, expected: int, remedy: str = "") -> DamagedDatasetError:
        return DamagedDatasetError(
            f"{self._places.says(granule)} is damaged: its xxh3-64 is {wrong:016x}, expected {expected:016x}{remedy}"
        )

    async def _unpacked(self, first: int, known: Sequence[Known], data: list[Bytes]) -> list[Bytes]:
        """The rows of these granules. What cannot be decompressed is left as it is: its checksum is another."""
        part, _ = self._places.part_of(first)
        if not self._places.parts[part].compressed:
            return data
        return await asyncio.to_thread(lambda: [_rows(one, frame) for one, frame in zip(known, data, strict=True)])

    async def _read(self, shard: int, start: int, stop: int, deadline: float) -> bytes:
        url = self._places.url(shard)
        try:
            return await self._fetcher.read(url, start, stop, deadline)
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{url} is listed in its dataset's tables, but is not there") from error

    def _keys(self, first: int, last: int) -> tuple[str, range]:
        """The part's fingerprint, and the numbers of these granules in it."""
        part, number = self._places.part_of(first)
        return self._places.parts[part].fingerprint, range(number, number + last - first)


def _rows(known: Known, frame: Bytes) -> Bytes:
    try:
        return decompress(frame, known.n_bytes)
    except ValueError:
        return frame


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges [first, last) of neighbours."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    return runs
