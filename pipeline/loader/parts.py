"""A part of a source as the loader opens it: a tokenized dataset, its tables checked. No shard is opened for that.

What is read grows by 24 bytes a shard for the table and 190 for the manifest, of which only the head and the tables'
lines are parsed.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import xxhash

from pipeline import plan, storage
from pipeline.manifest import MANIFEST, DamagedDatasetError, File, MissingDatasetError, check_name
from pipeline.mds.checksums import ShardTable, granule_samples, parse_table, shard_name
from pipeline.mds.compression import Compression
from pipeline.mds.frames import FRAMES, table_size
from pipeline.mds.writer import compressed_name

OPENED_AT_ONCE = 64  # parts in a store: each is two small files, so the time goes into waiting

Read = Callable[[str], bytes]
X = TypeVar("X")
Y = TypeVar("Y")


@dataclass(frozen=True, kw_only=True)
class OpenPart:
    """A tokenized dataset, ready to be read.

    `folder` (a URL) holds the shard files, `table` says which samples and granules each shard has; the granules'
    checksums are read when they are needed. `compressed`: the shards are, a frame for each granule (`mds.frames`).
    `head`: of its manifest.
    """

    folder: str
    fingerprint: str
    table: ShardTable
    compressed: bool
    head: "Head"

    def shard_url(self, place: int) -> str:
        """The file of the shard at this place of the table."""
        name = shard_name(int(self.table.number[place]))
        return storage.join(self.folder, compressed_name(name, Compression.ZSTD) if self.compressed else name)


def open_parts(
    mix_url: str, sources: Sequence[tuple[str, Sequence[plan.Part]]], row_bytes: int, read: Read = storage.read
) -> list[list[OpenPart]]:
    """The parts of these sources (their names and parts); `read` reads a file. As `open_part`."""

    def opened(named: tuple[str, plan.Part]) -> OpenPart:
        return open_part(mix_url, *named, row_bytes, read)

    every = at_once(
        opened, [(name, part) for name, parts in sources for part in parts], local=storage.is_local(mix_url)
    )
    return [[next(every) for _ in parts] for _, parts in sources]


def at_once(make: Callable[[X], Y], items: Sequence[X], *, local: bool) -> Iterator[Y]:
    """make(item) of all items, in their order: many at a time where each waits for a store. (On a disk threads would
    only wait for each other.)"""
    if local:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(OPENED_AT_ONCE, "shardmill-open") as pool:
        yield from pool.map(make, items)


def open_part(mix_url: str, source: str, part: plan.Part, row_bytes: int, read: Read = storage.read) -> OpenPart:
    """Open one part of a source of the plan in `mix_url`.

    `MissingDatasetError` where there is none; `DamagedDatasetError` where it is another than the plan means, or where
    its tables are missing, cut, changed, or contradict each other.
    """
    url = plan.resolve(mix_url, part.path)
    try:
        head = parse_head(read(storage.join(url, MANIFEST)), url)
    except FileNotFoundError as error:
        raise MissingDatasetError(
            f"the mix {mix_url} needs {url} for its source {source!r}, and no finished dataset is there; "
            "copy the whole root, not the mix's folder alone, or run `make mix` again (after a fork the datasets of "
            "the earlier mix are needed, too, until the passes are over that it began)"
        ) from error
    if head.fingerprint != part.fingerprint:
        raise DamagedDatasetError(
            f"{url} is the dataset {head.fingerprint}, the mix {mix_url} was made of {part.fingerprint}; "
            "run `make mix` again"
        )
    folder = storage.join(url, head.attempt)
    table = _shard_table(folder, head, part.n_samples, read)
    if table.n_samples != part.n_samples:
        raise DamagedDatasetError(f"{url} holds {table.n_samples} samples, the mix {mix_url} says {part.n_samples}")
    _check_granules(table, granule_samples(row_bytes), url)
    _check_hashes(folder, head, table.n_granules)
    return OpenPart(
        folder=folder,
        fingerprint=part.fingerprint,
        table=table,
        head=head,
        compressed=_has_frames(folder, head, table.n_granules),
    )


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the loader needs of a manifest: `tables` are its files of the table "tables", by path."""

    url: str
    fingerprint: str
    attempt: str
    tables: dict[str, File]

    def table(self, path: str) -> File:
        """The listed file of this path; `DamagedDatasetError` where there is none."""
        if path not in self.tables:
            raise DamagedDatasetError(f"{self.url}: its manifest lists no {path}")
        return self.tables[path]


