"""What one task writes at the end: the kept documents of a file and the removed ones. No Spark in here."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.deduped import clusters
from pipeline.deduped.batches import STAGE, Int64s
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink

Bools = npt.NDArray[np.bool_]


def write_file(
    files: list[str], sources: list[str], partition: int, batches: Iterator[pa.RecordBatch], sink: Sink
) -> None:
    """Write the kept and the removed documents of files[partition], a file of filtered documents. `batches`: what was
    decided of those that belong to clusters of two or more; rows without a doc_id mean nothing."""
    decided = _Decided(batches)
    n_found = n_rows = 0
    largest = clusters.Largest()
    columns = [name for name in schema.arrow(STAGE, "deduped").names if name != "cluster_size"]
    for rows in read_batches(files[partition], columns):
        place = decided.places(rows.column("doc_id"))
        n_found += int((place >= 0).sum())
        gone, size = decided.goes[place], decided.cluster_size[place]
        n_bytes = rows.column("n_bytes").to_numpy()
        sink.count("kept_documents", int((~gone).sum()))
        sink.count("kept_bytes", int(n_bytes[~gone].sum()))
        for value, n in zip(*np.unique(size[~gone], return_counts=True), strict=True):
            sink.count(f"cluster:{value}", int(n))
        kept = rows.append_column("cluster_size", pa.array(size)).filter(pa.array(~gone))
        sink.write("deduped", kept.select(schema.arrow(STAGE, "deduped").names))
        largest.add(decided.notes(place, n_rows))
        n_rows += rows.num_rows
        if gone.any():
            _remove(sink, rows.filter(pa.array(gone)), decided.table.take(pa.array(place[gone])), sources)
    if n_found != decided.table.num_rows:
        raise RuntimeError(
            f"{decided.table.num_rows - n_found} documents that were decided on are not in {files[partition]}, where "
            "their signatures say that they are; delete these signatures and run again"
        )
    sink.notes = {"largest": largest.notes()}


class _Decided:
    """The decisions on a file's documents as columns. The arrays have one entry more, the last, which is that of a
    document that nothing was decided on: so place -1 of `places` leads to it."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        parts = [batch.filter(pc.is_valid(batch.column("doc_id"))) for batch in batches]
        self.table = pa.Table.from_batches(parts) if parts else schema.arrow("steps", "verdicts").empty_table()
        self.cluster_size: Int64s = np.append(self.table.column("cluster_size").to_numpy(), 1).astype(np.int64)
        earlier = self.table.column("earlier").to_numpy().astype(bool)
        self._earlier: Bools = np.append(earlier, False)
        # Whether another document stays in its place; one of an earlier dataset may have its very doc_id.
        other = pc.not_equal(self.table.column("kept_doc_id"), self.table.column("doc_id")).to_numpy().astype(bool)
        self.goes: Bools = np.append(earlier | other, False)

    def places(self, doc_ids: pa.Array) -> Int64s:
        """Where the decisions on these documents stand; -1 where there is none."""
        found = pc.index_in(doc_ids, value_set=self.table.column("doc_id"))
        return np.asarray(pc.fill_null(found, -1), np.int64)

    def notes(self, place: Int64s, first_row: int) -> list[clusters.Note]:
        """The clusters that rows of the file show, which stand at `place` of the decisions: `first_row` and on."""
        shown = np.flatnonzero((place >= 0) & (self._earlier[place] | ~self.goes[place]))
        of = self.table.select(["cluster_size", "kept_doc_id", "kept_src"]).take(pa.array(place[shown]))
        sizes, doc_ids, numbers = (column.to_pylist() for column in of.columns)
        rows = (first_row + shown).tolist()
        return [[n, i.hex(), src, row] for n, i, src, row in zip(sizes, doc_ids, numbers, rows, strict=True)]


def _remove(sink: Sink, rows: pa.RecordBatch, decisions: pa.Table, sources: list[str]) -> None:
    """Write `rows` of the file as removed, and count them; `decisions`: what was decided on each."""
    columns = {"kind": decisions.column("kind"), "kept_source": pa.array(sources).take(decisions.column("kept_src"))}
    counted = pa.table({**columns, "n_bytes": rows.column("n_bytes")}).group_by(["kind", "kept_source"])
    for row in counted.aggregate([("n_bytes", "sum"), ("n_bytes", "count")]).to_pylist():
        sink.count(f"removed:{row['kind']}:{row['kept_source']}", row["n_bytes_count"])
        sink.count(f"removed_bytes:{row['kind']}", row["n_bytes_sum"])
    earlier = decisions.filter(decisions.column("earlier")).column("cluster_size").to_numpy()
    for value, n in zip(*np.unique(earlier, return_counts=True), strict=True):
        sink.count(f"against_cluster:{value}", int(n))
    removed = pa.record_batch(
        {
            "doc_id": rows.column("doc_id"),
            "source": rows.column("source"),
            "n_bytes": rows.column("n_bytes"),
            "kept_doc_id": decisions.column("kept_doc_id").combine_chunks(),
            "kept_source": columns["kept_source"].combine_chunks(),
            "kind": columns["kind"].combine_chunks(),
            "similarity": decisions.column("similarity").cast(pa.float64()).combine_chunks(),
        }
    )
    sink.counts.update(clusters.count(removed))
    sink.write("removed", removed)
