"""The documents of a tokenized dataset, put back together from the rows that they were packed into.

A document's tokens lie in the shard of its partition, in that of the packed tails, and in the tokens left over, which
filled no row; the table `provenance` tells which. So a partition is put together from its own shard and its share of
the tails, which are less than a row a partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import document, manifest
from pipeline.manifest import Dataset
from pipeline.tables.reading import open_parquet
from pipeline.tokenized.provenance import shard_url
from pipeline.tokenized.ranges import ORDER_KEY, Ranges, place
from pipeline.tokenized.rows import shard_rows, shard_table
from pipeline.tokenized.shards import Shape
from pipeline.tokenized.where import Part

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]

NO_SAMPLE = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Document:
    """A document: its `tokens`, BOS and EOS included; and of its pieces in their order, [n]: `ends`, int64, the token
    after the last one, and `samples`, int64, the sample of the source that it lies in (`NO_SAMPLE`: in no row)."""

    doc_id: bytes
    tokens: Tokens
    ends: Int64s
    samples: Int64s


@dataclass(frozen=True, kw_only=True, eq=False)
class _Runs:
    """Pieces of documents, [n]: `doc_ids`; `first`, the piece's first token in its document; `start` and `length` in
    `tokens`; `sample`."""

    doc_ids: pa.Array
    first: Int64s
    start: Int64s
    length: Int64s
    sample: Int64s
    tokens: Tokens

    def only(self, chosen: npt.NDArray[np.bool_]) -> "_Runs":
        return _Runs(
            doc_ids=self.doc_ids.filter(pa.array(chosen)),
            first=self.first[chosen],
            start=self.start[chosen],
            length=self.length[chosen],
            sample=self.sample[chosen],
            tokens=self.tokens,
        )


def n_partitions(dataset: Dataset) -> int:
    """The partitions of a tokenized dataset, each of which has documents of its own."""
    return _ranges(dataset).n_partitions


def of_partition(part: Part, partition: int) -> Iterator[Document]:
    """The documents of a partition, in no order that means anything. `ValueError` for a damaged shard, and where
    shards and provenance do not tell of all of a document."""
    runs = [*_in_shard(part, partition), *(own.only(numbers == partition) for own, numbers in _tails(part))]
    if not runs:
        return
    codes = pa.chunked_array([one.doc_ids for one in runs]).combine_chunks().dictionary_encode()
    names, numbers = codes.dictionary.to_pylist(), codes.indices.to_numpy()
    first, start, length, sample = (
        np.concatenate([getattr(one, name) for one in runs]) for name in ("first", "start", "length", "sample")
    )
    owner = np.repeat(np.arange(len(runs)), [len(one.first) for one in runs])
    order = np.lexsort((first, numbers))
    borders = np.flatnonzero(np.diff(numbers[order])) + 1
    for own in np.split(order, borders) if len(order) else ():
        ends = np.cumsum(length[own])
        if not np.array_equal(first[own], ends - length[own]):
            name = names[numbers[own[0]]].hex()
            raise ValueError(f"{part.url}: its provenance does not tell of all tokens of the document {name}")
        pieces = [runs[owner[k]].tokens[start[k] : start[k] + length[k]] for k in own.tolist()]
        yield Document(doc_id=names[numbers[own[0]]], tokens=np.concatenate(pieces), ends=ends, samples=sample[own])


@lru_cache(maxsize=2)
def dataset_at(url: str) -> Dataset:
    """The dataset at `url`; this process keeps the last two manifests."""
    return manifest.load(url)


def _ranges(dataset: Dataset) -> Ranges:
    return Ranges(**dataset.manifest.parameters["ranges"])


def _in_shard(part: Part, number: int) -> list[_Runs]:
    """The pieces in the shard with this number; none where there is no such shard."""
    dataset = dataset_at(part.url)
    firsts = _first_samples(part.url)
    if number not in firsts:
        return []
    tokens = _tokens(dataset, number)
    with open_parquet(shard_url(dataset, number)) as file:
        rows = file.read(columns=["row", "token_from", "token_to", "doc_id", "doc_token_from"])
    row, begin, end, first = (
        rows.column(name).to_numpy().astype(np.int64) for name in ("row", "token_from", "token_to", "doc_token_from")
    )
    length = dataset.manifest.parameters["shape"]["sequence_length"]
    return [
        _Runs(
            doc_ids=_one_array(rows.column("doc_id")),
            first=first,
            start=row * length + begin,
            length=end - begin,
            sample=part.first_sample + firsts[number] + row,
            tokens=tokens,
        )
    ]


@lru_cache(maxsize=1)
def _tails(part: Part) -> list[tuple[_Runs, Int64s]]:
    """The pieces in the shard of the tails and those left over, and the partition that each one's document lies in."""
    dataset = dataset_at(part.url)
    found = _in_shard(part, n_partitions(dataset))
    dtype = np.dtype(dataset.manifest.parameters["shape"]["dtype"]).newbyteorder("<")
    for url in dataset.urls("tails"):
        with open_parquet(url) as file:
            rows = file.read(columns=["doc_id", "doc_token_from", "tokens"])
        pieces = [np.frombuffer(run, dtype) for run in rows.column("tokens").to_pylist()]
        length = np.array([len(piece) for piece in pieces], np.int64)
        found.append(
            _Runs(
                doc_ids=_one_array(rows.column("doc_id")),
                first=rows.column("doc_token_from").to_numpy().astype(np.int64),
                start=np.cumsum(length) - length,
                length=length,
                sample=np.full(len(pieces), NO_SAMPLE),
                tokens=np.concatenate([np.empty(0, dtype), *pieces]),
            )
        )
    ranges = _ranges(dataset)
    return [(runs, place(document.order_hash(runs.doc_ids, ORDER_KEY), ranges)[1]) for runs in found]


@lru_cache(maxsize=2)
def _first_samples(url: str) -> dict[int, int]:
    """Number of a shard → its first sample in the dataset."""
    table = shard_table(dataset_at(url))
    return dict(zip(table.number.tolist(), table.first_sample.tolist(), strict=False))


def _tokens(dataset: Dataset, number: int) -> Tokens:
    """The rows of a shard, one after the other, verified against the manifest."""
    shape = Shape(**dataset.manifest.parameters["shape"])
    [file] = [file for file in dataset.files("shards") if file.path == shape.shard_file(number)]
    return np.ascontiguousarray(shard_rows(dataset, file, shape)).reshape(-1)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().cast(pa.binary())
