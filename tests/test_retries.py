"""A store that fails, and what is made of it; the whole flow on such a store is tested on clusters."""

import errno
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import job, retries, storage
from pipeline.retries import MissingBucketError, StorageError, insist
from tests.faulty_proxy import ALL, CUTS, faulty_proxy
from tests.s3_server import S3Server, s3_server

pytestmark = pytest.mark.filterwarnings("ignore:Boto3 will no longer support:Warning")
FEW = 9


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        started.make_bucket("bucket")
        yield started


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest times that it may have waited, instead of waiting."""
    limits: list[float] = []

    def uniform(least: float, most: float) -> float:
        assert least == 0
        limits.append(most)
        return 0.0

    monkeypatch.setattr("pipeline.retries.random.uniform", uniform)
    return limits


class Failing:
    """An operation that fails with each of the errors before it succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    def __call__(self) -> str:
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def test_what_passes_is_tried_again_after_a_random_time_that_grows_up_to_a_limit(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    errors = [ConnectionResetError(), TimeoutError(), *(OSError(errno.EBUSY, "SlowDown") for _ in range(7))]
    assert insist("ftp://me:secret@host/key", "read", Failing(*errors)) == "done"
    assert waits == [0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0, 10.0]
    assert caplog.messages[0].startswith("ftp://host/key: not read yet (OSError: [Errno 16] SlowDown); trying for 1")
    assert len(caplog.messages) == 5


@pytest.mark.parametrize(
    "error", [FileExistsError("there"), OSError(errno.EINVAL, "InvalidRange"), ValueError("no"), KeyError("bug")]
)
def test_what_does_not_pass_is_not_tried_again(error: Exception, waits: list[float]) -> None:
    with pytest.raises(type(error)) as caught:
        insist("s3://bucket/key", "read", Failing(error))
    assert caught.value is error
    assert waits == []


def test_a_refusal_names_the_url_and_what_to_do() -> None:
    with pytest.raises(PermissionError, match=r"s3://bucket/key may not be written: Access Denied; give credentials"):
        insist("s3://bucket/key", "written", Failing(PermissionError("Access Denied")))


def test_nothing_is_lost_where_requests_fail(server: S3Server) -> None:
    with faulty_proxy(server.url, 0.05, 2, faults=CUTS, methods=ALL) as proxy:
        options = server.options() | {"endpoint_url": proxy.url}
        for number in range(FEW):
            url = f"s3://bucket/faults/{number % 3}/{number}"
            storage.write(url, b"%d" % number * 1000, options)
            assert storage.publish_once(f"{url}.once", b"mine", options)
            assert not storage.publish_once(f"{url}.once", b"another's", options)
            with storage.open_input(url, options) as stream:
                assert stream.seek(-1000, 2) == len(b"%d" % number) * 1000 - 1000
                assert len(stream.read()) == 1000
            assert storage.read_range(f"{url}.once", 1, 3, options) == b"in"
        assert len(storage.list_files("s3://bucket/faults", options)) == 2 * FEW
        assert storage.list_folders("s3://bucket/faults", options) == ["0", "1", "2"]
        storage.remove_tree("s3://bucket/faults", options)
        assert storage.list_files("s3://bucket/faults", options) == []
        assert all(proxy.made[fault] for fault in CUTS)


def test_a_store_that_stays_down_is_told_with_url_and_cause(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "DEADLINE_SECONDS", 0.5)
    once = {"config_kwargs": {"retries": {"total_max_attempts": 1}}}
    with faulty_proxy(server.url, 1.0, faults=["unavailable"], methods=ALL) as proxy:
        options: dict[str, Any] = server.options() | once | {"endpoint_url": proxy.url}
        with pytest.raises(
            StorageError,
            match=r"s3://bucket/key could not be read in 0\.5 seconds, \d+ tries .* last with OSError: .*16",
        ):
            storage.read("s3://bucket/key", options)
    with pytest.raises(
        StorageError, match=r"s3://bucket/key could not be looked for .*EndpointConnectionError"
    ) as told:
        storage.publish_once("s3://bucket/key", b"", options)
    assert all(word not in str(told.value) for word in ("secret", "key="))


def test_a_missing_bucket_is_named(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    options = server.options()
    for use in (storage.read, storage.exists, storage.list_files, storage.list_folders, storage.open_input):
        with pytest.raises(
            MissingBucketError, match=r"s3://buckte/a: there is no bucket 'buckte'; make it, or correct"
        ):
            use("s3://buckte/a", options)
    for name, value in server.environment("key", "secret").items():
        monkeypatch.setenv(name, value)
    for root in ("s3://buckte", "s3://buckte/root"):
        with pytest.raises(ValueError, match=rf"--root '{root}' cannot be used: .*no bucket 'buckte'; make it"):
            job._check_root(root)
