"""A store of fsspec's that lies in local files and notes each range that is read of them: `counted:///folder/file`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.spec import AbstractFileSystem

PROTOCOL = "counted"


@dataclass(frozen=True, kw_only=True)
class Range:
    """Bytes [start, stop) of a file."""

    path: str
    start: int
    stop: int

    @property
    def n_bytes(self) -> int:
        return self.stop - self.start


class CountedFiles(AbstractFileSystem):  # type: ignore[misc]
    """Reads ranges; all instances note them in one list."""

    protocol = PROTOCOL
    ranges: list[Range] = []  # noqa: RUF012 - one for all

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """These bytes, or all."""
        with Path(path).open("rb") as file:
            file.seek(start or 0)
            data = file.read(-1 if end is None else end - (start or 0))
        self.ranges.append(Range(path=path, start=start or 0, stop=(start or 0) + len(data)))
        return data


def url(folder: Path) -> str:
    """The folder in this store, which fsspec knows from now on."""
    fsspec.register_implementation(PROTOCOL, CountedFiles, clobber=True)
    return f"{PROTOCOL}://{folder}"


def unique_bytes(ranges: list[Range]) -> int:
    """How many different bytes they hold."""
    total, path, end = 0, "", 0
    for one in sorted(ranges, key=lambda one: (one.path, one.start)):
        end = max(end, one.start) if one.path == path else one.start
        total += max(0, one.stop - end)
        path, end = one.path, max(end, one.stop)
    return total
