"""Work ahead of the training loop: one thread that runs an iterator and keeps a few of its results ready."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")

ALIVE_CHECK_SECONDS = 1.0  # how long a waiting training loop trusts that the thread still works
HAND_OVER_SECONDS = 0.0002
"""What it costs to wake a thread and to be woken by it. A loop that does less than this with a batch has nothing that
the thread could hide its work behind: it makes its batches itself, which is twice as fast."""


class Prefetcher(Generic[T]):
    """Runs `items` in a daemon thread, at most `depth` results ahead of the consumer (and one more in the making).

    The thread begins at the first `next`. The results come in order; an exception of the iterator is raised, itself and
    with its own traceback, where its result was due, and again on every later call. A consumer that does nothing
    between its calls runs the iterator itself. `close` ends the thread and waits for it; `interrupt` is called before
    that, to end what the thread waits for. `waited_seconds`: how long the consumer has spent in `next`.

    Ctrl-C may come into any of the consumer's calls; it is to `close` then. So locks are taken and given back in C, and
    nobody waits inside one: Python's Condition, hit in between, keeps its lock or gives back another's.
    """

    def __init__(self, items: Iterator[T], depth: int, name: str, interrupt: Callable[[], None] = lambda: None) -> None:
        self._interrupt = interrupt
        self.waited_seconds = 0.0
        self._items = items
        self._depth = depth
        self._ready: deque[T] = deque()
        self._lock = threading.Lock()  # of all that follows
        self._consumer, self._maker = _Bell(), _Bell()  # who is rung looks again
        self._making = False  # somebody runs the iterator
        self._resting = False  # the thread does not: the consumer is faster alone
        self._stopped = False
        self._finished = False
        self._error: BaseException | None = None
        self._left = 0.0  # when the consumer was given its last result
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._begun = False

    @property
    def n_ready(self) -> int:
        """Results that wait for the consumer."""
        return len(self._ready)

    def next(self) -> T:
        """The next result; waits for it. `StopIteration` after the last one."""
        if os.getpid() != self._pid:
            raise RuntimeError(
                "the loader was in use when this process was forked, and its thread stayed behind; "
                "make the loader in the process that reads from it"
            )
        asked = time.perf_counter()
        if not self._begun:
            self._begun = True
            self._thread.start()
        try:
            return self._next(idle=asked - self._left < HAND_OVER_SECONDS)
        finally:
            self._left = time.perf_counter()
            self.waited_seconds += self._left - asked

    def close(self) -> None:
        """End the thread and wait for it; results not taken are dropped. Closing twice is harmless."""
        if os.getpid() != self._pid:
            return  # the thread and the lock's owner belong to another process
        with self._lock:
            self._stopped = True
            self._ready.clear()
            self._maker.ring()
            self._consumer.ring()  # where another thread or a signal's handler closes
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._interrupt()
            self._thread.join()

    def _next(self, *, idle: bool) -> T:
        while True:
            with self._lock:
                self._resting = idle
                if not idle:
                    self._maker.ring()  # it may have rested, and finds room once the lock is given back
                if self._ready:
                    return self._ready.popleft()
                if self._finished:
                    self._raise()
                if self._stopped:
                    raise RuntimeError("the loader was closed while its training loop waited for a batch")
                if idle and not self._making:
                    self._making = True
                    break
            self._consumer.wait(ALIVE_CHECK_SECONDS)
            if not (self._thread.is_alive() or self._ready or self._finished or self._stopped):
                raise RuntimeError("the loader's thread has died without a word; load the last state and go on")
        made = self._make()
        with self._lock:
            self._making = False
        if not made and self._error is not None:
            raise self._error  # in the thread where it was raised, be it a KeyboardInterrupt
        if not made:
            raise StopIteration
        return made[0]

    def _raise(self) -> NoReturn:
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:  # a SystemExit, raised again, would end the training as if all were well
            raise RuntimeError(f"the loader's thread was ended by {self._error!r}") from self._error
        raise StopIteration

    def _run(self) -> None:
        while self._may_make():
            made = self._make()
            with self._lock:  # at once: between the two the consumer would make, and have, the one after this
                self._making = False
                if made and not self._stopped:
                    self._ready.append(made[0])
                self._consumer.ring()

    def _may_make(self) -> bool:
        """Wait for room; whether there is anything left to make."""
        while True:
            with self._lock:
                if self._stopped or self._finished:
                    return False
                if not (self._making or self._resting) and len(self._ready) < self._depth:
                    self._making = True
                    return True
            self._maker.wait()

    def _make(self) -> list[T]:
        """The next result of the iterator, or none."""
        try:
            return [next(self._items)]
        except StopIteration:
            self._finished = True
        except BaseException as error:
            self._error = error
            self._finished = True
        return []


class _Bell:
    """Wakes the one who waits; a ring that comes before is kept. Those who ring hold the lock of what they changed."""

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        if self._silent.locked():
            self._silent.release()

    def wait(self, seconds: float = -1) -> None:
        """Until it is rung, or at most so long."""
        self._silent.acquire(timeout=seconds)
