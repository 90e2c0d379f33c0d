"""Texts through encoder, shards and commit as the job's tasks do it, without Spark; and every token found again."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.document import order_hash
from pipeline.manifest import Dataset, Spec
from pipeline.mds.checksums import parse_table
from pipeline.mds.reader import open_entry, read_index
from pipeline.tables.sink import Sink
from pipeline.tokenized import quality, runs, tasks
from pipeline.tokenized.commit import commit
from pipeline.tokenized.encoder import Encoder
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.ranges import ORDER_KEY
from pipeline.tokenized.shards import Shape, documents_of, put_usage, write_shard
from pipeline.tokenized.token_loops import usage
from pipeline.tokenized.tokenizer import TokenizerInfo

Tokens = npt.NDArray[np.int64]


def doc_ids(n: int, first: int = 0) -> pa.BinaryArray:
    """16 bytes each, the last eight a number from `first` on, largest byte first."""
    numbers = np.zeros((n, 2), ">u8")
    numbers[:, 1] = np.arange(first, first + n)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, [None, pa.py_buffer(numbers)]).cast(pa.binary())


def encode(
    info: TokenizerInfo,
    texts: pa.Array | Sequence[str],
    *,
    engine: str = "gigatoken",
    bos: bool = False,
    eos: bool = True,
    each: bool = False,
) -> pa.RecordBatch:
    """What a run holds of files with these texts (doc_id, n_bytes, tokens), in their order, and what the checks said:
    of one file, or with `each` of files with one text, which is always checked."""
    column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    n_bytes = pa.array(np.diff(np.frombuffer(column.buffers()[1], np.int64)[: len(column) + 1]))
    rows = pa.record_batch({"doc_id": doc_ids(len(column)), "n_bytes": n_bytes, "text": column})
    encoder = Encoder(info, Choice(name=engine, version=version(engine), refused=()))
    batches, verdicts, differences = [], [], []
    for at in range(0, len(column), 1 if each else 20_000):
        own = rows.slice(at, 1 if each else 20_000)
        found = encoder.encode(own, first=True)
        hashes = order_hash(own.column("doc_id"), ORDER_KEY)
        batches.append(tasks.batch(own, hashes, np.zeros(len(own), np.int64), found))
        verdicts.append(found.verdicts)
        differences += [found.difference] * len(own)
    data = runs.run(batches, 1, info.dtype, bos_id=info.bos_id if bos else None, eos_id=info.eos_id if eos else None)
    with TemporaryDirectory() as folder:
        storage.write(f"{folder}/run", data)
        [read] = runs.read([f"{folder}/run"], 0, 1, 1, info.dtype)
    ends = np.concatenate([[0], np.cumsum(read.documents["n_tokens"])]) * read.tokens.itemsize
    tokens = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(rows), [None, pa.py_buffer(ends), pa.py_buffer(read.tokens)]
    )
    order = np.argsort(np.ascontiguousarray(read.documents["doc_id"]).view(">u8")[1::2])
    return pa.record_batch(
        {
            "doc_id": rows.column("doc_id"),
            "n_bytes": n_bytes,
            "tokens": tokens.take(pa.array(order)),
            "round_trip": pa.concat_arrays(verdicts),
            "difference": pa.array(differences, pa.string()),
        }
    )


def write(
    root: Path,
    info: TokenizerInfo,
    partitions: Sequence[pa.RecordBatch],
    sequence_length: int,
    packing: str,
    added_ids: Sequence[int] = (),
) -> Dataset:
    """Each partition's shard, and the dataset of all."""
    shape = Shape(
        sequence_length=sequence_length,
        dtype=info.dtype,
        packing=packing,
        pad_id=info.pad_id,
        vocab_size=info.vocab_size,
    )
    spec = Spec(stage="tokenized", source="code", version=1, inputs={}, parameters={"range": 0, "packing": packing})
    files, notes, counts = [], [], Counter[str]()
    for number, rows in enumerate(partitions):
        documents = documents_of(rows.column("doc_id"), rows.column("tokens"), shape.dtype)
        used = usage(documents.tokens, info.vocab_size)
        counted = quality.count(rows.column("n_bytes").to_numpy(), used, added_ids=added_ids)
        checked = quality.check(rows.column("doc_id"), rows.column("round_trip"), info.vocab_size)
        measured = quality.total([counted, checked], info.vocab_size)
        with Sink("tokenized", storage.join(spec.url(str(root)), "attempt-1"), number) as sink:
            put_usage(sink, measured, number, lasting=False)
            write_shard(sink, shape, number, f"code/0/{number}", documents)
        notes.append(quality.note(measured))
        files += sink.files
        counts.update(sink.counts)
    n = len(partitions)
    return commit(str(root), spec, "attempt-1", files, counts, notes, shape, n_partitions=n, engine={})


