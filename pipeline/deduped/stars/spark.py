"""Rounds of large-star and small-star; each half of a round is a job that reads a step and writes the next one."""

from itertools import count

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline.deduped.compared.spark import PAIR, VERTEX
from pipeline.deduped.steps.spark import Step, Steps
from pipeline.tables.sink import Sink


def star_labels(steps: Steps, edges: Step) -> DataFrame:
    """The smallest vertex of each one's component: (hi, lo, label_hi, label_lo), for all vertices that have an edge
    but those that are the smallest themselves.

    `edges`: a step of the table `pairs`, smaller vertex first.
    """
    for number in count():
        large = steps.write(f"large-star-{number:02d}", "pairs", large_star(steps.read(edges)), _write_larger)
        if large.counts["unsettled"] == 0:  # the edges were stars, and large-star leaves stars as they are
            break
        edges = steps.write(f"small-star-{number:02d}", "pairs", small_star(steps.read(large)))
    return steps.read(large).select(
        F.col("b_hi").alias("hi"),
        F.col("b_lo").alias("lo"),
        F.col("a_hi").alias("label_hi"),
        F.col("a_lo").alias("label_lo"),
    )


def large_star(edges: DataFrame) -> DataFrame:
    """Each edge from both its ends: the edge (`PAIR`) that the neighbour gets if it is `larger`, and whether the
    centre is `settled`: the middle of a star, or the end of one ray."""
    forth = edges.select(_vertex("a").alias("centre"), _vertex("b").alias("neighbour"))
    back = edges.select(_vertex("b").alias("centre"), _vertex("a").alias("neighbour"))
    each_once = forth.union(back).repartition("centre").distinct()
    neighbours = Window.partitionBy("centre")
    return each_once.select(
        "centre",
        "neighbour",
        F.least("centre", F.min("neighbour").over(neighbours)).alias("smallest"),
        F.count("*").over(neighbours).alias("degree"),
    ).select(
        *_pair("smallest", "neighbour"),
        (F.col("neighbour") > F.col("centre")).alias("larger"),
        ((F.col("smallest") == F.col("centre")) | (F.col("degree") == 1)).alias("settled"),
    )


def small_star(edges: DataFrame) -> DataFrame:
    """`edges`, smaller vertex first, with each one's larger vertex as a centre: the edge to its smallest neighbour
    stays, the other neighbours are linked to that one."""
    each_once = edges.select(_vertex("a").alias("neighbour"), _vertex("b").alias("centre"))
    each_once = each_once.repartition("centre").distinct()
    smallest = F.min("neighbour").over(Window.partitionBy("centre"))
    linked = F.when(F.col("neighbour") == F.col("smallest"), F.col("centre")).otherwise(F.col("neighbour"))
    return (
        each_once.select("centre", "neighbour", smallest.alias("smallest"))
        .select("smallest", linked.alias("linked"))
        .select(*_pair("smallest", "linked"))
    )


def _vertex(end: str) -> Column:
    return F.struct(F.col(f"{end}_hi").alias("hi"), F.col(f"{end}_lo").alias("lo"))


def _pair(a: str, b: str) -> list[Column]:
    return [F.col(f"{vertex}.{half}").alias(f"{end}_{half}") for end, vertex in (("a", a), ("b", b)) for half in VERTEX]


def _write_larger(batch: pa.RecordBatch, sink: Sink) -> None:
    sink.count("unsettled", pc.sum(pc.invert(batch.column("settled"))).as_py() or 0)
    sink.write("pairs", batch.filter(batch.column("larger")).select(PAIR))
