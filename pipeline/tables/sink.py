"""What one task writes: rows of several tables, into files of its own, with counts."""

import io
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline import manifest, schema, storage
from pipeline.manifest import Dataset, File

FILE_BYTES = 32 * 2**20  # uncompressed; a file is what one task of the next stage reads
ROW_GROUP_BYTES = 8 * 2**20  # uncompressed; what a reader holds at once
WRITTEN: Mapping[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "write_page_checksum": True,
    "write_batch_size": 64,
}
"""How Parquet is written. The checksums of pages (CRC-32) are checked as they are read, which takes 0.1 ms a MB. The
size of a page is looked at after each batch of values: of the default, 1,024, texts of 13 KB are one page of 13 MB."""
OWN = ("doc_id", "text")
"""Columns whose values are each document's own. With dictionaries they are read a fifth slower, and are as large."""


@dataclass
class _Part:
    """A Parquet file that is being filled in memory."""

    buffer: io.BytesIO
    writer: pq.ParquetWriter
    waiting: list[pa.RecordBatch] = field(default_factory=list)
    waiting_bytes: int = 0
    n_bytes: int = 0
    n_rows: int = 0


class Sink:
    """Writes tables of `stage` below `attempt_url`. Files are named by `task` (the partition's number), so that their
    order follows from the data, and by a random part, so that two tries of a task never share a name."""

    def __init__(self, stage: str, attempt_url: str, task: int) -> None:
        self.attempt_url = attempt_url
        self.files: list[File] = []
        self.counts: Counter[str] = Counter()
        self.notes: Mapping[str, Any] = {}
        self._stage = stage
        self._try = uuid.uuid4().hex[:12]
        self.name = f"part-{task:06d}-{self._try}"
        """Of this try of the task: what files of its own are called."""
        self._parts: dict[str, _Part] = {}
        self._numbers: Counter[str] = Counter()

    def __enter__(self) -> "Sink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for table in list(self._parts):
                self._finish(table)

    def write(self, table: str, rows: pa.RecordBatch | Mapping[str, object]) -> None:
        """Add rows to a table; columns are checked against the stage's schema."""
        wanted = schema.arrow(self._stage, table)
        where = f"{self._stage}.{table}"
        if not isinstance(rows, pa.RecordBatch):
            arrays = [schema.array(value, wanted, name, where) for name, value in rows.items()]
            rows = pa.record_batch(arrays, names=list(rows))
        batch = schema.conform(rows, wanted, where)
        if batch.num_rows == 0:
            return
        for piece in _pieces(batch):
            part = self._parts.get(table) or self._start(table, wanted)
            part.waiting.append(piece)
            part.waiting_bytes += piece.nbytes
            part.n_bytes += piece.nbytes
            part.n_rows += piece.num_rows
            if part.waiting_bytes >= ROW_GROUP_BYTES:
                _flush(part, wanted)
            if part.n_bytes >= FILE_BYTES:
                self._finish(table)

    def count(self, name: str, n: int = 1) -> None:
        """Add `n` to a count; counts of all accepted tasks are summed."""
        self.counts[name] += int(n)

    def put(self, table: str, path: str, data: storage.Data, n_rows: int, *, lasting: bool = True) -> None:
        """Write a whole file that is not a Parquet table; published, it has the name `path`, which follows from the
        data. Until then no two tries share a name: Spark closes the input of one that it kills, which looks like its
        end, and what that one makes of half its input must not come over another's file. `lasting`: as
        `storage.write` has it."""
        self._store(table, manifest.name_of_try(path, self._try), data, n_rows, lasting)

    def _store(self, table: str, path: str, data: storage.Data, n_rows: int, lasting: bool = True) -> None:
        storage.write(storage.join(self.attempt_url, path), data, lasting=lasting)
        digest = xxhash.xxh3_64()
        for piece in storage.pieces(data):
            digest.update(piece)
        n_bytes = sum(map(len, storage.pieces(data)))
        self.files.append(File(table=table, path=path, bytes=n_bytes, xxh3=digest.hexdigest(), rows=n_rows))

    def put_table(
        self,
        table: str,
        path: str,
        rows: pa.RecordBatch,
        *,
        group_rows: int,
        dictionary: Sequence[str] = (),
        lasting: bool = True,
    ) -> None:
        """Write all rows of a file whose name and bytes follow from the data: row groups of `group_rows`, `dictionary`
        the columns worth one; `lasting` as `storage.write` has it."""
        wanted = schema.arrow(self._stage, table)
        batch = schema.conform(rows, wanted, f"{self._stage}.{table}")
        buffer = io.BytesIO()
        pq.write_table(
            pa.Table.from_batches([batch], wanted),
            buffer,
            row_group_size=group_rows,
            use_dictionary=list(dictionary),
            **WRITTEN,
        )
        self.put(table, path, buffer.getbuffer(), batch.num_rows, lasting=lasting)

    def _start(self, table: str, wanted: pa.Schema) -> _Part:
        buffer = io.BytesIO()
        part = _Part(buffer, pq.ParquetWriter(buffer, wanted, use_dictionary=_repeating(wanted), **WRITTEN))
        self._parts[table] = part
        return part

    def _finish(self, table: str) -> None:
        part = self._parts.pop(table)
        _flush(part, schema.arrow(self._stage, table))
        part.writer.close()
        number = self._numbers[table]
        self._numbers[table] += 1
        path = f"{table}/{self.name}-{number:04d}.parquet"  # no other try's, also when it is published
        self._store(table, path, part.buffer.getvalue(), part.n_rows)


def _repeating(wanted: pa.Schema) -> list[str]:
    """The columns that are written with dictionaries, as Parquet calls them."""
    return [f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in wanted if f.name not in OWN]


def _flush(part: _Part, wanted: pa.Schema) -> None:
    if part.waiting:
        table = pa.Table.from_batches(part.waiting, wanted)
        part.writer.write_table(table, row_group_size=max(1, table.num_rows))
        part.waiting, part.waiting_bytes = [], 0


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in slices of about ROW_GROUP_BYTES, so that files and row groups keep their size."""
    n = max(1, -(-batch.nbytes // ROW_GROUP_BYTES))
    step = max(1, -(-batch.num_rows // n))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def task_of(path: str) -> int:
    """The number of the task that wrote the file of a table at `path`."""
    return int(path.rsplit("/", 1)[-1].split("-")[1])


def urls_by_task(dataset: Dataset, table: str) -> list[list[str]]:
    """Where the files of a table lie, those of each task together, in the order of the tasks. A task that wrote nothing
    to the table has no entry."""
    found: dict[int, list[str]] = {}
    for file in dataset.files(table):
        found.setdefault(task_of(file.path), []).append(dataset.file_url(file))
    return [found[task] for task in sorted(found)]
