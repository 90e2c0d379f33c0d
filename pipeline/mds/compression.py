"""Shards that mosaicml-streaming compressed → their bytes, never more than the index announces.

The packages are optional and imported when a shard needs them; gz and bz2 are of the standard library.
"""

import bz2
import gzip
import importlib
import io
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

PIECE_BYTES = 1 << 20
_PACKAGES = {"br": "brotli>=1.2", "snappy": "python-snappy", "zstd": "zstandard"}


class Compression(StrEnum):
    """The families; the index spells them with a level behind a colon, or without."""

    BR = "br"
    BZ2 = "bz2"
    GZ = "gz"
    SNAPPY = "snappy"
    ZSTD = "zstd"


def parse(text: str) -> Compression:
    """The family of `zstd:7` or `zstd`."""
    family = text.partition(":")[0]
    if family not in list(Compression):
        raise ValueError(f"compression {text!r} is unknown; known are {', '.join(Compression)}")
    return Compression(family)


def decompress(family: Compression, data: bytes, n_bytes: int) -> bytes:
    """The `n_bytes` bytes behind `data`; `ValueError` if they are more or fewer, or `data` is corrupt or truncated.

    `ImportError` that names the package to install where it is missing. Memory stays near n_bytes, whatever is in it.
    """
    pieces, size = [], 0
    try:
        for piece in _pieces(family, data, n_bytes):
            pieces.append(piece)
            size += len(piece)
            if size > n_bytes:
                break
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # each library raises classes of its own
        raise ValueError(f"the {family} data is corrupt or truncated: {error}") from error
    if size != n_bytes:
        more = "or more " if size > n_bytes else ""
        raise ValueError(f"the {family} data holds {size} {more}bytes, announced were {n_bytes}")
    return b"".join(pieces)


def _pieces(family: Compression, data: bytes, n_bytes: int) -> Iterator[bytes]:
    match family:
        case Compression.GZ:
            return _read(gzip.GzipFile(fileobj=io.BytesIO(data)))
        case Compression.BZ2:
            return _read(bz2.BZ2File(io.BytesIO(data)))
        case Compression.ZSTD:
            return _read(_package("zstandard", family).ZstdDecompressor().stream_reader(data, read_across_frames=True))
        case Compression.BR:
            return _brotli(_package("brotli", family), data)
        case Compression.SNAPPY:
            return _snappy(_package("snappy", family), data, n_bytes)


def _read(stream: Any) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _brotli(brotli: Any, data: bytes) -> Iterator[bytes]:
    decompressor = brotli.Decompressor()
    if not hasattr(decompressor, "can_accept_more_data"):
        raise missing(Compression.BR)
    yield decompressor.process(data, output_buffer_limit=PIECE_BYTES)
    while not decompressor.is_finished():
        piece = decompressor.process(b"", output_buffer_limit=PIECE_BYTES)
        if not piece and decompressor.can_accept_more_data():
            raise ValueError("the stream has no end")
        yield piece


def _snappy(snappy: Any, data: bytes, n_bytes: int) -> Iterator[bytes]:
    """Raw snappy announces its size in front, a varint, by which the library takes memory: it is compared first.
    (format_description.txt of google/snappy, section 1.)"""
    announced = 0
    for i, byte in enumerate(data[:5]):
        announced |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            break
    if announced != n_bytes:
        raise ValueError(f"it says that it holds {announced} bytes, the index says {n_bytes}")
    yield bytes(snappy.uncompress(data))


def _package(module: str, family: Compression) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(family) from error


def missing(family: Compression) -> ImportError:
    """The error that names the package to install."""
    package = _PACKAGES[family]
    return ImportError(f"shards compressed with {family} need the package {package}: pip install '{package}'")
