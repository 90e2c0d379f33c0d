"""What one task of the stage does, file by file: measure, sample, decide and keep, show examples."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.filtered import changes, compression, contamination_report, examples, language, signals, waterfall
from pipeline.filtered.commonness import Sample
from pipeline.filtered.contamination_report import Shown
from pipeline.filtered.decisions import Choice, Decisions, decide
from pipeline.filtered.evaluation_items import StoredItems
from pipeline.filtered.waterfall import Candidates, Example
from pipeline.tables.reading import read_batches, read_rows
from pipeline.tables.sink import Sink
from pipeline.texts import cuts

LANGUAGE_COLUMNS = ("language", "language_score")
NOT_ALWAYS = {
    "language": pa.large_string(),
    "language_score": pa.float64(),
    "compression_ratio": pa.float64(),
    "edits": pa.list_(pa.int64()),
}
"""Columns of the table `filtered` that are null where no recipe asked for them."""

Task = tuple[list[str], list[list[str]]]
"""The files of documents that one task wrote, and those of everything that was measured on them."""


def _languages(texts: pa.Array) -> dict[str, Any]:
    spoken, scores = language.identify(texts)
    return {"language": spoken, "language_score": scores}


MEASURES: Mapping[str, Callable[[pa.Array], Mapping[str, Any]]] = {
    "signals": signals.measure,
    "languages": _languages,
    "compression": lambda texts: {"compression_ratio": compression.measure(texts)},
}


def measure(stage: str, urls: list[str], sink: Sink) -> None:
    for rows in _rows(urls, ["doc_id", "text"]):
        sink.count("documents", rows.num_rows)
        sink.write(stage, {"doc_id": rows.column("doc_id")} | dict(MEASURES[stage](rows.column("text"))))


def sample(items: StoredItems, n_groups: int, url: str, sink: Sink) -> None:
    """Count what is common in the first row groups of a file of documents."""
    counts = Sample(items.index)
    for rows in islice(read_batches(url, ["text"]), n_groups):
        counts.add(rows.column("text"))
    sink.count("documents", counts.n_documents)
    for table, column, documents in (("seeds", "seed", counts.seeds), ("items", "item", counts.items)):
        held = np.flatnonzero(documents)
        sink.write(table, {column: held, "documents": documents[held]})


def filter_documents(choice: Choice, task: Task, sink: Sink) -> None:
    texts, numbers = task
    shown = Candidates()
    columns = [_in_step(_rows(texts, ["doc_id"]), _rows(urls)) for urls in numbers]
    for rows in _rows(texts):
        measured = {
            name: part.column(name).combine_chunks()
            for own in columns
            for part in [next(own)]
            for name in part.column_names
            if name != "doc_id"
        }
        languages = pa.table({name: measured[name] for name in LANGUAGE_COLUMNS}) if "language" in measured else None
        values = {name: column.to_numpy() for name, column in measured.items() if name != "language"}
        decisions = decide(rows, values, languages, choice)
        n_bytes = rows.column("n_bytes").to_numpy()
        sink.counts.update(waterfall.count(decisions, n_bytes))
        shown.add(rows.column("doc_id"), decisions)
        _keep(sink, rows, measured, decisions, choice)
        _reject(sink, rows, decisions)
        if decisions.taken_down:
            gone, entries = zip(*decisions.taken_down, strict=True)
            sink.write("taken_down", {"doc_id": rows.column("doc_id").take(pa.array(gone)), "entry": list(entries)})
        if decisions.matches is not None and choice.items is not None:
            found = contamination_report.rows(rows, decisions.first < 0, decisions.matches, choice.items.index)
            sink.write("matches", found)
    sink.notes = shown.notes()


def _keep(
    sink: Sink, rows: pa.RecordBatch, measured: Mapping[str, pa.Array], decisions: Decisions, choice: Choice
) -> None:
    """The rows of the table `filtered`. What was not measured is null; signals are those of the text before changes."""
    kept = decisions.first < 0
    which = pa.array(kept)
    columns = {name: column.filter(which) for name, column in zip(rows.schema.names, rows.columns, strict=True)}
    columns |= {name: column.filter(which) for name, column in measured.items() if name not in columns}
    n_kept = int(kept.sum())
    for name, kind in NOT_ALWAYS.items():
        columns.setdefault(name, pa.nulls(n_kept, kind))
    if changes.reasons(choice):
        cut = decisions.passages
        passages = None if cut is None else cuts.of_documents(cut.cuts, kept)
        changed = changes.change(columns["text"], choice, passages)
        columns |= {"text": changed.edited.texts, "n_bytes": pa.array(changed.edited.n_bytes)}
        columns["edits"] = changed.edited.edits
        sink.counts.update(waterfall.count_changes(changes.reasons(choice), changed.account))
    sink.count("kept_documents", n_kept)
    sink.count("kept_bytes", int(columns["n_bytes"].to_numpy().sum()))
    sink.write("filtered", pa.record_batch(columns))


def _reject(sink: Sink, rows: pa.RecordBatch, decisions: Decisions) -> None:
    """The rows of the table `rejected`."""
    gone = np.flatnonzero(decisions.first >= 0)
    names = [reason.name for reason in decisions.reasons]
    columns = {name: rows.column(name).take(pa.array(gone)) for name in ("doc_id", "source", "n_bytes")}
    sink.write("rejected", columns | {"reason": [names[number] for number in decisions.first[gone].tolist()]})


def write_examples(choice: Choice, task: list[tuple[list[str], list[Example]]], sink: Sink) -> None:
    reasons = {reason.name: reason for reason in choice.reasons}
    for urls, mine in task:
        numbers = sorted({one.row for one in mine})
        documents = read_rows(urls, numbers, ["doc_id", "url", "text"])
        for one in mine:
            document = documents.slice(numbers.index(one.row), 1)
            reason = reasons[one.reason]
            found = examples.excerpt(document.column("text")[0].as_py(), reason, choice)
            sink.write(
                "examples",
                {
                    "reason": [one.reason],
                    "rank": [one.rank],
                    "doc_id": document.column("doc_id").combine_chunks(),
                    "url": document.column("url").combine_chunks(),
                    "value": [one.value],
                    "limit": [reason.rule.limit if reason.rule else None],
                    "at": [found.at],
                    "excerpt": [found.text],
                },
            )


def write_passages(task: list[tuple[list[str], list[Shown]]], sink: Sink) -> None:
    """The passages of evaluation items that are shown, read again from the documents."""
    for urls, mine in task:
        ids = [doc_id for rows in _rows(urls, ["doc_id"]) for doc_id in rows.column("doc_id").to_pylist()]
        wanted = {one.doc_id for one in mine}
        numbers = [number for number, doc_id in enumerate(ids) if doc_id in wanted]
        documents = read_rows(urls, numbers, ["doc_id", "url", "text"]).to_pylist()
        by_id = {document["doc_id"]: document for document in documents}
        for one in mine:
            document = by_id[one.doc_id]
            sink.write("passages", contamination_report.beside(one, document["text"], document["url"]))


def _rows(urls: list[str], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    for url in urls:
        yield from read_batches(url, columns)


def _in_step(documents: Iterator[pa.RecordBatch], measured: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """What was measured on each batch of documents, row by row, whatever the sizes of the batches are."""
    waiting = None
    for rows in documents:
        pieces: list[pa.RecordBatch] = []
        missing = rows.num_rows
        while missing:
            if waiting is None or waiting.num_rows == 0:
                waiting = next(measured)
            pieces.append(waiting.slice(0, missing))
            waiting = waiting.slice(pieces[-1].num_rows)
            missing -= pieces[-1].num_rows
        own = pa.Table.from_batches(pieces)
        if not np.array_equal(own.column("doc_id").to_numpy(), rows.column("doc_id").to_numpy(zero_copy_only=False)):
            raise RuntimeError("what was measured is not in the order of the documents; delete it and run again")
        yield own
