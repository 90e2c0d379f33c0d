"""What a run does with each dataset that it needs: take the one that is there, or make it if it may; and say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from rich.console import Console

from pipeline import manifest, storage
from pipeline.alarms import StageError
from pipeline.manifest import Dataset, Spec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STAGES = ("documents", "filtered", "deduped", "tokenized", "mixed")
MADE_BY = {
    "signals": "filtered",
    "languages": "filtered",
    "compression": "filtered",
    "commonness": "filtered",
    "delined": "deduped",
    "signatures": "deduped",
    "tokenizer": "tokenized",
}
"""Datasets that a job makes on the way to its own."""

WRITTEN = (*STAGES[:-1], *MADE_BY, "mixes")
"""The folders that a run writes below its root."""


class Runner:
    """Finds and makes datasets below one root. `makes` are the stages that may be made; others must be there. `spark`:
    a session to use; without one, a session named `app` is started when it is first needed, and stopped by `stop`."""

    def __init__(
        self,
        root: str,
        *,
        app: str,
        console: Console,
        makes: Collection[str],
        cores: int | None = None,
        spark: SparkSession | None = None,
    ) -> None:
        self.root = storage.normalise(root)
        self.console = console
        self._app = app
        self._makes = makes
        self._cores = cores
        self._spark = spark
        self._own_session = spark is None
        self._found: dict[str, Dataset] = {}

    @property
    def spark(self) -> SparkSession:
        """The session, started when it is first needed."""
        if self._spark is None:
            from pipeline import session

            self.console.print("starting Spark …", style="dim")
            self._spark = session.start(self._app, cores=self._cores)
        return self._spark

    def stop(self) -> None:
        """Stop the session, if one was started."""
        if self._spark is not None and self._own_session:
            with suppress(Py4JError, OSError):  # a JVM that died has been told of already
                self._spark.stop()
            self._spark = None

    def ensure(self, wanted: Spec, n_bytes: int, build: Callable[[], Dataset]) -> Dataset:
        """The dataset of a spec: found, or made now with its progress shown. `n_bytes`: the input's size."""

        def shown() -> Dataset:
            with self.progress(f"{wanted.stage} {wanted.source}", n_bytes):
                return build()

        return self.found_or(wanted, shown)

    def found_or(self, wanted: Spec, build: Callable[[], Dataset]) -> Dataset:
        """The dataset of a spec: found, or what `build`, which shows its progress itself, makes of it."""
        dataset = self.find(wanted)
        manifest.sweep(wanted.url(self.root), dataset)
        if dataset is not None:
            self.say_found(f"{wanted.stage} {wanted.source}")
            return dataset
        self.may_make(wanted.stage, wanted.source)
        return build()

    def find(self, wanted: Spec) -> Dataset | None:
        """The dataset of a spec, all its files there, or None."""
        url = wanted.url(self.root)
        if url not in self._found and (dataset := manifest.take(self.root, wanted)) is not None:
            self._found[url] = dataset
        return self._found.get(url)

    def find_all(self, wanted: Sequence[Spec]) -> list[Dataset | None]:
        """The dataset of each spec, or None."""
        return storage.at_once(self.find, wanted, self.root)

    def say_found(self, what: str) -> None:
        """Tell that nothing had to be done."""
        self.console.print(f"{what}: found", style="dim")

    def may_make(self, stage: str, source: str) -> None:
        """`StageError` where this run is not to make datasets of the stage: another job is."""
        job = MADE_BY.get(stage, stage)
        if job not in self._makes:
            raise StageError(
                f"{job} of source {source} has not been made below {self.root} for this recipe and these files; run "
                f"jobs/{job}.py first"
            )

    def progress(self, what: str, n_bytes: int) -> AbstractContextManager[None]:
        """Show the progress of Spark's tasks while the body runs."""
        from pipeline import session

        return session.progress(self.spark, self.console, what, n_bytes)

    def write_once(self, url: str, data: bytes) -> None:
        """Put `data` at `url` unless it is there already."""
        if not (storage.exists(url) and storage.read(url) == data):
            storage.write(url, data)
