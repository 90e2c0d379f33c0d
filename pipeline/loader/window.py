"""What a walk through an object store's samples has planned, is fetching, and holds.

A granule's rows are spread over its block of positions. So it is fetched once, in one request with its neighbours, into
a slot of a fixed piece of memory, and dropped after the last batch of the known ones that has a row of it.
"""

import asyncio
import concurrent.futures
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.loader.checked import CheckedGranules
from pipeline.loader.places import Int64s, Located, Places

REQUEST_BYTES = 4 * 2**20  # at most, of one request


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Neighbouring granules [first, last) of a shard: one request."""

    shard: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Planned:
    """A batch to come: where its rows lie, and the granules that they need, each once."""

    located: Located
    granules: list[int]


class Slots:
    """Memory for `n` granules: rows are taken from it as from one array."""

    def __init__(self, places: Places, n: int) -> None:
        self.n = n
        self._places = places
        self._rows: npt.NDArray[np.uint8] = np.empty((n * places.per_granule, places.row_bytes), np.uint8)
        self._free = list(range(n - 1, -1, -1))
        self._slot: dict[int, int] = {}  # of a granule

    @property
    def n_free(self) -> int:
        return len(self._free)

    def __contains__(self, granule: int) -> bool:
        return granule in self._slot

    def held(self) -> list[int]:
        """The granules that have a slot."""
        return list(self._slot)

    def take(self, granule: int) -> None:
        """Give a granule a slot; its bytes come later."""
        self._slot[granule] = self._free.pop()

    def fill(self, granule: int, data: bytes | memoryview) -> None:
        """Its bytes have come."""
        first = self._slot[granule] * self._places.per_granule
        rows = np.frombuffer(data, np.uint8).reshape(-1, self._places.row_bytes)
        self._rows[first : first + len(rows)] = rows

    def release(self, granule: int) -> None:
        """The granule is not needed any more."""
        self._free.append(self._slot.pop(granule))

    def copy(self, located: Located, out: npt.NDArray[Any]) -> None:
        """The rows, all of granules that have come, into `out`."""
        slot = np.array([self._slot[granule] for granule in located.granule.tolist()], np.int64)
        first = self._places.first_row_of(located)
        rows = self._rows[slot * self._places.per_granule + located.row - first]
        out[...] = rows.view(self._places.dtype)


class Window:
    """What is planned, being fetched, and held, for one walk through the batches. For one thread, the loader's; only
    `interrupt` may be called from others."""

    def __init__(self, places: Places, checked: CheckedGranules, loop: asyncio.AbstractEventLoop, slots: Slots) -> None:
        self._places = places
        self._checked = checked
        self._loop = loop
        self._slots = slots
        self._uses: dict[int, int] = {}  # of the planned batches, by granule
        self._queue: deque[Run] = deque()
        self._coming: dict[int, concurrent.futures.Future[None]] = {}
        self._planned: deque[Planned] = deque()
        self._interrupted = False

    @property
    def idle(self) -> bool:
        """Whether nothing more is known that could be fetched."""
        return not self._queue

    @property
    def n_free(self) -> int:
        return self._slots.n_free

    def plan(self, batches: list[Located]) -> None:
        """Know these batches too, which follow those known before."""
        if not batches:
            return
        granule = np.concatenate([batch.granule for batch in batches])
        shard = np.concatenate([batch.shard for batch in batches])
        for batch in batches:
            unique = list(dict.fromkeys(batch.granule.tolist()))
            self._planned.append(Planned(located=batch, granules=unique))
            for number in unique:
                self._uses[number] = self._uses.get(number, 0) + 1
        number, first_seen = np.unique(granule, return_index=True)
        known = self._slots.held() + [k for run in self._queue for k in range(run.first, run.last)]
        new = ~np.isin(number, np.array(known, np.int64))
        self._queue.extend(runs(number[new], shard[first_seen[new]], first_seen[new], self._most_granules()))

    def pump(self) -> None:
        """Ask for what is needed next, as far as there is room for it."""
        for granule in [granule for granule, future in self._coming.items() if _has_come(future)]:
            del self._coming[granule]
        while self._queue:
            run = self._queue[0]
            if self._slots.n_free < run.last - run.first:
                return
            self._ask(self._queue.popleft())

    def next(self) -> Planned:
        """The next planned batch."""
        return self._planned.popleft()

    def copy(self, batch: Planned, out: npt.NDArray[Any]) -> None:
        """The rows of the batch that `next` gave last, into `out`; waits for their granules."""
        self._demand(batch)
        for future in {id(f): f for g in batch.granules if (f := self._coming.get(g)) is not None}.values():
            future.result()
        self._slots.copy(batch.located, out)

    def done(self, batch: Planned) -> None:
        """The batch has been copied."""
        for granule in batch.granules:
            self._uses[granule] -= 1
            if not self._uses[granule]:
                del self._uses[granule]
                if granule in self._slots:
                    self._slots.release(granule)

    def interrupt(self) -> None:
        """Give up what is being fetched: whoever waits for it gets a `CancelledError`."""
        self._interrupted = True
        for future in list(self._coming.values()):
            future.cancel()
        self._loop.call_soon_threadsafe(self._checked.cancel)

    def _most_granules(self) -> int:
        return max(1, min(REQUEST_BYTES // self._places.granule_bytes, self._slots.n // 4))

    def _ask(self, run: Run) -> None:
        if self._interrupted:
            raise concurrent.futures.CancelledError
        for granule in range(run.first, run.last):
            self._slots.take(granule)
        future = asyncio.run_coroutine_threadsafe(self._bring(run), self._loop)
        self._coming.update(dict.fromkeys(range(run.first, run.last), future))
        if self._interrupted:
            future.cancel()

    async def _bring(self, run: Run) -> None:
        for granule, data in enumerate(await self._checked.read(run.shard, run.first, run.last), start=run.first):
            self._slots.fill(granule, data)

    def _demand(self, batch: Planned) -> None:
        """Ask for those granules of the next batch that have no slot, which happens where memory is short: others give
        way, those whose next use is the farthest."""
        missing = [granule for granule in batch.granules if granule not in self._slots]
        if not missing:
            return
        wanted = set(missing)
        self._queue = deque(part for run in self._queue for part in _without(run, wanted))
        self._evict(len(missing) - self._slots.n_free, set(batch.granules))
        located = dict(zip(batch.located.granule.tolist(), batch.located.shard.tolist(), strict=True))
        for granule in missing:
            self._ask(Run(shard=located[granule], first=granule, last=granule + 1))

    def _evict(self, n: int, needed: set[int]) -> None:
        if n <= 0:
            return
        for future in set(self._coming.values()):
            future.result()  # a slot that is being filled cannot go
        self._coming.clear()
        order = dict.fromkeys(granule for batch in self._planned for granule in batch.granules)
        victims = [granule for granule in order if granule in self._slots and granule not in needed][-n:]
        if len(victims) < n:
            raise ValueError(
                f"memory_bytes holds {self._slots.n} granules, one batch needs {len(needed)}; give it more"
            )
        place = {granule: i for i, granule in enumerate(order)}
        again = sorted(victims, key=place.__getitem__)
        for granule in again:
            self._slots.release(granule)
        shard = self._places.shards_of(np.array(again, np.int64)).tolist()
        self._queue.extend(Run(shard=k, first=g, last=g + 1) for k, g in zip(shard, again, strict=True))


def runs(number: Int64s, shard: Int64s, need: Int64s, most: int) -> list[Run]:
    """Granules (ascending, with their shards, and when each is needed first) as runs of at most `most` neighbours, in
    the order of their first need."""
    if not len(number):
        return []
    border = np.flatnonzero((np.diff(number) != 1) | (np.diff(shard) != 0)) + 1
    starts = np.concatenate([[0], border])
    inside = np.arange(len(number)) - np.repeat(starts, np.diff(np.append(starts, len(number))))
    first = np.flatnonzero(inside % most == 0)
    last = np.append(first[1:], len(number))
    order = np.argsort(np.minimum.reduceat(need, first), kind="stable")
    begin, end = number[first].tolist(), (number[last - 1] + 1).tolist()
    return [Run(shard=int(shard[first[i]]), first=begin[i], last=end[i]) for i in order.tolist()]


def _has_come(future: "concurrent.futures.Future[None]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None  # the others are raised by `next`


def _without(run: Run, wanted: set[int]) -> list[Run]:
    """What is left of a run without these granules."""
    left = [granule for granule in range(run.first, run.last) if granule not in wanted]
    if len(left) == run.last - run.first:
        return [run]
    return [Run(shard=run.shard, first=granule, last=granule + 1) for granule in left]
