"""The job `deduped`: filtered documents of all sources → one of each group of duplicates, and why the others went.

Texts are read once to be measured and once to be written (and twice more for `verify: exact`); in between only
signatures and ids are moved. The flow, from top to bottom: bands → candidate pairs → verified edges → components →
decisions → similarities → files. What the steps leave to each other lies below the attempt until its end.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline import manifest, storage
from pipeline.alarms import Alarm, check_balance
from pipeline.deduped import minhash
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import STAGE, DedupParams, labels_of, measure, write_file
from pipeline.deduped.compared.spark import (
    PAIR,
    VERTEX,
    Inputs,
    candidates,
    check_earlier,
    check_unique,
    compared,
    documents,
)
from pipeline.deduped.stars.spark import star_labels
from pipeline.deduped.steps.spark import Step, Steps, collected
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.versions import made

MAX_EDGES = 10_000_000  # that the driver unites: 200 bytes each at the peak (measured with 5 million), so 2 GB
SIMILARITIES = (0.5, 0.6, 0.7, 0.8, 0.9)  # for which the report says how probable a comparison is


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
    max_edges: int = MAX_EDGES,
) -> list[Dataset]:
    """Compare all given sources with each other, and by signature with what `earlier` datasets kept; publish for each
    source the kept documents and the removed ones.

    Components are found on the driver up to `max_edges` edges, by star rounds on tables above. `StageError` where
    doc_ids are not unique, or an earlier dataset is damaged. `ValueError` for `verify: exact` with earlier datasets,
    whose texts are not read.
    """
    if earlier and params.verify == "exact":
        raise ValueError("verify: exact needs the texts of earlier datasets, which are not read; set verify: signature")
    inputs = Inputs(filtered=filtered, signatures=signatures, earlier=earlier)
    attempt = manifest.new_attempt()
    attempt_urls = [storage.join(wanted.url(root), attempt) for wanted in specs]
    steps = Steps(spark=spark, url=storage.join(attempt_urls[0], "steps"))
    try:
        check_unique(spark, inputs)
        check_earlier(spark, inputs)
        decisions = _decided(steps, inputs, params, max_edges)
        receipts = _written(_by_file(_similar(steps, inputs, decisions, params), inputs), inputs, attempt_urls)
    finally:
        steps.remove()
    sources = [number for number, _ in inputs.text_urls()]
    return [
        _publish(root, wanted, attempt, [r for r in receipts if sources[r.task] == number], inputs, number)
        for number, wanted in enumerate(specs)
    ]


def alarms(dataset: Dataset, max_cluster: int, max_source_loss: float) -> list[Alarm]:
    """A source that lost more than a share, a cluster larger than a limit."""
    counts, source = dataset.manifest.counts, dataset.manifest.source
    found = []
    against = {name: of["exact"] + of["near"] for name, of in dataset.manifest.report.get("against", {}).items()}
    loss = (counts["documents"] - counts["kept_documents"]) / max(1, counts["documents"])
    if loss > max_source_loss:
        found.append(
            Alarm(
                name=f"max_source_loss:{source}",
                message=f"source {source} loses {loss:.1%} of {counts['documents']} documents to deduplication, "
                f"max_source_loss is {max_source_loss:.1%} ({counts['removed']}"
                + (f", of these for documents of dedup.against: {against})" if against else ")"),
            )
        )
    largest = max((int(size) for size in dataset.manifest.report["cluster_sizes"]), default=1)
    largest_against = max((int(size) for size in dataset.manifest.report.get("against_cluster_sizes", {})), default=1)
    if max(largest, largest_against) > max_cluster:
        stands = f"source {source}" if largest > max_cluster else f"dedup.against, with some of source {source},"
        found.append(
            Alarm(
                name=f"max_cluster:{source}",
                message=f"a document of {stands} stands for a cluster of "
                f"{largest if largest > max_cluster else largest_against} documents, max_cluster is {max_cluster}; "
                f"look at the removed ones in {dataset.url}",
            )
        )
    return found


def _decided(steps: Steps, inputs: Inputs, params: DedupParams, max_edges: int) -> Step:
    """A row for each document of the sources in a cluster: candidates, edges, components, and of each component the
    one to keep."""
    spark = steps.spark
    pairs = steps.write("candidates", "pairs", candidates(spark, inputs, params))
    measured = compared(spark, inputs, steps.read(pairs), params)
    edges = steps.write("edges", "pairs", measured.filter(F.col("similarity") >= params.threshold).drop("similarity"))
    if edges.n_rows > max_edges:
        labels = star_labels(steps, edges)
    else:
        labels = steps.read(steps.put("labels", "labels", labels_of(collected(edges))))
    decisions = _decisions(documents(spark, inputs, params), labels).filter(F.col("src") < len(inputs.filtered))
    return steps.write("decisions", "decisions", decisions)


def _decisions(every: DataFrame, labels: DataFrame) -> DataFrame:
    """Documents of clusters of two or more with the cluster's size and the document that is kept."""
    labelled = every.join(labels.hint("merge"), VERTEX, "left").select(
        "*",
        F.coalesce("label_hi", "hi").alias("group_hi"),
        F.coalesce("label_lo", "lo").alias("group_lo"),
    )
    group = Window.partitionBy("group_hi", "group_lo")
    best = group.orderBy("priority", F.desc("n_bytes"), "doc_id", "src")  # earlier datasets may share documents
    return labelled.select(
        "doc_id",
        "src",
        "file",
        *VERTEX,
        F.count("*").over(group).alias("cluster_size"),
        *[F.first(name).over(best).alias(f"kept_{name}") for name in ("doc_id", "src", *VERTEX)],
    ).filter(F.col("cluster_size") > 1)


