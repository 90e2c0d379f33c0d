"""The job `deduped`: filtered documents of all sources → one of each group of duplicates, and why the others went.

Texts are read once to be measured and once to be written (and twice more for `verify: exact`); in between only
signatures and ids are moved. The flow, from top to bottom: bands → candidate pairs → verified edges → components →
decisions → similarities → files. What the steps leave to each other lies below the attempt until its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline import manifest, storage
from pipeline.deduped import in_memory
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import STAGE, DedupParams, labels_of, measure, write_pairs
from pipeline.deduped.compared.spark import (
    PAIR,
    VERTEX,
    candidates,
    check_earlier,
    check_unique,
    compared,
    documents,
    payloads,
    same_urls,
)
from pipeline.deduped.inputs import Inputs
from pipeline.deduped.kept import write_file
from pipeline.deduped.published import excerpt, publish
from pipeline.deduped.stars.spark import star_labels
from pipeline.deduped.steps.spark import Step, Steps, collected
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.sink import read_batches
from pipeline.versions import made

MAX_EDGES = 10_000_000  # that the driver unites: 200 bytes each at the peak (measured with 5 million), so 2 GB
SHOWN_BUCKET = 1000  # vertices: of the largest bucket, if it has so many, the report shows a document


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """The decisions, the payloads of all vertices that are compared, and the largest bucket: vertices, and the halves
    of one of them."""

    step: Step
    spoken: Step
    largest_bucket: list[int]


def build_signatures(spark: SparkSession, filtered: Dataset, wanted: Spec, root: str) -> Dataset:
    """Measure every filtered document."""
    attempt = manifest.new_attempt()
    receipts = tables.run_tasks(
        spark,
        list(enumerate(filtered.urls("filtered"))),
        partial(measure, dict(wanted.parameters)),
        stage="signatures",
        attempt_url=storage.join(wanted.url(root), attempt),
    )
    return manifest.publish(
        root,
        wanted,
        attempt=attempt,
        files=tables.all_files(receipts),
        counts={"documents": tables.all_counts(receipts)["documents"]},
        made=made(),
    )


def build(
    spark: SparkSession,
    filtered: Sequence[Dataset],
    signatures: Sequence[Dataset],
    params: DedupParams,
    specs: Sequence[Spec],
    root: str,
    *,
    earlier: Sequence[Earlier] = (),
    max_documents: int = in_memory.MAX_DOCUMENTS,
    max_edges: int = MAX_EDGES,
) -> list[Dataset]:
    """Compare all given sources with each other, and by signature with what `earlier` datasets kept; publish for each
    source the kept documents and the removed ones.

    With `verify: signature` the driver decides on up to `max_documents`, else joins do; then components are found on
    the driver up to `max_edges` edges, by star rounds on tables above. All ways decide the same. `StageError` where
    doc_ids are not unique, or an earlier dataset is damaged. `ValueError` for `verify: exact` with earlier datasets,
    whose texts are not read.
    """
    if earlier and params.verify == "exact":
        raise ValueError("verify: exact needs the texts of earlier datasets, which are not read; set verify: signature")
    inputs = Inputs(filtered=filtered, signatures=signatures, earlier=earlier)
    attempt = manifest.new_attempt()
    attempt_urls = [storage.join(wanted.url(root), attempt) for wanted in specs]
    if params.verify == "signature" and inputs.n_documents <= max_documents:
        receipts, bucket = _in_memory(spark, inputs, params, attempt_urls)
    else:
        receipts, bucket = _by_joins(spark, inputs, params, attempt_urls, max_edges)
    sources = [number for number, _ in inputs.text_urls()]
    return [
        publish(root, wanted, attempt, [r for r in receipts if sources[r.task] == number], inputs, number, bucket)
        for number, wanted in enumerate(specs)
    ]


def _in_memory(
    spark: SparkSession, inputs: Inputs, params: DedupParams, attempt_urls: Sequence[str]
) -> tuple[list[tables.Receipt], dict[str, Any]]:
    found = in_memory.decide(inputs, params)
    place = found.bucket_src, found.bucket_file, found.bucket_doc_id
    bucket = _bucket(inputs, found.bucket_vertices, *place)
    decisions = spark.createDataFrame(found.decisions)
    return _written(_by_file(decisions, inputs), inputs, attempt_urls), bucket


def _by_joins(
    spark: SparkSession, inputs: Inputs, params: DedupParams, attempt_urls: Sequence[str], max_edges: int
) -> tuple[list[tables.Receipt], dict[str, Any]]:
    steps = Steps(spark=spark, url=storage.join(attempt_urls[0], "steps"))
    try:
        check_unique(spark, inputs)
        check_earlier(spark, inputs)
        decided = _decided(steps, inputs, params, max_edges)
        receipts = _written(_by_file(_similar(steps, decided, params), inputs), inputs, attempt_urls)
        return receipts, _largest_bucket(spark, inputs, params, decided.largest_bucket)
    finally:
        steps.remove()


def _decided(steps: Steps, inputs: Inputs, params: DedupParams, max_edges: int) -> _Decided:
    """Candidates, edges, components, and of each component the document to keep."""
    spark = steps.spark
    pairs = steps.write("candidates", "pairs", candidates(spark, inputs, params), write_pairs)
    linked = [steps.read(pairs)]
    if params.url:
        linked.append(steps.read(steps.write("urls", "pairs", same_urls(spark, inputs, params))))
    every = reduce(DataFrame.union, linked)
    spoken = steps.write("payloads", "payloads", payloads(spark, inputs, every, params))
    measured = compared(steps.read(spoken), linked[0], params)
    near = measured.filter(F.col("similarity") >= params.threshold).drop("similarity")
    edges = steps.write("edges", "pairs", reduce(DataFrame.union, [near, *linked[1:]]))
    if edges.n_rows > max_edges:
        labels = star_labels(steps, edges)
    else:
        labels = steps.read(steps.put("labels", "labels", labels_of(collected(edges))))
    decisions = _decisions(documents(spark, inputs, params), labels, params)
    decisions = decisions.filter(F.col("src") < len(inputs.filtered))
    return _Decided(
        step=steps.write("decisions", "decisions", decisions),
        spoken=spoken,
        largest_bucket=max((list(note["bucket"]) for note in pairs.notes if note), default=[0, 0, 0]),
    )


def _decisions(every: DataFrame, labels: DataFrame, params: DedupParams) -> DataFrame:
    """Documents of clusters of two or more with the cluster's size and the document that is kept."""
    labelled = every.join(labels.hint("merge"), VERTEX, "left").select(
        "*",
        F.coalesce("label_hi", "hi").alias("group_hi"),
        F.coalesce("label_lo", "lo").alias("group_lo"),
    )
    group = Window.partitionBy("group_hi", "group_lo")
    quality = [] if params.keep is None else [(F.desc if params.keep_most else F.asc)("quality")]
    # Earlier datasets may share documents, so doc_id alone would not do.
    best = group.orderBy("priority", *quality, F.desc("n_bytes"), "doc_id", "src")
    same_url = (
        (F.col("url_hi") == F.first("url_hi").over(best)) & (F.col("url_lo") == F.first("url_lo").over(best))
        if params.url
        else F.lit(False)
    )
    return labelled.select(
        "doc_id",
        "src",
        "file",
        *VERTEX,
        F.count("*").over(group).alias("cluster_size"),
        F.coalesce(same_url, F.lit(False)).alias("same_url"),
        *[F.first(name).over(best).alias(f"kept_{name}") for name in ("doc_id", "src", *VERTEX)],
    ).filter(F.col("cluster_size") > 1)


