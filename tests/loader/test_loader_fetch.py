import asyncio
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import NoCredentialsError

from pipeline.loader import fetch
from pipeline.loader.fetch import Fetcher
from pipeline.retries import StorageError

URL = "memory://bucket/file"
DATA = bytes(range(100))

Failure = Exception | tuple[float, Exception]  # at once, or after so many seconds


class Store:
    """Answers each request with the next of `answers`, then rightly."""

    def __init__(self, answers: list[Failure | bytes | float]) -> None:
        self.answers: Iterator[Failure | bytes | float] = iter(answers)
        self.renewed = 0
        self.loop = asyncio.get_event_loop()

    async def read(self, url: str, start: int, stop: int) -> bytes:
        answer = next(self.answers, DATA[start:stop])
        if isinstance(answer, tuple):
            seconds, answer = answer
            await asyncio.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return DATA[start:stop]
        return answer

    def renew(self) -> None:
        self.renewed += 1


def read(
    answers: list[Failure | bytes | float], deadline_seconds: float = 5.0, *, has_fetched: bool = True
) -> tuple[bytes, Fetcher, Store]:
    async def body() -> tuple[bytes, Fetcher, Store]:
        fetcher = Fetcher(URL, deadline_seconds=deadline_seconds, seed=1)
        fetcher.stats.add(fetched_bytes=int(has_fetched))
        store = Store(answers)
        fetcher._reader = store  # type: ignore[assignment]
        return await fetcher.read(URL, 10, 20), fetcher, store

    return asyncio.run(body())


@pytest.mark.parametrize("failure", [OSError(16, "SlowDown"), TimeoutError(), ConnectionResetError(), b"short"])
def test_a_failure_is_tried_again(failure: Exception | bytes) -> None:
    data, fetcher, _ = read([failure, failure])
    assert data == DATA[10:20]
    assert (fetcher.stats.shown()["requests"], fetcher.stats.shown()["retries"]) == (3, 2)


@pytest.mark.parametrize("failure", [OSError(16, "SlowDown"), TimeoutError(), ConnectionResetError(), b"short"])
def test_so_is_one_that_passes_before_anything_was_read(failure: Exception | bytes) -> None:
    assert read([failure, failure], has_fetched=False)[0] == DATA[10:20]


@pytest.mark.parametrize("mistake", [TypeError("unexpected keyword 'keyy'"), NoCredentialsError()])
def test_a_mistake_is_told_at_once_unless_the_store_has_answered_before(mistake: Exception) -> None:
    with pytest.raises(StorageError, match=f"{URL} .*cannot be read: {type(mistake).__name__}: .*storage_options"):
        read([mistake], has_fetched=False)
    assert read([mistake])[0] == DATA[10:20]


def test_a_slow_request_gets_a_second_one_beside_it() -> None:
    begin = time.perf_counter()
    data, fetcher, _ = read([30.0])
    assert data == DATA[10:20]
    assert time.perf_counter() - begin < 2
    assert fetcher.stats.shown()["hedges"] == 1


def test_slow_second_requests_get_others_beside_them_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "UNMEASURED_SECONDS", 0.05)
    data, fetcher, _ = read([30.0, 30.0])
    assert (data, fetcher.stats.shown()["hedges"]) == (DATA[10:20], 2)
    data, fetcher, _ = read([0.9, *[30.0] * 10])  # others come after 0.05, 0.15 and 0.35 seconds
    assert (data, fetcher.stats.shown()["hedges"]) == (DATA[10:20], fetch.HEDGES)


def test_failures_of_others_do_not_end_one_that_answers_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "UNMEASURED_SECONDS", 0.3)  # requests begin at 0, 0.3 and 0.9
    data, fetcher, _ = read([(1.0, OSError("no")), (0.72, OSError("no")), 0.2])  # and end at 1, 1.02 and 1.1
    assert (data, fetcher.stats.shown()["requests"], fetcher.stats.shown()["retries"]) == (DATA[10:20], 3, 0)


def test_a_request_from_before_the_first_measurements_is_late_by_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "UNMEASURED_SECONDS", 30.0)

    async def body() -> float:
        fetcher, begin = Fetcher(URL), time.perf_counter()
        fetcher._reader = Store([60.0])  # type: ignore[assignment]
        await asyncio.gather(*(fetcher.read(URL, 10, 20) for _ in range(1 + fetch.MEASURED_LEAST)))
        return time.perf_counter() - begin

    assert asyncio.run(body()) < 5


def test_the_second_ones_failure_does_not_end_the_first() -> None:
    data, fetcher, _ = read([0.7, OSError("no")])
    assert data == DATA[10:20]
    assert fetcher.stats.shown()["retries"] == 0


def test_at_the_deadline_the_last_failure_is_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.perf_counter()
    with pytest.raises(
        StorageError, match=r"file \[10, 20\) could not be read in 0.5 seconds, .* OSError: it broke"
    ) as e:
        read([OSError("it broke")] * 1000, deadline_seconds=0.5)
    assert time.perf_counter() - begin < 2
    assert str(e.value.__cause__) == "it broke"


def test_a_hanging_store_is_given_up_at_the_deadline() -> None:
    begin = time.perf_counter()
    with pytest.raises(StorageError, match="TimeoutError"):
        read([60.0] * 100, deadline_seconds=0.5)
    assert time.perf_counter() - begin < 2


def test_expired_credentials_are_renewed_once() -> None:
    data, _, store = read([PermissionError("ExpiredToken")])
    assert (data, store.renewed) == (DATA[10:20], 1)
    with pytest.raises(PermissionError, match=r"file \[10, 20\) may not be read: AccessDenied"):
        read([PermissionError("ExpiredToken"), PermissionError("AccessDenied")])


def test_a_missing_file_is_not_asked_for_again() -> None:
    with pytest.raises(FileNotFoundError):
        read([FileNotFoundError("gone"), b"x" * 10])


def test_waits_are_random_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("pipeline.loader.fetch.asyncio.sleep", sleep)
    read([OSError("no")] * 12, deadline_seconds=1000)
    longest = [min(fetch.LONGEST_WAIT_SECONDS, fetch.FIRST_WAIT_SECONDS * 2**n) for n in range(1, 13)]
    assert all(0 <= seconds <= most for seconds, most in zip(slept, longest, strict=True))
    assert len(set(slept)) == 12
