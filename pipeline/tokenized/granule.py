"""One row of a tokenized dataset: the granule it lies in is read from its shard, and verified."""

import errno
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import storage
from pipeline.manifest import DamagedDatasetError, Dataset
from pipeline.mds import frames
from pipeline.mds.checksums import ShardTable, granule_hashes, granule_samples, shard_name
from pipeline.mds.layout import fixed_row_offset
from pipeline.mds.writer import compressed_name
from pipeline.tokenized.rows import REMEDY, table, verified


def row(dataset: Dataset, shards: ShardTable, at: int, number: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Row `number` of the shard at place `at` of the table of shards. `DamagedDatasetError` names the file that is
    gone, cut, or not what the manifest or its checksum says."""
    shape = dataset.manifest.parameters["shape"]
    dtype, length = np.dtype(shape["dtype"]).newbyteorder("<"), shape["sequence_length"]
    row_bytes = length * dtype.itemsize
    per_granule = granule_samples(row_bytes)
    n_rows = int(shards.first_sample[at + 1] - shards.first_sample[at])
    inside_shard, inside = divmod(number, per_granule)
    first = inside_shard * per_granule
    n_bytes = min(per_granule, n_rows - first) * row_bytes
    granule = int(shards.first_granule[at]) + inside_shard
    url = storage.join(dataset.url, dataset.manifest.attempt, shard_name(int(shards.number[at])))
    if compression := shape.get("compression"):
        url = compressed_name(url, compression)
        data = _framed(dataset, url, granule, shards.n_granules, per_granule * row_bytes, n_bytes)
    else:
        start = fixed_row_offset({"tokens": f"ndarray:{dtype.name}:{length}"}, n_rows) + first * row_bytes
        data = _range(url, start, start + n_bytes)
    rows = np.frombuffer(data, np.uint8).reshape(-1, row_bytes)
    hashes = table(dataset, "granules.bin")
    wanted = int.from_bytes(_range(dataset.file_url(hashes), 8 * granule, 8 * granule + 8), "little")
    if (found := int(granule_hashes(rows)[0])) != wanted:
        verified(dataset, hashes)  # or it is not the shard that is damaged
        raise DamagedDatasetError(
            f"{url}: granule {inside_shard} is damaged: its xxh3 is {found:016x}, not {wanted:016x}; {REMEDY}"
        )
    tokens: npt.NDArray[np.unsignedinteger[Any]] = rows[inside].view(dtype)
    return tokens


def _framed(dataset: Dataset, url: str, granule: int, n_granules: int, granule_bytes: int, n_bytes: int) -> bytes:
    """The bytes of a dataset's granule, a frame of the compressed shard at `url`."""
    file = table(dataset, frames.FRAMES)
    page, inside = divmod(granule, frames.PAGE)
    span = _range(dataset.file_url(file), *frames.page_span(page, n_granules))
    start, stop = frames.parse_page(span, granule_bytes, dataset.file_url(file))[inside].tolist()
    data = _range(url, start, stop)
    try:
        return frames.decompress(data, n_bytes)
    except ValueError as error:
        verified(dataset, file)
        raise DamagedDatasetError(f"{url} is damaged: granule {granule} of the dataset: {error}; {REMEDY}") from error


def _range(url: str, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of a file that has them."""
    try:
        data = storage.read_range(url, start, stop)
    except FileNotFoundError as error:
        raise DamagedDatasetError(f"{url} is listed in its dataset's manifest, but is not there; {REMEDY}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # s3fs' for S3's 416: the file ends before the range
            raise
        data = b""
    if len(data) != stop - start:
        raise DamagedDatasetError(f"{url} is cut: of its bytes {start} to {stop} there are {len(data)}; {REMEDY}")
    return data
