"""The job `documents`: the raw files of a source → documents, and what could not become one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from fsspec.utils import glob_translate
from pyspark.sql import SparkSession

from pipeline import document, manifest, storage
from pipeline.alarms import Alarm, StageError, check_balance
from pipeline.documents import cuts
from pipeline.documents.cuts import Content, Piece
from pipeline.documents.reading import read_piece
from pipeline.documents.records import Quarantined, ReadParams, Record
from pipeline.manifest import Dataset, Spec
from pipeline.storage import FileInfo
from pipeline.tables import spark as tables
from pipeline.tables.packed import Packed
from pipeline.tables.sink import ROW_GROUP_BYTES, Sink
from pipeline.versions import made

STAGE = "documents"
VERSION = 2
BATCH_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class DocumentsParams:
    """Where a source's raw files are and how they are read. Only `source` and `read` shape the dataset; a source that
    moves to another root is the same source."""

    source: str
    root: str
    files: tuple[str, ...]
    storage: Mapping[str, Any]
    read: ReadParams


def raw_files(place: str, root: str, globs: Sequence[str], options: storage.Options) -> list[FileInfo]:
    """The files below the root that match a glob, sorted by path; `StageError` naming `place` in the recipe if the root
    cannot be listed or holds no file, or a glob matches nothing."""
    try:
        listed = storage.list_files(root, options)
    except Exception as error:  # fsspec's back ends raise anything
        raise StageError(f"{place}.root = {root}: it cannot be listed: {error}") from error
    if not listed and storage.is_local(root) and storage.local_path(root).is_file():
        raise StageError(f"{place}.root = {root} is a file; give its folder there, and its name in {place}.files")
    if not listed:
        raise StageError(
            f"{place}.root = {root}: there is no file; put the source's files there, or write the folder or URL where "
            "they lie"
        )
    found: dict[str, FileInfo] = {}
    for pattern in globs:
        matcher = re.compile(glob_translate(pattern))
        matching = [info for info in listed if matcher.match(info.path)]
        if not matching:
            raise StageError(
                f"{place}.files: no file below {root} matches {pattern!r} ({len(listed)} files "
                "are there); mend root or files"
            )
        found.update({info.path: info for info in matching})
    if unnamed := [path for path in found if not _is_utf8(path)]:
        raise StageError(
            f"{place}.root = {root}: the name of a file below it is not UTF-8, {unnamed[0]!a}; rename it (doc_ids are "
            "made of names)"
        )
    return [found[path] for path in sorted(found)]


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # undecodable bytes of a disk's names are lone surrogates here (PEP 383)
        return False
    return True


def spec(params: DocumentsParams, contents: Mapping[str, Content]) -> Spec:
    """What the documents are made of: the raw files' contents, by path, and how they are read."""
    return Spec(
        stage=STAGE,
        source=params.source,
        version=VERSION,
        inputs={"raw": {path: contents[path].digest for path in sorted(contents)}},
        parameters={"read": asdict(params.read)},
    )


def look(spark: SparkSession, params: DocumentsParams, files: Sequence[FileInfo]) -> dict[str, Content]:
    """What each file holds, by path."""
    pieces = [piece for info in files for piece in cuts.cut(info)]
    tasks = cuts.grouped(pieces)
    if not tasks:
        return {}
    numbers = spark.range(0, len(tasks), 1, len(tasks))
    columns = "path string, start bigint, digest binary, lines bigint"
    rows = numbers.mapInArrow(partial(_look, Packed(tasks), params), columns).toArrow().to_pylist()
    found = {(row["path"], row["start"]): (row["digest"], row["lines"]) for row in rows}
    return {info.path: cuts.joined([found[info.path, piece.start] for piece in cuts.cut(info)]) for info in files}


def build(
    spark: SparkSession,
    params: DocumentsParams,
    files: Sequence[FileInfo],
    contents: Mapping[str, Content],
    wanted: Spec,
    root: str,
) -> Dataset:
    """Read the files; publish documents and quarantine."""
    pieces = [
        piece for info in files for piece in cuts.read_pieces(info, params.read.format, contents[info.path].lines)
    ]
    attempt = manifest.new_attempt()
    attempt_url = storage.join(wanted.url(root), attempt)
    tasks = cuts.grouped(pieces)
    receipts = tables.run_tasks(spark, tasks, partial(_read, params), stage=STAGE, attempt_url=attempt_url)
    _check_unchanged(spark, params, files, contents)
    listed = tables.all_files(receipts)
    counts = tables.all_counts(receipts)
    written = {table: sum(file.rows for file in listed if file.table == table) for table in ("documents", "quarantine")}
    broken = [info.bytes for info in files if counts[f"broken:{info.path}"]]
    reasons = {name.partition(":")[2]: n for name, n in sorted(counts.items()) if name.startswith("quarantined:")}
    totals = {
        "files": len(files),
        "raw_bytes": sum(info.bytes for info in files),
        "records": counts["records"],
        "kept_documents": written["documents"],
        "kept_bytes": counts["kept_bytes"],
        "quarantined": reasons,
        "quarantined_bytes": counts["quarantined_bytes"],
        "broken_files": len(broken),
        "broken_bytes": sum(broken),
    }
    check_balance(f"documents {params.source}", "records", counts["records"], written["documents"], reasons)
    check_balance(f"quarantine {params.source}", "records", written["quarantine"], 0, reasons)
    return manifest.publish(root, wanted, attempt=attempt, files=listed, counts=totals, made=made())


