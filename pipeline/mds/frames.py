"""Compressed shards of fixed-size rows that are read by granules like the others: one zstd frame for each granule.

A shard's file is a row of frames, the header's first. Frames that follow each other are one zstd stream (RFC 8878,
section 3), so mosaicml-streaming, our `reader` and `zstd -d` see a compressed shard like any other. Beside the shards,
`frames.bin` tells at which bytes [start, stop) of its shard's file each granule's frame lies: little-endian uint32
[n_granules, 2], in the order of `granules.bin`, whose checksums are those of the decompressed rows here too. It is read
by pages of `PAGE` frames, each behind its own xxh3-64 (8 bytes).

Tokens of the demo's code, prose and docstrings (uint16, rows of 2 KiB, vocabulary 16,000, level 3): 0.44, 0.61 and 0.52
of their size in frames of 32 KiB, 0.35, 0.51 and 0.39 in one frame a shard, which would be fetched whole for each
granule. Decompressing makes 0.9 GB/s either way.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.mds import layout
from pipeline.mds.checksums import granule_samples
from pipeline.mds.compression import Compression, missing

FRAMES = "frames.bin"
FRAME_DTYPE: np.dtype[np.uint32] = np.dtype("<u4")  # [n_granules, 2]
PAGE = 8192  # frames: 64 KiB, those of 256 MiB of rows
HASH_BYTES, FRAME_BYTES = 8, 8
LEVELS = range(1, 23)
DEFAULT_LEVEL = 3  # of mosaicml-streaming, where a text has none


@dataclass(frozen=True, kw_only=True, eq=False)
class Framed:
    """A compressed shard: the file in `pieces` that follow each other, and `frames`, uint32 [n_granules, 2]."""

    pieces: tuple[bytes, ...]
    frames: npt.NDArray[np.uint32]


def level_of(text: str) -> int:
    """The level of `zstd` or `zstd:7`, as an index spells it; `ValueError` for any other text."""
    family, mark, level = text.partition(":")
    if family != Compression.ZSTD or (mark and not (level.isascii() and level.isdecimal() and int(level) in LEVELS)):
        raise ValueError(f"compression {text!r}: shards are written with zstd or zstd:1 … zstd:{LEVELS[-1]}")
    return int(level) if mark else DEFAULT_LEVEL


def compress(head: memoryview, rows: memoryview, row_bytes: int, text: str) -> Framed:
    """The pieces of a shard (`writer.fixed_pieces`) compressed as `text` says."""
    compressor = _zstandard().ZstdCompressor(level=level_of(text))
    step = granule_samples(row_bytes) * row_bytes
    pieces = [compressor.compress(head)]
    pieces += [compressor.compress(rows[start : start + step]) for start in range(0, len(rows), step)]
    ends = np.cumsum([len(piece) for piece in pieces])
    if ends[-1] > layout.MAX_SHARD_BYTES:
        raise ValueError(f"a compressed shard of {ends[-1]} bytes; at most 2³²-1: use several shards")
    frames = np.stack([ends[:-1], ends[1:]], axis=1).astype(FRAME_DTYPE)
    return Framed(pieces=tuple(pieces), frames=frames)


def decompress(frame: bytes | memoryview, n_bytes: int) -> bytes:
    """The granule of `n_bytes` in a frame; `ValueError` where it holds another count, or is damaged. A frame that
    announces more is refused before memory is taken."""
    zstandard = _zstandard()
    try:
        announced = zstandard.frame_content_size(frame)
        if announced != n_bytes:
            raise ValueError(f"the frame announces {announced} bytes, the granule has {n_bytes}")
        return bytes(zstandard.ZstdDecompressor().decompress(frame, read_across_frames=False))
    except zstandard.ZstdError as error:
        raise ValueError(f"the frame is damaged: {error}") from error


def table_bytes(of_shards: Iterable[npt.NDArray[np.uint32]]) -> bytes:
    """The bytes of `frames.bin`, of each shard's frames in the order of the shards."""
    frames = np.concatenate([np.empty((0, 2), FRAME_DTYPE), *of_shards]).astype(FRAME_DTYPE)
    pages = [frames[first : first + PAGE].tobytes() for first in range(0, len(frames), PAGE)]
    return b"".join(xxhash.xxh3_64_intdigest(page).to_bytes(HASH_BYTES, "little") + page for page in pages)


def table_size(n_granules: int) -> int:
    """How many bytes `frames.bin` has."""
    return HASH_BYTES * -(-n_granules // PAGE) + FRAME_BYTES * n_granules


def page_span(number: int, n_granules: int) -> tuple[int, int]:
    """The bytes [start, stop) of page `number` in `frames.bin`: the frames of granules number * PAGE and on."""
    return table_size(number * PAGE), table_size(min(n_granules, (number + 1) * PAGE))


def parse_page(data: bytes, granule_bytes: int, where: str) -> npt.NDArray[np.uint32]:
    """The frames [n, 2] of a page, of granules of at most `granule_bytes`; `ValueError` that names `where` if it is
    damaged."""
    found, expected = xxhash.xxh3_64_intdigest(data[HASH_BYTES:]), int.from_bytes(data[:HASH_BYTES], "little")
    if found != expected or len(data) % FRAME_BYTES:
        raise ValueError(f"{where}: a page of {len(data)} bytes has the xxh3 {found:016x}, it says {expected:016x}")
    frames = np.frombuffer(data, FRAME_DTYPE, offset=HASH_BYTES).reshape(-1, 2)
    start, stop = frames.astype(np.int64).T
    wrong = np.flatnonzero((start == 0) | (start >= stop) | (stop - start > _most_bytes(granule_bytes)))
    if len(wrong):
        i = int(wrong[0])
        raise ValueError(f"{where}: a frame is said to lie from byte {start[i]} to {stop[i]}: that cannot be")
    return frames


def _most_bytes(n_bytes: int) -> int:
    """Of a frame of so many bytes (ZSTD_COMPRESSBOUND of zstd.h)."""
    return n_bytes + (n_bytes >> 8) + (max(0, 2**17 - n_bytes) >> 11)


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise missing(Compression.ZSTD) from error
