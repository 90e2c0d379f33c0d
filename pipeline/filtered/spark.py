"""The job `filtered`: measure all documents once (signals, and languages where they are asked for), then decide which
stay.

What is measured is a dataset of its own, in the order of the documents, so that changed limits read numbers, not texts.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline import manifest, storage
from pipeline.alarms import Alarm, StageError, check_balance
from pipeline.filtered import language, signals
from pipeline.filtered.decisions import Choice, Decisions, decide
from pipeline.filtered.unicode_tables import UNICODE_VERSION
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.sink import Sink, read_batches, urls_by_task
from pipeline.versions import made

STAGE = "filtered"
VERSION = 1

Task = tuple[list[str], list[str], list[str]]
"""The files of documents that one task wrote, and those of their signals and languages."""


def signals_spec(documents: Dataset) -> Spec:
    """What the signals of a source are made of: its documents, the kernel's version, the Unicode data."""
    return Spec(
        stage="signals",
        source=documents.manifest.source,
        version=signals.VERSION,
        inputs={"documents": documents.manifest.fingerprint},
        parameters={"unicode": UNICODE_VERSION},
    )


def languages_spec(documents: Dataset) -> Spec:
    """What the languages of a source are made of: its documents and the model."""
    return Spec(
        stage="languages",
        source=documents.manifest.source,
        version=language.VERSION,
        inputs={"documents": documents.manifest.fingerprint},
        parameters={"model": language.MODEL},
    )


def spec(documents: Dataset, choice: Choice) -> Spec:
    """What the filtered documents are made of: documents, what is measured on them, and what the recipe chooses."""
    inputs = {"documents": documents.manifest.fingerprint, "signals": signals_spec(documents).fingerprint}
    if choice.needs_language:
        inputs["languages"] = languages_spec(documents).fingerprint
    return Spec(
        stage=STAGE,
        source=documents.manifest.source,
        version=VERSION,
        inputs=inputs,
        parameters=choice.parameters,
    )


def build_measured(spark: SparkSession, documents: Dataset, wanted: Spec, root: str) -> Dataset:
    """Measure every document: the signals or the languages, as `wanted` says; task i writes what belongs to task i of
    the documents, row by row."""
    attempt = manifest.new_attempt()
    receipts = tables.run_tasks(
        spark,
        urls_by_task(documents, "documents"),
        _measure_signals if wanted.stage == "signals" else _measure_languages,
        stage=wanted.stage,
        attempt_url=storage.join(wanted.url(root), attempt),
    )
    counts = tables.all_counts(receipts)
    return manifest.publish(root, wanted, attempt=attempt, files=tables.all_files(receipts), counts=counts, made=made())


def build(
    spark: SparkSession,
    documents: Dataset,
    measured: Dataset,
    languages: Dataset | None,
    choice: Choice,
    wanted: Spec,
    root: str,
) -> Dataset:
    """Decide; publish the kept documents, the rejected ones (without text) and the counts of each reason."""
    attempt = manifest.new_attempt()
    texts = urls_by_task(documents, "documents")
    spoken = urls_by_task(languages, "languages") if languages is not None else [[] for _ in texts]
    receipts = tables.run_tasks(
        spark,
        list(zip(texts, urls_by_task(measured, "signals"), spoken, strict=True)),
        partial(_decide, choice),
        stage=STAGE,
        attempt_url=storage.join(wanted.url(root), attempt),
    )
    counts = tables.all_counts(receipts)
    before = documents.manifest.counts
    totals = {
        "documents": before["kept_documents"],
        "bytes": before["kept_bytes"],
        "kept_documents": counts["kept_documents"],
        "kept_bytes": counts["kept_bytes"],
        "rejected": _named(counts, "rejected:"),
        "rejected_bytes": _named(counts, "rejected_bytes:"),
    }
    name = f"filtered {wanted.source}"
    check_balance(name, "documents", totals["documents"], totals["kept_documents"], totals["rejected"])
    check_balance(name, "bytes", totals["bytes"], totals["kept_bytes"], totals["rejected_bytes"])
    report = {"hits": _named(counts, "hit:"), "only": _named(counts, "only:")}
    return manifest.publish(
        root, wanted, attempt=attempt, files=tables.all_files(receipts), counts=totals, report=report, made=made()
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
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix)}


