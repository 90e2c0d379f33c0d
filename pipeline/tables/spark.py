"""Spark as the scheduler of tasks that read listed files and write tables: one partition a task, receipts as result."""

import gc
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any, TypeVar

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from pipeline.manifest import File
from pipeline.tables.packed import Packed
from pipeline.tables.sink import Sink

RECEIPT = pa.schema([pa.field("task", pa.int64()), pa.field("receipt", pa.binary())])
RECEIPT_DDL = "task bigint, receipt binary"

Task = TypeVar("Task")
Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one accepted task wrote: its number, its files, its counts, and what else it has to say."""

    task: int
    files: tuple[File, ...]
    counts: Counter[str]
    notes: Mapping[str, Any]


def run_tasks(
    spark: SparkSession, tasks: Sequence[Task], work: Callable[[Task, Sink], None], *, stage: str, attempt_url: str
) -> list[Receipt]:
    """Run `work(task, sink)` for every task, each in a partition of its own; tables go below `attempt_url`."""
    if not tasks:
        return []
    numbers = spark.range(0, len(tasks), 1, len(tasks))
    runner = partial(_run_task, Packed(tasks), work, stage, attempt_url)
    return collect(numbers.mapInArrow(runner, RECEIPT_DDL))


def run_groups(
    spark: SparkSession, groups: Sequence[Task], work: Callable[[Task], Iterator[tuple[int, Sink]]], *, stage: str
) -> list[Receipt]:
    """Run `work(group)` for every group, each in a partition of its own. It yields numbers and closed sinks: a group
    does what several tasks would, and leaves a receipt for each."""
    if not groups:
        return []
    numbers = spark.range(0, len(groups), 1, len(groups))
    return collect(numbers.mapInArrow(partial(_run_group, Packed(groups), work, stage), RECEIPT_DDL))


def write_partitions(
    df: DataFrame, work: Callable[[int, Batches, Sink], None], *, stage: str, attempt_urls: Sequence[str]
) -> list[Receipt]:
    """Run `work(partition, batches, sink)` on every partition of `df`; the tables of partition i go below
    `attempt_urls[i]`, so that one job can make several datasets."""
    runner = partial(_run_partition, work, stage, list(attempt_urls))
    return collect(df.mapInArrow(runner, RECEIPT_DDL))


def collect(receipts: DataFrame) -> list[Receipt]:
    """Run a job whose rows are receipts; they come back in the order of the tasks.

    Nothing may follow the writing inside the job: a partition's result is accepted once, a shuffle's input is not.
    """
    rows = sorted(receipts.toArrow().to_pylist(), key=lambda row: row["task"])
    found = []
    for row in rows:
        receipt = json.loads(zlib.decompress(row["receipt"]))
        files = tuple(File(**file) for file in receipt["files"])
        counts = Counter({sys.intern(name): n for name, n in receipt["counts"].items()})  # a name is held once
        found.append(Receipt(task=row["task"], files=files, counts=counts, notes=receipt["notes"]))
    return found


def all_files(receipts: Iterable[Receipt]) -> list[File]:
    """The files of all tasks."""
    return [file for receipt in receipts for file in receipt.files]


def all_counts(receipts: Iterable[Receipt]) -> Counter[str]:
    """The sums of the tasks' counts."""
    total: Counter[str] = Counter()
    for receipt in receipts:
        total.update(receipt.counts)
    return total


def receipt_batch(task: int, sink: Sink) -> pa.RecordBatch:
    """A task's receipt as a row of the job's result. All receipts of a job come to the driver, and Spark fails a job
    that returns more than `spark.driver.maxResultSize`, 1 GB: those of the stage `filtered` (50 KB, compressed 8) would
    be more from 600 GB of text on."""
    text = json.dumps({"files": [asdict(file) for file in sink.files], "counts": sink.counts, "notes": sink.notes})
    packed = zlib.compress(text.encode())
    return pa.record_batch([pa.array([task], pa.int64()), pa.array([packed], pa.binary())], schema=RECEIPT)


def _run_task(
    tasks: Packed[Task], work: Callable[[Task, Sink], None], stage: str, attempt_url: str, numbers: Batches
) -> Batches:
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            with Sink(stage, attempt_url, number) as sink:
                work(tasks[number], sink)
            yield receipt_batch(number, sink)
    _settle(stage, "tasks")


def _run_group(
    groups: Packed[Task], work: Callable[[Task], Iterator[tuple[int, Sink]]], stage: str, numbers: Batches
) -> Batches:
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            for task, sink in work(groups[number]):
                yield receipt_batch(task, sink)
    _settle(stage, "groups")


@cache
def _settle(stage: str, kind: str) -> None:
    """Take what a worker holds after its first task of a kind for what it will always hold: modules, compiled code, an
    opened engine. PySpark's daemon collects garbage after every task, and looking at all that took 40 ms each time."""
    gc.collect()
    gc.freeze()


def _run_partition(
    work: Callable[[int, Batches, Sink], None], stage: str, attempt_urls: list[str], batches: Batches
) -> Batches:
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        raise RuntimeError("a partition is written outside a Spark task")
    number = context.partitionId()
    with Sink(stage, attempt_urls[number], number) as sink:
        work(number, batches, sink)
    yield receipt_batch(number, sink)
