"""Compressed shards: frames that give their granules back, files that mosaicml-streaming writes and reads alike."""

import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import zstandard

from pipeline.mds import frames, reader, writer
from pipeline.mds.checksums import granule_samples
from tests.real_streaming import import_streaming

LENGTH = 2048
COLUMNS = {"tokens": f"ndarray:uint16:{LENGTH}"}


def rows_of(n: int) -> npt.NDArray[np.uint16]:
    """Rows like text: the same few tokens again and again, in no order."""
    return np.random.default_rng(n).zipf(1.3, (n, LENGTH)).clip(max=60_000).astype(np.uint16)


def framed(rows: npt.NDArray[np.uint16], text: str = "zstd:3") -> frames.Framed:
    return frames.compress(*writer.fixed_pieces(COLUMNS, {"tokens": rows}, compression=text), 2 * LENGTH, text)


def write(folder: Path, rows: npt.NDArray[np.uint16], text: str = "zstd:3") -> None:
    made = framed(rows, text)
    data = writer.fixed_pieces(COLUMNS, {"tokens": rows}, compression=text)
    entry = writer.index_entry(
        COLUMNS, "shard.00000.mds", data, len(rows), compression=text, compressed=made.pieces, size_limit=None
    )
    (folder / "shard.00000.mds.zstd").write_bytes(b"".join(made.pieces))
    (folder / "index.json").write_bytes(writer.index([entry]))


@pytest.mark.parametrize("n_rows", [1, 8, 21])
def test_each_frame_is_a_granule(n_rows: int) -> None:
    rows = rows_of(n_rows)
    made = framed(rows)
    data = b"".join(made.pieces)
    step = granule_samples(2 * LENGTH)
    assert made.frames.shape == (-(-n_rows // step), 2)
    assert made.frames[-1, 1] == len(data) < rows.nbytes
    for i, (start, stop) in enumerate(made.frames.tolist()):
        granule = rows[i * step : (i + 1) * step].tobytes()
        assert frames.decompress(data[start:stop], len(granule)) == granule
    assert np.array_equal(frames.parse_page(frames.table_bytes([made.frames]), step * 2 * LENGTH, "here"), made.frames)


def test_a_table_is_read_by_pages() -> None:
    lengths = np.random.default_rng(1).integers(1, 999, 20_000)
    shards = [np.stack([np.cumsum(n) - n + 9, np.cumsum(n) + 9], axis=1) for n in np.split(lengths, [5, 9000, 9001])]
    table = frames.table_bytes([shard.astype(np.uint32) for shard in shards])
    assert len(table) == frames.table_size(20_000)
    pages = [frames.parse_page(table[slice(*frames.page_span(n, 20_000))], 1000, "here") for n in range(3)]
    assert np.array_equal(np.concatenate(pages), np.concatenate(shards))
    assert (frames.table_bytes([]), frames.table_size(0)) == (b"", 0)


@pytest.mark.parametrize("text", ["zstd", "zstd:1", "zstd:22"])
def test_the_real_writers_index_and_rows_are_ours(tmp_path: Path, text: str) -> None:
    rows, real, ours = rows_of(21), tmp_path / "real", tmp_path / "ours"
    with import_streaming().MDSWriter(
        out=str(real), columns=COLUMNS, hashes=["xxh3_64"], size_limit=None, compression=text
    ) as out:
        for row in rows:
            out.write({"tokens": row})
    ours.mkdir()
    write(ours, rows, text)
    indices = [json.loads((folder / "index.json").read_bytes()) for folder in (real, ours)]
    names = [index["shards"][0].pop("zip_data")["basename"] for index in indices]  # theirs is one frame
    assert indices[0] == indices[1]
    assert names[0] == names[1] == "shard.00000.mds.zstd"
    [entry] = reader.read_index((ours / "index.json").read_bytes(), "here")
    assert np.array_equal(reader.open_entry(str(ours), entry).array("tokens"), rows)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # streaming's
def test_a_streaming_dataset_reads_them(tmp_path: Path) -> None:
    rows, remote = rows_of(21), tmp_path / "remote"
    remote.mkdir()
    write(remote, rows)
    dataset = import_streaming().StreamingDataset(
        remote=str(remote), local=str(tmp_path / "local"), batch_size=1, shuffle=False, validate_hash="xxh3_64"
    )
    assert all(np.array_equal(dataset[i]["tokens"], row) for i, row in enumerate(rows))


def test_levels_are_those_of_the_index() -> None:
    assert [frames.level_of(text) for text in ("zstd", "zstd:1", "zstd:22")] == [3, 1, 22]
    for wrong in ("gz", "zstd:0", "zstd:23", "zstd:", "zstd:-1", "zstd: 3", "", "lz4:1"):
        with pytest.raises(ValueError, match=f"compression {re.escape(repr(wrong))}: shards are written with zstd or"):
            frames.level_of(wrong)


def test_frames_of_other_sizes_and_damaged_ones_are_refused() -> None:
    bomb = zstandard.compress(b"\0" * 10**8)
    with pytest.raises(ValueError, match="the frame announces 100000000 bytes, the granule has 4096"):
        frames.decompress(bomb, 4096)
    unknown = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * 4096)
    with pytest.raises(ValueError, match="the frame announces -1 bytes"):
        frames.decompress(unknown, 4096)
    good = zstandard.compress(bytes(range(256)) * 16)
    for wrong in (b"", b"\0" * 50, good[:-9]):
        with pytest.raises(ValueError, match="the frame"):
            frames.decompress(wrong, 4096)


def test_no_damage_makes_a_granule_larger_or_an_error_of_another_kind() -> None:
    """10,000 seeded mutations: an error of this module, or bytes of the announced count, which the checksum refuses."""
    random = np.random.default_rng(7)
    good = np.frombuffer(zstandard.compress(rows_of(1)[0, :500].tobytes()), np.uint8)
    refused = 0
    for _ in range(10_000):
        wrong = good.copy()
        wrong[random.integers(0, len(wrong), 3)] = random.integers(0, 256, 3)
        try:
            assert len(frames.decompress(wrong.tobytes()[: random.integers(1, 2 * len(wrong))], 1000)) == 1000
        except ValueError:
            refused += 1
    assert refused > 5000


def test_what_cannot_be_compressed_is_still_a_frame() -> None:
    noise = np.random.default_rng(0).integers(0, 2**16, (9, LENGTH), dtype=np.uint16)
    made = framed(noise)
    assert len(b"".join(made.pieces)) > noise.nbytes
    frames.parse_page(frames.table_bytes([made.frames]), 8 * 2 * LENGTH, "here")


@pytest.mark.parametrize("table", [[[10, 20], [20, 20]], [[0, 20]], [[10, 9000]]])
def test_frames_that_cannot_be_are_refused(table: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"here: a frame is said to lie from byte .*: that cannot be"):
        frames.parse_page(frames.table_bytes([np.array(table, "<u4")]), 8192, "here")


def test_damaged_tables_are_refused() -> None:
    table = frames.table_bytes([np.array([[10, 20], [20, 40]], "<u4")])
    for place in range(len(table)):
        with pytest.raises(ValueError, match=r"here: a page of 24 bytes has the xxh3 .*, it says"):
            frames.parse_page(table[:place] + bytes([table[place] ^ 1]) + table[place + 1 :], 8192, "here")
    for wrong in (b"", table[:5], table[:-1], table[:-8]):
        with pytest.raises(ValueError, match="here: a page of"):
            frames.parse_page(wrong, 8192, "here")
