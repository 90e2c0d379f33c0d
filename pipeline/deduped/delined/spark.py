"""The documents of one source without its heavy lines.

Texts are read twice. In between, each different line of each file is moved once, 24 bytes a line, by its hash, and the
heavy ones are written as a step, never collected: every task reads them all. That takes 12 to 16 bytes a heavy line in
each Python worker for as long as it lives, and 33 bytes while it reads them (measured with 20 million): for 100 million
1.6 GB, and 3.3 GB at the peak.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline import manifest, storage
from pipeline.alarms import check_balance
from pipeline.deduped.delined import tasks
from pipeline.deduped.delined.tasks import NO_LINES_LEFT, Heavy
from pipeline.deduped.steps.spark import Step, Steps, mapped
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.spark import Receipt
from pipeline.texts.unicode_tables import UNICODE_VERSION
from pipeline.versions import made

STAGE = "delined"
VERSION = 1  # goes up when `lines` cuts otherwise or takes other lines for equal
CHANGE = "heavy_line"  # the reason of what is cut
N_SHOWN = 20

BYTES_A_PARTITION = 1_000_000_000  # of text, whose lines one task adds up: some 20 million different ones
FEW_TASKS = 64  # small sources are added up by as many tasks as they have files, up to this many


def spec(filtered: Dataset, max_documents: int) -> Spec:
    """What the documents of a source without their heavy lines are made of; a line is heavy if it stands in more than
    `max_documents` of them. `ValueError` below 1, where every line would be."""
    if max_documents < 1:
        raise ValueError(f"max_documents {max_documents} would cut every line of every document; it takes 1 or more")
    return Spec(
        stage=STAGE,
        source=filtered.manifest.source,
        version=VERSION,
        inputs={"filtered": filtered.manifest.fingerprint},
        parameters={"max_documents": max_documents, "unicode": UNICODE_VERSION},
    )


def build(spark: SparkSession, filtered: Dataset, wanted: Spec, root: str) -> Dataset:
    """Find the heavy lines, cut them out, and publish; task i writes what is left of file i, in its order."""
    attempt = manifest.new_attempt()
    attempt_url = storage.join(wanted.url(root), attempt)
    steps = Steps(spark=spark, url=storage.join(attempt_url, "steps"))
    try:
        found = steps.write("heavy_lines", "heavy_lines", _heavy_lines(spark, filtered, wanted))
        heaviest = _heaviest(steps, found)
        receipts = tables.run_tasks(
            spark,
            filtered.urls("filtered"),
            partial(tasks.cut_lines, Heavy(urls=found.urls, shown=tuple(heaviest))),
            stage=STAGE,
            attempt_url=attempt_url,
        )
    finally:
        steps.remove()
    totals = _totals(filtered, receipts)
    name = f"delined {wanted.source}"
    check_balance(name, "documents", totals["documents"], totals["kept_documents"], totals["rejected"])
    gone = totals["rejected_bytes"] | totals["changed_bytes"]
    check_balance(name, "bytes", totals["bytes"], totals["kept_bytes"], gone)
    return manifest.publish(
        root,
        wanted,
        attempt=attempt,
        files=tables.all_files(receipts),
        counts=totals,
        report=_report(found.n_rows, heaviest, receipts),
        made=made(),
    )


def _heavy_lines(spark: SparkSession, filtered: Dataset, wanted: Spec) -> DataFrame:
    """(hash, documents) of the lines that stand in more documents than the spec allows."""
    urls = filtered.urls("filtered")
    counted = mapped(spark, urls, tasks.documents_of_lines, "hash bigint, documents bigint")
    n_tasks = max(1, min(len(urls), FEW_TASKS), filtered.manifest.counts["kept_bytes"] // BYTES_A_PARTITION)
    # The partitions are given, so that nothing is added up before the shuffle: a file has no line twice.
    summed = counted.repartition(n_tasks, "hash").groupBy("hash").agg(F.sum("documents").alias("documents"))
    return summed.filter(F.col("documents") > wanted.parameters["max_documents"])


def _heaviest(steps: Steps, found: Step) -> dict[int, int]:
    """hash → documents of the lines that stand in the most documents, from the first down."""
    first = steps.read(found).orderBy(F.desc("documents"), "hash").limit(N_SHOWN)
    return {row["hash"]: row["documents"] for row in first.toArrow().to_pylist()}


def _totals(filtered: Dataset, receipts: Sequence[Receipt]) -> dict[str, Any]:
    """The counts of a filtered dataset: `rejected_bytes` are those of the texts before they were cut, `changed_bytes`
    what was cut out of kept ones."""
    before, counts = filtered.manifest.counts, tables.all_counts(receipts)
    rejected = counts["rejected"] > 0
    return {
        "documents": before["kept_documents"],
        "bytes": before["kept_bytes"],
        "kept_documents": counts["kept_documents"],
        "kept_bytes": counts["kept_bytes"],
        "rejected": {NO_LINES_LEFT: counts["rejected"]} if rejected else {},
        "rejected_bytes": {NO_LINES_LEFT: counts["rejected_bytes"]} if rejected else {},
        "changed_bytes": {CHANGE: counts["cut_bytes"]} if counts["cut_bytes"] else {},
    }


def _report(n_heavy: int, heaviest: Mapping[int, int], receipts: Sequence[Receipt]) -> dict[str, Any]:
    """What a person wants to see: `heavy_lines`, how many different ones there are; `changes` as in a filtered
    dataset's report, those of kept documents (`spans` are lines); `heaviest`, the heaviest lines as they first stand
    in the files, with their documents."""
    counts, texts = tables.all_counts(receipts), dict[str, str]()
    for receipt in receipts:
        texts = receipt.notes["shown"] | texts
    return {
        "heavy_lines": n_heavy,
        "changes": [
            {
                "reason": CHANGE,
                "documents": counts["changed_documents"],
                "spans": counts["cut_lines"],
                "removed_bytes": counts["cut_bytes"],
                "written_bytes": 0,
            }
        ],
        "heaviest": [{"documents": n, "text": texts[str(value)]} for value, n in heaviest.items()],
    }
