"""What a task of the stage does: encode the documents of some files into a run, or write the shards of some partitions
from all runs. A range's shards depend on its documents and the parameters alone, whatever the tasks are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import document
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.tokenized import quality, runs, spread
from pipeline.tokenized.encoder import Checked, opened
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.parts import TokenizeParams
from pipeline.tokenized.ranges import ORDER_KEY, PARTITION_BYTES, Ranges, place
from pipeline.tokenized.runs import DOCUMENT, Batch, Sorted
from pipeline.tokenized.shards import STAGE, Documents, put_usage, write_shard
from pipeline.tokenized.token_loops import usage

HOLDOUT_KEY = "holdout"
RUNS = "runs"  # their folder and table; no manifest lists them
DIFFERENCE = "difference"  # notes of a task that encodes
CHECKS = "checks"

PIECE_BYTES = 2**20
"""Text whose tokens a task that writes reads of a run at once, about: two requests of an object store. Smaller pieces
only from 256 GB on, where tasks are as large as they may be: 1 TB takes 8 million requests, 3.2 dollars at S3's."""
MOST_ENCODED = 2**28
"""Text a task that encodes at most: it holds 1.5 times as many bytes, ids as the engine gives them and its run."""
LEAST_WRITTEN = 2 * PARTITION_BYTES
"""Text a task that writes at least: one partition takes 50 ms, and Spark's dealing out of a task 10 to 20."""
MOST_WRITTEN = 2**30
"""Text a task that writes at most, of which it holds the tokens: half as many bytes, or all with ids of four."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files to be encoded, of one source, and where its documents go: `base[r]` is the job's first partition of range
    r, -1 where the range is not made now; `validation_base` likewise. Documents with a holdout hash ≤ `bound` are the
    validation set."""

    source: str
    urls: tuple[str, ...]
    ranges: Ranges
    base: tuple[int, ...]
    validation: Ranges
    validation_base: int
    bound: int


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition to be written: its `number` in its dataset, whose files go below `attempt_url`; `key` permutes its
    rows."""

    number: int
    attempt_url: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """Partitions that one task writes: those of the job from `first` on."""

    first: int
    partitions: tuple[Partition, ...]


def task_bytes(text_bytes: int, most: int) -> int:
    """Text a task, of so much in all: no less than a file or partition, and so much that the pieces which a task that
    writes reads of a task that encoded are not smaller than `PIECE_BYTES`, up to `most`."""
    return min(most, max(PARTITION_BYTES, isqrt(text_bytes * PIECE_BYTES)))


def read_of(source: str) -> str:
    """The count of a source's documents that were read, of whatever range."""
    return f"read:{source}"


def encode(params: TokenizeParams, engine: Choice, owners: Sequence[int], files: Files, sink: Sink) -> None:
    """Encode the documents of files that are made now into a run. The notes tell how one differs from what `tokenizers`
    gives, and for each dataset (`owners`: of each of the job's partitions) how those that were checked came back."""
    encoder = opened(params.info, engine)
    batches: list[Batch] = []
    checks: list[tuple[npt.NDArray[np.int64], pa.Array, pa.Array]] = []
    n_read = 0
    for url in files.urls:
        first = True
        for rows in read_batches(url, ["doc_id", "n_bytes", "text"]):
            n_read += rows.num_rows
            hashes = document.order_hash(rows.column("doc_id"), ORDER_KEY)
            parts = partitions_of(files, rows.column("doc_id"), hashes)
            chosen = np.flatnonzero(parts >= 0)
            if not len(chosen):
                continue
            if len(chosen) < len(parts):
                rows, parts, hashes = rows.take(pa.array(chosen)), parts[chosen], hashes[chosen]
            found = encoder.encode(rows, first=first)
            first = False
            if found.difference is not None:
                sink.notes = {DIFFERENCE: found.difference}
                return
            batches.append(batch(rows, hashes, parts, found))
            checked = np.flatnonzero(found.verdicts.is_valid())
            checks.append((parts[checked], rows.column("doc_id").take(checked), found.verdicts.take(checked)))
    sink.count(read_of(files.source), n_read)
    if batches:
        data = runs.run(batches, len(owners), params.shape.dtype, bos_id=params.bos_id, eos_id=params.eos_id)
        n_documents = sum(len(one.documents) for one in batches)
        sink.put(RUNS, f"{RUNS}/{sink.name}.bin", data, n_documents, lasting=False)
    sink.notes = {CHECKS: _checks(checks, owners, params.shape.vocab_size)}


