"""The one door to files and object stores: list, read, read a range, publish atomically.

A URL is a local path or anything that fsspec opens (`s3://bucket/key`, `gs://`, `memory://`, …); `s3a://` is taken as
`s3://`, so that Spark's and our addresses are one. `options` are fsspec's storage options of that file system. Nothing
is ever rewritten in place: a name that has been published keeps its bytes. What a store fails to do is tried again
(`retries`); a machine's own disk is asked once.
"""

import asyncio
import errno
import os
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from fsspec import filesystem, get_filesystem_class
from fsspec.asyn import AsyncFileSystem, get_loop
from fsspec.core import url_to_fs
from fsspec.spec import AbstractFileSystem

from pipeline.retries import StorageError, Stream, insist

Options = Mapping[str, Any] | None
Data = bytes | memoryview | Sequence[bytes | memoryview]
"""The bytes of a file, whole or in pieces that follow each other."""

NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What `link` fails with where the file system has no hard links: FAT, many network and FUSE file systems."""

NO_CONDITIONAL_WRITES = (errno.ENOSYS,)
"""What s3fs makes of a store's 501 NotImplemented, which some S3-compatible ones answer to `If-None-Match`."""

INSIDE_OTHERS = ("zip", "tar", "libarchive", "simplecache", "filecache", "blockcache", "dir", "reference", "data")
"""What fsspec opens inside or before another place, `zip://a.jsonl::/data/archive.zip`: there "::" is no name's."""

T = TypeVar("T")
U = TypeVar("U")

REQUESTS = 32  # at the same time


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    """A listed file: `path` below the listed folder ("/" between parts), its size, a `stamp` that changes with it."""

    path: str
    bytes: int
    stamp: str


def normalise(url: str) -> str:
    """The one spelling of a URL: `s3a://` becomes `s3://`, a trailing slash goes. `ValueError` if it is empty."""
    if not url:
        raise ValueError("the path of a file or folder is empty; `.` is the current folder")
    if url.startswith("file:/") and not url.startswith("file://"):
        url = url.removeprefix("file:")
    if url.startswith("s3a://"):
        url = "s3://" + url[len("s3a://") :]
    scheme, mark, path = url.rpartition("://")
    return scheme + mark + (path.rstrip("/") or path[:1])


def join(base: str, *parts: str) -> str:
    """`base` and the relative `parts` with single slashes between."""
    base = normalise(base)
    return base + ("" if base.endswith("/") else "/") + "/".join(part.strip("/") for part in parts)


