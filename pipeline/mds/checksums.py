"""Hashes of shards: of whole files for the index, of granules for reading by range; and where each shard starts.

Whole-file hashes are those that mosaicml-streaming knows and can validate. The rest is ours and lies beside the
shards: `granules.bin` (xxh3-64 of each granule's row bytes) and `shards.bin` (first sample, first granule and number
of each shard), so that a loader finds and verifies any sample without parsing the index.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import storage

GRANULE_SAMPLES = 8  # at most; DESIGN: with 16, 512 ranks fetch 1.29 times what they need, with 8 1.14 times
GRANULE_BYTES = 32 * 1024  # about
TABLE_DTYPE: np.dtype[np.int64] = np.dtype("<i8")  # shards.bin: [n_shards + 1, 3]
_XXH = ("xxh128", "xxh32", "xxh3_128", "xxh3_64", "xxh64")
HASHES = (*sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_")), *_XXH)


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardTable:
    """Where shards start, by their place in the index (not their number, which may leave gaps).

    Shard k holds samples first_sample[k] … first_sample[k + 1] - 1 and granules first_granule[k] …
    first_granule[k + 1] - 1 of the dataset, in the file `shard_name(number[k])`.
    """

    first_sample: npt.NDArray[np.int64]  # [n_shards + 1]
    first_granule: npt.NDArray[np.int64]  # [n_shards + 1]
    number: npt.NDArray[np.int64]  # [n_shards]

    @property
    def n_samples(self) -> int:
        return int(self.first_sample[-1])

    @property
    def n_granules(self) -> int:
        return int(self.first_granule[-1])


def shard_name(number: int) -> str:
    """The file name of the shard with this number: `shard.00017.mds`."""
    if number < 0:
        raise ValueError(f"shard number {number} is negative")
    return f"shard.{number:05d}.mds"


def granule_samples(row_bytes: int) -> int:
    """Samples in a granule: about 32 KiB, at least 1 and at most 8 samples. A shard's last granule may be shorter."""
    if row_bytes < 1:
        raise ValueError(f"row_bytes is {row_bytes}; a row has at least one byte")
    return min(GRANULE_SAMPLES, max(1, GRANULE_BYTES // row_bytes))


def granule_hashes(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The xxh3-64 of each granule of one shard's rows, given as bytes [n, row_bytes], C-contiguous.

    Returns uint64 [ceil(n / granule_samples(row_bytes))]; little-endian, that is the shard's part of `granules.bin`.
    """
    if rows.dtype != np.uint8 or rows.ndim != 2 or not rows.flags.c_contiguous:
        raise ValueError(f"rows must be C-contiguous uint8 [n, row_bytes], not {rows.dtype} {rows.shape}")
    step = granule_samples(rows.shape[1]) * rows.shape[1]
    data = rows.reshape(-1).data
    hashes = [xxhash.xxh3_64_intdigest(data[start : start + step]) for start in range(0, len(data), step)]
    return np.array(hashes, np.uint64)


def shard_table(number: Sequence[int], n_samples: Sequence[int], row_bytes: int) -> ShardTable:
    """The table of shards with these numbers (ascending) and counts of samples (each at least 1)."""
    counts = np.asarray(n_samples, np.int64).reshape(-1)
    granules = -(-counts // granule_samples(row_bytes))
    table = ShardTable(
        first_sample=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        first_granule=np.concatenate([[0], np.cumsum(granules)]).astype(np.int64),
        number=np.asarray(number, np.int64).reshape(-1),
    )
    _check_table(table, "shard_table")
    return table


def table_bytes(table: ShardTable) -> bytes:
    """The bytes of `shards.bin`: little-endian int64 [n_shards + 1, 3], the last row the totals and -1."""
    _check_table(table, "table_bytes")
    rows = np.stack([table.first_sample, table.first_granule, np.append(table.number, -1)], axis=1)
    return bytes(rows.astype(TABLE_DTYPE))


def parse_table(data: bytes, where: str) -> ShardTable:
    """The table in the bytes of `shards.bin`; `ValueError` that names `where` if they are cut or inconsistent."""
    row_bytes = 3 * TABLE_DTYPE.itemsize
    if not data or len(data) % row_bytes:
        raise ValueError(f"{where}: {len(data)} bytes are not a table of shards, whose rows have {row_bytes} bytes")
    rows = np.frombuffer(data, TABLE_DTYPE).reshape(-1, 3)
    if rows[-1, 2] != -1:
        raise ValueError(f"{where}: the table of shards ends with the number {rows[-1, 2]}, not -1; is it cut off?")
    first_sample, first_granule, number = (np.ascontiguousarray(column, np.int64) for column in rows.T)
    table = ShardTable(first_sample=first_sample, first_granule=first_granule, number=number[:-1])
    _check_table(table, where)
    return table


def file_hashes(data: storage.Data, names: Sequence[str]) -> dict[str, str]:
    """The hexadecimal hashes of a whole file, by the names that mosaicml-streaming gives them."""
    digests = {name: _digest(name) for name in names}
    for piece in storage.pieces(data):
        for digest in digests.values():
            digest.update(piece)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def check_hash_names(names: Sequence[str]) -> None:
    """Refuse unknown hashes, and those that are not in ascending order, as `MDSWriter` does."""
    for name in names:
        if name not in HASHES:
            raise ValueError(f"hash {name!r} is unknown; known are {', '.join(HASHES)}")
    if list(names) != sorted(set(names)):
        raise ValueError(f"hashes {list(names)} must be unique and in ascending order: {sorted(set(names))}")


def _digest(name: str) -> Any:
    check_hash_names([name])
    if name in _XXH:
        return getattr(xxhash, name)()  # xxh128 is another name of xxh3_128
    return hashlib.new(name, usedforsecurity=False)


def _check_table(table: ShardTable, where: str) -> None:
    n_shards = len(table.number)
    if len(table.first_sample) != n_shards + 1 or len(table.first_granule) != n_shards + 1:
        raise ValueError(
            f"{where}: {n_shards} shards need {n_shards + 1} starts, not "
            f"{len(table.first_sample)} of samples and {len(table.first_granule)} of granules"
        )
    if table.first_sample[0] != 0 or table.first_granule[0] != 0:
        raise ValueError(
            f"{where}: shards start at sample {table.first_sample[0]} and granule {table.first_granule[0]}, not at 0"
        )
    samples, granules = np.diff(table.first_sample), np.diff(table.first_granule)
    steps = np.diff(table.number, prepend=-1)
    wrong = (granules < 1) | (granules > samples) | (samples > granules * GRANULE_SAMPLES) | (steps < 1)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ValueError(
            f"{where}: shard {k} has number {table.number[k]}, {samples[k]} samples, {granules[k]} granules; numbers "
            f"ascend from 0 on, a shard holds samples, and a granule 1 to {GRANULE_SAMPLES} of them"
        )