def tokens_by_document(rows: pa.RecordBatch, dtype: str) -> tuple[Tokens, Tokens]:
    """All tokens of encoded documents one after the other, and how many each has."""
    given = documents_of(rows.column("doc_id"), rows.column("tokens"), dtype)
    return given.tokens.astype(np.int64), given.lengths


def check_conserved(dataset: Dataset, tokens: Tokens, lengths: Tokens, pad_id: int) -> None:
    """Every token of every document (doc_id = its number) is found once, in rows or tails, where provenance says; what
    is in the rows besides is padding; and the manifest's counts say the same."""
    folder = storage.join(dataset.url, dataset.manifest.attempt)
    shards = read_index(storage.read(f"{folder}/index.json"), "here")
    rows = np.concatenate([open_entry(folder, entry).array("tokens") for entry in shards] or [np.zeros((0, 1))])
    table = parse_table(storage.read(f"{folder}/shards.bin"), "here")
    starts = np.cumsum(lengths) - lengths
    found, times, in_rows = np.zeros(len(tokens), np.int64), np.zeros(len(tokens), np.int64), np.zeros(rows.size, bool)
    for url in dataset.urls("provenance"):
        read = pq.read_table(url)
        pieces = {name: read.column(name).to_numpy() for name in read.column_names if name != "doc_id"}
        length = (pieces["token_to"] - pieces["token_from"]).astype(np.int64)
        row = table.first_sample[np.searchsorted(table.number, pieces["shard"])] + pieces["row"]
        origin = spans(row * rows.shape[1] + pieces["token_from"], length)
        place = spans(starts[numbers_of(read.column("doc_id"))] + pieces["doc_token_from"], length)
        found[place] = rows.reshape(-1)[origin]
        np.add.at(times, place, 1)
        assert not in_rows[origin].any()
        in_rows[origin] = True
    left_over = 0
    for url in dataset.urls("tails"):
        read = pq.read_table(url)
        for number, piece in zip(numbers_of(read.column("doc_id")).tolist(), read.to_pylist(), strict=True):
            run = np.frombuffer(piece["tokens"], dataset_dtype(dataset)).astype(np.int64)
            place = starts[number] + piece["doc_token_from"] + np.arange(len(run))
            found[place] = run
            times[place] += 1
            left_over += len(run)
    assert np.array_equal(times, np.ones(len(tokens)))
    assert np.array_equal(found, tokens)
    assert np.array_equal(rows.reshape(-1)[~in_rows], np.full((~in_rows).sum(), pad_id))
    counts = dataset.manifest.counts
    assert (counts["documents"], counts["tokens"], counts["samples"]) == (len(lengths), len(tokens), len(rows))
    assert (counts["padding_tokens"], counts["left_over_tokens"]) == ((~in_rows).sum(), left_over)


def dataset_dtype(dataset: Dataset) -> str:
    """Of its tokens, as its index says; of one without a row, uint16."""
    entries = read_index(storage.read(f"{storage.join(dataset.url, dataset.manifest.attempt)}/index.json"), "here")
    return "<u4" if entries and "uint32" in str(entries[0]) else "<u2"


def numbers_of(ids: pa.ChunkedArray) -> Tokens:
    return np.frombuffer(b"".join(ids.to_pylist()), ">u8")[1::2].astype(np.int64)


def spans(starts: Tokens, lengths: Tokens) -> Tokens:
    """starts[0], starts[0] + 1, … (lengths[0] of them), starts[1], …"""
    before = np.cumsum(lengths) - lengths
    out: Tokens = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
    return out
