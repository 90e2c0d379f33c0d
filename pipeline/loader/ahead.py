"""Groups of borders that are fetched before their batch is made: a store takes tens of milliseconds for each."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

AHEAD_BYTES = 16 * 2**20
"""Of groups that were fetched and not yet needed. Those of a block of 1 GiB of rows of 2048 tokens have 4 MiB."""

Words = npt.NDArray[np.uint32]


class Group(NamedTuple):
    """Group `number` (over all parts), of `n_rows` rows."""

    number: int
    n_rows: int


class Ahead:
    """Groups in the order in which they were announced; `start` begins to fetch one, of so many bytes. For one thread,
    the loader's; only `interrupt` may be called from others."""

    def __init__(self, start: Callable[[Group], tuple["Future[Words]", int]]) -> None:
        self._start = start
        self._queue: deque[Group] = deque()
        self._queued: set[int] = set()
        self._coming: dict[int, tuple[Future[Words], int]] = {}
        self._bytes = 0
        self._interrupted = False

    def expect(self, groups: Iterable[Group]) -> None:
        """These will be needed, in this order, after all that were announced before."""
        for group in groups:
            if group.number not in self._queued and group.number not in self._coming:
                self._queue.append(group)
                self._queued.add(group.number)
        self._pump()

    def take(self, groups: Sequence[Group]) -> list[Words]:
        """These are needed now; what fetching raises is raised here."""
        for group in groups:
            if group.number not in self._coming:
                self._queued.discard(group.number)
                self._fetch(group)
        found = [self._coming[group.number][0].result() for group in groups]  # `interrupt` must find who is waited for
        self._bytes -= sum(self._coming.pop(group.number)[1] for group in groups)
        self._pump()
        return found

    def interrupt(self) -> None:
        """Give up what is being fetched: whoever waits for it gets a `CancelledError`."""
        self._interrupted = True
        for future, _ in list(self._coming.values()):
            future.cancel()

    def _pump(self) -> None:
        while self._queue and self._bytes < AHEAD_BYTES:
            group = self._queue.popleft()
            if group.number in self._queued:
                self._queued.discard(group.number)
                self._fetch(group)

    def _fetch(self, group: Group) -> None:
        if self._interrupted:
            raise CancelledError
        future, n_bytes = self._coming[group.number] = self._start(group)
        self._bytes += n_bytes
        if self._interrupted:
            future.cancel()
