"""The job `tokenized` through Spark, from deduped documents to committed shards, in a session that is warm."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pyspark.sql import SparkSession
from rich.console import Console

from bench import tokenized_made
from bench.measure import Cost, below
from bench.workers import Usage, watched
from pipeline import recipe
from pipeline.flow import tokenized as flow
from pipeline.flow.runner import Runner
from pipeline.recipe_files import RecipeFiles
from pipeline.tokenized import tokenizer
from pipeline.tokenized.engines.choice import Choice

SEQUENCE_LENGTH = 2048


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """The stage, with the CPU seconds of all processes, Spark's processes apart, and how many rows it wrote."""

    whole: Cost
    usage: Usage
    samples: int


class Prepared:
    """`copies` times the texts as deduped documents below `folder`, to be encoded by the engine chosen before, whose
    proof is not part of the cost. The budget is more than they have: every range is made."""

    def __init__(
        self, spark: SparkSession, folder: Path, texts: Sequence[str], copies: int, json_text: str, choice: Choice
    ) -> None:
        self._root = folder / "root"
        self._runner = Runner(str(self._root), app="bench", console=_QUIET, makes=("tokenized",), spark=spark)
        self._deduped = tokenized_made.make(self._root, texts, copies)
        self._n_bytes = int(self._deduped.manifest.counts["kept_bytes"])
        self._mix = recipe.parse(_RECIPE.format(length=SEQUENCE_LENGTH, budget=max(self._n_bytes, SEQUENCE_LENGTH)), "")
        self._info = tokenizer.describe(
            json_text, where="the bench's tokenizer", eos_token=None, bos_token=None, bos=False
        )
        self._choice = choice

    def run(self) -> StageCost:
        """Tokenize, whatever has been done before. `RuntimeError` if another engine took over."""
        shutil.rmtree(self._root / "tokenized", ignore_errors=True)
        found: list[flow.Tokenized] = []
        given = {tokenized_made.SOURCE: self._deduped}
        with watched() as usage, mock.patch.object(flow, "choose", lambda _: self._choice):
            whole = below(
                lambda: found.append(flow.make(self._runner, self._mix, _named(self._info), given)), self._n_bytes
            )
        parts = found[0].measured[tokenized_made.SOURCE]
        used = {part.manifest.report["engine"]["name"] for part in parts}
        if used != {self._choice.name}:
            raise RuntimeError(f"{self._choice.name} was to encode, but {', '.join(sorted(used))} did")
        n_ranges = found[0].extents[tokenized_made.SOURCE].n_ranges
        if len(parts) != n_ranges:
            raise RuntimeError(f"{len(parts)} of {n_ranges} ranges were made")
        return StageCost(whole=whole, usage=usage, samples=sum(part.manifest.counts["samples"] for part in parts))


_QUIET = Console(quiet=True)
_RECIPE = """
name: bench
seed: 1
sequence_length: {length}
budget_tokens: {budget}
tokenizer: {{file: tokenizer.json}}
sources:
  prose:
    root: "."
    files: ["*.jsonl"]
    format: jsonl
    text_field: text
    weight: 1
"""


def _named(info: tokenizer.TokenizerInfo) -> RecipeFiles:
    """The recipe's files, of which the stage looks at the tokenizer alone."""
    return RecipeFiles(raw={}, bad_words={}, take_down=None, items=None, tokenizer=info, earlier=[], remarks=())
