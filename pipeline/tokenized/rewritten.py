"""A tokenized dataset without some of its documents: made of its own tokens and provenance, no text, no tokenizer.

Each partition's documents are put together from its shard, the shard of the tails and the table `tails`; those that
stay are packed and written by the same code, with the same keys, as when the dataset was made. So the shards are those
that the stage would write for these documents, byte for byte (without any taken out: the old ones), BOS and EOS, which
belong to their document, included. The dataset's texts are not seen, so nothing is told of them: of its counts `bytes`
and the sums of `spread` are missing, as are the table `usage` and the tokenizer's report.

It is named for the dataset that was made of texts and all documents that were taken out since, in whatever steps.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import document, manifest, storage
from pipeline.alarms import check_balance
from pipeline.manifest import Dataset, File, Spec
from pipeline.tables.sink import Sink
from pipeline.tokenized.commit import commit
from pipeline.tokenized.ranges import ORDER_KEY, Ranges, hash_order, place
from pipeline.tokenized.rows import shard_rows, verified
from pipeline.tokenized.shards import GROUP_PIECES, STAGE, Documents, Shape, provenance_path, write_shard

VERSION = 1
TABLE = "taken_down"
WHOLE = "whole"  # the input's name: the dataset as it was made of texts


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the task of a partition leaves: files and counts, and the tokens of each document that it left out."""

    files: tuple[File, ...]
    counts: Counter[str]
    gone: Mapping[bytes, int]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A partition: its files in the old dataset (none: it had no full row), and `tails`, its pieces that lie in no
    shard of its own: doc_id, doc_token_from, tokens. `gone`: documents to leave out."""

    number: int
    key: str
    shard: File | None
    provenance: File | None
    tails: pa.Table
    gone: frozenset[bytes]


def taken_down(dataset: Dataset) -> dict[bytes, int]:
    """The documents that were taken out of a dataset since it was made, and their tokens."""
    rows = [row for file in dataset.files(TABLE) for row in _table(dataset, file).to_pylist()]
    return {row["doc_id"]: row["n_tokens"] for row in rows}


def spec(dataset: Dataset, gone: Collection[bytes]) -> Spec:
    """What the dataset is made of that lacks the documents `gone` of it."""
    old = dataset.manifest
    every = sorted(doc_id.hex() for doc_id in {*gone, *taken_down(dataset)})
    return Spec(
        stage=STAGE,
        source=old.source,
        version=old.version,
        inputs={WHOLE: old.fingerprint} | dict(old.inputs),
        parameters=dict(old.parameters) | {TABLE: [VERSION, len(every), manifest.digest(every)]},
    )


def without(dataset: Dataset, gone: Collection[bytes], root: str, pool: Executor | None = None) -> Dataset:
    """Make the dataset below `root` that lacks the documents `gone` (all of them the dataset has), partition by
    partition, which a process of the pool holds. `ValueError` where a file of the old one is damaged, `StageError`
    where tokens would be lost."""
    old, wanted = dataset.manifest, spec(dataset, gone)
    manifest.sweep(wanted.url(root), manifest.take(root, wanted))
    attempt = manifest.new_attempt()
    url = storage.join(wanted.url(root), attempt)
    written = list(_written(dataset, _jobs(dataset, frozenset(gone)), url, pool))
    counts = sum((one.counts for one in written), Counter[str]())
    out = {doc_id: n for one in written for doc_id, n in one.gone.items()}
    where = f"tokenized {old.source} without {len(gone)} documents"
    check_balance(where, "documents", len(gone), len(out), {})
    check_balance(where, "tokens", old.counts["tokens"], counts["tokens"], {TABLE: sum(out.values())})
    counts["documents"] = old.counts["documents"] - len(out)  # those without a token are in no table
    every = taken_down(dataset) | out
    shape, ranges = Shape(**old.parameters["shape"]), Ranges(**old.parameters["ranges"])
    with Sink(STAGE, url, ranges.n_partitions) as sink:
        rows = {"doc_id": sorted(every), "n_tokens": [every[doc_id] for doc_id in sorted(every)]}
        table = pa.record_batch({"doc_id": pa.array(rows["doc_id"], pa.binary()), "n_tokens": rows["n_tokens"]})
        sink.put_table(TABLE, f"{TABLE}.parquet", table, group_rows=GROUP_PIECES, dictionary=[])
    return commit(
        root,
        wanted,
        attempt,
        [*(file for one in written for file in one.files), *sink.files],
        counts,
        None,
        shape,
        n_partitions=ranges.n_partitions,
        engine=old.report["engine"],
    )


def processes(n: int) -> Executor | None:
    """A pool of up to so many processes for `without`, started when they are needed; None for one."""
    # spawned, not forked: the threads of fsspec and Arrow do not survive a fork
    return ProcessPoolExecutor(n, get_context("spawn")) if n > 1 else None


def _written(dataset: Dataset, jobs: Sequence[_Job], url: str, pool: Executor | None) -> Iterator[Written]:
    if pool is None or len(jobs) < 2:
        return (_write(dataset, job, url) for job in jobs)
    return pool.map(_write, [dataset] * len(jobs), jobs, [url] * len(jobs))


def _jobs(dataset: Dataset, gone: frozenset[bytes]) -> list[_Job]:
    """One for each partition that may have a document."""
    old = dataset.manifest
    ranges = Ranges(**old.parameters["ranges"])
    by_path = {file.path: file for file in old.files}
    shape = Shape(**old.parameters["shape"])
    tails = _tails(dataset, by_path, shape, ranges)
    gone_ids = pa.array(sorted(gone), pa.binary())
    owner = _partitions(gone_ids, ranges)
    jobs = []
    for number in range(ranges.n_partitions):
        own = tails.filter(pc.equal(tails.column("partition"), number)).drop_columns("partition")
        shard = by_path.get(shape.shard_file(number))
        if shard is None and own.num_rows == 0:
            continue
        jobs.append(
            _Job(
                number=number,
                key=f"{old.source}/{old.parameters['range']}/{number}",
                shard=shard,
                provenance=by_path.get(provenance_path(number)),
                tails=own,
                gone=frozenset(gone_ids.filter(pa.array(owner == number)).to_pylist()),
            )
        )
    return jobs


def _tails(dataset: Dataset, by_path: Mapping[str, File], shape: Shape, ranges: Ranges) -> pa.Table:
    """The pieces that filled no row of their partition's shard, of all partitions: partition, doc_id, doc_token_from,
    tokens (bytes). They lie in the shard of the tails, number n_partitions, and in the table `tails`."""
    found = [_table(dataset, file).drop_columns("partition") for file in dataset.files("tails")]
    shard = by_path.get(shape.shard_file(ranges.n_partitions))
    if shard is not None:
        pieces = _table(dataset, by_path[provenance_path(ranges.n_partitions)])
        rows = shard_rows(dataset, shard, shape)
        runs = [
            rows[row, first:last].tobytes()
            for row, first, last in zip(
                *(pieces.column(name).to_pylist() for name in ("row", "token_from", "token_to")), strict=True
            )
        ]
        columns = {name: pieces.column(name) for name in ("doc_id", "doc_token_from")}
        found.append(pa.table(columns | {"tokens": pa.array(runs, pa.binary())}))
    empty = pa.schema([("doc_id", pa.binary()), ("doc_token_from", pa.int64()), ("tokens", pa.binary())])
    joined = pa.concat_tables([empty.empty_table(), *(table.select(empty.names).cast(empty) for table in found)])
    owner = _partitions(joined.column("doc_id").combine_chunks(), ranges)
    return joined.append_column("partition", pa.array(owner))


def _partitions(doc_ids: pa.Array, ranges: Ranges) -> npt.NDArray[np.int64]:
    """The partition of each document in its range."""
    return place(document.order_hash(doc_ids, ORDER_KEY), ranges)[1]


def _write(dataset: Dataset, job: _Job, attempt_url: str) -> Written:
    """Write a partition without the documents that go."""
    shape = Shape(**dataset.manifest.parameters["shape"])
    documents = _documents(dataset, job, shape)
    stays = np.array([doc_id not in job.gone for doc_id in documents.doc_ids.to_pylist()], np.bool_)
    lengths = dict(zip(documents.doc_ids.to_pylist(), documents.lengths.tolist(), strict=True))
    kept = Documents(
        doc_ids=documents.doc_ids.filter(pa.array(stays)),
        tokens=documents.tokens[np.repeat(stays, documents.lengths)],
        lengths=documents.lengths[stays],
        starts=documents.starts[stays],
    )
    with Sink(STAGE, attempt_url, job.number) as sink:
        if len(kept.doc_ids):
            write_shard(sink, shape, job.number, job.key, kept)
    gone = {doc_id: lengths[doc_id] for doc_id in job.gone if doc_id in lengths}
    return Written(files=tuple(sink.files), counts=sink.counts, gone=gone)


def _documents(dataset: Dataset, job: _Job, shape: Shape) -> Documents:
    """The partition's documents with all their tokens, in hash order. `ValueError` where tokens of one are missing."""
    little = np.dtype(shape.dtype).newbyteorder("<")
    tails = [np.frombuffer(run, little) for run in job.tails.column("tokens").to_pylist()]
    of_tails = np.array([len(run) for run in tails], np.int64)
    doc_ids = [job.tails.column("doc_id").combine_chunks()]
    froms, lengths = [job.tails.column("doc_token_from").to_numpy()], [of_tails]
    places, tokens = [np.cumsum(of_tails) - of_tails], list(tails)
    if job.shard is not None and job.provenance is not None:
        pieces = _table(dataset, job.provenance)
        first, last = (pieces.column(name).to_numpy().astype(np.int64) for name in ("token_from", "token_to"))
        doc_ids.append(pieces.column("doc_id").combine_chunks())
        froms.append(pieces.column("doc_token_from").to_numpy())
        lengths.append(last - first)
        row = pieces.column("row").to_numpy().astype(np.int64)
        places.append(int(of_tails.sum()) + row * shape.sequence_length + first)
        tokens.append(np.ascontiguousarray(shard_rows(dataset, job.shard, shape)).reshape(-1))
    every = np.concatenate(tokens) if tokens else np.zeros(0, little)
    return _put_together(
        pa.concat_arrays(doc_ids),
        np.concatenate(froms),
        np.concatenate(lengths),
        np.concatenate(places),
        every.astype(shape.dtype, copy=False),
        f"{dataset.url}, partition {job.number}",
    )


