"""Tasks on several processes of this machine, or in this one."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


class Workers:
    """`n` processes, which are started when there is work and end with the `with` block; one is this process itself."""

    def __init__(self, n: int) -> None:
        self._n = n
        # Forked, a process would hold the locks of the threads of Arrow, numba and fsspec, which it does not have.
        self._pool = ProcessPoolExecutor(n, multiprocessing.get_context("spawn")) if n > 1 else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, task: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
        """What the task makes of each, in their order. `ChildProcessError` where a process is killed."""
        if self._pool is None:
            yield from map(task, given)
            return
        try:
            yield from self._pool.map(task, given)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f"one of {self._n} processes was killed, most often for want of memory; give fewer --workers"
            ) from error
