"""The entries of a take-down list → the documents that they mean, of the sources of a mix.

A doc_id is one as it stands. URLs and contents are looked for in the texts that the mix was made of, which must lie
below the same root: those of the dataset `deduped`, as they were tokenized, and those of `documents`, as they were read
(the same, unless rules cut or masked them). That reads the URLs, or all texts, of the mix's sources.
"""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches
from pipeline.take_down import TakeDown, matches
from pipeline.tokenized import origin

THREADS = 8  # files that are read at once


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A listed document that deduplication removed, and the one that stays in its place: `kind` and `similarity` as in
    the table `removed`."""

    doc_id: bytes
    kept_doc_id: bytes
    kept_source: str
    kind: str
    similarity: float


def documents(listed: TakeDown, sources: Mapping[str, Dataset]) -> dict[str, frozenset[bytes]]:
    """Entry → doc_ids, of the entries that mean some document. `sources`: any tokenized dataset of each. `ValueError`
    where the texts that are needed are not there any more."""
    found: dict[str, set[bytes]] = {doc_id.hex(): {doc_id} for doc_id in listed.doc_ids}
    columns = ["doc_id", *(["url"] if listed.urls else []), *(["text"] if listed.contents else [])]
    if len(columns) > 1:
        urls = [url for name, dataset in sources.items() for url in _texts(name, dataset)]
        by_text = replace(listed, doc_ids=frozenset())
        with ThreadPoolExecutor(THREADS) as pool:
            for pairs in pool.map(lambda url: _matches(url, columns, by_text), urls):
                for entry, doc_id in pairs:
                    found.setdefault(entry, set()).add(doc_id)
    return {entry: frozenset(doc_ids) for entry, doc_ids in found.items()}


def known(doc_ids: Collection[bytes], sources: Mapping[str, Dataset]) -> frozenset[bytes]:
    """Those of the documents that a dataset of any stage still tells of."""
    return frozenset(doc_id for dataset in sources.values() for doc_id in origin.find(dataset, doc_ids))


def copies(doc_ids: Collection[bytes], sources: Mapping[str, Dataset]) -> list[Copy]:
    """What deduplication kept in the place of documents that it removed, by doc_id."""
    columns = ["kept_doc_id", "kept_source", "kind", "similarity"]
    found = [
        Copy(doc_id=doc_id, **row)
        for dataset in sources.values()
        for deduped in origin.lineage(dataset)[:1]
        for doc_id, row in origin.rows_of(deduped, "removed", doc_ids, columns).items()
    ]
    return sorted(found, key=lambda copy: copy.doc_id)


def _texts(source: str, tokenized: Dataset) -> list[str]:
    lineage = {dataset.manifest.stage: dataset for dataset in origin.lineage(tokenized)}
    if "deduped" not in lineage:
        raise ValueError(
            f"the list has URLs or contents, and the texts of source {source} are not there any more: no dataset "
            f"deduped/{source}/{tokenized.manifest.inputs['deduped']} lies below the root. List doc_ids"
        )
    return [url for stage in ("deduped", "documents") if stage in lineage for url in lineage[stage].urls(stage)]


def _matches(url: str, columns: list[str], listed: TakeDown) -> list[tuple[str, bytes]]:
    return [
        (entry, rows.column("doc_id")[row].as_py())
        for rows in read_batches(url, columns)
        for row, entry in matches(rows, listed)
    ]
