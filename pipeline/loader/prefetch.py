"""Work ahead of the training loop: one thread that runs an iterator and keeps a few of its results ready."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

ALIVE_CHECK_SECONDS = 1.0  # how long a waiting training loop trusts that the thread still works


class Prefetcher(Generic[T]):
    """Runs `items` in a daemon thread, at most `depth` results ahead of the consumer (and one more in the making).

    The results come in order; an exception of the iterator is raised, itself and with its own traceback, where its
    result was due, and again on every later call. `close` ends the thread and waits for it.
    """

    def __init__(self, items: Iterator[T], depth: int, name: str) -> None:
        self._depth = depth
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._finished = False
        self._error: BaseException | None = None
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(items,), name=name, daemon=True)
        self._thread.start()

    def next(self) -> T:
        """The next result; waits for it. `StopIteration` after the last one."""
        if os.getpid() != self._pid:
            raise RuntimeError(
                "the loader was in use when this process was forked, and its thread stayed behind; "
                "make the loader in the process that reads from it"
            )
        with self._changed:
            while not (self._ready or self._finished):
                self._changed.wait(ALIVE_CHECK_SECONDS)
                if not self._thread.is_alive() and not (self._ready or self._finished):
                    raise RuntimeError("the loader's thread has died without a word; load the last state and go on")
            if self._ready:
                self._changed.notify_all()
                return self._ready.popleft()
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:  # a SystemExit, raised again, would end the training as if all were well
            raise RuntimeError(f"the loader's thread was ended by {self._error!r}") from self._error
        raise StopIteration

    def close(self) -> None:
        """End the thread and wait for it; results not taken are dropped. Closing twice is harmless."""
        if os.getpid() != self._pid:
            return  # the thread and the lock's owner belong to another process
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self, items: Iterator[T]) -> None:
        try:
            for item in items:
                if not self._deliver(item):
                    break
        except BaseException as error:
            self._error = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _deliver(self, item: T) -> bool:
        """Whether the consumer still wants more."""
        with self._changed:
            while len(self._ready) >= self._depth and not self._stopped:
                self._changed.wait()
            if not self._stopped:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._stopped
