"""The job `filtered` through Spark, in a session that has filtered something before: the fixed start is apart."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from rich.console import Console

from bench.measure import Cost, below
from pipeline import recipe, session
from pipeline.flow import Flow

N_FILES = 16  # the documents' files, which give the job its tasks


def write_source(folder: Path, texts: Sequence[str], copies: int) -> None:
    """Parquet files of `copies` times the texts: the same text in several documents, each with a doc_id of its own."""
    folder.mkdir(parents=True)
    for number in range(N_FILES):
        part = pa.table({"text": pa.array(list(texts[number::N_FILES]) * copies, pa.large_string())})
        pq.write_table(part, folder / f"{number:02d}.parquet", compression="zstd", row_group_size=4096)


def measure(
    folder: Path, texts: Sequence[str], n_bytes: int, copies: int, rule_sets: Sequence[str], cores: int, rounds: int
) -> list[Cost]:
    """The cost of filtering `copies` times the texts, `rounds` times anew; making the documents is not part of it."""
    spark = session.start("bench", cores=cores)
    try:
        tiny = list(texts[: max(N_FILES, len(texts) // 50)])
        run = _prepared(folder / "tiny", tiny, 1, rule_sets, spark)
        run()
        run = _prepared(folder / "full", texts, copies, rule_sets, spark)
        return [below(run, n_bytes * copies) for _ in range(rounds)]
    finally:
        spark.stop()


def _prepared(
    folder: Path, texts: Sequence[str], copies: int, rule_sets: Sequence[str], spark: SparkSession
) -> Callable[[], None]:
    """The documents of these texts are made; what is returned filters them."""
    write_source(folder / "raw", texts, copies)
    mix = recipe.parse(
        f"""
name: bench
seed: 1
sequence_length: 1024
budget_tokens: 1M
tokenizer: {{train: {{vocab_size: 1000, sample_bytes: 1M}}}}
sources:
  prose:
    root: "{folder}/raw"
    files: ["*.parquet"]
    format: parquet
    rules: [{", ".join(rule_sets)}]
    max_rejected: 1.0
    weight: 1
""",
        "the bench's recipe",
    )
    root = folder / "root"

    def flow() -> Flow:
        return Flow(mix, str(root), console=Console(quiet=True), makes=("documents", "filtered"), spark=spark)

    _ = flow().documents

    def run() -> None:
        for made in root.iterdir():
            if made.name != "documents":
                shutil.rmtree(made)
        _ = flow().filtered

    return run
