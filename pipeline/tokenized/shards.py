"""Rows → the files of a tokenized dataset: a shard, its index entry, its granules' checksums, the borders of documents
in its rows, its provenance."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.mds.borders import JoinedBorders, join_shards, shard_borders
from pipeline.mds.checksums import ShardTable, granule_hashes, granule_samples, shard_name, table_bytes
from pipeline.mds.frames import FRAME_DTYPE, FRAMES, compress
from pipeline.mds.frames import table_bytes as frame_table
from pipeline.mds.writer import compressed_name, fixed_pieces, index, index_entry
from pipeline.tables.sink import Sink
from pipeline.tokenized.packing import Packed, Pieces, pack, permuted, row_order
from pipeline.tokenized.quality import Quality, usage_rows

STAGE = "tokenized"


GROUP_PIECES = 16_384
"""Rows a row group of provenance: one row costs one group, 4 ms of a shard of 320,000 pieces (82 ms without groups)."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a row looks like and how rows are made; `compression` of their shards, as "zstd:3", None: not compressed."""

    sequence_length: int
    dtype: str
    packing: str
    pad_id: int
    vocab_size: int
    compression: str | None = None

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.sequence_length * np.dtype(self.dtype).itemsize

    @property
    def columns(self) -> dict[str, str]:
        """The shards' MDS columns."""
        return {"tokens": f"ndarray:{self.dtype}:{self.sequence_length}"}

    def shard_file(self, number: int) -> str:
        """The name of a shard's file."""
        name = shard_name(number)
        return name if self.compression is None else compressed_name(name, self.compression)

    def as_parameters(self) -> dict[str, Any]:
        """What a dataset's fingerprint knows of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


OF_SHARDS = ("entries", "granules", "borders", "frames")
"""Tables of which each shard leaves a file, named by its number, and none stays at the end."""

OF_PARTITIONS = (*OF_SHARDS, "tails", "usage")
"""Tables of which each partition leaves a file, which the end of the dataset joins into one."""


def write_shard(sink: Sink, shape: Shape, number: int, key: str, documents: "Documents") -> None:
    """Pack the documents of one partition and write its shard with all that belongs to it; the tail becomes rows of the
    table `tails`. A partition without a full row makes no shard. `key` permutes the rows."""
    packed = pack(documents.tokens, documents.lengths, shape.sequence_length, shape.packing, shape.pad_id)
    packed = permuted(packed, row_order(len(packed.rows), key))
    sink.count("documents", len(documents.doc_ids))
    sink.count("tokens", len(documents.tokens))
    sink.count("padding_tokens", packed.n_padding)
    if len(packed.tail.doc):
        put_tail(sink, packed.tail, documents, number, lasting=False)
    if len(packed.rows):
        put_shard(sink, shape, number, packed, documents)


def put_shard(sink: Sink, shape: Shape, number: int, packed: Packed, documents: "Documents") -> None:
    """Write packed rows as shard `number`: the shard, its index entry, granule checksums, borders and provenance."""
    rows = np.ascontiguousarray(packed.rows)
    entry = _put_rows(sink, shape, number, rows)
    hashes = granule_hashes(rows.view(np.uint8).reshape(len(rows), -1))
    sink.put("entries", f"entries/{number:05d}.json", json.dumps(entry).encode(), len(rows), lasting=False)
    sink.put("granules", f"granules/{number:05d}.bin", hashes.astype("<u8").tobytes(), len(hashes), lasting=False)
    ends = packed.pieces.token_from + packed.pieces.length
    borders = shard_borders(packed.pieces.row, ends, len(rows), shape.row_bytes)
    sink.put("borders", f"borders/{number:05d}.bin", borders, len(rows), lasting=False)
    pieces = _provenance(packed.pieces, documents, number)
    sink.put_table("provenance", provenance_path(number), pieces, group_rows=GROUP_PIECES, dictionary=["shard"])
    sink.count("samples", len(rows))


def _put_rows(sink: Sink, shape: Shape, number: int, rows: npt.NDArray[Any]) -> dict[str, Any]:
    """Write the shard's file, and where its frames lie if it is compressed; what the index says of it."""
    path, name, compression = shape.shard_file(number), shard_name(number), shape.compression
    data = fixed_pieces(shape.columns, {"tokens": rows}, compression=compression)
    if compression is None:
        sink.put("shards", path, data, len(rows))
        return index_entry(shape.columns, name, data, len(rows))
    framed = compress(*data, shape.row_bytes, compression)
    sink.put("shards", path, framed.pieces, len(rows))
    sink.put("frames", f"frames/{number:05d}.bin", framed.frames.tobytes(), len(framed.frames), lasting=False)
    return index_entry(shape.columns, name, data, len(rows), compression=compression, compressed=framed.pieces)


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Encoded documents in hash order: `doc_ids`, their tokens one after the other, `lengths`, and `starts`, the number
    of each one's first token in its document (not 0 for the pieces of a tail)."""

    doc_ids: pa.BinaryArray
    tokens: npt.NDArray[np.unsignedinteger[Any]]
    lengths: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]


