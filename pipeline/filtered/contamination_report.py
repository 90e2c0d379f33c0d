"""What was found of evaluation items in a source: by item, by set, and which passages are shown beside their items.

Tasks write a row for each passage (`rows`), the driver adds up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.document import order_hash
from pipeline.filtered.contamination import Matches
from pipeline.filtered.examples import excerpts
from pipeline.filtered.item_index import ItemIndex, Kind

N_SHOWN = 20  # passages of each set on each side
STRONGEST, WEAKEST = "strongest", "weakest"
WITHOUT_WORDS = "without_words"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A passage that is shown for a set: the `rank`-th of its `side`; bytes [first, last) of the document, which the
    task `task` wrote; the item's number among all given ones, and its text."""

    set: str
    side: str
    rank: int
    task: int
    doc_id: bytes
    first: int
    last: int
    overlap: float
    item: int
    item_text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """All passages of a source, [n]: `item` int64, the number of the (first) given item with these words; `overlap`
    float64; `doc_ids` binary; `n_bytes` of the document, `first` and `last`, int64; `task`, int64, that wrote it."""

    item: Ints
    overlap: npt.NDArray[np.float64]
    doc_ids: pa.Array
    n_bytes: Ints
    first: Ints
    last: Ints
    task: Ints


def rows(documents: pa.RecordBatch, kept: npt.NDArray[np.bool_], found: Matches, index: ItemIndex) -> Mapping[str, Any]:
    """The rows of the table `matches` for a batch of documents, of which some are `kept` (bool [n_documents])."""
    which = pa.array(found.document)
    items = index.given[found.item]
    return {
        "doc_id": documents.column("doc_id").take(which),
        "n_bytes": documents.column("n_bytes").take(which),
        "kept": kept[found.document],
        "item": items,
        "set": [index.sets[number] for number in index.set_of[items].tolist()],
        "overlap": found.overlap,
        "first": found.first,
        "last": found.last,
    }


def collected(batches: Sequence[tuple[int, pa.RecordBatch]]) -> Found:
    """All rows of the table `matches`, given as (task, rows)."""
    names = ("item", "overlap", "n_bytes", "first", "last")
    columns = {
        name: np.concatenate([np.empty(0, np.int64), *(batch.column(name).to_numpy() for _, batch in batches)])
        for name in names
    }
    ids = [batch.column("doc_id").cast(pa.binary()) for _, batch in batches]
    tasks = [np.full(batch.num_rows, task) for task, batch in batches]
    return Found(
        doc_ids=pa.concat_arrays(ids) if ids else pa.array([], pa.binary()),
        task=np.concatenate([np.empty(0, np.int64), *tasks]),
        **columns,
    )


def items(index: ItemIndex, found: Found) -> Mapping[str, Any]:
    """The rows of the table `items`: one for each given item, also for those that were not found."""
    documents, strongest = _by_item(index, found)
    same_as = index.same_as
    worded = same_as >= 0
    looked_for = np.full(len(same_as), WITHOUT_WORDS, object)
    number = np.searchsorted(index.given, same_as[worded])
    names = np.array([kind.name.lower() for kind in Kind], object)
    looked_for[worded] = names[index.kinds[number]]
    n_words = np.zeros(len(same_as), np.int64)
    n_words[worded] = index.n_words[number]
    repeats = worded & (same_as != np.arange(len(same_as)))
    held = documents > 0
    return {
        "item": np.arange(len(same_as)),
        "set": [index.sets[number] for number in index.set_of.tolist()],
        "number": _numbers(index),
        "n_words": n_words,
        "looked_for": looked_for.tolist(),
        "same_as": pa.array(same_as, mask=~repeats),
        "documents": documents,
        "strongest": pa.array(strongest, mask=~held),
    }


