"""Ranges of files from an object store that sometimes fails: retries, more requests for slow ones, one deadline.

*Retries*: of a store that has answered before, whatever the failure is, as each client has errors of its own, and a run
must not end by one that would have passed. Until something has been read, only of failures that are known to pass
(`retries.passes`): the others are mistakes, missing credentials or a wrong option, and are told at once. Each try comes
after a random time between 0 and a limit that doubles with each failure ("full jitter": M. Brooker, "Exponential
Backoff and Jitter", AWS Architecture Blog, 2015), so that thousands of ranks do not come back together.

*Hedges*: a request that takes several times the median of the recent ones gets a second beside it, and more where that
one is late as well; the first answer counts (J. Dean, L. A. Barroso, "The Tail at Scale", CACM 2013). They go by a high
percentile; with one request in twenty that stalls, the percentile is the stall itself, so the median is taken here, and
a larger factor.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from statistics import median

from pipeline import storage
from pipeline.loader.stats import Stats
from pipeline.retries import StorageError, passes

CONCURRENT_REQUESTS = 16  # of a loader; others beside slow ones come on top
DEADLINE_SECONDS = 120.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.05, 5.0
HEDGE_FACTOR = 3.0  # times the median
HEDGE_SECONDS = 0.05, 2.0  # at least and at most
HEDGES = 3  # of a request, each after twice the time: where one in twenty stalls, a stalled second is one in 400
CHECK_SECONDS = 0.05  # how often it is looked whether a request is late, as the median moves meanwhile
UNMEASURED_SECONDS = 0.5  # before there are MEASURED_LEAST to go by: ten times what a store takes for a small range
MEASURED, MEASURED_LEAST = 64, 4  # recent requests whose median counts
ATTEMPT_SECONDS = 30.0


class Fetcher:
    """Reads ranges, many at once, on the event loop of fsspec's thread: `submit` from any other thread.

    `deadline_seconds` holds for each range, from its first request on, waits and repetitions included. `at_once`:
    ranges that are read at a time.
    """

    def __init__(
        self,
        url: str,
        *,
        options: storage.Options = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        stats: Stats | None = None,
        seed: int | None = None,
        at_once: int = CONCURRENT_REQUESTS,
    ) -> None:
        self._reader = storage.RangeReader(url, options)
        self._deadline_seconds = deadline_seconds
        self.stats = stats or Stats()
        self._random = random.Random(seed)
        self._at_once = at_once
        self._room: asyncio.Semaphore | None = None
        self._seconds: deque[float] = deque(maxlen=MEASURED)
        self._renewed_for: float = -1.0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which everything here runs."""
        return self._reader.loop

    def deadline(self) -> float:
        """When work that begins now must have ended, by the loop's clock."""
        return self.loop.time() + self._deadline_seconds

    def whole(self, url: str) -> bytes:
        """All bytes of a small file; from any other thread. As `read`."""
        return asyncio.run_coroutine_threadsafe(self.read(url, None, None), self.loop).result()

    async def read(self, url: str, start: int | None, stop: int | None, deadline: float | None = None) -> bytes:
        """Bytes [start, stop), all of them; None, None: the whole file.

        `FileNotFoundError` where the file is gone, `PermissionError` where new credentials are refused too, and
        `StorageError` with its cause where the deadline has passed, or the store has never answered and never will.
        """
        what = url if start is None else f"{url} [{start}, {stop})"
        deadline = self.deadline() if deadline is None else deadline
        self._room = self._room or asyncio.Semaphore(self._at_once)
        async with self._room, self._counted():
            failures, renewed = 0, False
            while True:
                try:
                    return await self._hedged(url, start, stop, deadline)
                except FileNotFoundError:
                    raise
                except PermissionError as error:
                    if renewed:
                        raise PermissionError(
                            f"{what} may not be read: {error}; give credentials that may, by storage_options or the "
                            "environment"
                        ) from error
                    renewed = True
                    self._renew()
                except Exception as error:
                    if not (self.stats.has_fetched or isinstance(error, EOFError) or passes(error)):
                        raise StorageError(
                            f"{what} cannot be read: {type(error).__name__}: {error}; correct storage_options, or the "
                            "environment's settings and credentials for this store"
                        ) from error
                    failures += 1
                    await self._wait(failures, deadline, what, error)
                self.stats.add(retries=1)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self.stats.add(in_flight=1)
        try:
            yield
        finally:
            self.stats.add(in_flight=-1)

    async def pause(self, failures: int, deadline: float, what: str, error: Exception) -> None:
        """Wait before another try, as after any failure; `StorageError` where the deadline leaves no time for one."""
        await self._wait(failures, deadline, what, error)
        self.stats.add(retries=1)

    async def _wait(self, failures: int, deadline: float, what: str, error: Exception) -> None:
        longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(failures, 16))
        seconds = self._random.uniform(0, longest)
        if self.loop.time() + seconds >= deadline:
            raise StorageError(
                f"{what} could not be read in {self._deadline_seconds:g} seconds, {failures} tries failed, the last "
                f"with {type(error).__name__}: {error}"
            ) from error
        await asyncio.sleep(seconds)

    def _renew(self) -> None:
        """A new client, unless another range has asked for one just now."""
        now = self.loop.time()
        if self._renewed_for < 0 or now - self._renewed_for > 1.0:
            self._renewed_for = now
            self._reader.renew()

    async def _hedged(self, url: str, start: int | None, stop: int | None, deadline: float) -> bytes:
        """One request, and up to HEDGES beside it, one after the other, while none has answered; the first answer
        counts."""
        seconds = max(0.001, min(ATTEMPT_SECONDS, deadline - self.loop.time()))
        tasks = [asyncio.create_task(self._once(url, start, stop))]
        begun = self.loop.time()
        try:
            async with asyncio.timeout(seconds):
                while not (done := await _ended(tasks, CHECK_SECONDS)):
                    late = self.loop.time() - begun >= self._slow_seconds() * 2 ** (len(tasks) - 1)
                    if late and len(tasks) <= HEDGES:
                        self.stats.add(hedges=1)
                        tasks.append(asyncio.create_task(self._once(url, start, stop)))
                        begun = self.loop.time()
                last = self.loop.time() + self._slow_seconds()
                while all(task.exception() for task in done) and (left := set(tasks) - done):
                    if not (more := await _ended(left, last - self.loop.time())):
                        break  # they are late, perhaps for good
                    done |= more
                return _answer(done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _once(self, url: str, start: int | None, stop: int | None) -> bytes:
        self.stats.add(requests=1)
        begin = self.loop.time()
        data = await self._reader.read(url, start, stop)
        self._seconds.append(self.loop.time() - begin)
        self.stats.add(fetched_bytes=len(data))
        if start is not None and stop is not None and len(data) != stop - start:
            raise EOFError(f"{len(data)} bytes came, not {stop - start}")
        return data

    def _slow_seconds(self) -> float:
        least, most = HEDGE_SECONDS
        if len(self._seconds) < MEASURED_LEAST:
            return UNMEASURED_SECONDS
        return min(most, max(least, HEDGE_FACTOR * median(self._seconds)))


async def _ended(tasks: "Iterable[asyncio.Task[bytes]]", seconds: float) -> "set[asyncio.Task[bytes]]":
    """Those that have ended when the first has, or none after so many seconds."""
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return done


def _answer(done: "set[asyncio.Task[bytes]]") -> bytes:
    for task in done:
        if task.exception() is None:
            return task.result()
    return next(iter(done)).result()
