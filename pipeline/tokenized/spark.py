"""The job `tokenized`: deduped documents of all sources → tokenizer, and for each range of a source its shards.

Documents are encoded where their file is read; token arrays, not texts, go to the partition of their hash, through
files (`runs.py`), are sorted there by (hash, doc_id), packed and written. Spark deals tasks out, and no data.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline import document, manifest, storage
from pipeline.alarms import StageError
from pipeline.manifest import DamagedDatasetError, Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.tables.spark import Receipt
from pipeline.tokenized import quality, sampled, tasks
from pipeline.tokenized.commit import commit
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.parts import Part, TokenizeParams, spec
from pipeline.tokenized.ranges import PARTITION_BYTES
from pipeline.tokenized.shards import STAGE
from pipeline.tokenized.tasks import (
    CHECKS,
    DIFFERENCE,
    HOLDOUT_KEY,
    LEAST_WRITTEN,
    MOST_ENCODED,
    MOST_WRITTEN,
    RUNS,
    Files,
    Group,
)
from pipeline.tokenized.tokenizer import train
from pipeline.versions import made

TOKENIZER_VERSION = 1
SAMPLE_KEY = "tokenizer"
COMMITTERS = 8  # datasets committed at once in a store, for which most of it waits; on a disk: one after another


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


def sample(
    spark: SparkSession, deduped: Sequence[Dataset], params: TokenizeParams, engine: Choice
) -> tuple[list[dict[str, int]], Choice]:
    """For each source the counts of a sample of its documents, named as a range's are; but `documents` are the units,
    and the squares' sums are over these. Also the engine, another one where `engine` has been refused for what it made
    of them."""
    samples = [sampled.chosen(one.urls("deduped")) for one in deduped]
    found = tables.run_tasks(spark, samples, partial(sampled.measure, params, engine), stage=STAGE, attempt_url="")
    difference = next((note for receipt in found if (note := receipt.notes.get(DIFFERENCE))), None)
    if difference is not None:
        return sample(spark, deduped, params, engine.refuse(difference))
    return [receipt.notes[sampled.COUNTS] for receipt in found], engine


def build(
    spark: SparkSession, parts: Sequence[Part], params: TokenizeParams, engine: Choice, root: str
) -> tuple[list[Dataset], Choice]:
    """Make the datasets of `parts` together, and commit each. The engine that made them is told too.

    Where `engine` gives other ids than `tokenizers` for one of the documents that are compared, nothing of it is kept:
    all are made again with `tokenizers`, and their manifests tell why.
    """
    attempt = manifest.new_attempt()
    specs = [spec(part, params) for part in parts]
    attempt_urls = [storage.join(wanted.url(root), attempt) for wanted in specs]
    n_partitions = [part.ranges(params).n_partitions for part in parts]
    owners = np.repeat(np.arange(len(parts)), n_partitions).tolist()
    try:
        files = _files(spark, parts, params, n_partitions)
        encoded = tables.run_tasks(
            spark, files, partial(tasks.encode, params, engine, owners), stage=STAGE, attempt_url=attempt_urls[0]
        )
        difference = next((note for receipt in encoded if (note := receipt.notes.get(DIFFERENCE))), None)
        if difference is None:
            _check_read(parts, tables.all_counts(encoded))
            urls = [storage.join(attempt_urls[0], file.path) for file in tables.all_files(encoded)]
            groups = _groups(specs, attempt_urls, n_partitions, _text_bytes(parts))
            written = tables.run_groups(spark, groups, partial(tasks.write, params, urls, len(owners)), stage=STAGE)
    finally:
        storage.remove_tree(storage.join(attempt_urls[0], RUNS))
    if difference is not None:
        return build(spark, parts, params, engine.refuse(difference), root)
    own: dict[int, list[Receipt]] = {number: [] for number in range(len(parts))}
    for receipt in written:
        own[owners[receipt.task]].append(receipt)

    def committed(number: int) -> Dataset:
        return _commit(root, specs[number], attempt, number, encoded, own[number], params, engine)

    with ThreadPoolExecutor(1 if storage.is_local(root) else COMMITTERS) as pool:
        return list(pool.map(committed, own)), engine


def _check_read(parts: Sequence[Part], counts: Mapping[str, int]) -> None:
    """`DamagedDatasetError` unless all documents of each source were read."""
    for source, deduped in {part.source: part.deduped for part in parts}.items():
        kept, found = deduped.manifest.counts["kept_documents"], counts[tasks.read_of(source)]
        if found != kept:
            raise DamagedDatasetError(
                f"{deduped.url} is damaged: its files hold {found} documents, its manifest says {kept}; "
                f"{manifest.AGAIN}"
            )


def _commit(
    root: str,
    wanted: Spec,
    attempt: str,
    number: int,
    encoded: Sequence[Receipt],
    written: Sequence[Receipt],
    params: TokenizeParams,
    engine: Choice,
) -> Dataset:
    """The dataset with this number, of the receipts of all that encoded and of its own partitions."""
    checked = [note for one in encoded if (note := one.notes[CHECKS].get(str(number)))]
    return commit(
        root,
        wanted,
        attempt,
        tables.all_files(written),
        tables.all_counts(written),
        [*checked, *(one.notes[quality.NOTE] for one in written if one.notes)],
        params.shape,
        n_partitions=len(written),
        engine=asdict(engine),
    )


def _files(
    spark: SparkSession, parts: Sequence[Part], params: TokenizeParams, n_partitions: Sequence[int]
) -> list[Files]:
    """What is to be encoded: a task's files each."""
    first = np.cumsum([0, *n_partitions]).tolist()
    by_source: dict[str, list[tuple[Part, int]]] = {}
    for part, base in zip(parts, first, strict=False):
        by_source.setdefault(part.source, []).append((part, base))
    most = tasks.task_bytes(_text_bytes(parts), MOST_ENCODED)
    found: list[Files] = []
    for wanted in by_source.values():
        deduped = wanted[0][0].deduped
        training, validation = Part(deduped=deduped, number=0), Part(deduped=deduped, number=None)
        ranges = training.ranges(params)
        bases = {part.number: base for part, base in wanted}
        bound = holdout_bound(spark, deduped, params.holdout_documents)
        found.extend(
            Files(
                source=deduped.manifest.source,
                urls=urls,
                ranges=ranges,
                base=tuple(bases.get(number, -1) for number in range(ranges.n_ranges)),
                validation=validation.ranges(params),
                validation_base=bases.get(None, -1),
                bound=bound,
            )
            for urls in tasks.file_groups(deduped.urls("deduped"), deduped.manifest.counts["kept_bytes"], most)
        )
    return found


def _groups(
    specs: Sequence[Spec], attempt_urls: Sequence[str], n_partitions: Sequence[int], text_bytes: int
) -> list[Group]:
    """The partitions of all datasets, a task's together."""
    partitions = [
        tasks.Partition(number=number, attempt_url=url, key=f"{wanted.source}/{wanted.parameters['range']}/{number}")
        for wanted, url, n in zip(specs, attempt_urls, n_partitions, strict=True)
        for number in range(n)
    ]
    step = max(LEAST_WRITTEN, tasks.task_bytes(text_bytes, MOST_WRITTEN)) // PARTITION_BYTES
    return [
        Group(first=first, partitions=tuple(partitions[first : first + step]))
        for first in range(0, len(partitions), step)
    ]


def _text_bytes(parts: Sequence[Part]) -> int:
    """The text of all sources of the parts."""
    return sum({part.source: part.deduped.manifest.counts["kept_bytes"] for part in parts}.values())


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


def _numbers(batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()
