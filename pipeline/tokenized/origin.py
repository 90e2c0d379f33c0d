"""Where a tokenized document came from: its raw file and record; and where a document that is not there has gone.

Manifests name the datasets that they were made of by fingerprint; those that lie below the same root are looked into.
Stages before `tokenized` keep documents in the order of their raw files, so that a doc_id is looked for in all files of
a source: that takes as long as reading 16 bytes a document.
"""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import document, manifest, storage
from pipeline.manifest import Dataset
from pipeline.tables.reading import open_parquet, read_batches

THREADS = 8  # files that are looked into at once
RAW_COLUMNS = ["file", "record", "url", "n_bytes"]
KEPT = {"delined": "filtered"}  # the table of kept documents, where it is not called as its stage


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A document's raw record: number `record` (from 0) of `file`, a path below the source's root; `n_bytes` of text as
    it stands in the dataset `found_in`, which may have been edited."""

    source: str
    file: str
    record: int
    url: str | None
    n_bytes: int
    found_in: str


def lineage(tokenized: Dataset) -> list[Dataset]:
    """The datasets that a tokenized one was made of, for its source: deduped, perhaps delined, filtered, documents.

    Ends where one does not lie below the root any more.
    """
    root, _, source, _ = tokenized.url.rsplit("/", 3)
    found: list[Dataset] = []
    wanted: Mapping[str, Any] = {"deduped": tokenized.manifest.inputs["deduped"]}
    while wanted:
        urls = [storage.join(root, stage, source, fingerprint) for stage, fingerprint in wanted.items()]
        dataset = next((there for url in urls if (there := manifest.find(url)) is not None), None)
        if dataset is None:
            break
        found.append(dataset)
        wanted = _made_of(dataset)
    return found


def find(tokenized: Dataset, doc_ids: Collection[bytes]) -> dict[bytes, Origin]:
    """The raw records of documents of the dataset's source, each from the first dataset of its lineage that has it;
    documents that none has are left out."""
    found: dict[bytes, Origin] = {}
    for dataset in lineage(tokenized):
        stage, missing = dataset.manifest.stage, set(doc_ids) - set(found)
        for doc_id, row in rows_of(dataset, KEPT.get(stage, stage), missing, RAW_COLUMNS).items():
            found[doc_id] = Origin(source=dataset.manifest.source, found_in=stage, **row)
    return found


def gone(tokenized: Dataset, doc_id: bytes) -> str | None:
    """Which stage took a document of the dataset's source away, and why, in words; None where none is known to."""
    for dataset in lineage(tokenized):
        why = _removal(dataset, doc_id)
        if why is not None:
            return why
    return None


def _made_of(dataset: Dataset) -> Mapping[str, Any]:
    """Where to look for what a dataset was made of: stage → fingerprint, of its own source."""
    inputs = dataset.manifest.inputs
    match dataset.manifest.stage:
        case "deduped":
            own = inputs[dataset.manifest.source]
            return {"filtered": own, "delined": own}
        case "delined":
            return {"filtered": inputs["filtered"]}
        case "filtered":
            return {"documents": inputs["documents"]}
    return {}


def _removal(dataset: Dataset, doc_id: bytes) -> str | None:
    stage, source = dataset.manifest.stage, dataset.manifest.source
    if stage == "deduped":
        columns = ["kept_doc_id", "kept_source", "kind", "similarity"]
        row = rows_of(dataset, "removed", [doc_id], columns).get(doc_id)
        if row is not None:
            how = f"{row['kind']}, similarity {row['similarity']:.3f}"
            kept = f"{row['kept_doc_id'].hex()} of source {row['kept_source']}"
            return f"deduped removed it from source {source} ({how}); {kept} stays"
        return None
    if stage in ("filtered", "delined"):
        row = rows_of(dataset, "rejected", [doc_id], ["reason"]).get(doc_id)
        return None if row is None else f"{stage} rejected it from source {source}: {row['reason']}"
    row = _quarantined(dataset, doc_id)
    if row is None:
        return None
    return f"documents quarantined record {row['record']} of {row['file']} of source {source}: {row['reason']}"


def rows_of(
    dataset: Dataset, table: str, doc_ids: Collection[bytes], columns: list[str]
) -> dict[bytes, dict[str, Any]]:
    """doc_id → columns of its row in a table, of the documents that it has. Files are not read further than needed."""
    found: dict[bytes, dict[str, Any]] = {}
    if not doc_ids:
        return found
    threads = ThreadPoolExecutor(THREADS)
    try:
        for rows in threads.map(partial(_look, pa.array(doc_ids, pa.binary()), columns), dataset.urls(table)):
            found |= rows
            if len(found) == len(doc_ids):
                break
    finally:
        threads.shutdown(cancel_futures=True)
    return found


def _look(doc_ids: pa.Array, columns: list[str], url: str) -> dict[bytes, dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    with open_parquet(url) as file:
        for group in range(file.metadata.num_row_groups):
            ids = file.read_row_group(group, columns=["doc_id"]).column("doc_id")
            chosen = pc.is_in(ids, doc_ids)
            if pc.any(chosen).as_py():
                rows = file.read_row_group(group, columns=columns).filter(chosen).to_pylist()
                found |= dict(zip(ids.filter(chosen).to_pylist(), rows, strict=True))
    return found


def _quarantined(dataset: Dataset, doc_id: bytes) -> dict[str, Any] | None:
    """Quarantined records have no doc_id, but the origin that one is made of."""
    for rows in _quarantine(dataset):
        for file in pc.unique(rows.column("file")).to_pylist():
            own = rows.filter(pc.equal(rows.column("file"), file))
            ids = document.doc_ids(dataset.manifest.source, file, own.column("record").to_numpy().astype(np.int64))
            if doc_id in ids:
                row: dict[str, Any] = own.slice(ids.index(doc_id), 1).to_pylist()[0]
                return row
    return None


def _quarantine(dataset: Dataset) -> Iterator[pa.RecordBatch]:
    for url in dataset.urls("quarantine"):
        for rows in read_batches(url, ["file", "record", "reason"]):
            yield rows.filter(rows.column("record").is_valid())
