"""Large files cut into pieces, so that a source that is one file is many tasks.

A piece is a range of stored bytes; where it lies depends on the file's size alone. Every file is hashed by pieces. Read
by pieces are Parquet files, of which a piece has the row groups that begin in it, and JSON lines that are not
compressed, of which it has the lines that begin in it; a compressed file and a text file are read as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import xxhash

from pipeline.documents.compression import is_plain
from pipeline.documents.records import Format
from pipeline.storage import FileInfo

PIECE_BYTES = 32 * 2**20  # at most, and of smaller files together: what a task reads
BLOCK_BYTES = 2**20  # one read of the store
LINE_FEED = b"\n"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes [start, stop) of a stored file. `lines`: how many line feeds stand before it, where they have been
    counted."""

    info: FileInfo
    start: int
    stop: int
    lines: int = 0

    @property
    def n_bytes(self) -> int:
        """Its size."""
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its file."""
        return self.n_bytes == self.info.bytes


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds: the xxh3-128 of its bytes, or of its pieces' where there are several; and the line feeds of
    each piece."""

    digest: str
    lines: tuple[int, ...]


def cut(info: FileInfo) -> list[Piece]:
    """A file in equal pieces of at most `PIECE_BYTES`."""
    n = max(1, -(-info.bytes // PIECE_BYTES))
    size = -(-info.bytes // n)
    return [Piece(info=info, start=min(k * size, info.bytes), stop=min((k + 1) * size, info.bytes)) for k in range(n)]


def read_pieces(info: FileInfo, kind: Format, lines: Sequence[int]) -> list[Piece]:
    """What tasks read of a file; `lines`: of each of its pieces."""
    if kind == Format.TEXT or (kind == Format.JSONL and not is_plain(info.path)):
        return [Piece(info=info, start=0, stop=info.bytes)]
    before = [sum(lines[:number]) for number in range(len(lines))]
    return [
        Piece(info=info, start=piece.start, stop=piece.stop, lines=n)
        for piece, n in zip(cut(info), before, strict=True)
    ]


def grouped(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces in runs of at most `PIECE_BYTES` (a larger one, which cannot be cut, alone), in their order."""
    groups: list[list[Piece]] = []
    room = 0
    for piece in pieces:
        if not groups or piece.n_bytes > room:
            groups.append([])
            room = PIECE_BYTES
        groups[-1].append(piece)
        room -= piece.n_bytes
    return groups


def content(stream: BinaryIO, piece: Piece) -> tuple[bytes, int]:
    """The xxh3-128 of a piece's bytes, and its line feeds."""
    hasher, n_lines = xxhash.xxh3_128(), 0
    for block in _blocks(stream, piece.start, piece.stop):
        hasher.update(block)
        n_lines += block.count(LINE_FEED)
    return hasher.digest(), n_lines


def joined(pieces: Sequence[tuple[bytes, int]]) -> Content:
    """The content of a file from those of its pieces, in their order."""
    digests = [digest for digest, _ in pieces]
    whole = digests[0] if len(digests) == 1 else xxhash.xxh3_128_digest(b"".join(digests))
    return Content(digest=whole.hex(), lines=tuple(n for _, n in pieces))


def lines_of(stream: BinaryIO, piece: Piece) -> tuple[int, Iterator[bytes]]:
    """The lines that begin in a piece: the number of the first, and their bytes, which may end after the piece."""
    if piece.start == 0:
        return 0, _until_line_end(stream, 0, piece)
    stream.seek(piece.start - 1)
    number = piece.lines + (stream.read(1) != LINE_FEED)
    at = piece.start - 1
    for block in _blocks(stream, at, piece.stop - 1):
        found = block.find(LINE_FEED)
        if found >= 0:
            return number, _until_line_end(stream, at + found + 1, piece)
        at += len(block)
    return number, iter(())


def _until_line_end(stream: BinaryIO, start: int, piece: Piece) -> Iterator[bytes]:
    """The bytes from `start` to the first line feed that is the piece's last byte or comes after it."""
    last = max(start, piece.stop - 1)
    yield from _blocks(stream, start, last)
    for block in _blocks(stream, last, piece.info.bytes):
        end = block.find(LINE_FEED) + 1
        yield block[: end or None]
        if end:
            return


def _blocks(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Bytes [start, stop) of a stream, or fewer where it ends before."""
    stream.seek(start)
    while start < stop and (block := stream.read(min(BLOCK_BYTES, stop - start))):
        start += len(block)
        yield block
