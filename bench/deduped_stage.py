"""The job `deduped` through Spark, from filtered documents to published ones, in a session that has done it before."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark.sql import SparkSession
from rich.console import Console

from bench.filtered_spark import write_source
from bench.measure import Cost, below
from bench.workers import Usage, watched
from examples import gather
from pipeline import recipe
from pipeline.deduped import spark as deduped_spark
from pipeline.flow import Flow
from pipeline.manifest import Dataset


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """The stage in `whole`; `signatures` is its part that measures texts, with `cpu_seconds` of all processes. `usage`
    is that of the whole. Of `documents`, `kept` stayed."""

    signatures: Cost
    whole: Cost
    usage: Usage
    documents: int
    kept: int

    @property
    def rest(self) -> Cost:
        """All but the signatures."""
        return Cost(
            amount=self.whole.amount,
            wall_seconds=self.whole.wall_seconds - self.signatures.wall_seconds,
            cpu_seconds=self.whole.cpu_seconds - self.signatures.cpu_seconds,
        )


class Prepared:
    """Texts as filtered documents below `folder`, which no rule has rejected."""

    def __init__(self, spark: SparkSession, folder: Path, texts: Sequence[str]) -> None:
        write_source(folder / "raw", texts, 1)
        self._n_bytes = sum(len(text.encode()) for text in texts)
        self._root = folder / "root"
        self._spark = spark
        self._mix = recipe.parse(_RECIPE.format(raw=folder / "raw"), "the bench's recipe")
        _ = self._flow().filtered

    def run(self) -> StageCost:
        """Deduplicate, whatever has been done before."""
        for made in ("signatures", "deduped"):
            shutil.rmtree(self._root / made, ignore_errors=True)
        signatures: list[Cost] = []
        built: list[Dataset] = []
        original = deduped_spark.build_signatures

        def timed_signatures(*given: Any, **named: Any) -> Dataset:
            found: list[Dataset] = []
            signatures.append(below(lambda: found.append(original(*given, **named)), self._n_bytes))
            return found[0]

        with watched() as usage, mock.patch.object(deduped_spark, "build_signatures", timed_signatures):
            whole = below(lambda: built.extend(self._flow().deduped.values()), self._n_bytes)
        [cost], [dataset] = signatures, built
        counts = dataset.manifest.counts
        return StageCost(
            signatures=cost,
            whole=whole,
            usage=usage,
            documents=int(counts["documents"]),
            kept=int(counts["kept_documents"]),
        )

    def _flow(self) -> Flow:
        makes = ("documents", "filtered", "deduped")
        return Flow(self._mix, str(self._root), console=Console(quiet=True), makes=makes, spark=self._spark)


_RECIPE = """
name: bench
seed: 1
sequence_length: 1024
budget_tokens: 1M
tokenizer: {{train: {{vocab_size: 1000, sample_bytes: 1M}}}}
dedup: {{max_source_loss: 1.0, max_cluster: 1B}}
sources:
  texts:
    root: "{raw}"
    files: ["*.parquet"]
    format: parquet
    weight: 1
"""


def source_code(n_bytes: int) -> list[str]:
    """Python files of the environment, no text twice, in the order of the hashes of their paths: `n_bytes` of them, or
    all there are."""
    files = [file for file in gather.list_files(gather.environment()) if file.path.endswith(".py")]
    taken: dict[str, None] = {}
    for file in sorted(files, key=lambda file: sha256(file.path.encode()).digest()):
        if n_bytes <= 0:
            break
        for document in gather.find_text(file).documents:
            if document["text"] not in taken:
                taken[document["text"]] = None
                n_bytes -= len(document["text"].encode())
    return list(taken)