def _put_together(
    doc_ids: pa.Array,
    froms: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.unsignedinteger[Any]],
    where: str,
) -> Documents:
    """Documents from their pieces: piece i is tokens[places[i] : places[i] + lengths[i]] and begins with token froms[i]
    of document doc_ids[i]."""
    coded = doc_ids.dictionary_encode()
    rank = np.empty(len(coded.dictionary), np.int64)
    names = document.doc_id_bytes(coded.dictionary)
    in_order = hash_order(document.order_hash(names, ORDER_KEY), names)
    rank[in_order] = np.arange(len(rank))
    of_piece = rank[coded.indices.to_numpy()]
    order = np.lexsort((froms, of_piece))
    of_piece, froms, lengths, places = of_piece[order], froms[order], lengths[order], places[order]
    ends = np.cumsum(lengths)
    doc_lengths = np.bincount(of_piece, weights=lengths, minlength=len(rank)).astype(np.int64)
    doc_starts = np.cumsum(doc_lengths) - doc_lengths
    if not np.array_equal(ends - lengths - doc_starts[of_piece], froms):
        raise ValueError(f"{where}: its provenance does not tell of all tokens of its documents; nothing was published")
    at = np.repeat(places - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
    return Documents(
        doc_ids=coded.dictionary.take(pa.array(in_order)),
        tokens=tokens[at],
        lengths=doc_lengths,
        starts=np.zeros(len(rank), np.int64),
    )


def _table(dataset: Dataset, file: File) -> pa.Table:
    return pq.read_table(pa.BufferReader(verified(dataset, file))).combine_chunks()
