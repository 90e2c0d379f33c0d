"""Operations on an object store that are tried again: which failures pass, how long to wait, when to give up.

Between two tries a random time is waited, from 0 to a limit that doubles with each failure ("full jitter": M. Brooker,
"Exponential Backoff and Jitter", AWS Architecture Blog, 2015), so that the tasks of a cluster do not come back together
to a store that has just asked them to slow down. Clients of stores repeat single requests, too (botocore five times);
here the whole operation is repeated, with all its requests, until a deadline.
"""

import errno
import io
import logging
import random
import re
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

DEADLINE_SECONDS = 120.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 10.0
TOLD_AFTER = 5
"""Failures in a row from which on each is told: whoever watches the job sees what it waits for."""

PASSING = frozenset(
    {
        "aiohttp.client_exceptions.ClientError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "botocore.parsers.ResponseParserError",
        "urllib3.exceptions.HTTPError",
    }
)
"""Classes of clients' errors, which are no `OSError`, that mean: no answer, half of one, or one of a proxy between."""

PASSING_NUMBERS = frozenset({errno.EBUSY, errno.EIO, errno.EREMOTEIO, errno.EAGAIN})
"""What s3fs makes of 409, 500, 502, 503, 504 and of codes that it does not know, such as 429 and SlowDown's kin."""

TOO_MANY, TIMED_OUT = 429, 408  # the only ones of HTTP's 4xx that pass

_LOG = logging.getLogger(__name__)
_USER = re.compile(r"//[^/@\s]*@")

T = TypeVar("T")


class StorageError(OSError):
    """A store that has failed until the deadline; the cause is the last failure."""


class MissingBucketError(OSError):
    """A bucket or container that is not there, or not of this name."""


def insist(url: str, what: str, operation: Callable[[], T]) -> T:
    """The operation's result, after as many tries as it needs; each may leave the store as if it had been the only one.

    `FileNotFoundError` and `PermissionError` that name the URL, `MissingBucketError`, `StorageError` where failures
    that pass have not passed before the deadline; all other exceptions as they are. `what`: "read", "written", …
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    failures = 0
    while True:
        try:
            return operation()
        except FileNotFoundError as error:
            raise _missing(url, error) from error
        except PermissionError as error:
            raise PermissionError(
                f"{without_user(url)} may not be {what}: {error}; give credentials that may, by the recipe's "
                "`storage` or the environment of all machines"
            ) from error
        except Exception as error:
            if not passes(error):
                raise
            failures += 1
            _wait(url, what, failures, deadline, error)


def passes(error: Exception) -> bool:
    """Whether the same operation may succeed a moment later."""
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in (TOO_MANY, TIMED_OUT)
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in PASSING_NUMBERS
    return any(f"{kind.__module__}.{kind.__qualname__}" in PASSING for kind in type(error).__mro__)


def without_user(text: str) -> str:
    """A text whose URLs tell no user and no password ("ftp://user:password@host")."""
    return _USER.sub("//", text)


class Stream(io.RawIOBase):
    """A file of a store that is open for reading, each of whose reads is tried again where it fails."""

    def __init__(self, file: BinaryIO, url: str) -> None:
        self._file = file
        self._url = url

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        return insist(self._url, "read", lambda: self._file.read(-1 if size is None else size))

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _missing(url: str, error: FileNotFoundError) -> OSError:
    text = f"{error} {error.__cause__!r}"
    if "NoSuchBucket" in text or "bucket does not exist" in text:
        bucket = without_user(url).split("://", 1)[-1].split("/", 1)[0]
        return MissingBucketError(
            f"{without_user(url)}: there is no bucket {bucket!r}; make it, or correct the name where it is given"
        )
    return FileNotFoundError(errno.ENOENT, "no such file in the store", without_user(url))


def _wait(url: str, what: str, failures: int, deadline: float, error: Exception) -> None:
    seconds = random.uniform(0, min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(failures, 16)))
    cause = without_user(f"{type(error).__name__}: {error}")
    left = deadline - time.monotonic()
    if seconds >= left:
        raise StorageError(
            f"{without_user(url)} could not be {what} in {DEADLINE_SECONDS:g} seconds, {failures} tries failed, the "
            f"last with {cause}; once the store answers, run it again"
        ) from error
    if failures >= TOLD_AFTER:
        _LOG.warning("%s: not %s yet (%s); trying for %.0f seconds more", without_user(url), what, cause, left)
    time.sleep(seconds)
