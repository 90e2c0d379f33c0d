"""What a finished dataset says of itself: `_manifest.json`, published last, and the only door for readers.

A dataset lies at `ROOT/<stage>/<source>/<fingerprint>/`. Each attempt at making it writes to a folder of its own below;
the manifest names the attempt that counts and lists every file of it with size and xxh3-64, and ends with a digest of
its own. Readers open listed files only, so a killed run, a late task or a speculative copy can never add a row.
"""

import calendar
import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from pipeline import storage

MANIFEST = "_manifest.json"
AGAIN = "put it back from a copy of the root, or delete that folder: what is missing is made again"
TRY = "~"
"""Before the number of the try in a file's name that is to be `path` in the published dataset."""
SWEEP_AFTER_SECONDS = 7 * 24 * 3600  # attempts younger than this may belong to a run that is still going on


class MissingDatasetError(ValueError):
    """A dataset that a stage needs has not been made."""


class DamagedDatasetError(ValueError):
    """A dataset whose files are not what its manifest, its tables or its checksums say."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a dataset. `path` is below the attempt's folder; `table` names the table (or role) it belongs to."""

    table: str
    path: str
    bytes: int
    xxh3: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a dataset is to be made of. Equal specs are the same dataset, whoever makes it, wherever it lies.

    `version` is the stage's version number in code: it goes up when the same inputs and parameters give other bytes.
    `inputs` are fingerprints (or, for raw files, content digests), `parameters` plain JSON values.
    """

    stage: str
    source: str
    version: int
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits: the first half of the sha256 of the canonical JSON."""
        return digest(asdict(self))

    def url(self, root: str) -> str:
        """The dataset's folder below `root`."""
        return storage.join(root, self.stage, self.source, self.fingerprint)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A finished dataset. `counts` balance (see each stage); `report` is what a person wants to see of it.

    `made` tells when and with which versions of the libraries: the only part that differs between equal datasets.
    """

    stage: str
    source: str
    version: int
    fingerprint: str
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]
    attempt: str
    files: tuple[File, ...]
    counts: Mapping[str, Any]
    report: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A finished dataset and where it lies."""

    url: str
    manifest: Manifest

    def files(self, table: str) -> list[File]:
        """The listed files of one table, in the manifest's order."""
        return [file for file in self.manifest.files if file.table == table]

    def file_url(self, file: File) -> str:
        """Where a listed file lies."""
        return storage.join(self.url, self.manifest.attempt, file.path)

    def urls(self, table: str) -> list[str]:
        """Where the files of one table lie."""
        return [self.file_url(file) for file in self.files(table)]


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no white space: one text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """32 hexadecimal digits: the first half of the sha256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()[:32]


def find(url: str) -> Dataset | None:
    """The finished dataset at `url`, or None where no manifest has been published; `DamagedDatasetError` where that is
    no manifest, or has been changed since."""
    try:
        text = storage.read(storage.join(url, MANIFEST))
    except FileNotFoundError:
        return None
    return Dataset(url=storage.normalise(url), manifest=parse(text, url))


def load(url: str) -> Dataset:
    """The finished dataset at `url`; `MissingDatasetError` where there is none."""
    dataset = find(url)
    if dataset is None:
        raise MissingDatasetError(f"{url} holds no finished dataset (no {MANIFEST}); run the stage that makes it")
    return dataset


def take(root: str, spec: Spec) -> Dataset | None:
    """The finished dataset of a spec below `root`, or None; `DamagedDatasetError` where the manifest there is another
    dataset's, or where files that it lists are gone or of another size. What they hold is checked as it is read."""
    url = spec.url(root)
    dataset = find(url)
    if dataset is None:
        return None
    if dataset.manifest.fingerprint != spec.fingerprint:
        raise DamagedDatasetError(
            f"{url}: its {MANIFEST} is that of another dataset, {dataset.manifest.fingerprint}; {AGAIN}"
        )
    return whole(dataset)


def whole(dataset: Dataset) -> Dataset:
    """The dataset, where its listed files are there and of their sizes; else `DamagedDatasetError`."""
    attempt, files = dataset.manifest.attempt, dataset.manifest.files
    if lost := _lost(_there(dataset.url, attempt), files):
        raise DamagedDatasetError(
            f"{dataset.url} is damaged: {len(lost)} of its {len(files)} files are gone or of another size, as "
            f"{attempt}/{lost[0]}; {AGAIN}"
        )
    return dataset


