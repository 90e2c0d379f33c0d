"""How shards that many tasks write become one dataset, exactly once, however often a task runs.

*Local disks.* Each try of a task writes to names of its own in the run's folder `.mds-<run>/`. The commit links the
shards of the accepted tries into place as `shard.00000.mds`, `shard.00001.mds`, … in the order of the partitions, which
is how one `MDSWriter` would have named them; then it publishes the index, and removes the run's folder.

*Object stores* cannot rename: a shard is one PUT to `shard.<partition>.<number>.<xxh3-64 of its bytes>.mds`. A task
that runs twice writes the same bytes to the same name; one that makes other bytes the second time takes another name,
so nothing is ever written over a shard that an index lists.

The index comes last, and readers open only what it lists. What no index lists (of killed, losing or late tasks, and of
runs that failed) is removed by the commit, and what arrives later by the commit of the next run. Of several runs at
once into one folder the first to commit stands; the others find their shards gone, and fail.
"""

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import manifest, storage
from pipeline.mds import checksums, writer

_TEMPORARY = re.compile(r"(\.mds-[0-9a-f]{32})/.*|\.index\.json\.[0-9a-f]{32}\.tmp")  # the latter by `storage.write`
_STORED = re.compile(r"shard\.\d{5,}\.\d{5,}\.[0-9a-f]{16}\.mds")
_NUMBERED = re.compile(r"shard\.(\d{5,})\.mds")


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """A shard that a task wrote: its name below the folder, before the commit."""

    name: str
    n_samples: int
    bytes: int
    hashes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Target:
    """The folder that one run writes to. `run` is the run's own name; with `overwrite` the dataset that is there is
    replaced, without it there must be none."""

    url: str
    overwrite: bool
    options: storage.Options = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def index_url(self) -> str:
        return storage.join(self.url, writer.INDEX)

    @property
    def run_folder(self) -> str:
        """Of the run's temporary names, below `url`; only on local disks."""
        return f".mds-{self.run}"


def check_target(target: Target) -> None:
    """Before anything is written: `ValueError` if the folder holds anything that the run must not touch."""
    listed = _listed(target)
    if target.overwrite:
        return
    if listed is not None:
        raise ValueError(
            f"{target.url} holds an MDS dataset already, and one cannot be appended to; "
            'replace it with mode("overwrite"), or write to another folder'
        )
    others = [name for name in _names(target) if not _is_leftover(name)]
    if others:
        raise ValueError(
            f"{target.url} is not empty: {len(others)} files, such as {others[0]}, and no {writer.INDEX}; write to "
            'another folder, or with mode("overwrite"), which removes shards that no index lists'
        )


def put(target: Target, partition: int, number: int, data: storage.Data) -> str:
    """Write the shard `number` (0, 1, …) of a partition; returns its name before the commit."""
    name = f"{partition:05d}.{number:05d}"
    if storage.is_local(target.url):
        name = f"{target.run_folder}/{name}.{uuid.uuid4().hex}.mds"
    else:
        name = f"shard.{name}.{checksums.file_hashes(data, ['xxh3_64'])['xxh3_64']}.mds"
    storage.write(storage.join(target.url, name), data, target.options)
    return name


def publish(target: Target, fields: Mapping[str, Any], shards: Sequence[ShardFile]) -> None:
    """Make the shards, in this order, the dataset; `fields` is what their index entries say alike.

    Once the index is published everything else of earlier and failed runs is removed. `ValueError` where a shard is
    not there as it was written, or another run has published first; nothing is left in place then.
    """
    old = _listed(target) or frozenset()
    local = storage.is_local(target.url)
    names = _place(target, shards) if local else _check_stored(target, shards)
    try:
        _publish_index(target, _index(fields, shards, names))
    except BaseException:
        if local:
            for name in names:
                storage.remove(storage.join(target.url, name))
        raise
    _sweep(target, frozenset(names), old)


def abandon(target: Target, shards: Sequence[ShardFile]) -> None:
    """Remove what a failed run wrote. What the index lists stays: the run may have failed after it was published."""
    if storage.is_local(target.url):
        storage.remove_tree(storage.join(target.url, target.run_folder))
        return
    listed = _listed(target) or frozenset()
    for name in {shard.name for shard in shards} - listed:
        storage.remove(storage.join(target.url, name), target.options)


