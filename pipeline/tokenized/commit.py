"""The end of a tokenized dataset: tails packed together, shards joined under one index, counts balanced, published."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import manifest, storage
from pipeline.alarms import check_balance
from pipeline.manifest import Dataset, File, Spec
from pipeline.mds.borders import BORDER_GROUPS, BORDERS, JoinedBorders
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.tokenized import quality, spread
from pipeline.tokenized.packing import pack, permuted, row_order
from pipeline.tokenized.shards import (
    OF_PARTITIONS,
    OF_SHARDS,
    STAGE,
    Shape,
    border_tables,
    documents_of,
    put_shard,
    put_tail,
    put_usage,
    shard_files,
    table_of,
)
from pipeline.versions import made


def commit(
    root: str,
    wanted: Spec,
    attempt: str,
    files: Sequence[File],
    counts: Counter[str],
    notes: Sequence[Mapping[str, Any]] | None,
    shape: Shape,
    *,
    n_partitions: int,
    engine: Mapping[str, Any],
) -> Dataset:
    """Join what the partitions wrote: their tails packed together, the shards' entries in one index, `notes` on the
    tokenizer in the report, beside the `engine` that encoded; publish the manifest. `notes` None: texts were not seen,
    so that nothing is told of them (`bytes`, `spread`, the tokenizer's quality)."""
    url = storage.join(wanted.url(root), attempt)
    measured = None if notes is None else quality.read(notes, _urls(url, files, "usage"), shape.vocab_size)
    with Sink(STAGE, url, n_partitions) as sink:
        left_over = _pack_tails(sink, shape, wanted, _urls(url, files, "tails"), n_partitions)
        if measured is not None:
            put_usage(sink, measured, n_partitions, lasting=True)
    every = [*files, *sink.files]
    entries, granules, ends, frames = (_by_number(url, every, table) for table in OF_SHARDS)
    borders = border_tables(entries, ends, shape, f"tokenized {wanted.source}: borders")
    joined = shard_files(entries, granules, shape.row_bytes, frames)
    for path, data in (joined | {BORDERS: borders.borders, BORDER_GROUPS: borders.groups}).items():
        sink.put(table_of(path), path, data, 1)
    own = [file for file in sink.files if file.table not in OF_SHARDS]
    listed = {file.path: file for file in [*(file for file in files if file.table not in OF_PARTITIONS), *own]}
    _remove(url, {file.path for file in [*files, *sink.files]} - set(listed))
    totals = {
        "documents": counts["documents"],
        "tokens": counts["tokens"],
        "samples": counts["samples"] + sink.counts["samples"],
        "padding_tokens": counts["padding_tokens"] + sink.counts["padding_tokens"],
        "left_over_tokens": left_over,
    }
    report = {"engine": engine}
    if measured is not None:
        totals |= {name: counts[name] for name in ("bytes", *spread.SUMS)}
        report[quality.NOTE] = quality.note(measured)
    pieces = sum(file.rows for file in every if file.table == "provenance")
    _check(f"tokenized {wanted.source}", totals, shape.sequence_length, pieces, borders)
    return manifest.publish(
        root, wanted, attempt=attempt, files=listed.values(), counts=totals, report=report, made=made()
    )


def _check(dataset: str, totals: Mapping[str, int], sequence_length: int, pieces: int, borders: JoinedBorders) -> None:
    """`StageError` unless tokens balance, and the borders tell of as many tokens and pieces as rows and provenance."""
    in_rows = totals["samples"] * sequence_length - totals["padding_tokens"]
    check_balance(dataset, "tokens", totals["tokens"], in_rows, {"left over": totals["left_over_tokens"]})
    check_balance(f"{dataset} (borders)", "tokens", in_rows, borders.n_tokens, {})
    check_balance(f"{dataset} (borders)", "pieces", pieces, borders.n_pieces, {})


def _pack_tails(sink: Sink, shape: Shape, wanted: Spec, urls: Sequence[str], number: int) -> int:
    """Rows of the tails as one more shard; the tokens that are left over, fewer than a row, stay in `tails`. Their
    count."""
    found = storage.at_once(lambda url: list(read_batches(url)), urls, sink.attempt_url)
    batches = [batch for of_file in found for batch in of_file]
    if not batches:
        return 0
    place = batches[0].schema.get_field_index("tokens")  # 2 GiB of tails do not fit 32-bit offsets
    schema = batches[0].schema.set(place, pa.field("tokens", pa.large_binary()))
    rows = pa.concat_batches([batch.cast(schema) for batch in batches])
    rows = rows.take(pa.array(np.argsort(rows.column("partition").to_numpy(), kind="stable")))
    starts = rows.column("doc_token_from").to_numpy()
    documents = documents_of(rows.column("doc_id"), rows.column("tokens"), shape.dtype, starts)
    packed = pack(documents.tokens, documents.lengths, shape.sequence_length, shape.packing, shape.pad_id)
    if len(packed.rows):
        key = f"{wanted.source}/{wanted.parameters['range']}/tails"
        put_shard(sink, shape, number, permuted(packed, row_order(len(packed.rows), key)), documents)
    if len(packed.tail.doc):
        put_tail(sink, packed.tail, documents, number, lasting=True)
    return int(packed.tail.length.sum())


def _urls(attempt_url: str, files: Sequence[File], table: str) -> list[str]:
    return [storage.join(attempt_url, file.path) for file in files if file.table == table]


def _by_number(attempt_url: str, files: Sequence[File], table: str) -> dict[int, bytes]:
    """The content of the table's files, by the number of their shard."""
    urls = _urls(attempt_url, files, table)
    numbers = [int(url.rsplit("/", 1)[1].split(".")[0]) for url in urls]
    return dict(zip(numbers, storage.at_once(storage.read, urls, attempt_url), strict=True))


def _remove(attempt_url: str, paths: set[str]) -> None:
    storage.at_once(storage.remove, [storage.join(attempt_url, path) for path in sorted(paths)], attempt_url)
