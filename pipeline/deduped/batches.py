"""What one task of deduplication does with its rows: measure, cut into bands, pair, compare. No Spark in here.

A *vertex* is what is compared: the exact group of a document (equal normal form), so that a million copies of a text
are one vertex; or, with `exact: false`, the document, whose copies are then near duplicates like others. It is two
int64, the big-endian halves of a 128-bit hash, and vertices are ordered by them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.deduped import minhash, shingles
from pipeline.deduped.components import components
from pipeline.deduped.pairs import candidate_pairs, shared
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.texts import normal, urls

STAGE = "deduped"
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class DedupParams:
    """How documents are compared and which one stays. `priorities`: source → number, smaller ones survive; of one
    priority those with the most (`keep_most`) or the least of the signal `keep`. `url`: whether documents of one URL
    are duplicates. Without a value of the signal (null) a document comes last."""

    threshold: float
    ngram: int
    bands: int
    rows: int
    scope: str
    exact: bool
    verify: str
    priorities: Mapping[str, int]
    url: bool = False
    keep: str | None = None
    keep_most: bool = True


@dataclass(frozen=True, kw_only=True)
class SignatureFile:
    """A file of signatures that take part. `src`: the number of its source among those compared. Of `earlier` datasets
    (`against`), whose documents always stay: `removed`, the files that list its documents that do not take part, and
    `salt`, a number that sets its doc_ids apart from equal ones of other runs."""

    src: int
    url: str
    earlier: bool = False
    removed: tuple[str, ...] = ()
    salt: int = 0


def measure(parameters: Mapping[str, Any], task: tuple[int, str], sink: Sink) -> None:
    file, url = task
    for rows in read_batches(url, ["doc_id", "text", "n_bytes"]):
        texts = rows.column("text")
        values, n_shingles = minhash.signatures(
            texts, ngram=parameters["ngram"], num_perm=parameters["num_perm"], seed=parameters["seed"]
        )
        sink.count("documents", rows.num_rows)
        sink.write(
            "signatures",
            {
                "doc_id": rows.column("doc_id"),
                "file": np.full(rows.num_rows, file, np.int32),
                "n_bytes": rows.column("n_bytes"),
                "exact": normal.exact_hashes(texts),
                "n_shingles": n_shingles,
                "signature": [row.tobytes() for row in values.astype("<u4")],
            },
        )


def taking_part(file: SignatureFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The doc_id and these columns of the file's documents that take part."""
    removed = [rows.column("doc_id") for url in file.removed for rows in read_batches(url, ["doc_id"])]
    for rows in read_batches(file.url, ["doc_id", *columns]):
        if removed:
            rows = rows.filter(pc.invert(pc.is_in(rows.column("doc_id"), pa.concat_arrays(removed))))
        yield rows


def doc_ids_of(file: SignatureFile) -> Iterator[pa.RecordBatch]:
    """(hi, lo, src): the halves of each document's doc_id, and the number of its source."""
    for rows in taking_part(file, []):
        ends = halves(rows.column("doc_id"))
        yield pa.record_batch(
            {"hi": ends[:, 0].copy(), "lo": ends[:, 1].copy(), "src": np.full(rows.num_rows, file.src, np.int32)}
        )


def doc_id_of(hi: int, lo: int) -> bytes:
    """The doc_id of these halves."""
    return np.array([hi, lo], ">i8").tobytes()


def vertices_of(params: DedupParams, priorities: list[int], file: SignatureFile) -> Iterator[pa.RecordBatch]:
    for rows in taking_part(file, ["file", "n_bytes", "exact"]):
        hi, lo = vertices(rows, params, file.salt)
        n = rows.num_rows
        yield pa.record_batch(
            {
                "doc_id": rows.column("doc_id"),
                "src": pa.array(np.full(n, file.src, np.int32)),
                "priority": pa.array(np.full(n, priorities[file.src], np.int64)),
                "file": rows.column("file"),
                "n_bytes": rows.column("n_bytes"),
                "hi": pa.array(hi),
                "lo": pa.array(lo),
            }
        )


def vertices(rows: pa.RecordBatch, params: DedupParams, salt: int = 0) -> tuple[Int64s, Int64s]:
    """The halves of each document's vertex: of its exact hash or, with `exact: false`, of its doc_id and the salt."""
    ends = halves(rows.column("exact" if params.exact else "doc_id"))
    return ends[:, 0] ^ np.int64(0 if params.exact else salt), ends[:, 1].copy()


def halves(column: pa.Array) -> Int64s:
    """The big-endian halves of hashes and doc_ids of 16 bytes: int64 [n, 2]."""
    return _items(column, 16).view(">i8").astype(np.int64)