def _similar(steps: Steps, decided: _Decided, params: DedupParams) -> DataFrame:
    """The decisions with `kind`, and the `similarity` of each document to the kept one; 1 for an exact copy."""
    decisions = steps.read(decided.step)
    kept = [f"kept_{half}" for half in VERTEX]
    exact = (F.col("hi") == F.col("kept_hi")) & (F.col("lo") == F.col("kept_lo"))
    names = dict(zip([*VERTEX, *kept], PAIR, strict=True))
    apart = decisions.filter(~exact).select(*[F.col(name).alias(end) for name, end in names.items()]).distinct()
    measured = compared(steps.read(decided.spoken), apart, params).withColumnsRenamed(
        {end: name for name, end in names.items()}
    )
    return decisions.join(measured.hint("merge"), list(names), "left").select(
        *[decisions[name] for name in decisions.columns],
        F.when(exact, "exact").when(F.col("same_url"), "url").otherwise("near").alias("kind"),
        F.when(exact, 1.0).otherwise(F.col("similarity")).alias("similarity"),
    )


def _by_file(decisions: DataFrame, inputs: Inputs) -> DataFrame:
    """What `write_file` wants to know of each document, with the number of its file over all sources as `part`."""
    firsts = np.cumsum([0, *(len(dataset.urls("filtered")) for dataset in inputs.filtered)]).tolist()
    first_of_source = F.element_at(F.array(*[F.lit(first) for first in firsts]), F.col("src") + 1)
    return decisions.select(
        (F.col("file") + first_of_source).cast("int").alias("part"),
        "doc_id",
        "kept_doc_id",
        "kept_src",
        "kind",
        "similarity",
        "cluster_size",
        (F.col("kept_src") >= len(inputs.filtered)).alias("earlier"),
    )