def _similar(steps: Steps, inputs: Inputs, decided: Step, params: DedupParams) -> DataFrame:
    """The decisions with `kind`, and the `similarity` of each document to the kept one; 1 for an exact copy."""
    decisions = steps.read(decided)
    kept = [f"kept_{half}" for half in VERTEX]
    exact = (F.col("hi") == F.col("kept_hi")) & (F.col("lo") == F.col("kept_lo"))
    names = dict(zip([*VERTEX, *kept], PAIR, strict=True))
    apart = decisions.filter(~exact).select(*[F.col(name).alias(end) for name, end in names.items()]).distinct()
    measured = compared(steps.spark, inputs, apart, params).withColumnsRenamed(
        {end: name for name, end in names.items()}
    )
    return decisions.join(measured.hint("merge"), list(names), "left").select(
        *[decisions[name] for name in decisions.columns],
        F.when(exact, "exact").otherwise("near").alias("kind"),
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


def _publish(
    root: str, wanted: Spec, attempt: str, receipts: Sequence[tables.Receipt], inputs: Inputs, number: int
) -> Dataset:
    """Publish the documents of source `number`."""
    counts = tables.all_counts(receipts)
    removed: Counter[str] = Counter()
    by_source: dict[str, dict[str, int]] = {"exact": {}, "near": {}}
    for name, n in sorted(counts.items()):
        if name.startswith("removed:"):
            _, kind, kept_source = name.split(":")
            removed[kind] += n
            by_source[kind][kept_source] = n
    before = inputs.filtered[number].manifest.counts
    totals = {
        "documents": before["kept_documents"],
        "bytes": before["kept_bytes"],
        "kept_documents": counts["kept_documents"],
        "kept_bytes": counts["kept_bytes"],
        "removed": dict(removed),
        "removed_bytes": {kind: counts[f"removed_bytes:{kind}"] for kind in removed},
    }
    name = f"deduped {wanted.source}"
    check_balance(name, "documents", totals["documents"], totals["kept_documents"], totals["removed"])
    check_balance(name, "bytes", totals["bytes"], totals["kept_bytes"], totals["removed_bytes"])
    report = {
        "removed_by_kept_source": by_source,
        "cluster_sizes": _sizes(counts, "cluster:"),
        "candidate_probability": _probabilities(wanted.parameters),
    }
    if inputs.earlier:
        report |= {"against": _against(inputs, by_source), "against_cluster_sizes": _sizes(counts, "against_cluster:")}
    return manifest.publish(
        root, wanted, attempt=attempt, files=tables.all_files(receipts), counts=totals, report=report, made=made()
    )


def _sizes(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Counts by cluster size: of kept documents that stand for such a cluster, or (`against_cluster:`) of removed ones
    in a cluster that an earlier document stands for."""
    sizes = {int(name.removeprefix(prefix)): n for name, n in counts.items() if name.startswith(prefix)}
    return {str(size): sizes[size] for size in sorted(sizes)}


def _against(inputs: Inputs, removed: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """For each earlier dataset, under the name that stands in `kept_source`: which one it is, how many documents were
    compared with, and how many went because of them."""
    names = inputs.names[len(inputs.filtered) :]
    return {
        name: {
            "fingerprint": dataset.fingerprint,
            "documents": dataset.n_documents,
            **{kind: of_kind.get(name, 0) for kind, of_kind in removed.items()},
        }
        for name, dataset in zip(names, inputs.earlier, strict=True)
    }


def _probabilities(parameters: Mapping[str, Any]) -> dict[str, float]:
    """How probable it is that texts of a similarity are compared, to 6 digits, by similarity."""
    found = minhash.candidate_probability(SIMILARITIES, bands=parameters["bands"], rows=parameters["rows"])
    return {f"{s:.1f}": round(p, 6) for s, p in zip(SIMILARITIES, found.tolist(), strict=True)}
