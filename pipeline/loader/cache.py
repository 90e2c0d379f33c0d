"""Granules on the node's disk, for all its processes: files that appear whole, and are verified whenever read.

    cache_dir/shardmill-granules/CACHEDIR.TAG
    cache_dir/shardmill-granules/<fingerprint of the dataset>/<granule // 1024>/<granule>

Nothing here is locked: a file is written under a temporary name and renamed, so whoever is killed leaves at most a
temporary file, which is swept by age; two writers of one granule write the same bytes; a reader who finds a file gone,
cut or damaged fetches it. Only names of these forms are read or deleted, and none through a link.
"""

import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import xxhash

from pipeline.loader.stats import Stats

FOLDER = "shardmill-granules"
TAG = "CACHEDIR.TAG"
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# granules of Shardmill's loader; this folder may be deleted\n"
PER_FOLDER = 1024
SWEEP_AFTER_SECONDS = 3600.0  # temporary files older than this were left by a killed process
TOUCH_AFTER_SECONDS = 60.0  # use is remembered to the minute: a change of a file's time costs as much as reading it
LOOK_SHARE = 16  # the cache is measured whenever a process has written a sixteenth of it
KEPT_SHARE = 0.9  # what eviction leaves

_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")


class DiskCache:
    """At most about `cache_bytes` of granules below `cache_dir` (a sixteenth more for each process that writes).

    For use by several threads and processes. A full or failing disk is an `OSError`: a cache that silently is none
    would be found out by the bill.
    """

    def __init__(self, cache_dir: str | os.PathLike[str], cache_bytes: int, stats: Stats) -> None:
        self._root = Path(cache_dir).expanduser().absolute() / FOLDER
        self._bytes = cache_bytes
        self._stats = stats
        self._written = 0
        self._made: set[Path] = set()
        try:
            self._root.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache_dir {os.fspath(cache_dir)!r} is no folder and cannot be made one ({error.strerror}); give a "
                "folder of a local disk, or leave cache_dir and cache_bytes out"
            ) from error
        self._own(self._root)
        if not (self._root / TAG).exists():
            self._put(self._root / TAG, TAG_TEXT.encode())
        self._trim()

    def read(self, fingerprint: str, numbers: range, expected: Sequence[int]) -> list[bytes | memoryview | None]:
        """These granules, None for each that is not there with this xxh3-64."""
        found = [
            self._read(self._path(fingerprint, number), hash) for number, hash in zip(numbers, expected, strict=True)
        ]
        hits = sum(data is not None for data in found)
        self._stats.add(cache_hits=hits, cache_misses=len(found) - hits)
        return list(found)

    def write(self, fingerprint: str, numbers: range, granules: Sequence[bytes | memoryview]) -> None:
        """Put these granules there."""
        for number, data in zip(numbers, granules, strict=True):
            path = self._path(fingerprint, number)
            self._own(path.parent.parent)
            self._own(path.parent)
            self._put(path, data)
            self._written += len(data)
            self._stats.add(cache_bytes=len(data))
        if self._written > self._bytes // LOOK_SHARE:
            self._trim()

    def _path(self, fingerprint: str, number: int) -> Path:
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"the fingerprint {fingerprint!r} is no name for a folder of the cache")
        return self._root / fingerprint / str(number // PER_FOLDER) / str(number)

    def _own(self, folder: Path) -> None:
        """Make a folder where there is none; refuse a link in its place, which may lead out of the cache."""
        if folder in self._made and folder.is_dir():
            return
        with suppress(FileExistsError):
            folder.mkdir()
        if folder.is_symlink() or not folder.is_dir():
            raise ValueError(
                f"{folder} is a link or no folder: the cache was tampered with; delete it, or use another cache_dir"
            )
        self._made.add(folder)

    def _put(self, path: Path, data: bytes | memoryview) -> None:
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except FileNotFoundError:  # another process has evicted the whole folder meanwhile
            self._made.discard(path.parent)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _read(self, path: Path, expected: int) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:  # not there, or a link
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            data = file.read()
        if xxhash.xxh3_64_intdigest(data) != expected:
            return None
        if time.time() - status.st_mtime > TOUCH_AFTER_SECONDS:
            with suppress(FileNotFoundError):
                os.utime(path)
        return data

    def _trim(self) -> None:
        """Sweep what killed processes left, and delete what was used longest ago where there is too much."""
        self._written = 0
        held: list[tuple[float, int, Path]] = []
        for path in self._files():
            with suppress(FileNotFoundError):
                status = path.lstat()
                if _NUMBER.fullmatch(path.name):
                    held.append((status.st_mtime, status.st_size, path))
                elif time.time() - status.st_mtime > SWEEP_AFTER_SECONDS:
                    path.unlink()
        total = sum(size for _, size, _ in held)
        if total <= self._bytes:
            return
        for _, size, path in sorted(held):
            if total <= self._bytes * KEPT_SHARE:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[Path]:
        """The granules and temporary files of the cache; links and other names are left alone."""
        with os.scandir(self._root) as entries:
            top = list(entries)
        for entry in top:
            if entry.is_dir(follow_symlinks=False) and _FINGERPRINT.fullmatch(entry.name):
                for folder in _entries(entry.path):
                    if folder.is_dir(follow_symlinks=False) and _NUMBER.fullmatch(folder.name):
                        yield from (Path(file.path) for file in _entries(folder.path) if _is_ours(file))
            elif _is_ours(entry) and _TEMPORARY.fullmatch(entry.name):
                yield Path(entry.path)


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    named = _NUMBER.fullmatch(entry.name) or _TEMPORARY.fullmatch(entry.name)
    return named is not None and entry.is_file(follow_symlinks=False)
