"""Texts as deduplicated documents: a dataset as the stage `deduped` publishes it, without what comes before it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import manifest, schema, storage
from pipeline.document import doc_ids
from pipeline.manifest import Dataset, Spec
from pipeline.tables.sink import Sink

SOURCE = "prose"
FILE = "made.jsonl"
BATCH_DOCUMENTS = 4_096

Int64s = npt.NDArray[np.int64]


def make(root: Path, texts: Sequence[str], copies: int) -> Dataset:
    """`copies` times the texts, each a document of its own, in files as the stage leaves them: of some 32 MiB."""
    spec = Spec(stage="deduped", source=SOURCE, version=1, inputs={}, parameters={"copies": copies})
    attempt = manifest.new_attempt()
    column = pa.array(texts, pa.large_string())
    sizes = np.diff(np.frombuffer(column.buffers()[1], np.int64))
    with Sink(spec.stage, storage.join(spec.url(str(root)), attempt), 0) as sink:
        for copy in range(copies):
            for first in range(0, len(texts), BATCH_DOCUMENTS):
                which = slice(first, first + BATCH_DOCUMENTS)
                records = copy * len(texts) + np.arange(first, min(first + BATCH_DOCUMENTS, len(texts)))
                sink.write("deduped", _rows(column[which], records, sizes[which]))
    counts = {"kept_documents": copies * len(texts), "kept_bytes": copies * int(sizes.sum())}
    return manifest.publish(str(root), spec, attempt=attempt, files=sink.files, counts=counts)


def _rows(texts: pa.LargeStringArray, records: Int64s, sizes: Int64s) -> pa.RecordBatch:
    """Documents of one made file; what is not known of them is null, or 1."""
    known = {"source": SOURCE, "file": FILE, "meta": "{}", "cluster_size": 1}
    columns = {
        "doc_id": pa.array(doc_ids(SOURCE, FILE, records), pa.binary()),
        "text": texts,
        "record": pa.array(records),
        "n_bytes": pa.array(sizes),
    }
    for field in schema.arrow("deduped", "deduped"):
        if field.name not in columns:
            value = pa.scalar(known.get(field.name), field.type)
            columns[field.name] = pa.repeat(value, len(records))
    return pa.record_batch(columns)
