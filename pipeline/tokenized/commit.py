"""The end of a tokenized dataset: tails packed together, shards joined under one index, counts balanced, published."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline import manifest, storage
from pipeline.alarms import check_balance
from pipeline.manifest import Dataset, File, Spec
from pipeline.tables.sink import Sink, read_batches
from pipeline.tokenized.packing import pack, permuted, row_order
from pipeline.tokenized.shards import (
    STAGE,
    Shape,
    documents_of,
    kept_files,
    put_shard,
    shard_files,
    table_of,
    tail_rows,
)
from pipeline.versions import made


def commit(
    root: str, wanted: Spec, attempt: str, files: Sequence[File], counts: Counter[str], shape: Shape, tail_number: int
) -> Dataset:
    """Pack the partitions' tails together, join the shards' entries into the dataset's index, publish the manifest."""
    attempt_url = storage.join(wanted.url(root), attempt)
    with Sink(STAGE, attempt_url, tail_number) as sink:
        left_over = _pack_tails(sink, shape, wanted, files, attempt_url, tail_number)
    counts["samples"] += sink.counts["samples"]
    found = [file for file in files if file.table != "tails"] + sink.files
    by_table: dict[str, dict[int, bytes]] = {"entries": {}, "granules": {}}
    for file in found:
        if file.table in by_table:
            number = int(file.path.rsplit("/", 1)[1].split(".")[0])
            by_table[file.table][number] = storage.read(storage.join(attempt_url, file.path))
    row_bytes = shape.sequence_length * np.dtype(shape.dtype).itemsize
    for path, data in shard_files(by_table["entries"], by_table["granules"], row_bytes).items():
        sink.put(table_of(path), path, data, 1)
    listed = kept_files({file.path: file for file in [*found, *sink.files]}.values())
    for file in [*files, *sink.files]:
        if file not in listed:
            storage.remove(storage.join(attempt_url, file.path))
    totals = {
        "documents": counts["documents"],
        "bytes": counts["bytes"],
        "tokens": counts["tokens"],
        "samples": counts["samples"],
        "padding_tokens": counts["padding_tokens"],
        "left_over_tokens": left_over,
    }
    in_rows = totals["samples"] * shape.sequence_length - totals["padding_tokens"]
    check_balance(f"tokenized {wanted.source}", "tokens", totals["tokens"], in_rows, {"left over": left_over})
    return manifest.publish(root, wanted, attempt=attempt, files=listed, counts=totals, made=made())


def _pack_tails(sink: Sink, shape: Shape, wanted: Spec, files: Sequence[File], attempt_url: str, number: int) -> int:
    """Rows of the tails as one more shard; the tokens that are left over, fewer than a row, stay in `tails`. Their
    count."""
    urls = [storage.join(attempt_url, file.path) for file in files if file.table == "tails"]
    batches = [batch for url in urls for batch in read_batches(url)]
    if not batches:
        return 0
    rows = pa.concat_batches(batches)
    rows = rows.take(pa.array(np.argsort(rows.column("partition").to_numpy(), kind="stable")))
    starts = rows.column("doc_token_from").to_numpy()
    documents = documents_of(rows.column("doc_id"), rows.column("tokens"), shape.dtype, starts)
    packed = pack(documents.tokens, documents.lengths, shape.sequence_length, shape.packing, shape.pad_id)
    if len(packed.rows):
        key = f"{wanted.source}/{wanted.parameters['range']}/tails"
        put_shard(sink, shape, number, permuted(packed, row_order(len(packed.rows), key)), documents)
    if len(packed.tail.doc):
        sink.write("tails", tail_rows(packed.tail, documents, number))
    return int(packed.tail.length.sum())
