"""A part of a source as the loader opens it: a tokenized dataset on this machine's disk, its tables checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import plan, storage
from pipeline.manifest import Dataset, File, MissingDatasetError, load
from pipeline.mds.checksums import ShardTable, granule_samples, parse_table


class DamagedDatasetError(ValueError):
    """A dataset whose files are not what its manifest, its tables or its checksums say."""


@dataclass(frozen=True, kw_only=True)
class OpenPart:
    """A tokenized dataset, ready to be read.

    `folder` holds the shard files, `table` says which samples and granules each shard has, `hashes` (uint64
    [n_granules], mapped from disk) are the granules' xxh3-64, `shard_bytes` the listed sizes by file name.
    """

    folder: Path
    table: ShardTable
    hashes: npt.NDArray[np.uint64]
    shard_bytes: Mapping[str, int]


def open_part(mix_url: str, source: str, part: plan.Part, row_bytes: int) -> OpenPart:
    """Open one part of a source of the plan in `mix_url`; the cost does not depend on the shards' sizes.

    `MissingDatasetError` where there is none; `DamagedDatasetError` where it is another than the plan means, or where
    its tables are missing, cut, changed, or contradict each other.
    """
    url = plan.resolve(mix_url, part.path)
    try:
        dataset = load(url)
    except MissingDatasetError as error:
        raise MissingDatasetError(
            f"the mix {mix_url} needs {url} for its source {source!r}, and no finished dataset is there; "
            "copy the whole root, not the mix's folder alone, or run `make mix` again"
        ) from error
    if dataset.manifest.fingerprint != part.fingerprint:
        raise DamagedDatasetError(
            f"{url} is the dataset {dataset.manifest.fingerprint}, the mix {mix_url} was made of {part.fingerprint}; "
            "run `make mix` again"
        )
    table = _shard_table(dataset)
    if table.n_samples != part.n_samples:
        raise DamagedDatasetError(f"{url} holds {table.n_samples} samples, the mix {mix_url} says {part.n_samples}")
    _check_granules(table, granule_samples(row_bytes), url)
    return OpenPart(
        folder=storage.local_path(storage.join(url, dataset.manifest.attempt)),
        table=table,
        hashes=_hashes(dataset, table.n_granules),
        shard_bytes={file.path: file.bytes for file in dataset.files("shards")},
    )


def _shard_table(dataset: Dataset) -> ShardTable:
    file = _listed(dataset, "shards.bin")
    where = dataset.file_url(file)
    try:
        data = storage.read(where)
    except FileNotFoundError as error:
        raise DamagedDatasetError(f"{where} is listed in the dataset's manifest, but is not there") from error
    found = xxhash.xxh3_64_hexdigest(data)
    if found != file.xxh3:
        raise DamagedDatasetError(f"{where} was changed or damaged: its xxh3 is {found}, the manifest says {file.xxh3}")
    try:
        return parse_table(data, where)
    except ValueError as error:
        raise DamagedDatasetError(str(error)) from error


def _hashes(dataset: Dataset, n_granules: int) -> npt.NDArray[np.uint64]:
    file = _listed(dataset, "granules.bin")
    path = storage.local_path(dataset.file_url(file))
    found = path.stat().st_size if path.exists() else None
    if found != file.bytes or found != 8 * n_granules:
        raise DamagedDatasetError(
            f"{path} has {found} bytes, the manifest says {file.bytes}, and {n_granules} granules need {8 * n_granules}"
        )
    if n_granules == 0:  # an empty file cannot be mapped
        return np.empty(0, np.uint64)
    return np.memmap(path, "<u8", mode="r")


def _listed(dataset: Dataset, name: str) -> File:
    for file in dataset.files("tables"):
        if file.path == name:
            return file
    raise DamagedDatasetError(f"{dataset.url}: its manifest lists no {name}")


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
