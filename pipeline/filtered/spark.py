"""The job `filtered`: measure all documents once (signals), then decide which stay (rules).

Signals are a dataset of their own, file by file beside the documents, so that changed limits read numbers, not texts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline import manifest, storage
from pipeline.alarms import Alarm, check_balance
from pipeline.filtered import rules, signals
from pipeline.filtered.rules import Rule
from pipeline.filtered.unicode_tables import UNICODE_VERSION
from pipeline.manifest import Dataset, Spec
from pipeline.tables import spark as tables
from pipeline.tables.sink import Sink, read_batches
from pipeline.versions import made

STAGE = "filtered"
VERSION = 1


def signals_spec(documents: Dataset) -> Spec:
    """What the signals of a source are made of: its documents and the kernel's version."""
    return Spec(
        stage="signals",
        source=documents.manifest.source,
        version=signals.VERSION,
        inputs={"documents": documents.manifest.fingerprint},
        parameters={"unicode": UNICODE_VERSION},
    )


def spec(documents: Dataset, chosen: Sequence[Rule]) -> Spec:
    """What the filtered documents are made of: documents, their signals, and the rules with their limits."""
    return Spec(
        stage=STAGE,
        source=documents.manifest.source,
        version=VERSION,
        inputs={"documents": documents.manifest.fingerprint, "signals": signals_spec(documents).fingerprint},
        parameters={"rules": [asdict(rule) for rule in chosen]},
    )


def build_signals(spark: SparkSession, documents: Dataset, wanted: Spec, root: str) -> Dataset:
    """Measure every document; file i holds the signals of file i of the documents, row by row."""
    attempt = manifest.new_attempt()
    receipts = tables.run_tasks(
        spark,
        documents.urls("documents"),
        _measure,
        stage="signals",
        attempt_url=storage.join(wanted.url(root), attempt),
    )
    counts = tables.all_counts(receipts)
    return manifest.publish(root, wanted, attempt=attempt, files=tables.all_files(receipts), counts=counts, made=made())


def build(
    spark: SparkSession, documents: Dataset, measured: Dataset, chosen: Sequence[Rule], wanted: Spec, root: str
) -> Dataset:
    """Decide; publish the kept documents, the rejected ones (without text) and the counts of each rule."""
    attempt = manifest.new_attempt()
    tasks = list(zip(documents.urls("documents"), measured.urls("signals"), strict=True))
    receipts = tables.run_tasks(
        spark,
        tasks,
        partial(_decide, tuple(chosen)),
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
    """More of a source rejected than the recipe allows."""
    counts, source = dataset.manifest.counts, dataset.manifest.source
    share = 1 - counts["kept_documents"] / max(1, counts["documents"])
    if share <= max_rejected:
        return []
    worst = sorted(counts["rejected"].items(), key=lambda item: -item[1])
    message = (
        f"source {source}: the rules reject {share:.1%} of {counts['documents']} documents, max_rejected is "
        f"{max_rejected:.1%} ({', '.join(f'{n} {reason}' for reason, n in worst)})"
    )
    return [Alarm(name=f"max_rejected:{source}", message=message)]


def _named(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix)}


def _measure(url: str, sink: Sink) -> None:
    for rows in read_batches(url, ["doc_id", "text"]):
        found = signals.measure(rows.column("text"))
        sink.count("documents", rows.num_rows)
        sink.write(
            "signals",
            pa.record_batch({"doc_id": rows.column("doc_id")} | {name: pa.array(found[name]) for name in found}),
        )


def _decide(chosen: tuple[Rule, ...], task: tuple[str, str], sink: Sink) -> None:
    documents_url, signals_url = task
    measured = pa.Table.from_batches(read_batches(signals_url)).combine_chunks()
    start = 0
    for rows in read_batches(documents_url):
        own = measured.slice(start, rows.num_rows)
        start += rows.num_rows
        if own.column("doc_id").to_pylist() != rows.column("doc_id").to_pylist():
            raise RuntimeError(f"{signals_url} does not hold the signals of {documents_url}, row by row")
        values = {name: own.column(name).to_numpy() for name in own.column_names if name != "doc_id"}
        first = rules.decide(values, chosen)
        kept = first < 0
        n_bytes = rows.column("n_bytes").to_numpy()
        sink.count("kept_documents", int(kept.sum()))
        sink.count("kept_bytes", int(n_bytes[kept].sum()))
        for name in values.keys() - set(rows.schema.names):
            rows = rows.append_column(name, own.column(name).combine_chunks())
        sink.write("filtered", rows.filter(pa.array(kept)))
        _reject(sink, rows, n_bytes, first, rules.hits(values, chosen), chosen)


def _reject(
    sink: Sink,
    rows: pa.RecordBatch,
    n_bytes: npt.NDArray[np.int64],
    first: npt.NDArray[np.int16],
    hits: npt.NDArray[np.bool_],
    chosen: tuple[Rule, ...],
) -> None:
    gone = np.flatnonzero(first >= 0)
    if len(gone) == 0:
        return
    reasons = [chosen[number].reason for number in first[gone].tolist()]
    for number, reason in enumerate(rule.reason for rule in chosen):
        mine = first == number
        if mine.any():
            sink.count(f"rejected:{reason}", int(mine.sum()))
            sink.count(f"rejected_bytes:{reason}", int(n_bytes[mine].sum()))
        sink.count(f"hit:{reason}", int(hits[:, number].sum()))
        sink.count(f"only:{reason}", int((hits[:, number] & (hits.sum(axis=1) == 1)).sum()))
    sink.write(
        "rejected",
        pa.record_batch(
            {
                "doc_id": rows.column("doc_id").take(pa.array(gone)),
                "source": rows.column("source").take(pa.array(gone)),
                "n_bytes": pa.array(n_bytes[gone]),
                "reason": pa.array(reasons, pa.large_string()),
            }
        ),
    )
