import ctypes
import os
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.loader.prefetch import Prefetcher


def ended(prefetcher: Prefetcher[int]) -> bool:
    return not prefetcher._thread.is_alive()


def test_results_come_in_order_and_then_an_end() -> None:
    prefetcher = Prefetcher(iter([1, 2, 3, 4, 5]), 2, "test")
    assert [prefetcher.next() for _ in range(5)] == [1, 2, 3, 4, 5]
    for _ in range(2):
        with pytest.raises(StopIteration):
            prefetcher.next()
    prefetcher.close()
    assert ended(prefetcher)


def test_it_works_at_most_depth_and_one_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    prefetcher = Prefetcher(items(), 2, "test")
    assert [prefetcher.next() for _ in range(10)] == list(range(10))
    time.sleep(0.1)  # time enough to run away, were it not bounded
    assert len(made) <= 10 + 2 + 1
    prefetcher.close()


def test_an_exception_is_raised_where_its_result_was_due_and_again() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk gone") from KeyError("cause")

    prefetcher = Prefetcher(items(), 2, "test")
    assert prefetcher.next() == 1
    for _ in range(2):
        with pytest.raises(OSError, match="disk gone") as caught:
            prefetcher.next()
        assert isinstance(caught.value.__cause__, KeyError)
        assert any(entry.name == "items" for entry in caught.traceback)  # where it happened, not only where it surfaced
    prefetcher.close()


def test_closing_ends_a_thread_that_waits_for_room() -> None:
    prefetcher = Prefetcher(iter(range(1000)), 1, "test")
    prefetcher.close()
    prefetcher.close()
    assert ended(prefetcher)


def test_a_killed_thread_is_noticed_by_the_waiting_loop() -> None:
    waiting = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        waiting.set()
        while True:
            time.sleep(0.01)

    prefetcher = Prefetcher(items(), 2, "test")
    assert prefetcher.next() == 1
    waiting.wait(5)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(prefetcher._thread.ident or 0), ctypes.py_object(SystemExit)
    )
    with pytest.raises(RuntimeError, match="thread was ended by SystemExit"):
        prefetcher.next()
    prefetcher.close()


def test_a_thread_that_vanished_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.loader.prefetch.HAND_OVER_SECONDS", 0.0)  # the consumer does not work itself
    prefetcher = Prefetcher(iter([1]), 2, "test")
    assert prefetcher.next() == 1
    prefetcher.close()
    monkeypatch.setattr(prefetcher, "_stopped", False)
    monkeypatch.setattr(prefetcher, "_finished", False)  # as if the thread had not even come to say so
    monkeypatch.setattr("pipeline.loader.prefetch.ALIVE_CHECK_SECONDS", 0.01)
    with pytest.raises(RuntimeError, match="died without a word"):
        prefetcher.next()


def test_in_a_forked_process_it_refuses_instead_of_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    prefetcher = Prefetcher(iter([1]), 2, "test")
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RuntimeError, match="make the loader in the process that reads from it"):
            prefetcher.next()
        prefetcher.close()  # returns at once
    prefetcher.close()


def test_a_consumer_that_does_nothing_else_makes_its_results_itself() -> None:
    makers: list[str] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            makers.append(threading.current_thread().name)
            yield i

    prefetcher = Prefetcher(items(), 2, "test")
    assert [prefetcher.next() for _ in range(1000)] == list(range(1000))
    assert makers.count(threading.current_thread().name) > 900
    prefetcher.close()


def test_results_come_in_order_however_late_the_thread_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer in a hurry once made, and had, the result after the one that the thread had made and not delivered."""
    make = Prefetcher[int]._make

    def made_and_late(self: Prefetcher[int]) -> list[int]:
        made = make(self)
        if threading.current_thread() is self._thread:
            time.sleep(0.001)
        return made

    monkeypatch.setattr(Prefetcher, "_make", made_and_late)
    prefetcher = Prefetcher(iter(range(300)), 2, "test")
    for expected in range(300):
        assert prefetcher.next() == expected
        if expected % 7 == 0:
            time.sleep(0.0004)
    with pytest.raises(StopIteration):
        prefetcher.next()
    prefetcher.close()


def test_closing_ends_what_the_thread_waits_for() -> None:
    ended = threading.Event()

    def items() -> Iterator[int]:
        ended.wait(60)
        yield 1

    prefetcher = Prefetcher(items(), 2, "test", interrupt=ended.set)
    start = time.perf_counter()
    prefetcher.close()
    assert time.perf_counter() - start < 5


class SlowToDeliver(Prefetcher[int]):
    """Rests between the making of a result and its delivery, where another thread may come in."""

    def _make(self) -> list[int]:
        made = super()._make()
        time.sleep(0.002)
        return made


def test_a_hasty_consumer_does_not_overtake_the_thread() -> None:
    prefetcher = SlowToDeliver(iter(range(20)), 2, "test")
    received = []
    for number in range(20):
        received.append(prefetcher.next())
        if number % 3 == 0:
            time.sleep(0.003)  # the thread begins a result; then the consumer comes back in a hurry
    prefetcher.close()
    assert received == list(range(20))
