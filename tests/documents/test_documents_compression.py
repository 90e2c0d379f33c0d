import gzip
import io
import struct
import zlib

import pytest
import zstandard

from pipeline.documents.compression import BLOCK_BYTES, SLICE_BYTES, BrokenError, decompressed
from pipeline.documents.records import Reason

TEXT = b"".join(b"line %d of a text that compresses badly: %x\n" % (n, n * 0x9E3779B97F4A7C15) for n in range(20_000))

# A zstd frame whose header asks for a window of 2 GiB: magic, descriptor 00, window descriptor (31 - 10) << 3, one last
# raw block of 15 bytes. `zstd --long=31` and zstandard's window_log=31 write such headers for streams of any length.
WINDOW_2_GIB = bytes.fromhex("28b52ffd00a8") + (15 << 3 | 1).to_bytes(3, "little") + b'{"text": "hi"}\n'


def unpack(data: bytes, file: str) -> tuple[bytes, BrokenError | None]:
    """What comes out of a stored file, and what it ends with."""
    raw = b""
    try:
        for piece in decompressed(io.BytesIO(data), file):
            assert piece
            raw += piece
    except BrokenError as broken:
        return raw, broken
    return raw, None


def test_the_ending_names_the_compression() -> None:
    assert unpack(TEXT, "a.jsonl") == (TEXT, None)
    assert unpack(gzip.compress(TEXT), "a.jsonl.gz") == (TEXT, None)
    assert unpack(gzip.compress(TEXT), "A.JSONL.GZ") == (TEXT, None)
    assert unpack(zstandard.compress(TEXT), "a.jsonl.zst") == (TEXT, None)


def test_an_empty_file_holds_nothing_but_is_no_compressed_one() -> None:
    """As a download that failed leaves them: half of a corpus was once missing without a word."""
    assert unpack(b"", "a.txt") == (b"", None)
    assert unpack(gzip.compress(b""), "a.txt.gz") == unpack(zstandard.compress(b""), "a.txt.zst") == (b"", None)
    for file in ("a.txt.gz", "a.txt.zst"):
        data, broken = unpack(b"", file)
        assert data == b"" and broken is not None
        assert (broken.reason, broken.stored) == (Reason.TRUNCATED, 0)
        assert "data end before they begin" in broken.detail


def test_several_gzip_members_and_their_padding_are_one_file() -> None:
    data = gzip.compress(b"one\n") + gzip.compress(b"") + gzip.compress(b"two\n") + b"\0" * 512
    assert unpack(data, "a.gz") == (b"one\ntwo\n", None)


def test_several_zstd_frames_and_skippable_ones_are_one_file() -> None:
    skippable = struct.pack("<II", 0x184D2A5E, 5) + b"index"
    data = zstandard.compress(b"one\n") + skippable + zstandard.compress(b"two\n") + skippable
    assert unpack(data, "a.zst") == (b"one\ntwo\n", None)
    assert unpack(skippable + zstandard.compress(b"one\n"), "a.zst") == (b"one\n", None)


@pytest.mark.parametrize("border", [SLICE_BYTES, BLOCK_BYTES])
def test_members_may_meet_at_any_border_of_reads(border: int) -> None:
    sizes = set()
    for n_bytes in range(border - 50, border - 10):
        stored = zlib.compressobj(level=0, wbits=31)
        first = stored.compress(b"x" * n_bytes) + stored.flush()
        sizes.add(len(first))
        assert unpack(first + gzip.compress(b"end"), "a.gz") == (b"x" * n_bytes + b"end", None)
    assert {border - 1, border, border + 1} <= sizes


@pytest.mark.parametrize(("file", "name"), [("a.gz", "gzip"), ("a.zst", "zstd")])
def test_a_file_that_is_not_compressed_though_named_so(file: str, name: str) -> None:
    raw, broken = unpack(b"<html>404</html>", file)
    assert (raw, broken and broken.reason, broken and broken.head) == (b"", Reason.NOT_COMPRESSED, b"<html>404</html>")
    assert broken is not None and broken.stored == 0
    assert f"named {name}, but it does not begin as {name} does" in broken.detail


