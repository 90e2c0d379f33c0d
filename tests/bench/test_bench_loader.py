"""What the loader's bench stands on: made-up mixes are served and verified as real ones, and counts are right."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench import loader_goals, loader_readers, page_cache
from bench.counted_files import CountedFiles, Range, unique_bytes, url
from bench.loader_data import made
from bench.loader_fetched import GLOBAL_BATCH, fetched, foretold
from bench.loader_goals import Goal
from bench.memory import most_held
from bench.zero_mix import make_zero_mix
from pipeline.loader import DamagedDatasetError, StreamingLoader

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a peer's


def test_a_mix_of_zeros_is_served_and_takes_no_disk(tmp_path: Path) -> None:
    mix = make_zero_mix(tmp_path, 100_000, 50, sequence_length=256)
    shards = list(tmp_path.rglob("*.mds"))
    assert len(shards) == 50
    assert sum(shard.stat().st_size for shard in shards) > 100_000 * 512
    assert sum(shard.stat().st_blocks for shard in shards) == 0
    with StreamingLoader(mix, global_batch_size=500, rank=0, world_size=1, format="numpy") as loader:
        assert len(loader) == 200
        samples = np.zeros(10, np.int64)
        for batch in loader:
            assert batch["input_ids"].shape == (500, 256)
            assert not batch["input_ids"].any()
            np.add.at(samples, batch["source"], 1)
    shares = np.array([40_000, 20_000, 12_000, 8_000, 6_000, 5_000, 4_000, 3_000, 1_500, 500])
    assert np.abs(samples - shares).max() < 2  # what the order promises at any position


def test_a_mix_of_zeros_is_verified(tmp_path: Path) -> None:
    mix = make_zero_mix(tmp_path, 1_000, 10, sequence_length=16)
    shard = max(tmp_path.rglob("*.mds"), key=lambda path: path.stat().st_size)
    with shard.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    with (
        StreamingLoader(mix, global_batch_size=1_000, rank=0, world_size=1, format="numpy") as loader,
        pytest.raises(DamagedDatasetError, match=shard.name),
    ):
        next(iter(loader))


def test_unique_bytes() -> None:
    ranges = [("b", 0, 10), ("a", 5, 20), ("a", 0, 8), ("a", 6, 7), ("a", 30, 40), ("b", 0, 10)]
    assert unique_bytes([Range(path=path, start=start, stop=stop) for path, start, stop in ranges]) == 20 + 10 + 10


def test_ranges_are_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    store = CountedFiles()
    store.ranges.clear()
    assert url(tmp_path) == f"counted://{tmp_path}"
    path = str(tmp_path / "file")
    assert (store.cat_file(path, 2, 5), store.cat_file(path)) == (b"234", b"0123456789")
    assert CountedFiles.ranges == [Range(path=path, start=2, stop=5), Range(path=path, start=0, stop=10)]


def test_what_ranks_fetch_is_what_the_order_says(tmp_path: Path) -> None:
    mix = make_zero_mix(tmp_path, 8 * GLOBAL_BATCH, 20, sequence_length=64)
    for world_size in (1, 4):
        found, expected = fetched(mix, world_size), foretold(mix, world_size)
        assert found.bytes == expected.fetched_samples * 128
        assert found.unique_bytes == expected.unique_samples * 128
        assert found.requests == expected.requests
        assert found.other_bytes > 8 * GLOBAL_BATCH  # a checksum for each granule of 8 samples


def test_every_reader_serves_each_row_once(tmp_path: Path) -> None:
    with made(tmp_path / "made", 96, 32, n_shards=3) as data:
        rows = sorted(map(tuple, data.mapped().astype(np.int64).tolist()))
        assert len(set(rows)) == 96
        for walk in (
            loader_readers.limit(data, 8, 0),
            loader_readers.ours(data, 8, 0),
            loader_readers.ours(data, 8, 0, passes=2),
            loader_readers.litdata(data, 8, 0),
            loader_readers.streaming_by_index(data, 8, 96),
        ):
            batches = [np.asarray(batch["input_ids"] if isinstance(batch, dict) else batch) for batch in walk]
            assert {(batch.dtype.name, batch.shape) for batch in batches} == {("int64", (8, 32))}
            served = np.concatenate(batches)
            assert sorted(map(tuple, served.tolist())) == rows
            assert (served != data.mapped()).any()  # shuffled
    assert not (tmp_path / "made").exists()


def holding(n_bytes: int) -> Iterator[int]:
    """A walk that holds so much after its second step."""
    yield 0
    held = np.ones(n_bytes, np.uint8)
    yield int(held[0])


def nothing() -> None:
    pass


def test_memory_of_its_own() -> None:
    held = most_held(partial(holding, 50_000_000), nothing)
    assert 49e6 < held.own_bytes < 60e6
    assert held.mapped_bytes < 5e6


def test_dropped_files_are_read_from_the_disk_again(tmp_path: Path) -> None:
    path = tmp_path / "below" / "file"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 4096)
    page_cache.drop(tmp_path)
    assert path.read_bytes() == bytes(range(256)) * 4096  # what was pending was written first


def test_goals(capsys: pytest.CaptureFixture[str]) -> None:
    goals = [
        Goal(what="share", goal=0.6, found=0.6),
        Goal(what="times", goal=4, found=3.99),
        Goal(what="seconds", goal=0.5, found=0.51, at_most=True),
        Goal(what="seconds", goal=0.5, found=0.4, at_most=True),
    ]
    assert [goal.holds for goal in goals] == [True, False, False, True]
    loader_goals.show_goals(goals[1:3])
    assert capsys.readouterr().out == (
        "\nmust hold\n  times    ≥ 4.00  3.99  DOES NOT HOLD\n  seconds  ≤ 0.500  0.510  DOES NOT HOLD\n"
    )
