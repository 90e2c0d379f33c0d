"""What is decided of every document where one process can hold all signatures: the same as by joins, at a fraction of
their cost. The steps are those of `spark`, on arrays."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.deduped import batches, minhash, pairs
from pipeline.deduped.batches import DedupParams, Int64s
from pipeline.deduped.components import components
from pipeline.deduped.inputs import ABOVE_ALL, Inputs

MAX_DOCUMENTS = 1_000_000  # 1.4 KB each at the peak with 112 numbers (measured with 400,000)
PAIRS_AT_ONCE = 1 << 14  # whose signatures are compared: 15 MB, which the processor's cache holds
HASHED_AT_ONCE = 1 << 14  # vertices, likewise
THREADS = min(4, os.cpu_count() or 1)  # a band each, whose rows are held in some 100 bytes a document


_COLUMNS = pa.schema(
    {
        "doc_id": pa.binary(),
        "src": pa.int32(),
        "priority": pa.int64(),
        "file": pa.int32(),
        "n_bytes": pa.int64(),
        "n_shingles": pa.int64(),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Documents:
    """All documents: those of the sources, then earlier ones. `table` has `_COLUMNS`; arrays [n_documents]: `vertex`
    (by number, in the order of the halves), `signatures` (uint32 [n_documents, num_perm]), `url` (canonical ones by
    number, -1 where there is none or they are not compared), `quality` (the more the better, NaN the worst). Of each
    vertex: the row of a document that speaks for it (its documents have one signature), whether it has words, whether
    it has an earlier document."""

    table: pa.Table
    vertex: Int64s
    url: Int64s
    quality: npt.NDArray[np.float64]
    signatures: npt.NDArray[np.uint32]
    speaker: Int64s
    has_words: npt.NDArray[np.bool_]
    earlier: npt.NDArray[np.bool_]

    def column(self, name: str) -> npt.NDArray[Any]:
        return np.asarray(self.table.column(name).to_numpy())


@dataclass(frozen=True, kw_only=True, eq=False)
class Decided:
    """`by_file`: for each file of filtered documents (`inputs.text_urls`) a row for each of its documents in a cluster
    of two or more, as `verdicts` in schemas/steps.json. The largest bucket: its vertices, and a document in it, which
    lies in `bucket_file` of source `bucket_src`; without one b"" and -1."""

    by_file: list[pa.Table]
    bucket_vertices: int
    bucket_doc_id: bytes
    bucket_src: int
    bucket_file: int


def decide(inputs: Inputs, params: DedupParams) -> Decided:
    """Decide, with `verify: signature`. `StageError` as `check_unique` and `check_earlier` of the joins."""
    documents = _read(inputs, params)
    _check(inputs, documents)
    a, b, largest, size = _candidates(documents, params)
    similar = _similarity(documents, a, b) >= params.threshold
    alike = _united(np.column_stack((a[similar], b[similar])), len(documents.earlier))
    group = _united(alike[_same_urls(documents)], len(alike))[alike]
    holder = _first_holder(documents, int(largest[0])) if len(size) else -1
    return Decided(
        by_file=_kept(documents, alike[documents.vertex], group[documents.vertex], inputs),
        bucket_vertices=int(size[0]) if len(size) else 0,
        bucket_doc_id=documents.table.column("doc_id")[holder].as_py() if len(size) else b"",
        bucket_src=int(documents.column("src")[holder]) if len(size) else -1,
        bucket_file=int(documents.column("file")[holder]) if len(size) else -1,
    )


def _check(inputs: Inputs, documents: _Documents) -> None:
    src = documents.column("src")
    halves = batches.halves(documents.table.column("doc_id").combine_chunks())[src < len(inputs.filtered)]
    number, hi, lo = batches.numbered(halves[:, 0].copy(), halves[:, 1].copy())
    counts = np.bincount(number, minlength=len(hi))
    for repeated in np.flatnonzero(counts > 1)[:1]:
        holders = src[: len(number)][number == repeated]
        raise inputs.repeated(hi[repeated], lo[repeated], len(holders), {*holders.tolist()})
    found = np.bincount(src, minlength=len(inputs.filtered) + len(inputs.earlier))
    inputs.check_earlier(dict(enumerate(found.tolist())))


def _read(inputs: Inputs, params: DedupParams) -> _Documents:
    priorities = [*(params.priorities[name] for name in inputs.sources), *[ABOVE_ALL] * len(inputs.earlier)]
    n_numbers = params.bands * params.rows
    rows, ends = [_COLUMNS.empty_table()], [np.empty((0, 2), np.int64)]
    signatures, n = np.empty((inputs.n_documents, n_numbers), np.uint32), 0  # the most of all that is held: once
    for file in inputs.files():
        for found in batches.taking_part(file, ["file", "n_bytes", "exact", "n_shingles", "signature"]):
            ends.append(np.column_stack(batches.vertices(found, params, file.salt)))
            if n + found.num_rows > len(signatures):  # more than were counted: `_check` tells whose
                signatures = np.resize(signatures, (n + found.num_rows, n_numbers))
            signatures[n : n + found.num_rows] = batches.signature_values(found.column("signature"), n_numbers)
            n += found.num_rows
            columns = {name: found.column(name) for name in ("doc_id", "file", "n_bytes", "n_shingles")}
            columns["src"] = pa.array(np.full(found.num_rows, file.src, np.int32))
            columns["priority"] = pa.array(np.full(found.num_rows, priorities[file.src], np.int64))
            rows.append(pa.table({name: columns[name].cast(_COLUMNS.field(name).type) for name in _COLUMNS.names}))
    table, halves = pa.concat_tables(rows).combine_chunks(), np.concatenate(ends)
    vertex, hi, _ = batches.numbered(halves[:, 0], halves[:, 1])
    speaker = np.empty(len(hi), np.int64)
    speaker[vertex] = np.arange(len(vertex))
    n_new = int((table.column("src").to_numpy() < len(inputs.filtered)).sum())  # those of the sources stand first
    earlier = np.zeros(len(hi), np.bool_)
    earlier[vertex[n_new:]] = True
    return _Documents(
        table=table,
        vertex=vertex,
        url=_urls(inputs, table, n_new) if params.url else np.full(len(vertex), -1),
        quality=_quality(inputs, params, table, n_new) if params.keep else np.zeros(len(vertex)),
        signatures=signatures,
        speaker=speaker,
        has_words=table.column("n_shingles").to_numpy()[speaker] > 0,
        earlier=earlier,
    )


def _urls(inputs: Inputs, table: pa.Table, n_new: int) -> Int64s:
    found = [rows for task in inputs.text_urls() for rows in batches.urls_of(task)]
    url = np.full(table.num_rows, -1)
    if found:
        own = _with_rows(pa.Table.from_batches(found), table, n_new)
        numbers, _, _ = batches.numbered(own.column("url_hi").to_numpy(), own.column("url_lo").to_numpy())
        url[own.column("row").to_numpy()] = numbers
    return url


def _quality(inputs: Inputs, params: DedupParams, table: pa.Table, n_new: int) -> npt.NDArray[np.float64]:
    found = [rows for task in inputs.text_urls() for rows in batches.quality_of(str(params.keep), task)]
    quality = np.zeros(table.num_rows)
    if found:
        own = _with_rows(pa.Table.from_batches(found), table, n_new)
        quality[own.column("row").to_numpy()] = own.column("quality").to_numpy()
    return quality if params.keep_most else -quality


def _with_rows(columns: pa.Table, table: pa.Table, n_new: int) -> pa.Table:
    """`columns` with the `row` of the document of a source that each doc_id stands for."""
    rows = pa.table({"doc_id": table.column("doc_id").slice(0, n_new), "row": np.arange(n_new)})
    return columns.join(rows, "doc_id", join_type="inner").combine_chunks()


def _candidates(documents: _Documents, params: DedupParams) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """As `batches.paired`."""
    rows = np.sort(documents.speaker[documents.has_words])  # as the signatures lie: any other order takes twice as long
    vertices = documents.vertex[rows]
    buckets = np.empty((params.bands, len(rows)), np.int64)

    def hashed(i: int) -> None:
        values = documents.signatures[rows[i : i + HASHED_AT_ONCE]]
        hashes = minhash.band_hashes(values, bands=params.bands, rows=params.rows)
        buckets[:, i : i + HASHED_AT_ONCE] = hashes.T.view(np.int64)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(hashed, range(0, len(rows), HASHED_AT_ONCE)))
        found = list(pool.map(partial(_of_band, documents, vertices, buckets), range(params.bands)))
    every = pairs.unique_pairs(np.concatenate([np.column_stack((a, b)) for a, b, _, _ in found]))
    sizes = np.concatenate([size for *_, size in found])
    most = sizes == sizes.max(initial=0)
    return (
        every[:, 0],
        every[:, 1],
        np.sort(np.concatenate([largest for _, _, largest, _ in found])[most])[-1:],
        sizes[most][:1],
    )


def _of_band(
    documents: _Documents, vertices: Int64s, buckets: Int64s, band: int
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """As `batches.paired`, for the buckets of one band, which are no other's."""
    rows = pairs.shared(buckets[band])
    affinity = buckets[(band + 1) % len(buckets)]
    return batches.paired(buckets[band][rows], affinity[rows], vertices[rows], documents.earlier)