def _items(column: pa.Array, n_bytes: int) -> npt.NDArray[np.uint8]:
    """The items of a binary array without nulls, all of `n_bytes`: uint8 [n, n_bytes], not copied."""
    _, places, values = column.buffers()
    if len(column) == 0:
        return np.empty((0, n_bytes), np.uint8)
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32  # Spark gives either, by its configuration
    offsets = np.frombuffer(places, width)[column.offset : column.offset + len(column) + 1]
    if (np.diff(offsets) != n_bytes).any():
        raise ValueError(f"items of {np.unique(np.diff(offsets)).tolist()} bytes where all have {n_bytes}")
    return np.frombuffer(values, np.uint8)[offsets[0] : offsets[-1]].reshape(-1, n_bytes)


def bands_of(params: DedupParams, file: SignatureFile) -> Iterator[pa.RecordBatch]:
    """(bucket, affinity, hi, lo, earlier): a row for each band of each document that has words."""
    for rows in taking_part(file, ["exact", "n_shingles", "signature"]):
        rows = rows.filter(pc.greater(rows.column("n_shingles"), 0))
        values = signature_values(rows.column("signature"), params.bands * params.rows)
        buckets = minhash.band_hashes(values, bands=params.bands, rows=params.rows)
        hi, lo = vertices(rows, params, file.salt)
        yield pa.record_batch(
            {
                "bucket": pa.array(buckets.reshape(-1).view(np.int64)),
                "affinity": pa.array(np.roll(buckets, -1, axis=1).reshape(-1).view(np.int64)),
                "hi": pa.array(np.repeat(hi, params.bands)),
                "lo": pa.array(np.repeat(lo, params.bands)),
                "earlier": pa.array(np.full(buckets.size, file.earlier)),
            }
        )


def pairs_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Candidate pairs of vertices (a_hi, a_lo, b_hi, b_lo) of whole buckets, but those of two vertices that have a
    document of an earlier dataset each; their `bucket_size` is 0. And one row for the largest of the buckets: its
    number of vertices, and one of them at both ends (`_largest`)."""
    found = [batch for batch in batches if batch.num_rows]
    if not found:
        return
    table = pa.Table.from_batches(found)
    some = shared(table.column("bucket").to_numpy())  # most texts are alone in most of their buckets
    bucket, affinity, hi, lo = (table.column(name).to_numpy()[some] for name in ("bucket", "affinity", "hi", "lo"))
    number, hi, lo = numbered(hi, lo)
    earlier = np.zeros(len(hi), np.bool_)
    earlier[number[table.column("earlier").to_numpy()[some]]] = True
    a, b, largest, size = paired(bucket, affinity, number, earlier)
    a, b = np.append(a, largest), np.append(b, largest)
    sizes = np.zeros(len(a), np.int64)
    sizes[len(a) - len(largest) :] = size
    yield pa.record_batch({"a_hi": hi[a], "a_lo": lo[a], "b_hi": hi[b], "b_lo": lo[b], "bucket_size": sizes})


def paired(
    bucket: Int64s, affinity: Int64s, number: Int64s, earlier: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Candidate pairs of vertices by number, those of whole buckets; a vertex of the largest bucket (`_largest`), and
    that one's size (both empty without rows). Row i says that vertex number[i] stands in bucket[i]; `earlier` says of
    each vertex whether it has an earlier document."""
    if not len(bucket):
        return bucket, bucket, bucket, bucket
    order = np.argsort(bucket)
    rank = np.cumsum(np.diff(bucket[order], prepend=bucket[order[0]]) != 0)
    order = order[np.argsort(rank << 32 | number[order])]  # by bucket, then number
    bucket, affinity, number = bucket[order], affinity[order], number[order]
    # A vertex stands in a bucket as often as there are copies of its text.
    first = np.flatnonzero(np.concatenate(([True], (np.diff(bucket) != 0) | (np.diff(number) != 0))))
    affinity = np.minimum.reduceat(affinity, first)
    bucket, affinity, number = _with_new(bucket[first], affinity, number[first], earlier)
    a, b = candidate_pairs(bucket.view(np.uint64), number, affinity.view(np.uint64)).T
    wanted = ~(earlier[a] & earlier[b])
    return a[wanted], b[wanted], *_largest(bucket, number, earlier)


def _largest(bucket: Int64s, number: Int64s, earlier: npt.NDArray[np.bool_]) -> tuple[Int64s, Int64s]:
    """The largest vertex without earlier documents that stands in one of the largest buckets (of rows sorted by both,
    each bucket with such a vertex), and their size; nothing without rows. So the answer for all rows is the largest of
    those for any parts of whole buckets."""
    starts = np.flatnonzero(np.concatenate(([True], np.diff(bucket) != 0)))[: len(bucket)]
    sizes = np.diff(np.append(starts, len(bucket)))
    most = np.repeat(sizes == sizes.max(initial=0), sizes) & ~earlier[number]
    return np.sort(number[most])[-1:], np.sort(sizes)[-1:]


def write_pairs(batch: pa.RecordBatch, sink: Sink) -> None:
    """Write what `pairs_of` gives; the largest bucket goes into the task's notes: [size, hi, lo]."""
    is_pair = pc.equal(batch.column("bucket_size"), 0)
    for row in batch.filter(pc.invert(is_pair)).to_pylist():
        sink.notes = {
            "bucket": max(sink.notes.get("bucket", [0, 0, 0]), [row["bucket_size"], row["a_hi"], row["a_lo"]])
        }
    sink.write("pairs", batch.filter(is_pair).drop_columns(["bucket_size"]))


