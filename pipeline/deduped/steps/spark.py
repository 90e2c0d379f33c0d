"""Write a DataFrame as a step, read a step as a DataFrame."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from pipeline import schema, storage
from pipeline.tables import spark as tables
from pipeline.tables.packed import Packed
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink

STAGE = "steps"
Batches = Iterator[pa.RecordBatch]
Write = Callable[[pa.RecordBatch, Sink], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A written step: one table of `schemas/steps.json`, its files, its rows, what was counted on the way, and each
    task's notes."""

    table: str
    urls: tuple[str, ...]
    n_rows: int
    counts: Counter[str]
    notes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where the steps of one run are kept: folders below `url`, one a step."""

    spark: SparkSession
    url: str

    def write(self, name: str, table: str, rows: DataFrame, work: Write | None = None) -> Step:
        """Write `rows` as the step `name`; `work(batch, sink)`, if given, says what of each batch is written and
        counted."""
        runner = partial(_write, work or partial(_write_all, table), storage.join(self.url, name))
        return _step(table, self.url, name, tables.collect(rows.mapInArrow(runner, tables.RECEIPT_DDL)))

    def put(self, name: str, table: str, rows: pa.Table) -> Step:
        """Write rows that the driver holds."""
        with Sink(STAGE, storage.join(self.url, name), 0) as sink:
            for batch in rows.to_batches():
                sink.write(table, batch)
        return _step(
            table,
            self.url,
            name,
            [tables.Receipt(task=0, files=tuple(sink.files), counts=Counter(sink.counts), notes={})],
        )

    def read(self, step: Step) -> DataFrame:
        """The rows of a step."""
        return mapped(self.spark, step.urls, read_batches, schema.ddl(STAGE, step.table))

    def remove(self) -> None:
        """Delete all steps."""
        storage.remove_tree(self.url)


def collected(step: Step) -> pa.Table:
    """The rows of a step on the driver."""
    batches = [batch for url in step.urls for batch in read_batches(url)]
    return pa.Table.from_batches(batches, schema.arrow(STAGE, step.table))


def mapped(spark: SparkSession, tasks: Sequence[Any], work: Callable[[Any], Batches], ddl: str) -> DataFrame:
    """The rows that `work(task)` yields, one partition a task.

    Spark takes the size of such rows for that of their tasks' numbers: a join must say itself (`hint("merge")`) that
    they are not to be broadcast.
    """
    if not tasks:
        return spark.createDataFrame([], ddl)
    return spark.range(0, len(tasks), 1, len(tasks)).mapInArrow(partial(_run, Packed(tasks), work), ddl)


def _run(tasks: Packed[Any], work: Callable[[Any], Batches], numbers: Batches) -> Batches:
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            yield from work(tasks[number])


def _write(work: Write, url: str, batches: Batches) -> Batches:
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        raise RuntimeError("a step is written outside a Spark task")
    number = context.partitionId()
    with Sink(STAGE, url, number) as sink:
        for batch in batches:
            work(batch, sink)
    yield tables.receipt_batch(number, sink)


def _write_all(table: str, batch: pa.RecordBatch, sink: Sink) -> None:
    sink.write(table, batch)


def _step(table: str, base: str, name: str, receipts: Sequence[tables.Receipt]) -> Step:
    files = tables.all_files(receipts)
    return Step(
        table=table,
        urls=tuple(storage.join(base, name, file.path) for file in files),
        n_rows=sum(file.rows for file in files),
        counts=tables.all_counts(receipts),
        notes=tuple(receipt.notes for receipt in receipts),
    )
