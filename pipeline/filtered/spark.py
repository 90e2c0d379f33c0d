"""The job `filtered`: measure all documents once (signals, and languages where they are asked for), then decide which
stay.

What is measured is a dataset of its own, in the order of the documents, so that changed limits read numbers, not texts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from pipeline import manifest, storage
from pipeline.alarms import Alarm, StageError, check_balance
from pipeline.filtered import changes, commonness, contamination_report, tasks, waterfall
from pipeline.filtered.contamination_report import Shown
from pipeline.filtered.decisions import Choice
from pipeline.filtered.evaluation_items import EvaluationItems, StoredItems, dump
from pipeline.filtered.item_index import ItemIndex
from pipeline.filtered.specs import STAGE
from pipeline.filtered.waterfall import Example
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink, task_of, urls_by_task
from pipeline.tables.spark import Receipt
from pipeline.versions import made

EXAMPLE_TASKS = 16  # the examples of a source are fetched by at most so many tasks


def build_measured(spark: SparkSession, documents: Dataset, wanted: Spec, root: str) -> Dataset:
    """Measure every document, what the stage of `wanted` says; task i writes what belongs to file i of the documents,
    row by row. (A file is of some 32 MiB; what one task wrote may be a whole source, a single compressed file.)"""
    attempt = manifest.new_attempt()
    receipts = tables.run_tasks(
        spark,
        [[url] for url in documents.urls("documents")],
        partial(tasks.measure, wanted.stage),
        stage=wanted.stage,
        attempt_url=storage.join(wanted.url(root), attempt),
    )
    counts = tables.all_counts(receipts)
    return manifest.publish(root, wanted, attempt=attempt, files=tables.all_files(receipts), counts=counts, made=made())


def build_commonness(
    spark: SparkSession, documents: Dataset, items: EvaluationItems, wanted: Spec, root: str
) -> Dataset:
    """Count what of the items is common in a sample of the documents; publish the counts, and the items' index without
    it, which the tasks of `build` read."""
    attempt = manifest.new_attempt()
    attempt_url = storage.join(wanted.url(root), attempt)
    given = StoredItems(url=storage.join(attempt_url, "given.npz"), sets=items.sets, digest=items.digest)
    storage.write(given.url, dump(items.index))
    files = commonness.sampled_files(documents.urls("documents"))
    receipts = tables.run_tasks(
        spark,
        files,
        partial(tasks.sample, given, commonness.sampled_groups(len(files))),
        stage=wanted.stage,
        attempt_url=attempt_url,
    )
    counts = tables.all_counts(receipts)
    held = {
        "seeds": np.zeros(len(items.index.hashes), np.int64),
        "items": np.zeros(items.index.n_items, np.int64),
    }
    for file in tables.all_files(receipts):
        for rows in read_batches(storage.join(attempt_url, file.path)):
            np.add.at(held[file.table], rows.column(0).to_numpy(), rows.column("documents").to_numpy())
    index = commonness.without(items.index, held["seeds"], held["items"], counts["documents"])
    with Sink(wanted.stage, attempt_url, len(files)) as sink:
        sink.put("index", "index.npz", dump(index), index.n_items)
    storage.remove(given.url)
    listed = [*tables.all_files(receipts), *sink.files]
    return manifest.publish(root, wanted, attempt=attempt, files=listed, counts=counts, made=made())


def build(
    spark: SparkSession,
    documents: Dataset,
    measured: Sequence[Dataset],
    common: Dataset | None,
    choice: Choice,
    wanted: Spec,
    root: str,
) -> Dataset:
    """Decide; publish the kept documents, the rejected ones (without text), the waterfall and its examples, and what
    was found of evaluation items, for which `common` must be there."""
    given, choice = choice.items, _as_stored(choice, common)
    attempt = manifest.new_attempt()
    attempt_url = storage.join(wanted.url(root), attempt)
    texts = [[url] for url in documents.urls("documents")]
    numbers = zip(*(urls_by_task(dataset, dataset.manifest.stage) for dataset in measured), strict=True)
    receipts = tables.run_tasks(
        spark,
        list(zip(texts, map(list, numbers), strict=True)),
        partial(tasks.filter_documents, choice),
        stage=STAGE,
        attempt_url=attempt_url,
    )
    shown = waterfall.chosen((receipt.task, receipt.notes) for receipt in receipts)
    fetched = _fetch_examples(spark, texts, shown, choice, attempt_url)
    report: dict[str, Any] = {}
    if choice.items is not None and isinstance(given, EvaluationItems):
        report, shown_beside = _write_found(spark, texts, receipts, choice.items.index, given.texts, attempt_url)
        fetched += shown_beside
    counts = tables.all_counts(receipts)
    totals = _totals(documents, counts)
    name = f"filtered {wanted.source}"
    check_balance(name, "documents", totals["documents"], totals["kept_documents"], totals["rejected"])
    gone = totals["rejected_bytes"] | totals["changed_bytes"]
    check_balance(name, "bytes", totals["bytes"], totals["kept_bytes"], gone)
    return manifest.publish(
        root,
        wanted,
        attempt=attempt,
        files=tables.all_files([*receipts, *fetched]),
        counts=totals,
        report=waterfall.report(counts, choice.reasons, changes.reasons(choice)) | report,
        made=made(),
    )


def _totals(documents: Dataset, counts: Counter[str]) -> dict[str, Any]:
    """The counts of a filtered dataset. Bytes are those of the texts: `rejected_bytes` of rejected ones, and
    `changed_bytes` what cuts and masks made kept ones shorter (below 0: longer), each by reason."""
    before = documents.manifest.counts
    removed, written = _named(counts, "changed:removed_bytes:"), _named(counts, "changed:written_bytes:")
    return {
        "documents": before["kept_documents"],
        "bytes": before["kept_bytes"],
        "kept_documents": counts["kept_documents"],
        "kept_bytes": counts["kept_bytes"],
        "rejected": _named(counts, "rejected:"),
        "rejected_bytes": _named(counts, "rejected_bytes:"),
        "changed_bytes": {reason: removed[reason] - written.get(reason, 0) for reason in removed},
    }


def _as_stored(choice: Choice, common: Dataset | None) -> Choice:
    """The choice as tasks are given it: without the items' index, which they read."""
    if choice.items is None:
        return choice
    if common is None:
        raise ValueError("evaluation items are looked for by what is common in the source; build that first")
    [url] = common.urls("index")
    return replace(choice, items=StoredItems(url=url, sets=choice.items.sets, digest=choice.items.digest))


