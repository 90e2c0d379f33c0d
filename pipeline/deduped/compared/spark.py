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
from pipeline.deduped import against, batches
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import DedupParams, SignatureFile
from pipeline.deduped.steps.spark import mapped
from pipeline.manifest import Dataset

ROWS_A_PARTITION = 2_000_000  # rows of bands that one task pairs, 32 bytes each and some copies while it sorts them

FEW_ROWS = 100_000  # a task, where that gives no more than FEW_TASKS: small work keeps all cores of small clusters busy
FEW_TASKS = 64

VERTEX = ["hi", "lo"]
PAIR = ["a_hi", "a_lo", "b_hi", "b_lo"]
ABOVE_ALL = -(2**31)  # the priority of earlier datasets; a recipe's is larger
PAYLOAD_DDL = "hi bigint, lo bigint, payload binary"
PAIR_DDL = "a_hi bigint, a_lo bigint, b_hi bigint, b_lo bigint"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The sources that are compared with each other, in one order: their filtered documents and their signatures; and
    the `earlier` datasets that they are compared with, whose numbers follow theirs."""

    filtered: Sequence[Dataset]
    signatures: Sequence[Dataset]
    earlier: Sequence[Earlier] = ()

    @property
    def sources(self) -> list[str]:
        """The names of the sources."""
        return [dataset.manifest.source for dataset in self.filtered]

    @property
    def names(self) -> list[str]:
        """The names of the sources, then of the earlier datasets."""
        return [*self.sources, *against.names(self.sources, self.earlier)]

    @property
    def n_documents(self) -> int:
        """Documents that take part."""
        measured = sum(int(dataset.manifest.counts["documents"]) for dataset in self.signatures)
        return measured + sum(dataset.n_documents for dataset in self.earlier)

    def text_urls(self) -> list[tuple[int, str]]:
        """Each file of filtered documents, with the number of its source."""
        return _numbered([dataset.urls("filtered") for dataset in self.filtered])

    def new_files(self) -> list[SignatureFile]:
        """Each file of the sources' signatures."""
        numbered = _numbered([dataset.urls("signatures") for dataset in self.signatures])
        return [SignatureFile(src=src, url=url) for src, url in numbered]

    def earlier_files(self) -> list[SignatureFile]:
        """Each file of the earlier datasets' signatures."""
        return [file for src, dataset in enumerate(self.earlier, len(self.filtered)) for file in dataset.files(src)]

    def files(self) -> list[SignatureFile]:
        """Each file of signatures that take part."""
        return [*self.new_files(), *self.earlier_files()]


def check_unique(spark: SparkSession, inputs: Inputs) -> None:
    """`StageError` if a doc_id stands for more than one document of the sources."""
    ids = mapped(spark, inputs.new_files(), batches.doc_ids_of, "hi bigint, lo bigint, src int")
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


def check_earlier(spark: SparkSession, inputs: Inputs) -> None:
    """`StageError` unless all documents that the earlier datasets kept are found among their signatures."""
    if not inputs.earlier:
        return
    ids = mapped(spark, inputs.earlier_files(), batches.doc_ids_of, "hi bigint, lo bigint, src int")
    found = {row["src"]: row["count"] for row in ids.groupBy("src").count().toArrow().to_pylist()}
    for src, dataset in enumerate(inputs.earlier, len(inputs.filtered)):
        if found.get(src, 0) != dataset.n_documents:
            raise StageError(
                f"dedup.against = {dataset.deduped.url} kept {dataset.n_documents} documents, but "
                f"{found.get(src, 0)} are found in {dataset.signatures.url} less the removed ones: one of the two is "
                "damaged or was made otherwise; delete both and run the mix that made them again"
            )


def documents(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """One row a document: doc_id, number of its source, priority, number of its file, n_bytes, vertex."""
    priorities = [*(params.priorities[name] for name in inputs.sources), *[ABOVE_ALL] * len(inputs.earlier)]
    return mapped(
        spark,
        inputs.files(),
        partial(batches.vertices_of, params, priorities),
        "doc_id binary, src int, priority bigint, file int, n_bytes bigint, hi bigint, lo bigint",
    )


def candidates(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """Pairs of vertices (`PAIR`) that share a band, each once, the smaller vertex first; none of two earlier
    documents."""
    n_rows = inputs.n_documents * params.bands
    n_partitions = max(1, -(-n_rows // ROWS_A_PARTITION), min(FEW_TASKS, -(-n_rows // FEW_ROWS)))
    bands = mapped(
        spark,
        inputs.files(),
        partial(batches.bands_of, params),
        "bucket bigint, affinity bigint, hi bigint, lo bigint, earlier boolean",
    )
    return bands.repartition(n_partitions, "bucket").mapInArrow(batches.pairs_of, PAIR_DDL).distinct()


def compared(spark: SparkSession, inputs: Inputs, pairs: DataFrame, params: DedupParams) -> DataFrame:
    """`pairs` of vertices with the `similarity` of their texts, as the recipe's `verify` measures it."""
    if params.verify == "signature":
        payloads = mapped(spark, inputs.files(), partial(batches.signatures_of, params), PAYLOAD_DDL)
        compare = partial(batches.estimated, params.bands * params.rows)
    else:
        payloads = mapped(spark, inputs.text_urls(), partial(batches.texts_of, params), PAYLOAD_DDL)
        compare = partial(batches.exactly_compared, params.ngram)
    # Copies of a text have one normal form, hence equal signatures and shingles: any of them speaks for the vertex.
    spoken = payloads.repartition(*VERTEX).groupBy(*VERTEX).agg(F.first("payload").alias("payload"))
    joined = pairs
    for end in ("a", "b"):
        own = spoken.select(F.col("hi").alias(f"{end}_hi"), F.col("lo").alias(f"{end}_lo"), F.col("payload").alias(end))
        joined = joined.join(own.hint("merge"), [f"{end}_hi", f"{end}_lo"], "inner")
    return joined.select(*PAIR, "a", "b").mapInArrow(compare, f"{PAIR_DDL}, similarity double")


def _numbered(urls: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    return [(number, url) for number, of_source in enumerate(urls) for url in of_source]
