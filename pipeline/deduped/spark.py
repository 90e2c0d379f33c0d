"""The job `deduped`: filtered documents of all sources → one of each group of duplicates, and why the others went.

Texts are read once to be measured and once to be written (and twice more for `verify: exact`); in between only
signatures and ids are moved. The flow, from top to bottom: bands → candidate pairs → verified edges → components →
decisions → similarities → files. What the steps leave to each other lies below the attempt until its end.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it
from pyspark.sql.window import WindowSpec

from pipeline import manifest, storage
from pipeline.alarms import check_balance
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
    shuffled,
)
from pipeline.deduped.inputs import Inputs
from pipeline.deduped.kept import write_file
from pipeline.deduped.published import excerpt, publish
from pipeline.deduped.stars.spark import star_labels
from pipeline.deduped.steps.spark import Batches, Step, Steps, collected
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.packed import Packed
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.versions import made

MAX_EDGES = 10_000_000  # that the driver unites: 200 bytes each at the peak (measured with 5 million), so 2 GB


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """The decisions, the payloads of all vertices that are compared, and the largest bucket: the number of its
    vertices, and the halves of one of them."""

    step: Step
    spoken: Step
    largest_bucket: list[int]


def build_signatures(spark: SparkSession, filtered: Dataset, wanted: Spec, root: str) -> Dataset:
    """Measure every filtered document; `StageError` where there are more or fewer than the filtered dataset says: one
    without a signature would be kept, whatever it copies."""
    attempt = manifest.new_attempt()
    receipts = tables.run_tasks(
        spark,
        list(enumerate(filtered.urls("filtered"))),
        partial(measure, dict(wanted.parameters)),
        stage="signatures",
        attempt_url=storage.join(wanted.url(root), attempt),
    )
    measured = tables.all_counts(receipts)["documents"]
    check_balance(f"signatures {wanted.source}", "documents", filtered.manifest.counts["kept_documents"], measured, {})
    return manifest.publish(
        root,
        wanted,
        attempt=attempt,
        files=tables.all_files(receipts),
        counts={"documents": measured},
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
    tasks = inputs.text_urls()
    steps = Steps(spark=spark, url=storage.join(attempt_urls[0], "steps"))
    try:
        # Through files: what the driver hands to Spark as rows, Spark walks through alone, and then shuffles.
        own = [steps.put(f"verdicts/{part}", "verdicts", rows) for part, rows in enumerate(found.by_file)]
        work = partial(_write_own, Packed(own), [url for _, url in tasks], inputs.names)
        urls = [attempt_urls[number] for number, _ in tasks]
        numbers = spark.range(0, len(tasks), 1, max(1, len(tasks)))
        receipts = tables.write_partitions(numbers, work, stage=STAGE, attempt_urls=urls) if tasks else []
        return receipts, bucket
    finally:
        steps.remove()


def _write_own(
    own: Packed[Step], files: list[str], sources: list[str], part: int, numbers: Batches, sink: Sink
) -> None:
    deque(numbers, maxlen=0)  # Spark ends a worker that has not read its input, and starts another for the next task
    write_file(files, sources, part, (rows for url in own[part].urls for rows in read_batches(url)), sink)


def _by_joins(
    spark: SparkSession, inputs: Inputs, params: DedupParams, attempt_urls: Sequence[str], max_edges: int
) -> tuple[list[tables.Receipt], dict[str, Any]]:
    steps = Steps(spark=spark, url=storage.join(attempt_urls[0], "steps"))
    try:
        with shuffled(spark, inputs, params):
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
    urls = [steps.write("urls", "pairs", same_urls(spark, inputs, params))] if params.url else []
    every_pair = reduce(DataFrame.union, [steps.read(step) for step in (pairs, *urls)])
    spoken = steps.write("payloads", "payloads", payloads(spark, inputs, every_pair, params))
    measured = compared(steps.read(spoken), steps.read(pairs), params)
    near = measured.filter(F.col("similarity") >= params.threshold).drop("similarity")
    edges = steps.write("edges", "pairs", near)
    every = _with_component("alike", documents(spark, inputs, params), _labels(steps, "alike", [edges], max_edges))
    if params.url:
        every = _with_component("group", every, _labels(steps, "group", [edges, *urls], max_edges))
    else:
        every = every.withColumn("group", F.col("alike"))
    decisions = _decisions(every, params).filter(F.col("src") < len(inputs.filtered))
    return _Decided(
        step=steps.write("decisions", "decisions", decisions),
        spoken=spoken,
        largest_bucket=max((list(note["bucket"]) for note in pairs.notes if note), default=[0, 0, 0]),
    )


def _labels(steps: Steps, name: str, pairs: Sequence[Step], max_edges: int) -> DataFrame:
    """The components of the graph whose edges are the rows of these steps: (hi, lo, label_hi, label_lo) of vertices
    that have an edge."""
    own = replace(steps, url=storage.join(steps.url, name))
    edges = replace(
        pairs[0], urls=tuple(url for step in pairs for url in step.urls), n_rows=sum(step.n_rows for step in pairs)
    )
    if edges.n_rows > max_edges:
        return star_labels(own, edges)
    return own.read(own.put("labels", "labels", labels_of(collected(edges))))


def _with_component(name: str, every: DataFrame, labels: DataFrame) -> DataFrame:
    """The documents with the component of their vertex as a column, a struct (hi, lo)."""
    component = [F.coalesce(f"label_{half}", half).alias(half) for half in VERTEX]
    joined = every.join(labels.hint("merge"), VERTEX, "left")
    return joined.withColumn(name, F.struct(*component)).drop("label_hi", "label_lo")


def _decisions(every: DataFrame, params: DedupParams) -> DataFrame:
    """Documents of clusters of two or more with the cluster's size and the document that is kept. `every` document has
    its component by the edges between texts, `alike`, and by all edges, `group`."""
    group = Window.partitionBy("group")
    # Without a value comes last; F.asc would put it first.
    last = F.desc_nulls_last if params.keep_most else F.asc_nulls_last
    quality = [] if params.keep is None else [last("quality")]
    # Earlier datasets may share documents, so doc_id alone would not do.
    best = group.orderBy("priority", *quality, F.desc("n_bytes"), "doc_id", "src")
    return every.select(
        "doc_id",
        "src",
        "file",
        *VERTEX,
        F.count("*").over(group).alias("cluster_size"),
        (_by_url(best) if params.url else F.lit(False)).alias("by_url"),
        *[F.first(name).over(best).alias(f"kept_{name}") for name in ("doc_id", "src", *VERTEX)],
    ).filter(F.col("cluster_size") > 1)


def _by_url(best: WindowSpec) -> Column:
    """Whether a document has the URL of the best one, or is not linked to that one by texts alone."""
    same = [F.col(name) == F.first(name).over(best) for name in ("url_hi", "url_lo")]
    return F.coalesce(same[0] & same[1], F.lit(False)) | (F.col("alike") != F.first("alike").over(best))


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
        F.when(exact, "exact").when(F.col("by_url"), "url").otherwise("near").alias("kind"),
        F.when(exact, 1.0).otherwise(F.col("similarity")).alias("similarity"),
    )


def _by_file(decisions: DataFrame, inputs: Inputs) -> DataFrame:
    """What `write_file` wants to know of each document, with the number of its file over all sources as `part`."""
    first_of_source = F.element_at(F.array(*[F.lit(first) for first in inputs.first_files()]), F.col("src") + 1)
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
    if size < 2:
        return {"vertices": size}
    own = documents(spark, inputs, replace(params, url=False, keep=None)).filter(
        (F.col("hi") == hi) & (F.col("lo") == lo)
    )
    first = own.orderBy("src", "doc_id").select("doc_id", "src", "file").limit(1).toArrow().to_pylist()[0]
    return _bucket(inputs, size, first["src"], first["file"], first["doc_id"])


def _bucket(inputs: Inputs, size: int, src: int, file: int, doc_id: bytes) -> dict[str, Any]:
    """The largest bucket for the report: its `vertices`, and if there are two the `doc_id` of a document of the sources
    that stands in it, and an `excerpt` of that one."""
    if size < 2:
        return {"vertices": size}
    rows = pa.Table.from_batches(read_batches(inputs.filtered[src].urls("filtered")[file], ["doc_id", "text"]))
    [text] = rows.filter(pc.equal(rows.column("doc_id"), doc_id)).column("text").to_pylist()
    return {"vertices": size, "doc_id": doc_id.hex(), "excerpt": excerpt(text)}
