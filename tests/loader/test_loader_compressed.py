"""Compressed mixes serve what those serve that are not, from disk and from a store, and damage is told."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import manifest
from pipeline import plan as plans
from pipeline.loader import DamagedDatasetError, StreamingLoader
from pipeline.mds.frames import FRAMES
from tests.faulty_proxy import faulty_proxy
from tests.loader.s3_server import s3_server, storage_options, upload
from tests.tiny_mix import make_tiny_mix, tiny_row, tiny_shard

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),  # botocore, moto
    pytest.mark.filterwarnings("ignore:Boto3 will no longer support:Warning"),
]

LENGTH = 2048
URL = "s3://bucket/data/mixes/tiny"
GIVEN: dict[str, Any] = {"global_batch_size": 8, "rank": 1, "world_size": 2, "format": "numpy", "labels": "shifted"}


def made(folder: Path, *compressed: str) -> Path:
    return make_tiny_mix(folder, sequence_length=LENGTH, budget_samples=200, compressed=compressed)


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources are compressed, one is not."""
    return made(tmp_path_factory.mktemp("compressed"), "code", "docs")


@pytest.fixture(scope="module")
def server(mix: Path) -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as endpoint:
        upload(endpoint, mix.parent.parent, "data")
        yield endpoint


def check(loader: StreamingLoader) -> None:
    """The rows are those that the order says; their labels tell that borders are found, too."""
    n = 0
    with loader:
        for batch in loader:
            n += 1
            places = zip(batch["source"].tolist(), batch["sample"].tolist(), strict=True)
            assert batch["input_ids"].tolist() == [tiny_row(*place, LENGTH) for place in places]
            assert np.array_equal(batch["labels"][:, :-1], batch["input_ids"][:, 1:])
    assert n == 25


def test_from_disk(mix: Path) -> None:
    assert tiny_shard(mix, "code").name == "shard.00001.mds.zstd"
    assert tiny_shard(mix, "web").name == "shard.00001.mds"
    check(StreamingLoader(mix, **GIVEN))


def test_from_a_store_fewer_bytes_come_than_are_served(server: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"storage_options": storage_options(server), "cache_dir": tmp_path, "cache_bytes": 10**8}
    loader = StreamingLoader(URL, **GIVEN, **options)
    check(loader)
    assert 0 < loader.stats()["fetched_bytes"] < 100 * 2 * LENGTH / 2
    again = StreamingLoader(URL, **GIVEN, **options)
    check(again)
    assert again.stats()["cache_misses"] == 0


def test_from_a_store_that_fails_in_all_ways(server: str) -> None:
    with faulty_proxy(server, 0.0) as proxy:
        loaders = [StreamingLoader(URL, **GIVEN, storage_options=storage_options(proxy.url)) for _ in range(2)]
        proxy.share = 0.06
        for loader in loaders:
            check(loader)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def first_error(mix: Path) -> DamagedDatasetError:
    with StreamingLoader(mix, **GIVEN) as loader, pytest.raises(DamagedDatasetError) as caught:
        for _ in loader:
            pass
    return caught.value


def test_damaged_frames_are_named(tmp_path: Path) -> None:
    mix = made(tmp_path, "docs")
    flip(tiny_shard(mix, "docs"), -100)
    assert str(first_error(mix)).startswith(f"{tiny_shard(mix, 'docs')}: granule 3 (rows 24 and on) is damaged: its")


def test_a_damaged_table_of_frames_is_named(tmp_path: Path) -> None:
    mix = made(tmp_path, "docs")
    table = tiny_shard(mix, "docs").parent / FRAMES
    flip(table, 12)
    assert str(first_error(mix)).startswith(f"{table}: a page of 40 bytes has the xxh3 ")


def test_a_table_of_frames_of_another_size_is_told_at_once(tmp_path: Path) -> None:
    mix = made(tmp_path, "docs")
    part = plans.load(str(mix)).sources[1].parts[0]
    path = Path(plans.resolve(str(mix), part.path), manifest.MANIFEST)
    before = f'"path": "{FRAMES}",\n   "bytes": 40'
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, before.replace("40", "48")))
    with pytest.raises(DamagedDatasetError, match=r"frames.bin is listed with 48 bytes, 4 granules need 40"):
        StreamingLoader(mix, **GIVEN)


def test_memory_is_refused_where_it_is_too_small_on_disk_too(mix: Path) -> None:
    with pytest.raises(ValueError, match="memory_bytes is 1000; rank and world size need"):
        StreamingLoader(mix, **GIVEN, memory_bytes=1000)