def urls_of(task: tuple[int, str]) -> Iterator[pa.RecordBatch]:
    """(doc_id, url_hi, url_lo): the halves of the hash of each document's canonical URL, of those that have one."""
    _, url = task
    for rows in read_batches(url, ["doc_id", "url"]):
        hashes = urls.hashes(rows.column("url"))
        ends = halves(hashes.drop_null())
        yield pa.record_batch(
            {
                "doc_id": rows.column("doc_id").filter(hashes.is_valid()),
                "url_hi": ends[:, 0].copy(),
                "url_lo": ends[:, 1].copy(),
            }
        )


def quality_of(signal: str, task: tuple[int, str]) -> Iterator[pa.RecordBatch]:
    """(doc_id, quality): a signal of each document, null where it has none."""
    _, url = task
    for rows in read_batches(url, ["doc_id", signal]):
        yield pa.record_batch({"doc_id": rows.column("doc_id"), "quality": rows.column(signal).cast(pa.float64())})


def _with_new(
    bucket: Int64s, affinity: Int64s, number: Int64s, earlier: npt.NDArray[np.bool_]
) -> tuple[Int64s, Int64s, Int64s]:
    """The rows of the buckets (sorted) that hold a vertex without earlier documents: of an old crawl few others do."""
    starts = np.flatnonzero(np.concatenate(([True], np.diff(bucket) != 0)))
    n_rows = np.diff(np.append(starts, len(bucket)))
    some = np.repeat(np.logical_or.reduceat(~earlier[number], starts), n_rows)
    return bucket[some], affinity[some], number[some]


def numbered(hi: Int64s, lo: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Vertices by number, in the order of (hi, lo): each row's number, and each number's halves."""
    order = np.argsort(hi)
    high, low = hi[order], lo[order]
    if ((high[1:] == high[:-1]) & (low[1:] < low[:-1])).any():  # hashes differ in their first half, or not at all
        order = np.lexsort((lo, hi))
        high, low = hi[order], lo[order]
    new = np.concatenate(([True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])))[: len(order)]
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(new) - 1
    return number, high[new], low[new]


def signatures_of(params: DedupParams, file: SignatureFile) -> Iterator[pa.RecordBatch]:
    """(hi, lo, payload): each document's vertex and signature."""
    for rows in taking_part(file, ["exact", "signature"]):
        hi, lo = vertices(rows, params, file.salt)
        yield pa.record_batch({"hi": hi, "lo": lo, "payload": rows.column("signature")})


def texts_of(params: DedupParams, task: tuple[int, str]) -> Iterator[pa.RecordBatch]:
    """(hi, lo, payload): each document's vertex and text."""
    _, url = task
    for rows in read_batches(url, ["doc_id", "text"]):
        texts = rows.column("text")
        if params.exact:
            rows = rows.append_column("exact", pa.array(normal.exact_hashes(texts), pa.binary()))
        hi, lo = vertices(rows, params)
        yield pa.record_batch({"hi": hi, "lo": lo, "payload": texts.cast(pa.large_binary()).cast(pa.binary())})


def estimated(num_perm: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in batches:
        left, right = (signature_values(rows.column(end), num_perm) for end in ("a", "b"))
        yield _with_similarity(rows, minhash.estimate(left, right))


def exactly_compared(ngram: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for rows in batches:
        left, right = (
            shingles.shingle_sets(rows.column(side).cast(pa.large_binary()).cast(pa.large_string()), ngram=ngram)
            for side in ("a", "b")
        )
        yield _with_similarity(
            rows, np.array([shingles.jaccard(a, b) for a, b in zip(left, right, strict=True)], np.float64)
        )


def _with_similarity(rows: pa.RecordBatch, similarity: npt.NDArray[np.float64]) -> pa.RecordBatch:
    ends = {name: rows.column(name) for name in ("a_hi", "a_lo", "b_hi", "b_lo")}
    return pa.record_batch(ends | {"similarity": pa.array(similarity)})


def signature_values(column: pa.Array, num_perm: int) -> npt.NDArray[np.uint32]:
    """Signatures as they are stored, as numbers: uint32 [n, num_perm]."""
    return _items(column, 4 * num_perm).view("<u4").astype(np.uint32)


def labels_of(edges: pa.Table) -> pa.Table:
    """Vertices that have an edge, and the vertex that names their component: (hi, lo, label_hi, label_lo)."""
    ends = [
        np.concatenate([edges.column(f"a_{half}").to_numpy(), edges.column(f"b_{half}").to_numpy()])
        for half in ("hi", "lo")
    ]
    number, hi, lo = numbered(*ends)
    vertices, labels = components(number.reshape(2, -1).T.copy())
    return pa.table({"hi": hi[vertices], "lo": lo[vertices], "label_hi": hi[labels], "label_lo": lo[labels]})
