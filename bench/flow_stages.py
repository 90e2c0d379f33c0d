"""The whole flow of a mix of one source, from JSON lines to shards and plan, measured stage by stage."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession
from rich.console import Console

from bench.measure import Cost, below
from bench.workers import Usage, watched
from pipeline import recipe
from pipeline.flow import STAGES, Flow
from pipeline.manifest import Dataset

SOURCE = "text"
SEQUENCE_LENGTH = 2048
FILE_BYTES = 8_000_000  # of raw text in a file; a task of the first stage reads some of them


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage took, with the processes of Spark apart."""

    cost: Cost
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole flow by stage. Of `documents`, `passed` are what the rules and `kept` what deduplication left; these are
    `tokens` in whole rows."""

    stages: Mapping[str, Stage]
    documents: int
    passed: int
    kept: int
    tokens: int

    @property
    def whole(self) -> Cost:
        """All stages together."""
        costs = [stage.cost for stage in self.stages.values()]
        return Cost(
            amount=costs[0].amount,
            wall_seconds=sum(cost.wall_seconds for cost in costs),
            cpu_seconds=sum(cost.cpu_seconds for cost in costs),
        )


def write_raw(folder: Path, texts: Iterable[str], name: str) -> int:
    """JSON lines below the folder, in files `<name>-….jsonl` of `FILE_BYTES`; the bytes of the texts."""
    folder.mkdir(parents=True, exist_ok=True)
    n_bytes = 0
    for number, part in enumerate(_parts(texts)):
        lines = [json.dumps({"text": text, "id": ""}, ensure_ascii=False) + "\n" for text in part]
        (folder / f"{name}-{number:04d}.jsonl").write_text("".join(lines), encoding="utf-8")
        n_bytes += sum(len(text.encode()) for text in part)
    return n_bytes


def run(
    spark: SparkSession, raw: Path, files: Sequence[str], n_bytes: int, root: Path, tokenizer: Path
) -> tuple[Run, Mapping[str, Dataset]]:
    """Make the mix of the files (globs) of `raw`, which hold `n_bytes` of text, below an empty `root`. Told too are the
    datasets that the stages up to `deduped` left."""
    mix = recipe.parse(
        _RECIPE.format(
            budget=max(n_bytes, SEQUENCE_LENGTH),
            tokenizer=tokenizer,
            source=SOURCE,
            raw=raw,
            files=json.dumps(list(files)),
        ),
        "the bench's recipe",
    )
    flow = Flow(mix, str(root), console=Console(quiet=True), makes=STAGES, spark=spark)
    stages = {}
    for name in STAGES:
        with watched() as usage:
            cost = below(lambda name=name: getattr(flow, name), n_bytes)  # type: ignore[misc]
        stages[name] = Stage(cost=cost, usage=usage)
    datasets = {"documents": flow.documents, "filtered": flow.filtered, "deduped": flow.deduped}
    made = {name: found[SOURCE] for name, found in datasets.items()}
    counts = {name: int(dataset.manifest.counts["kept_documents"]) for name, dataset in made.items()}
    tokens = sum(part.manifest.counts["samples"] for part in flow.tokenized.measured[SOURCE]) * SEQUENCE_LENGTH
    found = Run(
        stages=stages,
        documents=counts["documents"],
        passed=counts["filtered"],
        kept=counts["deduped"],
        tokens=tokens,
    )
    return found, made


def _parts(texts: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    room = FILE_BYTES
    for text in texts:
        part.append(text)
        room -= len(text)
        if room <= 0:
            yield part
            part, room = [], FILE_BYTES
    if part:
        yield part


_RECIPE = """
name: bench
seed: 1
sequence_length: 2048
budget_tokens: {budget}
tokenizer: {{file: "{tokenizer}"}}
sources:
  {source}:
    root: "{raw}"
    files: {files}
    rules: [gopher_quality, gopher_repetition]
    max_rejected: 1.0
    max_passes: 1000000
    weight: 1
dedup: {{threshold: 0.8, ngram: 5, bands: 14, rows: 8, max_source_loss: 1.0, max_cluster: 1B, max_bucket: 1B}}
"""