def documents_of(
    doc_ids: pa.BinaryArray, tokens: pa.Array, dtype: str, starts: npt.NDArray[np.int64] | None = None
) -> Documents:
    """Documents from the little-endian bytes of their tokens (Arrow binary, large or not), which are not copied."""
    little = np.dtype(dtype).newbyteorder("<")
    wide = tokens.cast(pa.large_binary())
    offsets = np.frombuffer(wide.buffers()[1], np.int64)[wide.offset : wide.offset + len(wide) + 1]
    data = np.frombuffer(wide.buffers()[2] or b"", np.uint8)
    ends = offsets if len(offsets) else np.zeros(1, np.int64)
    return Documents(
        doc_ids=doc_ids,
        tokens=data[ends[0] : ends[-1]].view(little).astype(dtype, copy=False),
        lengths=np.diff(ends) // little.itemsize,
        starts=np.zeros(len(doc_ids), np.int64) if starts is None else starts,
    )


def provenance_path(number: int) -> str:
    """The file that tells whose tokens shard `number` holds, below the attempt."""
    return f"provenance/{number:05d}.parquet"


def shard_files(
    entries: Mapping[int, bytes],
    granules: Mapping[int, bytes],
    row_bytes: int,
    frames: Mapping[int, bytes] | None = None,
) -> dict[str, bytes]:
    """`index.json`, `shards.bin` and `granules.bin` of a dataset, from each shard's entry and checksums by number; with
    `frames.bin` where it is compressed, from each shard's frames."""
    numbers = sorted(entries)
    listed = [json.loads(entries[number]) for number in numbers]
    samples = np.array([0, *(entry["samples"] for entry in listed)], np.int64)
    per_granule = granule_samples(row_bytes)
    table = ShardTable(
        first_sample=np.cumsum(samples),
        first_granule=np.cumsum(-(-samples // per_granule)),
        number=np.array(numbers, np.int64),
    )
    return {
        "index.json": index(listed),
        "shards.bin": table_bytes(table),
        "granules.bin": b"".join(granules[number] for number in numbers),
        **({FRAMES: frame_table(_frames_in(frames[number]) for number in numbers)} if frames else {}),
    }


def _frames_in(data: bytes) -> npt.NDArray[np.uint32]:
    return np.frombuffer(data, FRAME_DTYPE).reshape(-1, 2)


def border_tables(
    entries: Mapping[int, bytes], borders: Mapping[int, bytes], shape: Shape, where: str
) -> JoinedBorders:
    """`borders.bin` and `border_groups.bin` of a dataset, from each shard's entry and borders by number. `ValueError`
    that names `where` where the borders of a shard are damaged."""
    numbers = sorted(entries)
    samples = [json.loads(entries[number])["samples"] for number in numbers]
    return join_shards([borders[number] for number in numbers], samples, shape.row_bytes, shape.sequence_length, where)


def table_of(path: str) -> str:
    """The role of a dataset-wide file in the manifest."""
    return "index" if path == "index.json" else "tables"


def _provenance(pieces: Pieces, documents: Documents, number: int) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "shard": pa.array(np.full(len(pieces.doc), number, np.int32)),
            "row": pa.array(pieces.row.astype(np.int32)),
            "token_from": pa.array(pieces.token_from.astype(np.int32)),
            "token_to": pa.array((pieces.token_from + pieces.length).astype(np.int32)),
            "doc_id": documents.doc_ids.take(pa.array(pieces.doc)),
            "doc_token_from": pa.array(documents.starts[pieces.doc] + pieces.doc_from),
        }
    )


def put_usage(sink: Sink, measured: Quality, number: int, *, lasting: bool) -> None:
    """How often each token occurs, as a file of the table `usage`; that of a partition is not `lasting`."""
    rows = pa.record_batch(usage_rows(measured))
    sink.put_table("usage", f"usage/{number:05d}.parquet", rows, group_rows=GROUP_PIECES, lasting=lasting)


def put_tail(sink: Sink, tail: Pieces, documents: Documents, number: int, *, lasting: bool) -> None:
    """Pieces that filled no row, with their tokens, as rows of the table `tails`; those of a partition are not
    `lasting`."""
    ends = np.cumsum(documents.lengths)
    firsts = ends - documents.lengths
    little = np.dtype(documents.tokens.dtype).newbyteorder("<")
    runs = [
        documents.tokens[firsts[doc] + start : firsts[doc] + start + length].astype(little).tobytes()
        for doc, start, length in zip(tail.doc.tolist(), tail.doc_from.tolist(), tail.length.tolist(), strict=True)
    ]
    rows = pa.record_batch(
        {
            "partition": pa.array(np.full(len(tail.doc), number, np.int32)),
            "doc_id": documents.doc_ids.take(pa.array(tail.doc)),
            "doc_token_from": pa.array(documents.starts[tail.doc] + tail.doc_from),
            "tokens": pa.array(runs, pa.binary()),
        }
    )
    sink.put_table("tails", f"tails/{number:05d}.parquet", rows, group_rows=GROUP_PIECES, lasting=lasting)