@pytest.mark.parametrize("file", ["a.gz", "a.zst"])
def test_what_lies_before_the_cut_of_a_truncated_file_is_read(file: str) -> None:
    data = gzip.compress(TEXT) if file == "a.gz" else zstandard.compress(TEXT)
    raw, broken = unpack(data[: len(data) * 3 // 4], file)
    assert len(TEXT) // 2 < len(raw) < len(TEXT)
    assert TEXT.startswith(raw)
    assert broken is not None and broken.reason == Reason.TRUNCATED
    assert broken.stored == len(data) * 3 // 4
    assert "download it again" in broken.detail


@pytest.mark.parametrize("file", ["a.gz", "a.zst"])
def test_a_file_cut_inside_its_first_header_or_its_last_byte_is_truncated(file: str) -> None:
    data = gzip.compress(b"text") if file == "a.gz" else zstandard.ZstdCompressor(write_checksum=True).compress(b"text")
    for n_bytes in (1, 3, len(data) - 1):
        _, broken = unpack(data[:n_bytes], file)
        assert broken is not None and (broken.reason, broken.stored) == (Reason.TRUNCATED, n_bytes)


@pytest.mark.parametrize("file", ["a.gz", "a.zst"])
def test_garbage_after_the_data_is_told_from_damage(file: str) -> None:
    data = gzip.compress(b"good\n") if file == "a.gz" else zstandard.compress(b"good\n")
    raw, broken = unpack(data + b"garbage", file)
    assert raw == b"good\n"
    assert broken is not None and broken.reason == Reason.BROKEN_COMPRESSION
    assert (broken.stored, broken.head) == (len(data), b"garbage")
    assert "other bytes follow the end" in broken.detail


@pytest.mark.parametrize("file", ["a.gz", "a.zst"])
def test_damage_loses_at_most_a_slice_before_it(file: str) -> None:
    whole = gzip.compress(TEXT) if file == "a.gz" else zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    damaged = whole[:-5] + bytes([whole[-5] ^ 0xFF]) + whole[-4:]  # in gzip's checksum, in zstd's last block
    raw, broken = unpack(damaged, file)
    assert TEXT.startswith(raw)
    assert broken is not None and broken.reason == Reason.BROKEN_COMPRESSION
    assert len(whole) - SLICE_BYTES <= broken.stored < len(whole)
    assert "damaged" in broken.detail


def test_a_zstd_window_of_2_gib_is_refused_with_the_remedy() -> None:
    assert zstandard.get_frame_parameters(WINDOW_2_GIB).window_size == 2**31
    raw, broken = unpack(zstandard.compress(b"before\n") + WINDOW_2_GIB, "a.zst")
    assert raw == b"before\n"
    assert broken is not None and broken.reason == Reason.WINDOW_TOO_LARGE
    assert "a window of 2147483648 bytes, more than the limit of 134217728" in broken.detail
    assert "--long=27" in broken.detail


def test_a_zstd_window_of_128_mib_is_accepted() -> None:
    at_the_limit = WINDOW_2_GIB.replace(bytes([(31 - 10) << 3]), bytes([(27 - 10) << 3]), 1)
    assert zstandard.get_frame_parameters(at_the_limit).window_size == 2**27
    assert unpack(at_the_limit, "a.zst") == (b'{"text": "hi"}\n', None)


@pytest.mark.parametrize(("file", "n_bytes", "limit"), [("a.gz", 64 << 20, 5 << 20), ("a.zst", 300 << 20, 128 << 20)])
def test_a_bomb_comes_out_in_bounded_pieces(file: str, n_bytes: int, limit: int) -> None:
    data = gzip.compress(bytes(n_bytes)) if file == "a.gz" else zstandard.compress(bytes(n_bytes))
    sizes = [len(piece) for piece in decompressed(io.BytesIO(data), file)]
    assert sum(sizes) == n_bytes
    assert 1 << 20 < max(sizes) <= limit


def test_other_compressions_are_refused_by_name() -> None:
    raw, broken = unpack(b"BZh91AY", "a.jsonl.bz2")
    assert raw == b"" and broken is not None
    assert (broken.reason, broken.head) == (Reason.UNKNOWN_COMPRESSION, b"BZh91AY")
    assert "compress it as .zst or .gz" in broken.detail


def test_errors_of_the_store_pass_through() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise TimeoutError("the store is gone")

    with pytest.raises(TimeoutError, match="the store is gone"):
        list(decompressed(Failing(), "a.gz"))
