"""Documents, candidate pairs and similarities as DataFrames, from the signatures (and for `verify: exact` the texts).

Joins say that they are sort-merge joins: Spark does not know the size of rows that Python yields, takes them for tiny
and would send all signatures through the driver.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline.alarms import StageError
from pipeline.deduped import batches
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.steps.spark import mapped
from pipeline.manifest import Dataset

ROWS_A_PARTITION = 2_000_000  # rows of bands that one task pairs, 32 bytes each and some copies while it sorts them

FEW_ROWS = 100_000  # a task, where that gives no more than FEW_TASKS: small work keeps all cores of small clusters busy
FEW_TASKS = 64

VERTEX = ["hi", "lo"]
PAIR = ["a_hi", "a_lo", "b_hi", "b_lo"]
PAIR_DDL = "a_hi bigint, a_lo bigint, b_hi bigint, b_lo bigint"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The sources that are compared with each other, in one order: their filtered documents and their signatures."""

    filtered: Sequence[Dataset]
    signatures: Sequence[Dataset]

    @property
    def names(self) -> list[str]:
        """The names of the sources."""
        return [dataset.manifest.source for dataset in self.filtered]

    @property
    def n_documents(self) -> int:
        """Measured documents of all sources."""
        return sum(int(dataset.manifest.counts["documents"]) for dataset in self.signatures)

    def text_urls(self) -> list[tuple[int, str]]:
        """Each file of filtered documents, with the number of its source."""
        return _numbered([dataset.urls("filtered") for dataset in self.filtered])

    def signature_urls(self) -> list[tuple[int, str]]:
        """Each file of signatures, with the number of its source."""
        return _numbered([dataset.urls("signatures") for dataset in self.signatures])


def check_unique(spark: SparkSession, inputs: Inputs) -> None:
    """`StageError` if a doc_id stands for more than one document."""
    ids = mapped(spark, inputs.signature_urls(), batches.doc_ids_of, "hi bigint, lo bigint, src int")
    repeated = (
        ids.groupBy(*VERTEX)
        .agg(F.count("*").alias("n"), F.min("src").alias("first"), F.max("src").alias("last"))
        .filter(F.col("n") > 1)
    )
    for found in repeated.orderBy(*VERTEX).limit(1).toArrow().to_pylist():
        names = sorted({inputs.names[found["first"]], inputs.names[found["last"]]})
        raise StageError(
            f"doc_id {batches.doc_id_of(found['hi'], found['lo']).hex()} is that of {found['n']} documents of "
            f"{' and '.join(names)}; a removal could not be looked up. A doc_id is made of source, file and record, so "
            "a dataset is damaged: delete these sources' folders below `documents` and `filtered` and run both again"
        )


def documents(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """One row a document: doc_id, number of its source, priority, number of its file, n_bytes, vertex."""
    priorities = [params.priorities[name] for name in inputs.names]
    return mapped(
        spark,
        inputs.signature_urls(),
        partial(batches.vertices_of, params, priorities),
        "doc_id binary, src int, priority bigint, file int, n_bytes bigint, hi bigint, lo bigint",
    )


def candidates(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """Pairs of vertices (`PAIR`) that share a band, each once, the smaller vertex first."""
    n_rows = inputs.n_documents * params.bands
    n_partitions = max(1, -(-n_rows // ROWS_A_PARTITION), min(FEW_TASKS, -(-n_rows // FEW_ROWS)))
    bands = mapped(
        spark,
        inputs.signature_urls(),
        partial(batches.bands_of, params),
        "bucket bigint, affinity bigint, hi bigint, lo bigint",
    )
    return bands.repartition(n_partitions, "bucket").mapInArrow(batches.pairs_of, PAIR_DDL).distinct()


def compared(spark: SparkSession, inputs: Inputs, pairs: DataFrame, params: DedupParams) -> DataFrame:
    """`pairs` of vertices with the `similarity` of their texts, as the recipe's `verify` measures it."""
    if params.verify == "signature":
        tasks, work = inputs.signature_urls(), partial(batches.signatures_of, params)
        compare = partial(batches.estimated, params.bands * params.rows)
    else:
        tasks, work = inputs.text_urls(), partial(batches.texts_of, params)
        compare = partial(batches.exactly_compared, params.ngram)
    payloads = mapped(spark, tasks, work, "hi bigint, lo bigint, payload binary")
    # Copies of a text have one normal form, hence equal signatures and shingles: any of them speaks for the vertex.
    spoken = payloads.repartition(*VERTEX).groupBy(*VERTEX).agg(F.first("payload").alias("payload"))
    joined = pairs
    for end in ("a", "b"):
        own = spoken.select(F.col("hi").alias(f"{end}_hi"), F.col("lo").alias(f"{end}_lo"), F.col("payload").alias(end))
        joined = joined.join(own.hint("merge"), [f"{end}_hi", f"{end}_lo"], "inner")
    return joined.select(*PAIR, "a", "b").mapInArrow(compare, f"{PAIR_DDL}, similarity double")


def _numbered(urls: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    return [(number, url) for number, of_source in enumerate(urls) for url in of_source]