def _written(decisions: DataFrame, inputs: Inputs, attempt_urls: Sequence[str]) -> list[tables.Receipt]:
    """Read every file of filtered documents again and write its kept and its removed documents, a task a file."""
    tasks = inputs.text_urls()
    if not tasks:
        return []
    # Where Spark sees that there are no decisions, it runs no task at all; a row without a document for each file
    # makes it run every one.
    every = decisions.sparkSession.range(len(tasks)).select(F.col("id").cast("int").alias("part"))
    return tables.write_partitions(
        decisions.unionByName(every, allowMissingColumns=True).repartitionById(len(tasks), "part"),
        partial(write_file, [url for _, url in tasks], inputs.names),
        stage=STAGE,
        attempt_urls=[attempt_urls[number] for number, _ in tasks],
    )


def _largest_bucket(spark: SparkSession, inputs: Inputs, params: DedupParams, bucket: Sequence[int]) -> dict[str, Any]:
    size, hi, lo = bucket
    if size < SHOWN_BUCKET:
        return {"vertices": size}
    own = documents(spark, inputs, params).filter((F.col("hi") == hi) & (F.col("lo") == lo))
    first = own.orderBy("src", "doc_id").select("doc_id", "src", "file").limit(1).toArrow().to_pylist()[0]
    return _bucket(inputs, size, first["src"], first["file"], first["doc_id"])


def _bucket(inputs: Inputs, size: int, src: int, file: int, doc_id: bytes) -> dict[str, Any]:
    """The largest bucket for the report: its `vertices`, and of a large one the `doc_id` of a document and an
    `excerpt` of it (null for one of an earlier dataset, whose texts are not read)."""
    if size < SHOWN_BUCKET:
        return {"vertices": size}
    found: dict[str, Any] = {"vertices": size, "doc_id": doc_id.hex(), "excerpt": None}
    if src < len(inputs.filtered):
        for rows in read_batches(inputs.filtered[src].urls("filtered")[file], ["doc_id", "text"]):
            for text in rows.filter(pc.equal(rows.column("doc_id"), doc_id)).column("text").to_pylist():
                found["excerpt"] = excerpt(text)
    return found
