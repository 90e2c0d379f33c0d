"""Which documents of a source lie in which range and partition: by document hash alone, never by cluster or mix.

A source is cut into fixed ranges of the document hash; a mix that needs less of a source takes its first ranges, so
smaller budgets are nested in larger ones. A range is cut into partitions: one Spark task and one shard each.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ORDER_KEY = "order"

RANGE_BYTES = 32 * 2**20
"""Text of the smallest range, which is tokenized as a whole. To commit a range takes the driver 25 ms, one after the
other: on ten cores as long as 40 MB take to be tokenized."""
MAX_RANGES = 64
"""So many manifests a loader opens at most for a source, however large it is."""
PARTITION_BYTES = 32 * 2**20
"""Text a partition: about 8M tokens, one shard of about 16 MB."""


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """`n_ranges` (a power of two) of `n_partitions` partitions each."""

    n_ranges: int
    n_partitions: int


def ranges_of(text_bytes: int) -> Ranges:
    """The ranges of a source, from the bytes of its deduped text."""
    wanted = max(1, text_bytes // RANGE_BYTES)
    n_ranges = min(MAX_RANGES, 1 << (wanted.bit_length() - 1))
    return Ranges(n_ranges=n_ranges, n_partitions=max(1, -(-text_bytes // (n_ranges * PARTITION_BYTES))))


def place(hashes: npt.NDArray[np.uint64], ranges: Ranges) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Range and partition (inside the range) of each document hash; both grow with the hash."""
    bits = np.uint64(ranges.n_ranges.bit_length() - 1)
    number = (hashes >> (np.uint64(64) - bits)).astype(np.int64) if bits else np.zeros(len(hashes), np.int64)
    inside = (hashes << bits) >> np.uint64(32)
    return number, ((inside * np.uint64(ranges.n_partitions)) >> np.uint64(32)).astype(np.int64)


def hash_order(hashes: npt.NDArray[np.uint64], doc_ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The order in which documents are packed: by hash, then doc_id (uint8 [n, 16]). int64 [n], indices."""
    order: npt.NDArray[np.int64] = np.argsort(hashes)
    in_order = hashes[order]
    if np.any(in_order[1:] == in_order[:-1]):
        halves = np.ascontiguousarray(doc_ids).view(">u8").reshape(-1, 2)  # compare as the bytes do
        order = np.lexsort((halves[:, 1], halves[:, 0], hashes))
    return order