def _check_unchanged(
    spark: SparkSession, params: DocumentsParams, files: Sequence[FileInfo], contents: Mapping[str, Content]
) -> None:
    """The files still hold what stands in the fingerprint; those of another stamp are read again, as a new link or mode
    changes it too."""
    now = {info.path: info for info in storage.list_files(params.root, params.storage)}
    touched = [info for info in files if now.get(info.path) != info]
    same_size = [info for info in touched if info.path in now and now[info.path].bytes == info.bytes]
    found = look(spark, params, same_size)
    if changed := [info.path for info in touched if found.get(info.path) != contents[info.path]]:
        raise StageError(
            f"sources.{params.source}: {len(changed)} files below {params.root} changed while they were read, as "
            f"{changed[0]}; nothing was published, run it again when they are whole"
        )


def alarms(dataset: Dataset, max_quarantined: float) -> list[Alarm]:
    """Too much in quarantine, by records, by bytes, or by files whose rest is lost, in which nobody knows how much was;
    or no document at all, which nobody can acknowledge."""
    counts, source = dataset.manifest.counts, dataset.manifest.source
    where = f"see the table quarantine in {dataset.url}"
    if counts["kept_documents"] == 0:
        raise StageError(
            f"source {source} is empty: {counts['files']} files with {counts['raw_bytes']} bytes gave no document "
            f"({_reasons(counts['quarantined'])}); {where}"
        )
    n = sum(counts["quarantined"].values())
    share = max(
        n / counts["records"],
        counts["quarantined_bytes"] / max(1, counts["quarantined_bytes"] + counts["kept_bytes"]),
    )
    broken = max(counts["broken_files"] / counts["files"], counts["broken_bytes"] / max(1, counts["raw_bytes"]))
    if max(share, broken) <= max_quarantined:
        return []
    lost = f", and {counts['broken_files']} of {counts['files']} files ({broken:.1%} by number or bytes) are broken: "
    message = (
        f"source {source}: {n} of {counts['records']} records ({share:.1%} by number or bytes) could not become "
        f"documents{lost + 'what they held is not known' if broken else ''}; max_quarantined is {max_quarantined:.1%} "
        f"({_reasons(counts['quarantined'])}); {where}"
    )
    return [Alarm(name=f"max_quarantined:{source}", message=message)]


def _reasons(quarantined: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in quarantined.items()) or "nothing quarantined"


def _look(
    tasks: Packed[list[Piece]], params: DocumentsParams, numbers: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            pieces, found = tasks[number], []
            for piece in pieces:
                with storage.open_input(storage.join(params.root, piece.info.path), params.storage) as stream:
                    found.append(cuts.content(stream, piece))
            yield pa.record_batch(
                {
                    "path": [piece.info.path for piece in pieces],
                    "start": [piece.start for piece in pieces],
                    "digest": pa.array([digest for digest, _ in found], pa.binary()),
                    "lines": [n_lines for _, n_lines in found],
                }
            )


def _read(params: DocumentsParams, pieces: list[Piece], sink: Sink) -> None:
    for piece in pieces:
        info = piece.info
        url = storage.join(params.root, info.path)
        documents: list[Record] = []
        waiting = 0
        for item in read_piece(partial(storage.open_input, url, params.storage), piece, params.read):
            sink.count("records")
            if isinstance(item, Quarantined):
                _quarantine(sink, params.source, info.path, item)
                continue
            documents.append(item)
            waiting += item.n_bytes
            if waiting >= ROW_GROUP_BYTES or len(documents) >= BATCH_ROWS:
                _write(sink, params.source, info.path, documents)
                documents, waiting = [], 0
        _write(sink, params.source, info.path, documents)


def _write(sink: Sink, source: str, file: str, documents: list[Record]) -> None:
    n = len(documents)
    if n == 0:
        return
    records = np.array([item.record for item in documents], np.int64)
    n_bytes = np.array([item.n_bytes for item in documents], np.int64)
    sink.count("kept_bytes", int(n_bytes.sum()))
    sink.write(
        "documents",
        {
            "doc_id": document.doc_ids(source, file, records),
            "source": [source] * n,
            "text": pa.array([item.text for item in documents], pa.large_binary()).cast(pa.large_string()),
            "url": [item.url for item in documents],
            "file": [file] * n,
            "record": records,
            "n_bytes": n_bytes,
            "meta": [item.meta for item in documents],
        },
    )


def _quarantine(sink: Sink, source: str, file: str, item: Quarantined) -> None:
    sink.count(f"quarantined:{item.reason}")
    sink.count("quarantined_bytes", item.n_bytes)
    if item.whole_file:
        sink.count(f"broken:{file}")
    sink.write(
        "quarantine",
        {
            "source": [source],
            "file": [file],
            "record": [item.record],
            "reason": [str(item.reason)],
            "detail": [item.detail],
            "head": [item.head],
            "n_bytes": [item.n_bytes],
            "whole_file": [item.whole_file],
        },
    )
