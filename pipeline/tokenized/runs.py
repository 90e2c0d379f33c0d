"""Encoded documents between the task that reads their file and the one that writes their shard: *runs*, own files.

A task that encodes leaves one run: its documents by the partition of their hash, so that what a partition needs of it
is one range of bytes. Integers are little-endian::

    uint64 [n_partitions + 1, 3]     first document, first token, and xxh3-64 of each partition's section; at last the
                                     counts, and 0
    sections                         partition by partition: its documents (`DOCUMENT`), then their tokens, BOS and EOS
                                     included, in the shards' dtype

Spark's own shuffle takes token arrays through the JVM twice (12 ms a MB of text, more than all else together); this one
costs what writing and reading the bytes costs. Runs lie below an attempt's folder, wherever the root is, and are gone
when the shards are written; no manifest lists them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline import storage
from pipeline.document import DOC_ID_BYTES
from pipeline.tokenized.ranges import hash_order
from pipeline.tokenized.token_loops import scatter

Int64s = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.unsignedinteger[Any]]

DOCUMENT = np.dtype([("hash", "<u8"), ("doc_id", f"V{DOC_ID_BYTES}"), ("n_bytes", "<i8"), ("n_tokens", "<i8")])
"""A document: the hash by which it is ordered, its name, the bytes of its text, its tokens with BOS and EOS."""

WORD: np.dtype[np.uint64] = np.dtype("<u8")
TABLE_BYTES = 3 * WORD.itemsize  # of the table, for each partition


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Documents that were encoded together: their `partition` (int64 [n]), `documents` (`DOCUMENT` [n]; n_tokens of the
    text alone), and the `tokens` of their texts, one after the other."""

    partition: Int64s
    documents: npt.NDArray[np.void]
    tokens: Tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class Sorted:
    """Documents of a partition in the order in which they are packed: `documents` (`DOCUMENT` [n]) and their tokens."""

    documents: npt.NDArray[np.void]
    tokens: Tokens


def run(
    batches: Sequence[Batch], n_partitions: int, dtype: str, *, bos_id: int | None, eos_id: int | None
) -> list[memoryview]:
    """The bytes of a run, in pieces, with BOS before and EOS after each document; None adds nothing."""
    n_before, n_added = int(bos_id is not None), int(bos_id is not None) + int(eos_id is not None)
    partition = np.concatenate([batch.partition for batch in batches])
    documents = np.concatenate([batch.documents for batch in batches])
    n_text = documents["n_tokens"].copy()
    documents["n_tokens"] += n_added
    order = np.argsort(partition.astype(np.uint16) if n_partitions < 2**16 else partition, kind="stable")
    ends = np.cumsum(documents["n_tokens"][order])
    starts = np.empty(len(order), np.int64)
    starts[order] = ends - documents["n_tokens"][order]
    tokens = np.empty(int(ends[-1]) if len(ends) else 0, np.dtype(dtype))
    first = 0
    for batch in batches:
        last = first + len(batch.documents)
        scatter(batch.tokens, n_text[first:last], starts[first:last] + n_before, tokens)
        first = last
    if bos_id is not None:
        tokens[starts] = bos_id
    if eos_id is not None:
        tokens[ends - 1] = eos_id
    return _joined(
        documents[order], tokens.astype(tokens.dtype.newbyteorder("<"), copy=False), partition[order], n_partitions
    )


def _joined(documents: npt.NDArray[np.void], tokens: Tokens, partition: Int64s, n_partitions: int) -> list[memoryview]:
    table = np.zeros((n_partitions + 1, 3), np.uint64)
    firsts = np.searchsorted(partition, np.arange(n_partitions + 1))
    table[:, 0] = firsts
    table[:, 1] = np.concatenate([[0], np.cumsum(documents["n_tokens"])])[firsts]
    pieces = []
    for number in np.flatnonzero(np.diff(firsts)).tolist():
        one, other = firsts[number : number + 2]
        low, high = table[number : number + 2, 1].tolist()
        section = [_bytes(documents[one:other]), _bytes(tokens[low:high])]
        table[number, 2] = _hash(section)
        pieces += section
    return [_bytes(table.astype(WORD, copy=False)), *pieces]


def read(urls: Sequence[str], first: int, last: int, n_partitions: int, dtype: str) -> Iterator[Sorted]:
    """What runs hold of the partitions first … last - 1, one after the other; each run is read once. `ValueError` that
    names the run whose bytes are not those that were written."""

    def sections(url: str) -> list[tuple[npt.NDArray[np.void], Tokens]]:
        return _sections(url, first, last, n_partitions, np.dtype(dtype).newbyteorder("<"))

    found = storage.at_once(sections, urls, urls[0]) if urls else []
    for place in range(last - first):
        yield _sorted([own[place] for own in found], np.dtype(dtype))


def _sections(
    url: str, first: int, last: int, n_partitions: int, dtype: np.dtype[Any]
) -> list[tuple[npt.NDArray[np.void], Tokens]]:
    rows = storage.read_range(url, TABLE_BYTES * first, TABLE_BYTES * (last + 1))
    if len(rows) != TABLE_BYTES * (last + 1 - first):
        raise ValueError(f"{url} is cut off: it has no table of the partitions {first} to {last}")
    table = np.frombuffer(rows, WORD).reshape(-1, 3)
    places = table[:, 0] * np.uint64(DOCUMENT.itemsize) + table[:, 1] * np.uint64(dtype.itemsize)
    base = TABLE_BYTES * (n_partitions + 1)
    low, high = base + int(places[0]), base + int(places[-1])
    data = memoryview(storage.read_range(url, low, high) if high > low else b"")
    found = []
    for number in range(last - first):
        section = data[base + int(places[number]) - low : base + int(places[number + 1]) - low]
        n_documents = int(table[number + 1, 0]) - int(table[number, 0])
        if section and (len(section) < n_documents * DOCUMENT.itemsize or _hash([section]) != table[number, 2]):
            raise ValueError(f"{url} is damaged: the xxh3-64 of what it holds of partition {first + number} differs")
        documents = np.frombuffer(section, DOCUMENT, n_documents)
        found.append((documents, np.frombuffer(section[n_documents * DOCUMENT.itemsize :], dtype)))
    return found


def _sorted(sections: Sequence[tuple[npt.NDArray[np.void], Tokens]], dtype: np.dtype[Any]) -> Sorted:
    documents = np.concatenate([np.zeros(0, DOCUMENT), *(one for one, _ in sections)])
    order = hash_order(documents["hash"], doc_id_bytes(documents))
    in_order = documents[order]
    ends = np.cumsum(in_order["n_tokens"])
    starts = np.empty(len(order), np.int64)
    starts[order] = ends - in_order["n_tokens"]
    tokens = np.empty(int(ends[-1]) if len(ends) else 0, dtype)
    first = 0
    for own, run_tokens in sections:
        last = first + len(own)
        scatter(run_tokens.astype(dtype, copy=False), own["n_tokens"].copy(), starts[first:last], tokens)
        first = last
    return Sorted(documents=in_order, tokens=tokens)


def doc_id_bytes(documents: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """The names of documents (`DOCUMENT` [n]), uint8 [n, 16]."""
    return np.ascontiguousarray(documents["doc_id"]).view(np.uint8).reshape(-1, DOC_ID_BYTES)


def _bytes(array: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _hash(pieces: Sequence[memoryview]) -> int:
    digest = xxhash.xxh3_64()
    for piece in pieces:
        digest.update(piece)
    return digest.intdigest()
