"""The job `tokenized`: deduped documents of all sources → tokenizer, and for each range of a source its shards.

Documents are encoded where their file is read; token arrays, not texts, are moved to the partition of their hash,
sorted there by (hash, doc_id), packed and written. A range's shards depend on its documents and the parameters alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline import document, manifest, storage
from pipeline.alarms import StageError
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.sink import Sink, read_batches
from pipeline.tokenized import quality, spread
from pipeline.tokenized.commit import commit
from pipeline.tokenized.encoder import opened
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.ranges import ORDER_KEY, PARTITION_BYTES, Ranges, hash_order, place, ranges_of
from pipeline.tokenized.shards import STAGE, Shape, documents_of, put_usage, write_shard
from pipeline.tokenized.tokenizer import TokenizerInfo, train
from pipeline.versions import made

VERSION = 3
TOKENIZER_VERSION = 1
HOLDOUT_KEY = "holdout"
SAMPLE_KEY = "tokenizer"
ENCODED = "part int, doc_id binary, n_bytes bigint, tokens binary, round_trip string, difference string"


@dataclass(frozen=True, kw_only=True)
class TokenizeParams:
    """How documents become rows; the same for all sources of a mix."""

    info: TokenizerInfo
    shape: Shape
    bos: bool
    eos: bool
    holdout_documents: int

    @property
    def bos_id(self) -> int | None:
        """What stands before each document."""
        return self.info.bos_id if self.bos else None

    @property
    def eos_id(self) -> int | None:
        """What stands after each document."""
        return self.info.eos_id if self.eos else None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One dataset to be made: a range of a source's training documents (`number`), or its validation set (None)."""

    deduped: Dataset
    number: int | None

    @property
    def source(self) -> str:
        return self.deduped.manifest.source

    def ranges(self, params: TokenizeParams) -> Ranges:
        """How the source is cut; the validation set is one range of its own."""
        counts = self.deduped.manifest.counts
        if self.number is not None:
            return ranges_of(counts["kept_bytes"])
        mean_bytes = counts["kept_bytes"] / max(1, counts["kept_documents"])
        n_partitions = max(1, -(-int(params.holdout_documents * mean_bytes) // PARTITION_BYTES))
        return Ranges(n_ranges=1, n_partitions=n_partitions)


def spec(part: Part, params: TokenizeParams) -> Spec:
    """What the dataset of a part is made of."""
    return Spec(
        stage=STAGE,
        source=part.source,
        version=VERSION,
        inputs={"deduped": part.deduped.manifest.fingerprint, "tokenizer": params.info.fingerprint},
        parameters={
            "range": "validation" if part.number is None else part.number,
            "ranges": asdict(part.ranges(params)),
            "shape": asdict(params.shape),
            "bos": params.bos,
            "eos": params.eos,
            "specials_in_text": params.info.specials_in_text,
            "holdout_documents": params.holdout_documents,
        },
    )


def tokenizer_spec(deduped: Sequence[Dataset], vocab_size: int, sample_bytes: int, *, bos: bool) -> Spec:
    """What a trained tokenizer is made of: all sources' text, whatever their weights are."""
    return Spec(
        stage="tokenizer",
        source="trained",
        version=TOKENIZER_VERSION,
        inputs={dataset.manifest.source: dataset.manifest.fingerprint for dataset in deduped},
        parameters={"vocab_size": vocab_size, "sample_bytes": sample_bytes, "bos": bos},
    )


def build_tokenizer(spark: SparkSession, deduped: Sequence[Dataset], wanted: Spec, root: str) -> Dataset:
    """Train the tokenizer on the documents with the smallest hashes, `sample_bytes` of them."""
    total = sum(dataset.manifest.counts["kept_bytes"] for dataset in deduped)
    share = min(1.0, wanted.parameters["sample_bytes"] / max(1, total))
    urls = [url for dataset in deduped for url in dataset.urls("deduped")]
    if not urls:
        raise StageError("there is no document to train a tokenizer on: all sources are empty")
    sample = spark.range(0, len(urls), 1, len(urls)).mapInArrow(
        partial(_sample, urls, share), "doc_id binary, text string"
    )
    attempt = manifest.new_attempt()
    receipts = tables.write_partitions(
        sample.repartition(1),
        partial(_train, wanted.parameters["vocab_size"], wanted.parameters["bos"]),
        stage="tokenizer",
        attempt_urls=[storage.join(wanted.url(root), attempt)],
    )
    files = tables.all_files(receipts)
    if not files:
        raise StageError(
            f"tokenizer.train.sample_bytes = {wanted.parameters['sample_bytes']}: no document of {total} bytes of text "
            "fell into so small a sample; give more"
        )
    counts = tables.all_counts(receipts)
    return manifest.publish(root, wanted, attempt=attempt, files=files, counts=counts, made=made())


def build(
    spark: SparkSession, parts: Sequence[Part], params: TokenizeParams, engine: Choice, root: str
) -> tuple[list[Dataset], Choice]:
    """Make the datasets of `parts` in one job, and commit each. The engine that made them is told too.

    Where `engine` gives other ids than `tokenizers` for one of the documents that are compared, nothing of it is kept:
    all are made again with `tokenizers`, and their manifests tell why.
    """
    attempt = manifest.new_attempt()
    specs = [spec(part, params) for part in parts]
    n_partitions = [part.ranges(params).n_partitions for part in parts]
    first = np.cumsum([0, *n_partitions])
    readers = _readers(spark, parts, params, first)
    encoded = spark.range(0, len(readers), 1, max(1, len(readers))).mapInArrow(
        partial(_encode, readers, params, engine), ENCODED
    )
    owners = np.repeat(np.arange(len(parts)), n_partitions).tolist()
    attempt_urls = [storage.join(specs[owner].url(root), attempt) for owner in owners]
    keys = [
        (
            number - int(first[owner]),
            f"{parts[owner].source}/{specs[owner].parameters['range']}/{number - first[owner]}",
        )
        for number, owner in enumerate(owners)
    ]
    receipts = tables.write_partitions(
        encoded.repartitionById(int(first[-1]), "part"),
        partial(_write_partition, params, keys),
        stage=STAGE,
        attempt_urls=attempt_urls,
    )
    if difference := next((note for receipt in receipts if (note := receipt.notes.get("difference"))), None):
        for wanted in specs:
            storage.remove_tree(storage.join(wanted.url(root), attempt))
        return build(spark, parts, params, engine.refuse(difference), root)
    datasets = []
    for number, wanted in enumerate(specs):
        own = [receipt for receipt in receipts if owners[receipt.task] == number]
        dataset = commit(
            root,
            wanted,
            attempt,
            tables.all_files(own),
            tables.all_counts(own),
            [receipt.notes[quality.NOTE] for receipt in own if receipt.notes],
            params.shape,
            n_partitions=n_partitions[number],
            engine=asdict(engine),
        )
        datasets.append(dataset)
    return datasets, engine


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """A file to be encoded, and where its documents go: `base[r]` is the first partition of range r, -1 where the range
    is not made now; `validation_base` likewise. Documents with a holdout hash ≤ `bound` are the validation set."""

    url: str
    ranges: Ranges
    base: tuple[int, ...]
    validation: Ranges
    validation_base: int
    bound: int


def _readers(
    spark: SparkSession, parts: Sequence[Part], params: TokenizeParams, first: npt.NDArray[np.int64]
) -> list[_Reader]:
    by_source: dict[str, list[tuple[Part, int]]] = {}
    for part, base in zip(parts, first.tolist(), strict=False):
        by_source.setdefault(part.source, []).append((part, base))
    readers: list[_Reader] = []
    for wanted in by_source.values():
        deduped = wanted[0][0].deduped
        training, validation = Part(deduped=deduped, number=0), Part(deduped=deduped, number=None)
        ranges = training.ranges(params)
        bases = {part.number: base for part, base in wanted}
        bound = holdout_bound(spark, deduped, params.holdout_documents)
        readers.extend(
            _Reader(
                url=url,
                ranges=ranges,
                base=tuple(bases.get(number, -1) for number in range(ranges.n_ranges)),
                validation=validation.ranges(params),
                validation_base=bases.get(None, -1),
                bound=bound,
            )
            for url in deduped.urls("deduped")
        )
    return readers


def holdout_bound(spark: SparkSession, deduped: Dataset, n_documents: int) -> int:
    """The holdout hash of the validation set's last document, -1 without one; smaller sets are inside larger ones."""
    if n_documents == 0:
        return -1
    available = deduped.manifest.counts["kept_documents"]
    if n_documents >= available:
        raise StageError(
            f"holdout: {n_documents} documents of source {deduped.manifest.source} cannot be kept for validation, it "
            f"has {available} after deduplication; lower holdout.documents"
        )
    urls = deduped.urls("deduped")
    smallest = spark.range(0, len(urls), 1, len(urls)).mapInArrow(partial(_smallest, urls, n_documents), "hash binary")
    rows = smallest.orderBy("hash").limit(n_documents).toArrow().column("hash").to_pylist()
    return int.from_bytes(max(rows), "big")


def _smallest(urls: list[str], n: int, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for number in _numbers(numbers):
        hashes = np.concatenate(
            [document.order_hash(rows.column(0), HOLDOUT_KEY) for rows in read_batches(urls[number], ["doc_id"])]
        )
        smallest = [
            value.to_bytes(8, "big") for value in np.sort(hashes)[:n].tolist()
        ]  # Spark has no unsigned integers
        yield pa.record_batch({"hash": pa.array(smallest, pa.binary())})


def _sample(urls: list[str], share: float, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    limit = np.uint64(min(2**64 - 1, int(share * 2**64)))
    for number in _numbers(numbers):
        for rows in read_batches(urls[number], ["doc_id", "text"]):
            chosen = document.order_hash(rows.column("doc_id"), SAMPLE_KEY) <= limit
            yield rows.select(["doc_id", "text"]).filter(pa.array(chosen))


def _train(vocab_size: int, bos: bool, _: int, batches: Iterator[pa.RecordBatch], sink: Sink) -> None:
    found = [batch for batch in batches if batch.num_rows]
    if not found:
        return
    rows = pa.Table.from_batches(found).sort_by("doc_id")
    texts = rows.column("text").to_pylist()
    text = train(texts, vocab_size, bos=bos).encode()
    sink.count("documents", len(texts))
    sink.count("bytes", sum(len(text.encode()) for text in texts))
    sink.put("tokenizer", "tokenizer.json", text, 1)


def _encode(
    readers: list[_Reader], params: TokenizeParams, engine: Choice, numbers: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    encoder = opened(params.info, engine, params.bos_id, params.eos_id)
    for number in _numbers(numbers):
        reader, first = readers[number], True
        for rows in read_batches(reader.url, ["doc_id", "n_bytes", "text"]):
            parts = _parts(reader, rows.column("doc_id"))
            chosen = np.flatnonzero(parts >= 0)
            if len(chosen):
                yield encoder.encode(rows.take(pa.array(chosen)), parts[chosen], first=first)
                first = False


def _parts(reader: _Reader, doc_ids: pa.Array) -> npt.NDArray[np.int64]:
    """The job's partition of each document, -1 for those that are not encoded now."""
    hashes = document.order_hash(doc_ids, ORDER_KEY)
    number, inside = place(hashes, reader.ranges)
    base = np.array(reader.base, np.int64)[number]
    parts = np.where(base >= 0, base + inside, -1)
    if reader.bound >= 0:
        held = document.order_hash(doc_ids, HOLDOUT_KEY) <= np.uint64(reader.bound)
        _, inside = place(hashes, reader.validation)
        parts = np.where(held, reader.validation_base + inside if reader.validation_base >= 0 else -1, parts)
    return parts


def _write_partition(
    params: TokenizeParams, keys: list[tuple[int, str]], partition: int, batches: Iterator[pa.RecordBatch], sink: Sink
) -> None:
    found = [batch for batch in batches if batch.num_rows]
    if not found:
        return
    tokens = found[0].schema.get_field_index("tokens")  # 2 GiB of a partition's tokens do not fit 32-bit offsets
    schema = found[0].schema.set(tokens, pa.field("tokens", pa.large_binary()))
    rows = pa.concat_batches([batch.cast(schema) for batch in found])
    rows = rows.take(pa.array(hash_order(rows.column("doc_id"))))
    number, key = keys[partition]
    documents = documents_of(rows.column("doc_id"), rows.column("tokens"), params.shape.dtype)
    added = [added for added in (params.bos_id, params.eos_id) if added is not None]
    measured = quality.measure(
        rows.column("doc_id"),
        rows.column("n_bytes"),
        documents.tokens,
        rows.column("round_trip"),
        params.shape.vocab_size,
        added_ids=added,
    )
    differences = rows.column("difference").drop_null()
    sink.notes = {
        quality.NOTE: quality.note(measured),
        "difference": differences[0].as_py() if len(differences) else None,
    }
    sink.count("bytes", measured.bytes)
    for name, amount in spread.sums(rows.column("n_bytes").to_numpy(), documents.lengths).items():
        sink.count(name, amount)
    put_usage(sink, measured, number)
    write_shard(sink, params.shape, number, key, documents)


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()
