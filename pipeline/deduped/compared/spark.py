"""Documents, candidate pairs and similarities as DataFrames, from the signatures (and for `verify: exact` the texts).

Joins say that they are sort-merge joins: Spark does not know the size of rows that Python yields, takes them for tiny
and would send all signatures through the driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812, the name that everybody gives it

from pipeline.deduped import batches
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.inputs import ABOVE_ALL, Inputs
from pipeline.deduped.steps.spark import mapped

ROWS_A_PARTITION = 2_000_000  # rows of bands that one task pairs, 32 bytes each and some copies while it sorts them

FEW_ROWS = 100_000  # a task, where that gives no more than FEW_TASKS: small work keeps all cores of small clusters busy
FEW_TASKS = 64

SHUFFLED_BYTES = 128 * 2**20  # that joins and windows move to one task, if of every document something is compared
FEW_DOCUMENTS = 10_000  # a task, likewise where that gives no more than FEW_TASKS
DOCUMENT_BYTES = 100  # of a document's row beside what is compared: hashes, numbers, and what Spark adds
SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"

VERTEX = ["hi", "lo"]
PAIR = ["a_hi", "a_lo", "b_hi", "b_lo"]
PAYLOAD_DDL = "hi bigint, lo bigint, payload binary"
PAIR_DDL = "a_hi bigint, a_lo bigint, b_hi bigint, b_lo bigint"


@contextmanager
def shuffled(spark: SparkSession, inputs: Inputs, params: DedupParams) -> Iterator[None]:
    """In the body, joins and windows have as many partitions as the documents need, not what the session has for jobs
    of any size; Spark makes fewer of them where they are small (adaptive execution)."""
    n_bytes = inputs.n_documents * (DOCUMENT_BYTES + 4 * params.bands * params.rows)
    if params.verify == "exact":
        n_bytes += sum(int(dataset.manifest.counts["kept_bytes"]) for dataset in inputs.filtered)
    few = min(FEW_TASKS, -(-inputs.n_documents // FEW_DOCUMENTS))
    before = spark.conf.get(SHUFFLE_PARTITIONS)
    spark.conf.set(SHUFFLE_PARTITIONS, str(max(1, few, -(-n_bytes // SHUFFLED_BYTES))))
    try:
        yield
    finally:
        spark.conf.set(SHUFFLE_PARTITIONS, str(before))


def check_unique(spark: SparkSession, inputs: Inputs) -> None:
    """`StageError` if a doc_id stands for more than one document of the sources."""
    ids = mapped(spark, inputs.new_files(), batches.doc_ids_of, "hi bigint, lo bigint, src int")
    repeated = (
        ids.groupBy(*VERTEX)
        .agg(F.count("*").alias("n"), F.min("src").alias("first"), F.max("src").alias("last"))
        .filter(F.col("n") > 1)
    )
    for found in repeated.orderBy(*VERTEX).limit(1).toArrow().to_pylist():
        raise inputs.repeated(found["hi"], found["lo"], found["n"], {found["first"], found["last"]})


def check_earlier(spark: SparkSession, inputs: Inputs) -> None:
    """`StageError` unless all documents that the earlier datasets kept are found among their signatures."""
    if not inputs.earlier:
        return
    ids = mapped(spark, inputs.earlier_files(), batches.doc_ids_of, "hi bigint, lo bigint, src int")
    found = {row["src"]: row["count"] for row in ids.groupBy("src").count().toArrow().to_pylist()}
    inputs.check_earlier(found)


def documents(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """One row a document: doc_id, number of its source, priority, number of its file, n_bytes, vertex; the hash of its
    URL where the recipe compares URLs and there is one, and its quality where the recipe names a signal."""
    priorities = [*(params.priorities[name] for name in inputs.sources), *[ABOVE_ALL] * len(inputs.earlier)]
    every = mapped(
        spark,
        inputs.files(),
        partial(batches.vertices_of, params, priorities),
        "doc_id binary, src int, priority bigint, file int, n_bytes bigint, hi bigint, lo bigint",
    )
    more = []
    if params.url:
        more.append(mapped(spark, inputs.text_urls(), batches.urls_of, "doc_id binary, url_hi bigint, url_lo bigint"))
    if params.keep is not None:
        measure = partial(batches.quality_of, params.keep)
        more.append(mapped(spark, inputs.text_urls(), measure, "doc_id binary, quality double"))
    for columns in more:  # documents of earlier datasets, which may share doc_ids with these, have none of them
        own = columns.withColumn("own", F.lit(True))
        every = every.withColumn("own", F.col("src") < len(inputs.filtered))
        every = every.join(own.hint("merge"), ["doc_id", "own"], "left").drop("own")
    return every


def candidates(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """Pairs of vertices (`PAIR`) that share a band, each once, the smaller vertex first; none of two earlier
    documents. A row whose `bucket_size` is above 0 is no pair, see `batches.pairs_of`."""
    n_rows = inputs.n_documents * params.bands
    n_partitions = max(1, -(-n_rows // ROWS_A_PARTITION), min(FEW_TASKS, -(-n_rows // FEW_ROWS)))
    bands = mapped(
        spark,
        inputs.files(),
        partial(batches.bands_of, params),
        "bucket bigint, affinity bigint, hi bigint, lo bigint, earlier boolean",
    )
    return (
        bands.repartition(n_partitions, "bucket")
        .mapInArrow(batches.pairs_of, f"{PAIR_DDL}, bucket_size bigint")
        .distinct()
    )


def same_urls(spark: SparkSession, inputs: Inputs, params: DedupParams) -> DataFrame:
    """Pairs of vertices whose documents have one canonical URL: each one's smallest vertex with the others. Those of
    earlier datasets, whose URLs are not kept, take no part."""
    vertex = F.struct("hi", "lo")
    found = (
        documents(spark, inputs, params)
        .filter(F.col("url_hi").isNotNull())
        .select(vertex.alias("vertex"), F.min(vertex).over(Window.partitionBy("url_hi", "url_lo")).alias("smallest"))
        .filter(F.col("vertex") != F.col("smallest"))
        .distinct()
    )
    ends = {"a": "smallest", "b": "vertex"}
    return found.select(
        *[F.col(f"{vertex}.{half}").alias(f"{end}_{half}") for end, vertex in ends.items() for half in VERTEX]
    )


def payloads(spark: SparkSession, inputs: Inputs, pairs: DataFrame, params: DedupParams) -> DataFrame:
    """What is compared of the vertices that stand in `pairs`: (hi, lo, payload), each once. Of most documents nothing
    is ever compared, so theirs are not moved again."""
    if params.verify == "signature":
        every = mapped(spark, inputs.files(), partial(batches.signatures_of, params), PAYLOAD_DDL)
    else:
        every = mapped(spark, inputs.text_urls(), partial(batches.texts_of, params), PAYLOAD_DDL)
    ends = [pairs.select(*[F.col(f"{end}_{half}").alias(half) for half in VERTEX]) for end in ("a", "b")]
    wanted = ends[0].union(ends[1]).distinct()
    # Copies of a text have one normal form, hence equal signatures and shingles: any of them speaks for the vertex.
    spoken = every.join(wanted.hint("merge"), VERTEX, "left_semi").groupBy(*VERTEX)
    return spoken.agg(F.first("payload").alias("payload"))


def compared(spoken: DataFrame, pairs: DataFrame, params: DedupParams) -> DataFrame:
    """`pairs` of vertices with the `similarity` of their texts, as the recipe's `verify` measures it; `spoken` are the
    `payloads` of them all."""
    if params.verify == "signature":
        compare = partial(batches.estimated, params.bands * params.rows)
    else:
        compare = partial(batches.exactly_compared, params.ngram)
    joined = pairs
    for end in ("a", "b"):
        own = spoken.select(F.col("hi").alias(f"{end}_hi"), F.col("lo").alias(f"{end}_lo"), F.col("payload").alias(end))
        joined = joined.join(own.hint("merge"), [f"{end}_hi", f"{end}_lo"], "inner")
    return joined.select(*PAIR, "a", "b").mapInArrow(compare, f"{PAIR_DDL}, similarity double")