def is_local(url: str) -> bool:
    """Whether the URL is a path of this machine."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """The path behind a local URL; `~` is the home folder, as fsspec has it."""
    url = normalise(url)
    if not is_local(url):
        raise ValueError(f"{url} is not on this machine's disk")
    return Path(url.removeprefix("file://")).expanduser()


def at_once(work: Callable[[T], U], items: Sequence[T], url: str) -> list[U]:
    """`work(item)` of each, in their order, all of files below `url`: many at the same time where that is a store's,
    which takes some 50 ms for each request, else one after the other."""
    if is_local(url):
        return [work(item) for item in items]
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(work, items))


def exists(url: str, options: Options = None) -> bool:
    """Whether there is a file (or folder) at `url`."""
    if is_local(url):
        return local_path(url).exists()
    try:
        _ask(url, options, "looked for", lambda fs, path: fs.info(path))
    except FileNotFoundError:
        return False
    return True


def list_files(base: str, options: Options = None) -> list[FileInfo]:
    """All files below the folder `base`, sorted by path; an absent folder has none. Links are followed.

    `stamp` is the ETag where the store has one, else modification time and size; on local disks also the time of the
    last change to the file's inode, which nobody can set back.
    """
    base = normalise(base)
    if is_local(base):
        return sorted(_local_files(local_path(base)), key=lambda info: info.path)
    fs, root = _open_fs(base, options)
    prefix = fs._strip_protocol(root).rstrip("/") + "/"
    found: dict[str, dict[str, Any]] = {}
    with suppress(FileNotFoundError):
        found = _ask(base, options, "listed", lambda fs, path: fs.find(path, detail=True))
    infos = [
        FileInfo(path=name.removeprefix(prefix), bytes=int(info["size"]), stamp=_stamp(info))
        for name, info in found.items()
        if name.startswith(prefix)  # a file lists itself
    ]
    return sorted(infos, key=lambda info: info.path)


def list_folders(base: str, options: Options = None) -> list[str]:
    """The names of the folders right below the folder `base`, sorted; an absent folder has none."""
    if is_local(base):
        folder = local_path(base)
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found: list[dict[str, Any]] = []
    with suppress(FileNotFoundError):
        found = _ask(base, options, "listed", lambda fs, path: fs.ls(path, detail=True))
    return sorted(info["name"].rstrip("/").rsplit("/", 1)[-1] for info in found if info["type"] == "directory")


def open_input(url: str, options: Options = None) -> BinaryIO:
    """The file as a binary stream that can seek."""
    stream = _ask(url, options, "opened", lambda fs, path: fs.open(path, "rb"))
    return cast(BinaryIO, stream if is_local(url) else Stream(stream, url))


def read(url: str, options: Options = None) -> bytes:
    """All bytes of a file; `FileNotFoundError` where there is none."""
    return bytes(_ask(url, options, "read", lambda fs, path: fs.cat_file(path)))


def read_range(url: str, start: int, stop: int, options: Options = None) -> bytes:
    """Bytes [start, stop) of a file."""
    return bytes(_ask(url, options, "read", lambda fs, path: fs.cat_file(path, start=start, end=stop)))


class RangeReader:
    """Ranges of one store's files, many at once, from coroutines on `loop`; each request is made once, without the
    retries that clients have built in: whoever reads decides on these.

    fsspec has one thread with an event loop a process, and another after a fork: make the reader where it is used.
    """

    def __init__(self, url: str, options: Options = None) -> None:
        self.loop: asyncio.AbstractEventLoop = get_loop()
        self._options = _once(url, options)
        self._fs, _ = _open_fs(url, self._options)
        if hasattr(self._fs, "retries"):  # s3fs; this client is ours alone, as nobody else has its options
            self._fs.retries = 1

    async def read(self, url: str, start: int | None, stop: int | None) -> bytes:
        """Bytes [start, stop), or fewer where the file ends before; None, None: all.

        Cancelling closes the connection where the store
        has a client of coroutines (S3, GCS, Azure, HTTP)."""
        path = self._fs._strip_protocol(normalise(url))
        if isinstance(self._fs, AsyncFileSystem):
            return bytes(await self._fs._cat_file(path, start=start, end=stop))
        return bytes(await asyncio.to_thread(self._fs.cat_file, path, start, stop))

    def renew(self) -> None:
        """A new client, which asks for credentials anew; requests under way keep the old one."""
        fs, retries = type(self._fs), getattr(self._fs, "retries", None)
        self._fs = fs(**self._fs.storage_options, skip_instance_cache=True)
        if retries is not None:
            self._fs.retries = retries


def _once(url: str, options: Options) -> dict[str, Any]:
    """The options of a client that tries once; those given are kept."""
    given = dict(options or {})
    if normalise(url).startswith("s3://"):
        config = {"retries": {"total_max_attempts": 1}, "max_pool_connections": 64, "read_timeout": 60}
        given["config_kwargs"] = config | dict(given.get("config_kwargs") or {})
    return given


def pieces(data: Data) -> tuple[memoryview, ...]:
    """The pieces of a file's bytes."""
    given = (data,) if isinstance(data, bytes | memoryview) else tuple(data)
    return tuple(memoryview(piece).cast("B") for piece in given)


def write(url: str, data: Data, options: Options = None, *, lasting: bool = True) -> None:
    """Put `data` at `url` as a whole: readers see nothing or all of it (a rename on local disks, one PUT elsewhere).
    What is not `lasting`, as it is gone before the job ends, need not survive a loss of power."""
    if is_local(url):
        temporary = _write_beside(local_path(url), data, lasting)
        temporary.replace(local_path(url))
    else:
        whole = b"".join(pieces(data))
        _ask(url, options, "written", lambda fs, path: fs.pipe_file(path, whole))


def publish_once(url: str, data: bytes, options: Options = None) -> bool:
    """Put `data` at `url` unless something is there already; True if these bytes are the published ones.

    Exactly one of several publishers wins, on local disks (a hard link fails where the name exists) as on stores with
    conditional writes (S3 and others: `If-None-Match: *`). Elsewhere, and on file systems without hard links, it is
    looked first and then written: two publishers in the same instant may both be told that they won, and the later
    one's bytes stay; each of them is whole.
    """
    if is_local(url):
        target = local_path(url)
        temporary = _write_beside(target, data)
        try:
            os.link(temporary, target)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
        finally:
            temporary.unlink()
    if exists(url, options):
        return False
    return _create(url, data, options)