def _write_found(
    spark: SparkSession,
    texts: list[list[str]],
    receipts: Sequence[Receipt],
    index: ItemIndex,
    item_texts: Sequence[str],
    attempt_url: str,
) -> tuple[dict[str, Any], list[Receipt]]:
    """Write the tables `items` and `passages`; the sets' part of the report, and who wrote what."""
    found = contamination_report.collected(
        [
            (task_of(file.path), rows)
            for file in tables.all_files(receipts)
            if file.table == "matches"
            for rows in read_batches(storage.join(attempt_url, file.path))
        ]
    )
    with Sink(STAGE, attempt_url, len(texts)) as sink:
        sink.write("items", contamination_report.items(index, found))
    by_task: dict[int, list[Shown]] = {}
    for one in contamination_report.shown(index, found, item_texts):
        by_task.setdefault(one.task, []).append(one)
    shares = [
        [(texts[task], by_task[task]) for task in sorted(by_task)[number::EXAMPLE_TASKS]]
        for number in range(min(EXAMPLE_TASKS, len(by_task)))
    ]
    fetched = tables.run_tasks(spark, shares, tasks.write_passages, stage=STAGE, attempt_url=attempt_url)
    written = Receipt(task=len(texts), files=tuple(sink.files), counts=Counter(), notes={})
    return {"contamination": contamination_report.report(index, found)}, [written, *fetched]


def _fetch_examples(
    spark: SparkSession, texts: list[list[str]], shown: list[Example], choice: Choice, attempt_url: str
) -> list[Receipt]:
    """Write the table `examples`: read the chosen documents again, and cut out what triggered the reasons."""
    shares: list[list[tuple[list[str], list[Example]]]] = [[] for _ in range(EXAMPLE_TASKS)]
    by_task = {task: [one for one in shown if one.task == task] for task in sorted({one.task for one in shown})}
    for number, (task, mine) in enumerate(by_task.items()):
        shares[number % EXAMPLE_TASKS].append((texts[task], mine))
    return tables.run_tasks(
        spark,
        [share for share in shares if share],
        partial(tasks.write_examples, choice),
        stage=STAGE,
        attempt_url=attempt_url,
    )


def alarms(dataset: Dataset, max_rejected: float) -> list[Alarm]:
    """More of a source rejected than the recipe allows; all of it, which nobody can acknowledge, is a `StageError`."""
    counts, source = dataset.manifest.counts, dataset.manifest.source
    share = 1 - counts["kept_documents"] / max(1, counts["documents"])
    worst = sorted(counts["rejected"].items(), key=lambda item: -item[1])
    if counts["kept_documents"] == 0:
        raise StageError(
            f"source {source}: all of its {counts['documents']} documents are rejected "
            f"({', '.join(f'{n} {reason}' for reason, n in worst)}); change its rules, or take it out"
        )
    if share <= max_rejected:
        return []
    message = (
        f"source {source}: the rules reject {share:.1%} of {counts['documents']} documents, max_rejected is "
        f"{max_rejected:.1%} ({', '.join(f'{n} {reason}' for reason, n in worst)})"
    )
    return [Alarm(name=f"max_rejected:{source}", message=message)]


def _named(counts: Counter[str], prefix: str) -> dict[str, int]:
    """The counts above 0 with a prefix, without it."""
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix) and n}
