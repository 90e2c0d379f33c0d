"""The rows of a tokenized dataset's shards, and its other files, as they are listed: verified, compressed or not."""

from typing import Any

import numpy.typing as npt
import xxhash

from pipeline import storage
from pipeline.manifest import DamagedDatasetError, Dataset, File
from pipeline.mds.checksums import ShardTable, parse_table
from pipeline.mds.compression import Compression, decompress
from pipeline.mds.layout import fixed_row_offset
from pipeline.mds.reader import Shard
from pipeline.tokenized.shards import Shape

REMEDY = "put it back from a copy of the root, or delete the dataset's folder and make it again"


def shard_rows(dataset: Dataset, file: File, shape: Shape) -> npt.NDArray[Any]:
    """The rows of a shard, [n, sequence_length]. `DamagedDatasetError` where its file is."""
    data = verified(dataset, file)
    if shape.compression is not None:
        head = fixed_row_offset(shape.columns, file.rows, compression=shape.compression)
        data = decompress(Compression.ZSTD, data, head + file.rows * shape.row_bytes)
    return Shard(data, dataset.file_url(file)).array("tokens")


def shard_table(dataset: Dataset) -> ShardTable:
    """The table of shards; `DamagedDatasetError` where it is not what was listed."""
    file = table(dataset, "shards.bin")
    return parse_table(verified(dataset, file), dataset.file_url(file))


def table(dataset: Dataset, name: str) -> File:
    """The listed file of the table `name`, as "shards.bin"; `DamagedDatasetError` where none is listed."""
    for file in dataset.files("tables"):
        if file.path == name:
            return file
    raise DamagedDatasetError(f"{dataset.url}: its manifest lists no {name}")


def verified(dataset: Dataset, file: File) -> bytes:
    """A listed file's bytes; `DamagedDatasetError` where they are not those that were listed: of a damaged row nothing
    must be said, and it must not be given a new checksum."""
    url = dataset.file_url(file)
    try:
        data = storage.read(url)
    except FileNotFoundError as error:
        raise DamagedDatasetError(f"{url} is listed in its dataset's manifest, but is not there; {REMEDY}") from error
    if (found := xxhash.xxh3_64_hexdigest(data)) != file.xxh3:
        raise DamagedDatasetError(f"{url} is damaged: its xxh3 is {found}, the manifest says {file.xxh3}; {REMEDY}")
    return data