def _measure_signals(urls: list[str], sink: Sink) -> None:
    for rows in _rows(urls, ["doc_id", "text"]):
        found = signals.measure(rows.column("text"))
        sink.count("documents", rows.num_rows)
        sink.write("signals", {"doc_id": rows.column("doc_id")} | found)


def _measure_languages(urls: list[str], sink: Sink) -> None:
    for rows in _rows(urls, ["doc_id", "text"]):
        spoken, scores = language.identify(rows.column("text"))
        sink.count("documents", rows.num_rows)
        columns = {"doc_id": rows.column("doc_id"), "language": spoken, "language_score": scores}
        sink.write("languages", columns)


def _decide(choice: Choice, task: Task, sink: Sink) -> None:
    texts, signal_urls, language_urls = task
    measured = _in_step(_rows(texts), _rows(signal_urls))
    spoken = _in_step(_rows(texts, ["doc_id"]), _rows(language_urls)) if language_urls else None
    for rows, own in measured:
        languages = next(spoken)[1] if spoken is not None else None
        values = {name: own.column(name).to_numpy() for name in own.column_names if name != "doc_id"}
        decisions = decide(rows, values, languages, choice)
        kept = decisions.first < 0
        n_bytes = rows.column("n_bytes").to_numpy()
        sink.count("kept_documents", int(kept.sum()))
        sink.count("kept_bytes", int(n_bytes[kept].sum()))
        columns = {name: rows.column(name) for name in rows.schema.names}
        columns |= {name: own.column(name).combine_chunks() for name in values if name not in columns}
        columns |= _language_columns(rows.num_rows, languages)
        sink.write("filtered", pa.record_batch(columns).filter(pa.array(kept)))
        _reject(sink, rows, decisions)


def _language_columns(n: int, languages: pa.Table | None) -> dict[str, pa.Array]:
    """The columns of the table `filtered` that are null where no language was asked for."""
    if languages is None:
        return {"language": pa.nulls(n, pa.large_string()), "language_score": pa.nulls(n, pa.float64())}
    return {name: languages.column(name).combine_chunks() for name in ("language", "language_score")}


def _reject(sink: Sink, rows: pa.RecordBatch, decisions: Decisions) -> None:
    """The rows of the table `rejected`, and what each reason hit: alone, together with others, and as the first."""
    first, hits = decisions.first, decisions.hits
    n_bytes = rows.column("n_bytes").to_numpy()
    alone = hits.sum(axis=1) == 1
    for number, reason in enumerate(decisions.reasons):
        mine = first == number
        if mine.any():
            sink.count(f"rejected:{reason}", int(mine.sum()))
            sink.count(f"rejected_bytes:{reason}", int(n_bytes[mine].sum()))
        sink.count(f"hit:{reason}", int(hits[:, number].sum()))
        sink.count(f"only:{reason}", int((hits[:, number] & alone).sum()))
    gone = rows.filter(pa.array(first >= 0))
    reasons = [decisions.reasons[number] for number in first[first >= 0].tolist()]
    columns = {name: gone.column(name) for name in ("doc_id", "source", "n_bytes")}
    sink.write("rejected", columns | {"reason": reasons})


def _rows(urls: list[str], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    for url in urls:
        yield from read_batches(url, columns)


def _in_step(
    documents: Iterator[pa.RecordBatch], measured: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.Table]]:
    """Documents with what was measured on them, row by row, whatever the sizes of the batches are."""
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
        yield rows, own
