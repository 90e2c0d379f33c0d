"""What one task writes at the end: the kept documents of a file and the removed ones. No Spark in here."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import schema
from pipeline.deduped import clusters
from pipeline.deduped.batches import STAGE, Int64s
from pipeline.tables.sink import Sink, read_batches


def write_file(
    files: list[str], sources: list[str], partition: int, batches: Iterator[pa.RecordBatch], sink: Sink
) -> None:
    """Write the kept and the removed documents of files[partition], a file of filtered documents. `batches`: what was
    decided of those that belong to clusters of two or more; rows without a doc_id mean nothing."""
    decided = {row["doc_id"]: row for batch in batches for row in batch.to_pylist() if row["doc_id"] is not None}
    n_found = n_rows = 0
    largest = clusters.Largest()
    columns = [name for name in schema.arrow(STAGE, "deduped").names if name != "cluster_size"]
    for rows in read_batches(files[partition], columns):
        doc_ids = rows.column("doc_id").to_pylist()
        n_found += sum(i in decided for i in doc_ids)
        sizes = np.array([decided[i]["cluster_size"] if i in decided else 1 for i in doc_ids], np.int64)
        gone = np.array([i in decided and _goes(decided[i]) for i in doc_ids], bool)
        n_bytes = rows.column("n_bytes").to_numpy()
        sink.count("kept_documents", int((~gone).sum()))
        sink.count("kept_bytes", int(n_bytes[~gone].sum()))
        for size, n in Counter(sizes[~gone].tolist()).items():
            sink.count(f"cluster:{size}", n)
        kept = rows.append_column("cluster_size", pa.array(sizes)).filter(pa.array(~gone))
        sink.write("deduped", kept.select(schema.arrow(STAGE, "deduped").names))
        shown = [(row, decided[i]) for row, i in enumerate(doc_ids, n_rows) if i in decided]
        largest.add(_note(row, one) for row, one in shown if one["earlier"] or not _goes(one))
        n_rows += rows.num_rows
        _remove(sink, rows, n_bytes, [decided[doc_ids[i]] for i in np.flatnonzero(gone)], gone, sources)
    if n_found != len(decided):
        raise RuntimeError(
            f"{len(decided) - n_found} documents that were decided on are not in {files[partition]}, where their "
            "signatures say that they are; delete these signatures and run again"
        )
    sink.notes = {"largest": largest.notes()}


def _goes(decision: Mapping[str, Any]) -> bool:
    """Whether another document stays in its place; one of an earlier dataset may have its very doc_id."""
    return bool(decision["earlier"] or decision["kept_doc_id"] != decision["doc_id"])


def _note(row: int, decision: Mapping[str, Any]) -> clusters.Note:
    return [decision["cluster_size"], decision["kept_doc_id"].hex(), decision["kept_src"], row]


def _remove(
    sink: Sink,
    rows: pa.RecordBatch,
    n_bytes: Int64s,
    decisions: list[dict[str, Any]],
    gone: npt.NDArray[np.bool_],
    sources: list[str],
) -> None:
    if not decisions:
        return
    for decision, size in zip(decisions, n_bytes[gone].tolist(), strict=True):
        sink.count(f"removed:{decision['kind']}:{sources[decision['kept_src']]}")
        sink.count(f"removed_bytes:{decision['kind']}", size)
        if decision["earlier"]:
            sink.count(f"against_cluster:{decision['cluster_size']}")
    removed = pa.record_batch(
        {
            "doc_id": [decision["doc_id"] for decision in decisions],
            "source": rows.column("source").filter(pa.array(gone)),
            "n_bytes": n_bytes[gone],
            "kept_doc_id": [decision["kept_doc_id"] for decision in decisions],
            "kept_source": [sources[decision["kept_src"]] for decision in decisions],
            "kind": [decision["kind"] for decision in decisions],
            "similarity": pa.array([decision["similarity"] for decision in decisions], pa.float64()),
        }
    )
    sink.counts.update(clusters.count(removed))
    sink.write("removed", removed)