def _index(fields: Mapping[str, Any], shards: Sequence[ShardFile], names: Sequence[str]) -> bytes:
    entries = []
    for shard, name in zip(shards, names, strict=True):
        raw = {"basename": name, "bytes": shard.bytes, "hashes": dict(shard.hashes)}
        entries.append({**fields, "samples": shard.n_samples, "raw_data": raw, "zip_data": None})
    return writer.index(entries)


def _publish_index(target: Target, data: bytes) -> None:
    if target.overwrite:
        storage.write(target.index_url, data, target.options)
    elif not storage.publish_once(target.index_url, data, target.options):
        raise ValueError(f"another run has written {target.index_url} in the meantime; this run's shards are dropped")


def _place(target: Target, shards: Sequence[ShardFile]) -> list[str]:
    """Link the shards to numbers that no file has; returns their names. The names in the run's folder remain."""
    used = [int(match[1]) for name in _names(target) if (match := _NUMBERED.fullmatch(name))]
    first = 0 if not used or min(used) >= len(shards) else max(used) + 1
    folder = storage.local_path(target.url)
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    try:
        for number, shard in enumerate(shards, first):
            name = checksums.shard_name(number)
            _link(folder / shard.name, folder / name)
            names.append(name)
    except BaseException as error:
        for name in names:
            (folder / name).unlink()
        match error:
            case FileNotFoundError():
                raise ValueError(
                    f"{error.filename} is gone: another run has committed to this folder, or executors and driver do "
                    "not share it"
                ) from error
            case FileExistsError():
                raise ValueError(f"{error.filename2} exists: another run writes to the same folder") from error
        raise
    return names


def _link(source: Path, name: Path) -> None:
    """Give a file a second name, which must be free."""
    try:
        os.link(source, name)
    except OSError as error:
        if error.errno not in storage.NO_HARD_LINKS:
            raise
        if name.exists():
            raise FileExistsError(error.errno, "exists", str(source), None, str(name)) from error
        source.rename(name)


def _check_stored(target: Target, shards: Sequence[ShardFile]) -> list[str]:
    """The shards' names, after a look at the store: each must be there with its size."""
    found = {info.path: info.bytes for info in storage.list_files(target.url, target.options)}
    for shard in shards:
        if found.get(shard.name) != shard.bytes:
            raise ValueError(
                f"{storage.join(target.url, shard.name)} has {found.get(shard.name, 'no')} bytes, {shard.bytes} were "
                "written: another run has written to the same folder"
            )
    return [shard.name for shard in shards]


def _sweep(target: Target, keep: frozenset[str], old: frozenset[str]) -> None:
    """Remove the files of the dataset that was replaced, and of runs and tasks that did not count."""
    for folder in sorted({match[1] for name in _names(target) if (match := _TEMPORARY.fullmatch(name)) and match[1]}):
        storage.remove_tree(storage.join(target.url, folder), target.options)
    for name in _names(target):
        unlisted = _is_leftover(name) or (target.overwrite and _NUMBERED.fullmatch(name))
        if name not in keep and (name in old or unlisted):
            storage.remove(storage.join(target.url, name), target.options)


def _names(target: Target) -> list[str]:
    return [info.path for info in storage.list_files(target.url, target.options)]


def _is_leftover(name: str) -> bool:
    """Whether a file can only have been left by a run of ours that failed, or by a late task."""
    return bool(_TEMPORARY.fullmatch(name) or _STORED.fullmatch(name))


def _listed(target: Target) -> frozenset[str] | None:
    """The files that the folder's index lists, whatever their columns; None where there is no index."""
    try:
        data = storage.read(target.index_url, target.options)
    except FileNotFoundError:
        return None
    names = set()
    try:
        for entry in json.loads(data)["shards"]:
            names |= {entry[key]["basename"] for key in ("raw_data", "zip_data") if entry.get(key)}
        for name in names:
            manifest.check_name(name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{target.index_url} is no index of MDS shards ({error!r}); remove the folder first"
        ) from error
    return frozenset(names)
