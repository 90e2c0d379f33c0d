"""The samples of an object store: fetched ahead of the batches, block by block of positions, within bounded memory."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.loader.cache import DiskCache
from pipeline.loader.checked import CheckedGranules
from pipeline.loader.fetch import CONCURRENT_REQUESTS, DEADLINE_SECONDS, Fetcher
from pipeline.loader.parts import OpenPart
from pipeline.loader.places import Int64s, Places
from pipeline.loader.stats import Stats
from pipeline.loader.window import REQUEST_BYTES, Planned, Slots, Window
from pipeline.order import Rows

LEAST_GRANULES = 64
PLANNED_AT_ONCE = 64  # batches of the next block looked at while this one is served, for each batch
BLOCKS_AHEAD = 3  # known at most: this one, the next, and what fits of the one after

X = TypeVar("X")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """How to read from an object store.

    options: fsspec's storage options. deadline_seconds: for each range read, all its repetitions included.
    memory_bytes: what holds granules, by default `memory_needed`; less is an error unless there is a cache.
    cache_dir, cache_bytes: a disk cache for all processes of the node.
    """

    options: storage.Options = None
    deadline_seconds: float = DEADLINE_SECONDS
    memory_bytes: int | None = None
    cache_dir: str | None = None
    cache_bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.cache_dir is None) != (self.cache_bytes is None):
            raise ValueError(f"cache_dir {self.cache_dir!r} and cache_bytes {self.cache_bytes}: give both or neither")
        for name in ("memory_bytes", "cache_bytes"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name} is {value!r}; give a number of bytes, an int of at least 1")
        seconds = self.deadline_seconds
        if type(seconds) not in (int, float) or not 0 < seconds < float("inf"):
            raise ValueError(f"deadline_seconds is {seconds!r}; a number of seconds above 0")


def memory_needed(block_samples: int, world_size: int, row_bytes: int, granule_bytes: int) -> int:
    """Bytes for what a rank needs of one block of positions and of the next, so that nothing is fetched twice."""
    rows = -(-block_samples // world_size)
    return max(2 * rows * row_bytes, LEAST_GRANULES * granule_bytes)


class RemoteGranules:
    """The samples of a plan's sources in an object store: as `granules.Granules` has it for local disks.

    Memory: `memory_bytes` for granules, and as much again as CONCURRENT_REQUESTS × REQUEST_BYTES on the way.
    """

    def __init__(
        self,
        parts: Sequence[Sequence[OpenPart]],
        sequence_length: int,
        dtype: str,
        *,
        url: str,
        remote: Remote,
        block_samples: int,
        world_size: int,
        stats: Stats,
    ) -> None:
        self.sequence_length = sequence_length
        self._places = Places(parts, sequence_length, dtype)
        self._url = url
        self._remote = remote
        self._block_samples = block_samples
        self._stats = stats
        self._windows: list[Window] = []
        granule_bytes = self._places.granule_bytes
        needed = memory_needed(block_samples, world_size, self._places.row_bytes, granule_bytes)
        given = needed if remote.memory_bytes is None else remote.memory_bytes
        if given < (needed if remote.cache_dir is None else LEAST_GRANULES * granule_bytes):
            raise ValueError(
                f"memory_bytes is {given}; rank and world size need {needed} bytes to hold what a block of "
                f"{block_samples} positions and the next one need of {url}. Give as much, use more ranks, or a "
                f"cache_dir (then {LEAST_GRANULES * granule_bytes} are enough)"
            )
        self.memory_bytes = given + CONCURRENT_REQUESTS * REQUEST_BYTES
        self._n_slots = min(given // granule_bytes, self._places.n_granules + 1)

    def follow(self, coming: Iterator[tuple[Rows, X]]) -> "Iterator[tuple[Rows, X, Held]]":
        """The batches as they come; what is needed of them is fetched from now on. `copy` waits for the rows of the one
        that was given last."""
        window = self._window()
        self._windows.append(window)
        try:
            yield from self._walk(window, _Blocks(coming, self._block_samples))
        finally:
            window.interrupt()
            self._windows.remove(window)

    def copy(self, held: "Held", out: npt.NDArray[Any]) -> None:
        """The rows of the batch that was given last, into `out` [n, sequence_length] of any wider dtype.

        `DamagedDatasetError` names shard file, granule, expected and found; `StorageError` what could not be read
        before the deadline.
        """
        held.window.copy(held.batch, out)

    def gather(
        self, source: npt.NDArray[np.int16], sample: Int64s, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """The rows of (source[i], sample[i]) alone, into `out` or new memory."""
        if out is None:
            out = np.empty((len(sample), self.sequence_length), self._places.dtype)
        rows = Rows(position=np.arange(len(sample)), source=source, sample=sample)
        for _, _, held in self.follow(iter([(rows, None)])):
            self.copy(held, out)
        return out

    def interrupt(self) -> None:
        """End whoever waits in `copy`, in another thread, with a `CancelledError`."""
        for window in list(self._windows):
            window.interrupt()

    def close(self) -> None:
        """Give up what is being fetched."""
        self.interrupt()

    def _window(self) -> Window:
        """Made for each walk: after a fork fsspec has another thread, and the store another client."""
        remote, stats = self._remote, self._stats
        fetcher = Fetcher(self._url, options=remote.options, deadline_seconds=remote.deadline_seconds, stats=stats)
        cache = None
        if remote.cache_dir is not None and remote.cache_bytes is not None:
            cache = DiskCache(remote.cache_dir, remote.cache_bytes, stats)
        checked = CheckedGranules(self._places, fetcher, cache)
        return Window(self._places, checked, fetcher.loop, Slots(self._places, self._n_slots))

    def _walk(self, window: Window, blocks: "_Blocks[X]") -> "Iterator[tuple[Rows, X, Held]]":
        while True:
            while not (blocks.ahead or blocks.ended):
                self._look(window, blocks)
            if not blocks.ahead:
                return
            window.pump()
            if window.idle and window.n_free and blocks.n_ahead < BLOCKS_AHEAD:
                self._look(window, blocks)
            _, rows, extra = blocks.ahead.popleft()
            batch = window.next()
            yield rows, extra, Held(window=window, batch=batch)
            window.done(batch)

    def _look(self, window: Window, blocks: "_Blocks[X]") -> None:
        window.plan([self._places.locate(rows.source, rows.sample) for rows in blocks.look(PLANNED_AT_ONCE)])
        window.pump()


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """A batch whose rows `copy` can have."""

    window: Window
    batch: Planned


class _Blocks(Generic[X]):
    """Batches to come, known by whole blocks of positions: `ahead` are those that may be planned."""

    def __init__(self, coming: Iterator[tuple[Rows, X]], block_samples: int) -> None:
        self.ahead: deque[tuple[int, Rows, X]] = deque()  # with the number of the block
        self.ended = False
        self._coming = coming
        self._block_samples = block_samples
        self._looked_at: list[tuple[int, Rows, X]] = []  # of a block whose end has not been seen

    @property
    def n_ahead(self) -> int:
        """Blocks that are known, the one of the next batch included."""
        return self.ahead[-1][0] - self.ahead[0][0] + 1 if self.ahead else 0

    def look(self, n: int) -> list[Rows]:
        """Look at `n` more batches, or to the end of their block; the batches of a block, once it is known whole."""
        for rows, extra in islice(self._coming, n):
            last = self._looked_at[-1][0] if self._looked_at else 0
            number = int(rows.position.min()) // self._block_samples if len(rows) else last
            if self._looked_at and number != last:
                begun, self._looked_at = self._looked_at, [(number, rows, extra)]
                return self._known(begun)
            self._looked_at.append((number, rows, extra))
            n -= 1
        if not n:
            return []
        self.ended = True
        begun, self._looked_at = self._looked_at, []
        return self._known(begun)

    def _known(self, batches: list[tuple[int, Rows, X]]) -> list[Rows]:
        self.ahead.extend(batches)
        return [rows for _, rows, _ in batches]