_FIELD = {name: re.compile(rb'\n "%s": ("[^"\\]*")' % name.encode()) for name in ("fingerprint", "attempt")}
_TABLE = re.compile(rb'\{\s*"table": "tables",[^{}]*\}')


def parse_head(text: bytes, url: str) -> Head:
    """The head of a manifest as `manifest.publish` writes it, without the list of its shards, which may be long;
    `DamagedDatasetError` that names the dataset at `url` where it is none."""
    try:
        fields = {name: json.loads(pattern.findall(text)[0]) for name, pattern in _FIELD.items()}
        files = [File(**json.loads(match)) for match in _TABLE.findall(text)]
        check_name(fields["attempt"])
        for file in files:
            check_name(file.path)
            _check_file(file)
        return Head(url=url, **fields, tables={file.path: file for file in files})
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedDatasetError(f"{url}/{MANIFEST} is not a manifest of this project: {error}") from error


def _check_file(file: File) -> None:
    if type(file.bytes) is not int or file.bytes < 0 or not isinstance(file.xxh3, str):
        raise ValueError(f"{file.path} is listed with {file.bytes!r} bytes and the xxh3 {file.xxh3!r}")


def _shard_table(folder: str, head: Head, n_samples: int, read: Read) -> ShardTable:
    file = head.table("shards.bin")
    where = storage.join(folder, file.path)
    if file.bytes > 24 * (n_samples + 1):  # before memory is taken for it: a shard has at least one sample
        raise DamagedDatasetError(f"{where} is listed with {file.bytes} bytes, too many for {n_samples} samples")
    data = listed_bytes(folder, file, read)
    try:
        return parse_table(data, where)
    except ValueError as error:
        raise DamagedDatasetError(str(error)) from error


def listed_bytes(folder: str, file: File, read: Read) -> bytes:
    """A listed table, whose bytes are those that the manifest means; else `DamagedDatasetError`."""
    where = storage.join(folder, file.path)
    try:
        data = read(where)
    except FileNotFoundError as error:
        raise DamagedDatasetError(f"{where} is listed in the dataset's manifest, but is not there") from error
    found = xxhash.xxh3_64_hexdigest(data)
    if found != file.xxh3:
        raise DamagedDatasetError(f"{where} was changed or damaged: its xxh3 is {found}, the manifest says {file.xxh3}")
    return data


def _check_hashes(folder: str, head: Head, n_granules: int) -> None:
    file = head.table("granules.bin")
    url = storage.join(folder, file.path)
    path = storage.local_path(url) if storage.is_local(url) else None
    found = file.bytes if path is None else path.stat().st_size if path.exists() else None
    if found != file.bytes or found != 8 * n_granules:
        raise DamagedDatasetError(
            f"{url} has {found} bytes, the manifest says {file.bytes}, and {n_granules} granules need {8 * n_granules}"
        )


def _has_frames(folder: str, head: Head, n_granules: int) -> bool:
    file = head.tables.get(FRAMES)
    if file is not None and file.bytes != table_size(n_granules):
        raise DamagedDatasetError(
            f"{storage.join(folder, FRAMES)} is listed with {file.bytes} bytes, {n_granules} granules need "
            f"{table_size(n_granules)}"
        )
    return file is not None


def _check_granules(table: ShardTable, per_granule: int, where: str) -> None:
    needed = -(-np.diff(table.first_sample) // per_granule)
    wrong = np.flatnonzero(np.diff(table.first_granule) != needed)
    if wrong.size:
        shard = int(wrong[0])
        raise DamagedDatasetError(
            f"{where}/shards.bin: shard {int(table.number[shard])} has "
            f"{int(table.first_granule[shard + 1] - table.first_granule[shard])} granules, its samples need "
            f"{int(needed[shard])}"
        )
