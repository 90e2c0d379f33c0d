"""The one entry: a raw file as records and quarantine entries.

Memory: never a whole file. Of JSON lines and text files, what is held is one record at a time with its parsed copies
(for the longest one accepted at most about ten times `max_document_bytes`: Python holds text as 1 to 4 bytes a
character) plus what one slice of compressed bytes unpacks to (kilobytes, 128 MiB at the worst); a longer record is
skipped in pieces. Of Parquet files it is a batch of at most 64 rows plus the data page they come from, which is as
large as its writer made it: pyarrow puts 1,024 values in a page, however long they are, unless told otherwise.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from pipeline.documents import jsonl, parquet, text
from pipeline.documents.compression import decompressed
from pipeline.documents.cuts import Piece, lines_of
from pipeline.documents.records import Format, Quarantined, ReadParams, Record


def read_file(
    open_stream: Callable[[], BinaryIO], file: str, n_bytes: int, params: ReadParams
) -> Iterator[Record | Quarantined]:
    """All records of a file, in its order, each once, as `Record` or `Quarantined`.

    `open_stream` opens the stored bytes (for Parquet, so that they can be sought); `file` is the path below the
    source's root, whose ending names the compression; `n_bytes` its stored size. Whatever the file holds, only errors
    of the store, those that the stream raises, are raised.
    """
    with open_stream() as stream:
        if params.format == Format.PARQUET:
            yield from parquet.read(stream, n_bytes, params)
        elif params.format == Format.TEXT:
            yield from text.read(decompressed(stream, file), n_bytes, params)
        else:
            yield from jsonl.read(decompressed(stream, file), n_bytes, params)


def read_piece(open_stream: Callable[[], BinaryIO], piece: Piece, params: ReadParams) -> Iterator[Record | Quarantined]:
    """The records of a piece of a file, numbered as in the whole file, which the pieces of `cuts.read_pieces` give
    together."""
    if piece.is_whole:
        yield from read_file(open_stream, piece.info.path, piece.info.bytes, params)
        return
    with open_stream() as stream:
        if params.format == Format.PARQUET:
            yield from parquet.read(stream, piece.info.bytes, params, (piece.start, piece.stop))
        else:
            first, lines = lines_of(stream, piece)
            yield from jsonl.read(lines, piece.n_bytes, params, first)