def _similarity(documents: _Documents, a: Int64s, b: Int64s) -> npt.NDArray[np.float64]:
    """Of pairs of vertices."""
    found = [np.empty(0)]
    for i in range(0, len(a), PAIRS_AT_ONCE):
        ends = (documents.signatures[documents.speaker[one[i : i + PAIRS_AT_ONCE]]] for one in (a, b))
        found.append(minhash.estimate(*ends))
    return np.concatenate(found)


def _same_urls(documents: _Documents) -> Int64s:
    """Edges between the vertices of a URL: int64 [k, 2], from the smallest to the others."""
    rows = np.flatnonzero(documents.url >= 0)
    rows = rows[np.lexsort((documents.vertex[rows], documents.url[rows]))]
    url, vertex = documents.url[rows], documents.vertex[rows]
    starts = np.flatnonzero(np.concatenate(([True], np.diff(url) != 0)))[: len(url)]
    smallest = np.repeat(vertex[starts], np.diff(np.append(starts, len(url))))
    return np.asarray(np.column_stack((smallest, vertex))[smallest != vertex])


def _united(edges: Int64s, n: int) -> Int64s:
    """The component of each of `n` vertices, by its smallest one: int64 [n]."""
    label = np.arange(n)
    vertices, labels = components(edges)
    label[vertices] = labels
    return label