def parse(text: bytes, where: str) -> Manifest:
    """A manifest from its JSON; a `ValueError` that names `where` if it is not one, or has been changed since."""
    try:
        fields = json.loads(text)
        published = fields.pop("digest")
        changed = digest(fields) != published
        files = tuple(File(**file) for file in fields.pop("files"))
        for file in files:
            check_name(file.path)
        check_name(fields["attempt"])
        found = Manifest(files=files, **fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedDatasetError(
            f"{where}/{MANIFEST} is not a manifest of this version of the project: {message}; {AGAIN}"
        ) from error
    if changed:
        raise DamagedDatasetError(f"{where}/{MANIFEST} has been changed since it was published; {AGAIN}")
    return found


def to_json(manifest: Manifest) -> bytes:
    """A manifest as it is published, with the digest of all the rest at its end."""
    fields = json.loads(json.dumps(asdict(manifest)))
    return json.dumps(fields | {"digest": digest(fields)}, indent=1, ensure_ascii=False).encode()


def check_name(path: str) -> None:
    """Refuse a listed name that leaves the dataset's folder."""
    if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"the file name {path!r} leaves the dataset's folder")


def new_attempt() -> str:
    """A folder name for one attempt: unique, and sorting by time."""
    return f"attempt-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def name_of_try(path: str, number: str) -> str:
    """What a file is called before it is published, by the try of a task that wrote it, a random number."""
    return f"{path}{TRY}{number}"


def publish(
    root: str,
    spec: Spec,
    *,
    attempt: str,
    files: Iterable[File],
    counts: Mapping[str, Any],
    report: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
) -> Dataset:
    """Publish an attempt as the dataset. Where another run was first, its dataset stays, this attempt goes, and that
    dataset is returned: both hold the same rows. `DamagedDatasetError` where listed files are gone or cut."""
    url = spec.url(root)
    moved = storage.at_once(partial(settled, storage.join(url, attempt)), list(files), url)
    files = tuple(sorted(moved, key=lambda file: (file.table, file.path)))
    there = _there(url, attempt)
    if lost := _lost(there, files):
        raise DamagedDatasetError(
            f"{url}/{attempt} has lost {len(lost)} of its files while it was made, as {lost[0]}; nothing was "
            "published, run it again"
        )
    manifest = Manifest(
        stage=spec.stage,
        source=spec.source,
        version=spec.version,
        fingerprint=spec.fingerprint,
        inputs=spec.inputs,
        parameters=spec.parameters,
        attempt=attempt,
        files=files,
        counts=dict(counts),  # asdict cannot copy a Counter
        report=report or {},
        made=made or {},
    )
    if storage.publish_once(storage.join(url, MANIFEST), to_json(manifest)):
        _remove(url, attempt, there.keys() - {file.path for file in files})
    else:
        storage.remove_tree(storage.join(url, attempt))
    return load(url)


def sweep(url: str, dataset: Dataset | None, now_seconds: float | None = None) -> list[str]:
    """Delete what no manifest lists below a dataset's folder: files of the listed attempt, and attempts older than a
    week, whose names are returned. `dataset`: what `take` has found there."""
    kept = dataset.manifest.attempt if dataset else ""
    now = time.time() if now_seconds is None else now_seconds
    names = storage.list_folders(url)
    if dataset:
        _remove(url, kept, _there(url, kept).keys() - {file.path for file in dataset.manifest.files})
    old = sorted(name for name in names if name != kept and now - _started(name) > SWEEP_AFTER_SECONDS)
    for name in old:
        storage.remove_tree(storage.join(url, name))
    return old


def settled(attempt_url: str, file: File) -> File:
    """A file with the name that follows from the data."""
    path, mark, _ = file.path.partition(TRY)
    if not mark:
        return file
    storage.move(storage.join(attempt_url, file.path), storage.join(attempt_url, path))
    return replace(file, path=path)


def _there(url: str, attempt: str) -> dict[str, int]:
    """The sizes of an attempt's files, by path."""
    return {info.path: info.bytes for info in storage.list_files(storage.join(url, attempt))}


def _lost(there: Mapping[str, int], files: Iterable[File]) -> list[str]:
    """The paths of listed files that are not there, or of another size."""
    return [file.path for file in files if there.get(file.path) != file.bytes]


def _remove(url: str, attempt: str, paths: Iterable[str]) -> None:
    """Delete files of an attempt: what tasks have left that were killed, or that came after the end."""
    for path in paths:
        storage.remove(storage.join(url, attempt, path))


def _started(attempt: str) -> float:
    """When an attempt's folder was named, in seconds since 1970 (UTC); names of other kinds count as new."""
    try:
        return calendar.timegm(time.strptime(attempt.split("-")[1], "%Y%m%dT%H%M%S"))
    except (IndexError, ValueError):
        return float("inf")