def _create(url: str, data: bytes, options: Options) -> bool:
    if is_local(url):
        write(url, data, options)
        return True
    try:
        _ask(url, options, "written", lambda fs, path: fs.pipe_file(path, data, mode="create"))
    except StorageError:
        raise
    except OSError as error:
        if exists(url, options):  # another's; or ours, where the client lost the first answer and sent it twice
            return read(url, options) == data
        if error.errno not in NO_CONDITIONAL_WRITES:
            raise
        write(url, data, options)
    return True


def move(url: str, to: str) -> None:
    """Give a file another name in the same store, where no file of that name is; stores copy it by themselves."""
    if is_local(url):
        local_path(url).replace(local_path(to))
    else:
        _ask(url, None, "copied", lambda fs, path: fs.cp_file(path, fs._strip_protocol(normalise(to))))
        remove(url)


def remove(url: str, options: Options = None) -> None:
    """Delete one file; nothing happens where there is none."""
    with suppress(FileNotFoundError):
        _ask(url, options, "deleted", lambda fs, path: fs.rm_file(path))


def remove_tree(url: str, options: Options = None) -> None:
    """Delete a folder and all below it; nothing happens where there is none."""
    with suppress(FileNotFoundError):  # also where another run deletes it at the same time
        _ask(url, options, "deleted", lambda fs, path: fs.rm(path, recursive=True))


def _write_beside(target: Path, data: Data, lasting: bool = True) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    with temporary.open("wb") as file:
        for piece in pieces(data):
            file.write(piece)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    return temporary


def _local_files(root: Path) -> Iterator[FileInfo]:
    """fsspec 2026.9 takes a linked folder for a file, and a linked file's time from the link."""
    for path in _walk(root, frozenset()):
        try:
            found = path.stat()
        except FileNotFoundError:
            if path.is_symlink():
                raise  # a link to nothing: data are missing
            continue  # gone since it was listed
        if stat.S_ISREG(found.st_mode):
            name = path.relative_to(root).as_posix()
            yield FileInfo(
                path=name, bytes=found.st_size, stamp=f"{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_size}"
            )


def _walk(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """The files below a folder; none in a link to a folder that it lies in."""
    real = folder.resolve()
    if real in above or not folder.is_dir():
        return
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return  # gone since it was listed
    for path in paths:
        if path.is_dir():
            yield from _walk(path, above | {real})
        else:
            yield path


def _stamp(info: dict[str, Any]) -> str:
    etag = info.get("ETag") or info.get("etag")
    if etag:
        return str(etag).strip('"')
    changed = info.get("mtime") or info.get("LastModified") or info.get("updated") or info.get("created") or ""
    return f"{changed}-{info['size']}"


def _ask(url: str, options: Options, what: str, operation: Callable[[AbstractFileSystem, str], T]) -> T:
    """Have the file system of a URL do something with it: a store until it succeeds, a disk once."""
    fs, path = _open_fs(url, options)
    if is_local(url):
        return operation(fs, path)
    return insist(url, what, lambda: operation(fs, path))


def _is_one_name(url: str) -> bool:
    """Whether the URL is one place, though its path may hold what chains places for fsspec (`simplecache::s3://…`)."""
    scheme = url.partition("://")[0]
    return (
        "::" in url
        and (is_local(url) or ("::" not in scheme and scheme not in INSIDE_OTHERS))
        and "://" not in url.rpartition("::")[2]
    )


def _unchained(url: str, **options: Any) -> tuple[AbstractFileSystem, str]:
    """`url_to_fs` of a URL that is one place."""
    scheme = "file" if is_local(url) else url.partition("://")[0]
    kind = get_filesystem_class(scheme)
    fs = filesystem(scheme, **(kind._get_kwargs_from_urls(url) | options))
    return fs, str(fs._strip_protocol(url))


def _open_fs(url: str, options: Options) -> tuple[AbstractFileSystem, str]:
    url = normalise(url)
    # 10 µs: fsspec keeps its file systems, for each process
    fs, path = (_unchained if _is_one_name(url) else url_to_fs)(url, **(options or {}))
    fs.invalidate_cache()  # of listings: a file that another process has written since would not be found
    if "s3" in fs.protocol:
        fs.retries = 1  # s3fs' own tries, without jitter, between botocore's of a request and ours of an operation
    return fs, str(path)