def _first_holder(documents: _Documents, vertex: int) -> int:
    """The row of a document of this vertex: of the first source, with the smallest doc_id."""
    rows = np.flatnonzero(documents.vertex == vertex)
    ids, src = _ids(documents)[rows], documents.column("src")[rows]
    return int(rows[np.lexsort((ids[:, 1], ids[:, 0], src))[0]])


def _ids(documents: _Documents) -> npt.NDArray[np.uint64]:
    """The halves of the doc_ids, which sort as the doc_ids do."""
    return batches.halves(documents.table.column("doc_id").combine_chunks()).view(np.uint64)


def _kept(documents: _Documents, alike: Int64s, group: Int64s, inputs: Inputs) -> list[pa.Table]:
    """Of each group of two documents or more the one that stays, the others with kind and similarity. `alike`, `group`:
    the component of each document by the edges between texts, and by all edges."""
    src = documents.column("src")
    size = np.bincount(group, minlength=len(group))[group]
    best = _best(documents, group, np.flatnonzero(size > 1))
    firsts = np.array(inputs.first_files())
    rows = np.flatnonzero((size > 1) & (src < len(inputs.filtered)))
    part = firsts[src[rows]] + documents.column("file")[rows]
    by_part = np.argsort(part, kind="stable")
    rows, borders = rows[by_part], np.searchsorted(part[by_part], np.arange(firsts[-1] + 1))
    kept = best[rows]
    exact = documents.vertex[rows] == documents.vertex[kept]
    same_url = (documents.url[rows] == documents.url[kept]) & (documents.url[rows] >= 0)
    by_url = same_url | (alike[rows] != alike[kept])
    similarity = np.ones(len(rows))
    apart = ~exact
    similarity[apart] = _similarity(documents, documents.vertex[rows[apart]], documents.vertex[kept[apart]])
    doc_ids = documents.table.column("doc_id")
    verdicts = pa.table(
        {
            "doc_id": doc_ids.take(pa.array(rows)),
            "kept_doc_id": doc_ids.take(pa.array(kept)),
            "kept_src": src[kept],
            "kind": pa.array(np.where(exact, "exact", np.where(by_url, "url", "near")), pa.string()),
            "similarity": similarity,
            "cluster_size": size[rows],
            "earlier": src[kept] >= len(inputs.filtered),
        }
    )
    return [verdicts.slice(first, last - first) for first, last in pairwise(borders.tolist())]


def _best(documents: _Documents, group: Int64s, rows: Int64s) -> Int64s:
    """Of each of these rows, which are whole groups, the row of its group's document that stays; of the others -1."""
    ids, quality = _ids(documents)[rows], documents.quality[rows]
    priority, n_bytes, src = (documents.column(name)[rows] for name in ("priority", "n_bytes", "src"))
    order = rows[np.lexsort((src, ids[:, 1], ids[:, 0], -n_bytes, -quality, priority, group[rows]))]
    starts = np.flatnonzero(np.concatenate(([True], np.diff(group[order]) != 0)))[: len(order)]
    best = np.full(len(group), -1)
    best[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    return best
