"""Whether deduplication costs as much as there are documents: the stage on signatures that are made (`deduped_made`).

What grows with the documents is what a size takes less what a very small one takes, the fixed start. It is told twice,
in wall seconds and in CPU seconds of all processes; the latter say more where something else runs on the machine.

Before each run memory is touched and given back: a virtual machine gets its pages from its host when they are first
used, here at 1 to 2 ms a MB, ten times what they cost later, and loses them again seconds after they were last used.
That would be counted against the sizes that need more than the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pyspark.sql import SparkSession

from bench import deduped_made
from bench.deduped_planted import BANDS
from bench.measure import Cost, below
from bench.table import figure, show
from bench.workers import Usage, watched
from pipeline.deduped import in_memory, specs
from pipeline.deduped import spark as deduped
from pipeline.deduped.batches import DedupParams
from pipeline.manifest import Dataset

FEW = 2_000  # documents, for the fixed start
TIMES = (1, 2, 4, 8)
WARM_RUNS = 4  # until the JVM has compiled what takes most
TOUCHED_BYTES, MOST_TOUCHED = 4_000, 3 * 10**9  # a document, and in all: what the driver and the workers take
MOST_OVER_LINEAR = 1.15  # issue 4


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Synthetic signatures: the smallest number of documents, the bands, how often each size is run, and who decides:
    the driver, as the stage has it up to `in_memory.MAX_DOCUMENTS`, or joins."""

    documents: int
    bands: int = BANDS
    rounds: int = 1
    joins: bool = False


def main(spark: SparkSession, sizes: Linear, rows: int) -> None:
    """Measure with 1, 2, 4 and 8 times the documents, without and with a heavy bucket, and print."""
    bands = sizes.bands
    for _ in range(WARM_RUNS):
        measure(spark, FEW, sizes, rows, heavy=False)
    measure(spark, sizes.documents * (1 if sizes.joins else max(TIMES)), sizes, rows, heavy=False)
    for heavy in (False, True):
        (fixed, _), *costs = _medians(spark, [FEW, *(times * sizes.documents for times in TIMES)], sizes, rows, heavy)
        decided = "by joins" if sizes.joins else "by the driver"
        bucket = f"{deduped_made.HEAVY:.0%} of the documents in one bucket" if heavy else "no heavy bucket"
        show(
            f"deduped {decided}: linear? synthetic signatures of {bands} bands of {rows} rows, {bucket}; "
            f"{FEW:,} documents take {fixed.wall_seconds:.2f} s",
            [
                "documents",
                "seconds",
                "documents/s",
                "CPU s, JVM",
                "Python",
                "worker MB",
                "× linear",
                "in CPU s",
                "holds",
            ],
            _rows(costs, fixed),
        )


def _medians(
    spark: SparkSession, documents: Sequence[int], sizes: Linear, rows: int, heavy: bool
) -> list[tuple[Cost, Usage]]:
    """Of each size the run of median wall seconds. The sizes take turns, as the machine's speed changes by a third
    within minutes; and the best runs would flatter the small sizes, which fit between two disturbances."""
    rounds = [[measure(spark, n, sizes, rows, heavy=heavy) for n in documents] for _ in range(sizes.rounds)]
    return [sorted(runs, key=lambda run: run[0].wall_seconds)[len(runs) // 2] for runs in zip(*rounds, strict=True)]


def measure(spark: SparkSession, n_documents: int, sizes: Linear, rows: int, *, heavy: bool) -> tuple[Cost, Usage]:
    """What the stage takes for so many documents; making the signatures is not part of it. `ValueError` if it
    does not find the exact copies and nine of ten near ones."""
    params = DedupParams(
        threshold=0.8,
        ngram=5,
        bands=sizes.bands,
        rows=rows,
        scope="global",
        exact=True,
        verify="signature",
        priorities={deduped_made.SOURCE: 1},
    )
    most = 0 if sizes.joins else in_memory.MAX_DOCUMENTS
    built: list[Dataset] = []
    with TemporaryDirectory() as root:
        filtered, signatures = deduped_made.make(Path(root), n_documents, params, heavy=heavy)
        wanted = specs.spec(deduped_made.SOURCE, [filtered], params)
        np.ones(min(TOUCHED_BYTES * n_documents, MOST_TOUCHED), np.uint8)
        with watched() as usage:
            cost = below(
                lambda: built.extend(
                    deduped.build(spark, [filtered], [signatures], params, [wanted], root, max_documents=most)
                ),
                n_documents,
            )
    removed = built[0].manifest.counts["removed"]
    for kind, share in (("exact", deduped_made.COPIES), ("near", 0.9 * deduped_made.NEAR)):
        if removed.get(kind, 0) < share * n_documents:
            raise ValueError(f"of {n_documents} documents {share:.0%} or more are {kind} copies, but {removed} went")
    return cost, usage


def _rows(costs: Sequence[tuple[Cost, Usage]], fixed: Cost) -> list[list[str]]:
    one = costs[0][0]
    found = []
    for cost, usage in costs:
        times = cost.amount / one.amount
        over = (cost.wall_seconds - fixed.wall_seconds) / (one.wall_seconds - fixed.wall_seconds) / times
        over_cpu = (cost.cpu_seconds - fixed.cpu_seconds) / (one.cpu_seconds - fixed.cpu_seconds) / times
        found.append(
            [
                f"{cost.amount:,.0f}",
                figure(cost.wall_seconds),
                figure(cost.rate),
                figure(usage.jvm_seconds),
                figure(usage.python_seconds),
                figure(usage.peak_bytes / 1e6),
                f"{over:.3f}",
                f"{over_cpu:.3f}",
                "yes" if over <= MOST_OVER_LINEAR else "NO",
            ]
        )
    return found