def report(index: ItemIndex, found: Found) -> list[dict[str, Any]]:
    """For each set, as plain JSON values: its `items`; those `not_looked_for`, by reason; `found` and `never_found`
    among the others; the `documents` that hold one, and their `bytes`."""
    table = items(index, found)
    looked_for = np.array(table["looked_for"], object)
    _, number = np.unique(_keys(found.doc_ids), return_inverse=True)
    holders = np.searchsorted(index.given, found.item)
    report = []
    for place, name in enumerate(index.sets):
        own = index.set_of == place
        reasons = {
            reason: int((looked_for[own] == reason).sum())
            for reason in (WITHOUT_WORDS, Kind.TOO_SHORT.name.lower(), Kind.COMMON.name.lower())
        }
        n_found = int((table["documents"][own] > 0).sum())
        _, touched = np.unique(number[index.in_sets[holders, place]], return_index=True)
        report.append(
            {
                "set": name,
                "items": int(own.sum()),
                "not_looked_for": {reason: n for reason, n in reasons.items() if n},
                "found": n_found,
                "never_found": int(own.sum()) - n_found - sum(reasons.values()),
                "documents": len(touched),
                "bytes": int(found.n_bytes[index.in_sets[holders, place]][touched].sum()),
            }
        )
    return report


def shown(index: ItemIndex, found: Found, texts: Sequence[str]) -> list[Shown]:
    """The passages to show: of each set the strongest and the weakest, of equal ones those with the smallest hash of
    the document. `texts` are those of the given items."""
    holders = np.searchsorted(index.given, found.item)
    hashes = order_hash(found.doc_ids, "passages")
    result = []
    for place, name in enumerate(index.sets):
        own = np.flatnonzero(index.in_sets[holders, place])
        weakest = own[np.lexsort((found.first[own], hashes[own], found.overlap[own]))]
        strongest = own[np.lexsort((found.first[own], hashes[own], -found.overlap[own]))]
        for side, chosen in ((STRONGEST, strongest[:N_SHOWN]), (WEAKEST, weakest[:N_SHOWN])):
            for rank, match in enumerate(chosen.tolist()):
                item = int(found.item[match])
                result.append(
                    Shown(
                        set=name,
                        side=side,
                        rank=rank,
                        task=int(found.task[match]),
                        doc_id=found.doc_ids[match].as_py(),
                        first=int(found.first[match]),
                        last=int(found.last[match]),
                        overlap=float(found.overlap[match]),
                        item=item,
                        item_text=texts[item],
                    )
                )
    return result


def beside(one: Shown, text: str, url: str | None) -> Mapping[str, Any]:
    """The row of the table `passages`: what stands in the document, and the item."""
    raw = text.encode()
    first, last = len(raw[: one.first].decode()), len(raw[: one.last].decode())
    found = excerpts.around(text, first, last)
    return {
        "set": [one.set],
        "side": [one.side],
        "rank": [one.rank],
        "item": [one.item],
        "overlap": [one.overlap],
        "doc_id": [one.doc_id],
        "url": [url],
        "at": [first],
        "passage": [found.text],
        "item_text": [excerpts.beginning(one.item_text).text],
    }


def _by_item(index: ItemIndex, found: Found) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Of each given item the documents that hold it, and the greatest overlap."""
    n = len(index.same_as)
    documents, strongest = np.zeros(n, np.int64), np.zeros(n)
    _, number = np.unique(_keys(found.doc_ids), return_inverse=True)
    pairs = np.unique(np.stack([found.item, number]), axis=1)
    np.add.at(documents, pairs[0], 1)
    np.maximum.at(strongest, found.item, found.overlap)
    first = np.where(index.same_as >= 0, index.same_as, np.arange(n))
    return documents[first], strongest[first]


def _keys(doc_ids: pa.Array) -> npt.NDArray[np.void]:
    return np.array(doc_ids.to_pylist(), "V16")


def _numbers(index: ItemIndex) -> Ints:
    """The place of each given item in its set."""
    numbers = np.zeros(len(index.set_of), np.int64)
    for place in range(len(index.sets)):
        own = index.set_of == place
        numbers[own] = np.arange(own.sum())
    return numbers
