"""Candidate pairs from buckets of documents that share a band, at a cost linear in the documents of a bucket.

A bucket of up to `ALL_PAIRS` documents gives all its pairs. A larger one, as a band of boilerplate makes it, is cut: it
is sorted by (affinity, document), where documents that resemble one another tend to have equal affinity, and each
document is paired with

* the first of the bucket: a bucket of copies becomes one star,
* the first of its run of equal affinity: so does each group of copies inside a bucket of the unlike,
* the next `NEIGHBOURS` documents: all pairs of a group of NEIGHBOURS + 1, and chains where a first one is an outlier.

So a pair of a large bucket may be missed there; what is alike mostly meets in the small buckets of other bands too.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

ALL_PAIRS = 32  # documents; at most 15.5 pairs a document
NEIGHBOURS = 4


def candidate_pairs(
    bucket: npt.NDArray[np.uint64], document: npt.NDArray[np.int64], affinity: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """The pairs of documents to compare: int64 [k, 2], each once, smaller number first, ascending.

    Row i says that document[i] lies in bucket[i] (a band hash). `affinity`: any hash that like documents tend to share
    beside the bucket's; the hash of the next band is one. Rows in any order, of whole buckets. The answer depends on
    the set of rows alone: with numbers that follow the doc_ids it is the same however the rows were partitioned.
    """
    if not len(bucket) == len(document) == len(affinity):
        raise ValueError(f"{len(bucket)} buckets, {len(document)} documents, {len(affinity)} affinities: give as many")
    order = np.argsort(bucket)
    bucket = bucket[order]
    borders = np.flatnonzero(bucket[1:] != bucket[:-1]) + 1
    starts = np.concatenate(([0], borders, [len(bucket)])).astype(np.int64)
    sizes = np.diff(starts)
    large = np.repeat(sizes > ALL_PAIRS, sizes)  # in the others no order matters
    order[large] = order[large][np.lexsort((document[order[large]], affinity[order[large]], bucket[large]))]
    document, affinity = document[order], affinity[order]
    most = np.where(sizes <= ALL_PAIRS, sizes * (sizes - 1) // 2, sizes * (NEIGHBOURS + 2)).sum()
    out = np.empty((most, 2), dtype=np.int64)
    n_pairs = _pair(starts, document, affinity, ALL_PAIRS, NEIGHBOURS, out)
    return unique_pairs(out[:n_pairs])


def unique_pairs(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs (int64 [k, 2], of numbers below 2³²) ascending, each once, smaller number first; a number paired with
    itself goes. `ValueError` for other numbers."""
    if len(pairs) and not (pairs.min() >= 0 and pairs.max() < 2**32):
        raise ValueError(f"pairs of numbers from {pairs.min()} to {pairs.max()}: give 0 … 2**32 - 1")
    low, high = pairs.min(axis=1).astype(np.uint64), pairs.max(axis=1).astype(np.uint64)
    both = np.sort(low[low != high] << np.uint64(32) | high[low != high])  # one number is sorted 5 times as fast as two
    both = both[np.append(True, np.diff(both) != 0)[: len(both)]]
    return np.column_stack((both >> np.uint64(32), both & np.uint64(2**32 - 1))).astype(np.int64)


def shared(bucket: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The rows whose bucket has another row, ascending: int64 [k]. Most texts are alone in most of their buckets, so
    that a table of bits finds nearly all of these first."""
    bits = max(6, int(16 * len(bucket)).bit_length())
    once, twice = np.zeros(1 << bits - 6, np.uint64), np.zeros(1 << bits - 6, np.uint64)
    rows = np.empty(len(bucket), np.int64)
    rows = rows[: _maybe_shared(bucket.view(np.uint64), np.uint64(64 - bits), once, twice, rows)]
    order = np.argsort(bucket[rows])
    same = np.diff(bucket[rows[order]]) == 0
    return np.sort(rows[order[np.append(same, False)[: len(order)] | np.append(False, same)[: len(order)]]])


@njit(cache=True, nogil=True)
def _maybe_shared(
    bucket: npt.NDArray[np.uint64],
    shift: np.uint64,
    once: npt.NDArray[np.uint64],
    twice: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.int64],
) -> int:
    """Write the rows whose bucket, or another with the same highest bits, has another row; how many. Bit 2^64 >> shift
    of the tables is a bucket's: seen `once`, seen `twice`."""
    for k in range(len(bucket)):
        place = (bucket[k] * np.uint64(0x9E3779B97F4A7C15)) >> shift
        bit = np.uint64(1) << (place & np.uint64(63))
        word = np.int64(place >> np.uint64(6))
        twice[word] |= once[word] & bit
        once[word] |= bit
    n = 0
    for k in range(len(bucket)):
        place = (bucket[k] * np.uint64(0x9E3779B97F4A7C15)) >> shift
        rows[n] = k
        n += int((twice[np.int64(place >> np.uint64(6))] >> (place & np.uint64(63))) & np.uint64(1))
    return n


@njit(cache=True, nogil=True)
def _pair(
    starts: npt.NDArray[np.int64],
    document: npt.NDArray[np.int64],
    affinity: npt.NDArray[np.uint64],
    all_pairs: int,
    neighbours: int,
    out: npt.NDArray[np.int64],
) -> int:
    """Write the pairs of the buckets document[starts[b]:starts[b + 1]] into `out`; how many."""
    at = 0
    for b in range(len(starts) - 1):
        first, end = starts[b], starts[b + 1]
        large = end - first > all_pairs
        run = first
        for i in range(first, end):
            last = min(end, i + neighbours + 1) if large else end
            for j in range(i + 1, last):
                out[at, 0], out[at, 1] = document[i], document[j]
                at += 1
            if large:
                run = run if affinity[run] == affinity[i] else i
                out[at, 0], out[at, 1] = document[first], document[i]
                out[at + 1, 0], out[at + 1, 1] = document[run], document[i]
                at += 2
    return at
