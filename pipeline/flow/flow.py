"""The stages of a mix in their order: each is what the stage before it leads to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline import recipe_files, storage
from pipeline.flow import deduped, documents, filtered, mixed, tokenized
from pipeline.flow.deduped import Deduped
from pipeline.flow.runner import WRITTEN, Runner
from pipeline.flow.tokenized import Tokenized
from pipeline.manifest import Dataset
from pipeline.plan import Plan
from pipeline.recipe import Mix
from pipeline.recipe_files import RecipeFiles

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A mix with all that it was made of, by source: for the report."""

    url: str
    plan: Plan
    documents: Mapping[str, Dataset]
    filtered: Mapping[str, Dataset]
    delined: Mapping[str, Dataset]
    deduped: Mapping[str, Dataset]
    tokenized: Tokenized


class Flow:
    """The flow of one recipe below one root. `makes` are the stages that may be made; others must be there. `spark`: a
    session to use; without one, a session is started when it is first needed, and stopped by `stop`."""

    def __init__(
        self,
        mix: Mix,
        root: str,
        *,
        console: Console,
        makes: Collection[str],
        cores: int | None = None,
        spark: SparkSession | None = None,
    ) -> None:
        self._mix = mix
        self._runner = Runner(root, app=f"shardmill {mix.name}", console=console, makes=makes, cores=cores, spark=spark)

    @cached_property
    def documents(self) -> Mapping[str, Dataset]:
        """The documents of each source."""
        return documents.make(self._runner, self._mix, self._named)

    @cached_property
    def filtered(self) -> Mapping[str, Dataset]:
        """The documents of each source that pass its rules."""
        return filtered.make(self._runner, self._mix, self._named, self.documents)

    @cached_property
    def deduped(self) -> Mapping[str, Dataset]:
        """The documents of each source without duplicates."""
        return self._deduped.kept

    @cached_property
    def tokenized(self) -> Tokenized:
        """The tokenizer, and as many ranges of each source as the budget needs."""
        return tokenized.make(self._runner, self._mix, self._named, self.deduped)

    @cached_property
    def mixed(self) -> Finished:
        """The plan, written beside its tokenizer below `mixes/`, and what it was made of."""
        url, plan = mixed.make(self._runner, self._mix, self.tokenized)
        return Finished(
            url=url,
            plan=plan,
            documents=self.documents,
            filtered=self.filtered,
            delined=self._deduped.delined,
            deduped=self.deduped,
            tokenized=self.tokenized,
        )

    def stop(self) -> None:
        """Stop the session, if one was started."""
        self._runner.stop()

    @cached_property
    def _named(self) -> RecipeFiles:
        """The files that the recipe names, looked at before anything is made."""
        written = [storage.join(self._runner.root, folder) for folder in WRITTEN]
        found = recipe_files.look(self._mix, written, deduped.params_of(self._mix, list(self._mix.sources)))
        for remark in found.remarks:
            self._runner.console.print(remark)
        return found

    @cached_property
    def _deduped(self) -> Deduped:
        return deduped.make(self._runner, self._mix, self._named, self.filtered)
