"""Rounds of large-star and small-star; each half of a round is a job that reads a step and writes the next one.

Spark brings each centre's neighbours together and sorts them, `links` does the rest: half the CPU time of windows.
"""

from itertools import count

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline.deduped.compared.spark import VERTEX
from pipeline.deduped.stars.links import ENDS, Links
from pipeline.deduped.steps.spark import Step, Steps


def star_labels(steps: Steps, edges: Step) -> DataFrame:
    """The smallest vertex of each one's component: (hi, lo, label_hi, label_lo), for all vertices that have an edge
    but those that are the smallest themselves.

    `edges`: a step of the table `pairs`, smaller vertex first.
    """
    for number in count():
        large = large_star(steps, f"large-star-{number:02d}", edges)
        if large.counts["unsettled"] == 0:  # the edges were stars, and large-star leaves stars as they are
            break
        edges = small_star(steps, f"small-star-{number:02d}", large)
    return steps.read(large).select(
        F.col("b_hi").alias("hi"),
        F.col("b_lo").alias("lo"),
        F.col("a_hi").alias("label_hi"),
        F.col("a_lo").alias("label_lo"),
    )


def large_star(steps: Steps, name: str, edges: Step) -> Step:
    """Each vertex as a centre links its larger neighbours, see `Links`."""
    rows = steps.read(edges)
    return steps.write(name, "pairs", _sorted(_from("a", rows).union(_from("b", rows))), Links("large"))


def small_star(steps: Steps, name: str, edges: Step) -> Step:
    """Each edge's larger vertex as a centre links its smaller neighbours, see `Links`."""
    return steps.write(name, "pairs", _sorted(_from("b", steps.read(edges))), Links("small"))


def _from(end: str, edges: DataFrame) -> DataFrame:
    other = "b" if end == "a" else "a"
    halves = [f"{name}_{half}" for name in (end, other) for half in VERTEX]
    return edges.select(*[F.col(half).alias(name) for half, name in zip(halves, ENDS, strict=True)])


def _sorted(rows: DataFrame) -> DataFrame:
    return rows.repartition(*ENDS[:2]).sortWithinPartitions(*ENDS)
