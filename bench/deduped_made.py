"""Signatures that no text has: datasets of filtered documents and of their signatures, as the stages before publish
them, of any size and with a known share of duplicates.

Documents lie in files of `FILE_DOCUMENTS`, or in one smaller file. In each file, its first `COPIES` documents are exact
copies of the last ones of the file before (the first file: its own), and the next `NEAR` are near ones: each number is
kept with probability `SHARED`. All other signatures are drawn at random. With a heavy bucket, `HEAVY` of the documents,
which are not among these, share the first band.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import manifest, schema, storage
from pipeline.deduped import specs
from pipeline.deduped.batches import DedupParams
from pipeline.manifest import Dataset, File, Spec
from pipeline.tables.sink import Sink

SOURCE = "made"
FILE_DOCUMENTS = 25_000  # whose filtered rows are smaller than tables.sink.FILE_BYTES: one file
COPIES, NEAR, SHARED, HEAVY = 0.05, 0.1, 0.92, 0.01

Bytes = npt.NDArray[np.uint8]


def make(root: Path, n_documents: int, params: DedupParams, *, heavy: bool) -> tuple[Dataset, Dataset]:
    """The datasets of filtered documents and of signatures, published below `root`."""
    n_files = -(-n_documents // FILE_DOCUMENTS)
    if n_files > 1 and n_documents % FILE_DOCUMENTS:
        raise ValueError(f"{n_documents} documents; give fewer than {FILE_DOCUMENTS}, or a multiple of it")
    n = n_documents // n_files
    made_of = {"documents": n_documents, "heavy": heavy}
    filtered = Spec(stage="filtered", source=SOURCE, version=1, inputs={}, parameters=made_of)
    signatures = specs.signatures_spec(SOURCE, filtered.fingerprint, params)
    attempt = manifest.new_attempt()
    files: dict[str, list[File]] = {"filtered": [], "signatures": []}
    for number in range(n_files):
        doc_ids = np.random.default_rng([number, 0]).integers(256, size=(n, 16), dtype=np.uint8)
        rows = [
            (filtered, _filtered_rows(doc_ids)),
            (signatures, _signature_rows(doc_ids, number, params, heavy)),
        ]
        for spec, batch in rows:
            with Sink(spec.stage, storage.join(spec.url(str(root)), attempt), number) as sink:
                sink.write(spec.stage, batch)
            files[spec.stage] += sink.files
    counts = {"kept_documents": n_documents, "kept_bytes": n_documents}
    return (
        manifest.publish(str(root), filtered, attempt=attempt, files=files["filtered"], counts=counts),
        manifest.publish(
            str(root), signatures, attempt=attempt, files=files["signatures"], counts={"documents": n_documents}
        ),
    )


def _filtered_rows(doc_ids: Bytes) -> pa.RecordBatch:
    """Documents of one letter; whatever has been measured of them is 0, or unknown."""
    n = len(doc_ids)
    known = {"source": SOURCE, "text": "x", "file": "made.jsonl", "n_bytes": 1, "meta": "{}"}
    columns = {}
    for field in schema.arrow("filtered", "filtered"):
        if field.name == "doc_id":
            columns[field.name] = _binary(doc_ids)
        elif field.nullable:
            columns[field.name] = pa.nulls(n, field.type)
        else:
            columns[field.name] = pa.repeat(pa.scalar(known.get(field.name, 0), field.type), n)
    return pa.record_batch(columns)


def _signature_rows(doc_ids: Bytes, number: int, params: DedupParams, heavy: bool) -> pa.RecordBatch:
    n, n_numbers = len(doc_ids), params.bands * params.rows
    exact, values = _drawn(number, n, n_numbers)
    exact_before, before = _drawn(max(0, number - 1), n, n_numbers)
    n_copies, n_near = int(COPIES * n), int(NEAR * n)
    first = n_copies + n_near
    exact[:n_copies], values[:n_copies] = exact_before[n - n_copies :], before[n - n_copies :]
    shared = np.random.default_rng([number, 2]).random((n_near, n_numbers)) < SHARED
    values[n_copies:first] = np.where(shared, before[n - first : n - n_copies], values[n_copies:first])
    if heavy:
        values[first : first + int(HEAVY * n), : params.rows] = 0
    return pa.record_batch(
        {
            "doc_id": _binary(doc_ids),
            "file": np.full(n, number, np.int32),
            "n_bytes": np.ones(n, np.int64),
            "exact": _binary(exact),
            "n_shingles": np.full(n, 100, np.int64),
            "signature": _binary(values.astype("<u4").view(np.uint8)),
        }
    )


def _drawn(number: int, n: int, n_numbers: int) -> tuple[Bytes, npt.NDArray[np.uint32]]:
    """Exact hashes (uint8 [n, 16]) and signatures (uint32 [n, n_numbers]) of file `number`, drawn at random."""
    chance = np.random.default_rng([number, 1])
    exact = chance.integers(256, size=(n, 16), dtype=np.uint8)
    return exact, chance.integers(2**32, size=(n, n_numbers), dtype=np.uint32)


def _binary(items: Bytes) -> pa.Array:
    """uint8 [n, width] as a binary column of n items."""
    n, width = items.shape
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(width)
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(items)])
