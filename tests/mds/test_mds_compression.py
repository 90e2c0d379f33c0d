"""Decompression within the announced size, corrupt and truncated data, and missing packages."""

import bz2
import gzip
import sys
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import snappy  # type: ignore[import-untyped]
import zstandard

from pipeline.mds.compression import PIECE_BYTES, Compression, decompress, parse

COMPRESS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.BR: brotli.compress,
    Compression.BZ2: bz2.compress,
    Compression.GZ: gzip.compress,
    Compression.SNAPPY: snappy.compress,
    Compression.ZSTD: zstandard.compress,
}
each_family = pytest.mark.parametrize("family", list(Compression))


@each_family
@pytest.mark.parametrize("n_bytes", [1, 1000, 3 * PIECE_BYTES + 5])
def test_bytes_come_back(family: Compression, n_bytes: int) -> None:
    data = (b"0123456789abcdef" * (n_bytes // 16 + 1))[:n_bytes]
    assert decompress(family, COMPRESS[family](data), n_bytes) == data


@each_family
def test_more_than_announced_is_refused_without_holding_it(family: Compression) -> None:
    bomb = COMPRESS[family](b"\0" * (20 * PIECE_BYTES))
    with pytest.raises(ValueError, match=r"announced were 1000|the index says 1000"):
        decompress(family, bomb, 1000)


@each_family
def test_fewer_than_announced_is_refused(family: Compression) -> None:
    with pytest.raises(ValueError, match=r"announced were 1000|the index says 1000"):
        decompress(family, COMPRESS[family](b"abc"), 1000)


@each_family
def test_truncated_and_corrupt_data_are_refused(family: Compression) -> None:
    data = bytes(range(256)) * 20
    compressed = COMPRESS[family](data)
    for wrong in (compressed[:-10], b"\xff" * 100, b""):
        with pytest.raises(ValueError, match=f"the {family} data"):
            decompress(family, wrong, len(data))


@pytest.mark.parametrize(
    ("family", "module", "package"),
    [("br", "brotli", "brotli"), ("snappy", "snappy", "python-snappy"), ("zstd", "zstandard", "zstandard")],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, family: str, module: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"compressed with {family} need the package {package}.*: pip install"):
        decompress(parse(family), b"data", 4)


def test_families_are_spelt_with_or_without_a_level() -> None:
    assert parse("zstd:7") is parse("zstd") is Compression.ZSTD
    with pytest.raises(ValueError, match="compression 'lz4:1' is unknown; known are br, bz2, gz, snappy, zstd"):
        parse("lz4:1")
