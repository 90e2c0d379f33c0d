"""A stored file as the stream of its raw bytes, by its ending: `.gz`, `.zst`, or none.

Several gzip members or zstd frames after one another are one file, as for `gzip` and `zstd`; so are zero bytes that pad
a gzip file's end (tapes and block devices do that; gzip(1) accepts it) and zstd's skippable frames.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import zstandard

from pipeline.documents.records import Reason, RefusedError

BLOCK_BYTES = 1 << 18  # one read of the store
# Compressed bytes given to the decoder at once. They bound what a malicious file can make of them: zstd at most
# 128 KiB for 4 bytes (a run-length block), hence 128 MiB; gzip at most 1,032 bytes a byte, hence 4 MiB.
SLICE_BYTES = 1 << 12
MAX_WINDOW_BYTES = 1 << 27  # what zstd itself accepts without --long=28 or more
ZSTD_HEADER_BYTES = 18  # the longest frame header, ZSTD_FRAMEHEADERSIZE_MAX in zstd.h
OTHER_ENDINGS = (".7z", ".br", ".bz2", ".lz4", ".lzma", ".snappy", ".xz", ".z", ".zip")


class BrokenError(RefusedError):
    """The stored bytes cannot be read on. `stored` is the offset from which they are lost, `head` how those begin."""

    def __init__(self, reason: Reason, detail: str, *, stored: int, head: bytes = b"") -> None:
        super().__init__(reason, detail)
        self.stored = stored
        self.head = head


class _Decoder(Protocol):
    """What `zlib.decompressobj` and zstandard's `decompressobj` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class _Codec:
    name: str
    magic: tuple[bytes, ...]  # how a member (gzip) or frame (zstd) begins
    padding: bytes  # a byte that may follow the last member
    decoder: Callable[[], _Decoder]
    errors: tuple[type[Exception], ...]


def _zstd_decoder() -> _Decoder:
    decoder: _Decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
    return decoder


_GZIP = _Codec(
    name="gzip",
    magic=(b"\x1f\x8b",),
    padding=b"\0",
    decoder=lambda: zlib.decompressobj(wbits=31),  # 31: a gzip header and trailer, no other
    errors=(zlib.error,),
)
_ZSTD = _Codec(
    name="zstd",
    magic=(b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))),  # RFC 8878, 3.1.1 and 3.1.2
    padding=b"",
    decoder=_zstd_decoder,
    errors=(zstandard.ZstdError,),
)


def is_plain(file: str) -> bool:
    """Whether the file of this name is read as it is stored."""
    return not file.lower().endswith((".gz", ".zst", *OTHER_ENDINGS))


def decompressed(stream: BinaryIO, file: str) -> Iterator[bytes]:
    """The raw bytes of `stream` in pieces (never empty, of any size up to 128 MiB); `file` is its name.

    Raises `BrokenError` after the last piece that could be read: at most `SLICE_BYTES` compressed bytes before the
    damage are lost with it. A checksum stands at the end of its member: where it alone tells of the damage, wrong bytes
    have been passed on by then. An empty file has no pieces, and is broken where it is named compressed: also nothing,
    compressed, has a header. Errors of the stream itself pass through.
    """
    ending = file.lower()
    if ending.endswith(OTHER_ENDINGS):
        raise BrokenError(
            Reason.UNKNOWN_COMPRESSION,
            f"{file} has the ending of a compression that is not read; compress it as .zst or .gz",
            stored=0,
            head=stream.read(BLOCK_BYTES),
        )
    if ending.endswith(".gz"):
        yield from _members(stream, _GZIP)
    elif ending.endswith(".zst"):
        yield from _members(stream, _ZSTD)
    else:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _members(stream: BinaryIO, codec: _Codec) -> Iterator[bytes]:
    """The members of a compressed stream, one after the other."""
    decoder: _Decoder | None = None
    n_members, end = 0, 0
    head = b""  # how the running member begins
    for offset, piece in _slices(stream):
        end = offset + len(piece)
        rest = piece
        while rest:
            if decoder is None:
                if n_members and not (rest := rest.lstrip(codec.padding)):
                    break
                decoder, head = codec.decoder(), b""
            head = (head + rest)[:ZSTD_HEADER_BYTES]
            try:
                raw = decoder.decompress(rest)
            except codec.errors as error:
                stored = end - len(rest)
                raise _broken(codec, head, rest, error, n_members=n_members, stored=stored) from error
            if raw:
                yield raw
            rest = decoder.unused_data if decoder.eof else b""
            if decoder.eof:
                decoder, n_members = None, n_members + 1
    if decoder is not None or not end:
        where = "in the middle" if end else "before they begin"
        raise BrokenError(
            Reason.TRUNCATED,
            f"the {codec.name} data end {where}; the file was cut off: copy or download it again",
            stored=end,
        )


def _slices(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The stored bytes in slices, each with its offset."""
    offset = 0
    while block := stream.read(BLOCK_BYTES):
        for start in range(0, len(block), SLICE_BYTES):
            yield offset + start, block[start : start + SLICE_BYTES]
        offset += len(block)


def _broken(codec: _Codec, head: bytes, rest: bytes, error: Exception, *, n_members: int, stored: int) -> BrokenError:
    """What a decoder's error means. `head` is how the member begins, `rest` the bytes that it choked on."""
    if not head.startswith(codec.magic):
        if n_members == 0:
            reason, detail = Reason.NOT_COMPRESSED, f"named {codec.name}, but it does not begin as {codec.name} does"
        else:
            reason, detail = Reason.BROKEN_COMPRESSION, f"other bytes follow the end of the {codec.name} data"
        return BrokenError(reason, detail, stored=stored, head=rest)
    window = _window_bytes(head) if codec is _ZSTD else 0
    if window > MAX_WINDOW_BYTES:
        detail = (
            f"the zstd frame needs a window of {window} bytes, more than the limit of {MAX_WINDOW_BYTES}; "
            "compress it again with `zstd --long=27` or less"
        )
        return BrokenError(Reason.WINDOW_TOO_LARGE, detail, stored=stored, head=rest)
    return BrokenError(Reason.BROKEN_COMPRESSION, f"damaged {codec.name} data: {error}", stored=stored, head=rest)


def _window_bytes(head: bytes) -> int:
    """The window that a zstd frame asks for; 0 where its header cannot be read."""
    try:
        return int(zstandard.get_frame_parameters(head).window_size)
    except zstandard.ZstdError:
        return 0