def batch(rows: pa.RecordBatch, hashes: npt.NDArray[np.uint64], parts: npt.NDArray[np.int64], found: Checked) -> Batch:
    """Encoded documents (doc_id, n_bytes) as runs have them; `hashes` by `ORDER_KEY`."""
    documents = np.empty(rows.num_rows, DOCUMENT)
    documents["hash"] = hashes
    documents["doc_id"] = document.doc_id_bytes(rows.column("doc_id")).view("V16").reshape(-1)
    documents["n_bytes"] = rows.column("n_bytes").to_numpy()
    documents["n_tokens"] = found.encoded.lengths
    return Batch(partition=parts, documents=documents, tokens=found.encoded.tokens)


def _checks(
    checks: Sequence[tuple[npt.NDArray[np.int64], pa.Array, pa.Array]], owners: Sequence[int], size: int
) -> dict[str, Any]:
    """A note for each dataset of which documents were checked, by its number."""
    if not checks:
        return {}
    owner = np.array(owners)[np.concatenate([parts for parts, _, _ in checks])]
    ids = pa.concat_arrays([ids for _, ids, _ in checks])
    verdicts = pa.concat_arrays([verdicts for _, _, verdicts in checks])
    notes = {}
    for number in np.unique(owner).tolist():
        own = pa.array(np.flatnonzero(owner == number))
        notes[str(number)] = quality.note(quality.check(ids.take(own), verdicts.take(own), size))
    return notes


def partitions_of(files: Files, doc_ids: pa.Array, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The job's partition of each document, -1 for those that are not encoded now; `hashes` by `ORDER_KEY`."""
    number, inside = place(hashes, files.ranges)
    base = np.array(files.base, np.int64)[number]
    parts = np.where(base >= 0, base + inside, -1)
    if files.bound >= 0:
        held = document.order_hash(doc_ids, HOLDOUT_KEY) <= np.uint64(files.bound)
        _, inside = place(hashes, files.validation)
        parts = np.where(held, files.validation_base + inside if files.validation_base >= 0 else -1, parts)
    return parts


def write(params: TokenizeParams, urls: Sequence[str], n_partitions: int, group: Group) -> Iterator[tuple[int, Sink]]:
    """Write the shards of partitions, from the runs of a job with `n_partitions`; each one's number in the job, and its
    sink."""
    last = group.first + len(group.partitions)
    found = runs.read(urls, group.first, last, n_partitions, params.shape.dtype)
    for number, (partition, documents) in enumerate(zip(group.partitions, found, strict=True), group.first):
        with Sink(STAGE, partition.attempt_url, number) as sink:
            if len(documents.documents):
                _write_partition(params, partition, documents, sink)
        yield number, sink


def _write_partition(params: TokenizeParams, partition: Partition, found: Sorted, sink: Sink) -> None:
    n_bytes, n_tokens = (np.ascontiguousarray(found.documents[name], np.int64) for name in ("n_bytes", "n_tokens"))
    measured = quality.count(n_bytes, usage(found.tokens, params.shape.vocab_size), added_ids=params.added_ids)
    sink.notes = {quality.NOTE: quality.note(measured)}
    sink.count("bytes", measured.bytes)
    for name, amount in spread.sums(n_bytes, n_tokens).items():
        sink.count(name, amount)
    put_usage(sink, measured, partition.number, lasting=False)
    ids = pa.py_buffer(np.ascontiguousarray(found.documents["doc_id"]))
    doc_ids = pa.Array.from_buffers(pa.binary(document.DOC_ID_BYTES), len(n_tokens), [None, ids]).cast(pa.binary())
    starts = np.zeros(len(n_tokens), np.int64)
    documents = Documents(doc_ids=doc_ids, tokens=found.tokens, lengths=n_tokens, starts=starts)
    write_shard(sink, params.shape, partition.number, partition.key, documents)


def file_groups(urls: Sequence[str], text_bytes: int, most: int) -> list[tuple[str, ...]]:
    """The files of a source that have so much text in all, as many together as make about `most` bytes of it."""
    step = max(1, most * len(urls) // max(1, text_bytes))
    return [tuple(urls[first : first + step]) for first in range(0, len(urls), step)]
