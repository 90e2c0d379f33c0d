"""What a run finds damaged of what earlier runs have made stops it, with the remedy, and is not built on."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline.flow import STAGES, Flow
from pipeline.manifest import MANIFEST, DamagedDatasetError, Dataset
from tests.corpus import make_raw, make_recipe


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def whole(raw: Path, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    root = tmp_path_factory.mktemp("root")
    assert flow_of(raw, root, spark).mixed
    return root


def flow_of(raw: Path, root: Path, spark: SparkSession) -> Flow:
    console = Console(file=io.StringIO())
    return Flow(make_recipe(raw), str(root), console=console, makes=STAGES, spark=spark)


def first_file(flow: Flow, stage: str) -> tuple[Path, Dataset]:
    """A file of the stage's own table, and its dataset."""
    datasets: dict[str, Dataset] = getattr(flow, stage)
    dataset = next(iter(datasets.values()))
    return Path(dataset.urls(stage)[0]), dataset


def gone(place: Path) -> None:
    place.unlink()


def cut(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [gone, cut])
@pytest.mark.parametrize("stage", ["documents", "filtered", "deduped"])
def test_files_that_are_gone_or_cut_stop_the_run_before_anything_is_made(
    raw: Path, whole: Path, tmp_path: Path, spark: SparkSession, stage: str, damage: Callable[[Path], None]
) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    place, dataset = first_file(flow_of(raw, root, spark), stage)
    damage(place)
    with pytest.raises(
        DamagedDatasetError, match=f"{dataset.url} is damaged: 1 of its .*; put it back .*, or delete that folder"
    ):
        assert flow_of(raw, root, spark).mixed


def test_a_shard_that_is_gone_stops_the_run_and_is_made_again(
    raw: Path, whole: Path, tmp_path: Path, spark: SparkSession
) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    before = (root / "mixes" / "tiny" / "mix.json").read_bytes()
    shard = next(root.glob("tokenized/notes/*/*/*.mds"))
    data = shard.read_bytes()
    shard.unlink()
    with pytest.raises(
        DamagedDatasetError, match=r"gone or of another size, as .*\.mds; put it back .*, or delete that folder"
    ):
        assert flow_of(raw, root, spark).mixed
    shutil.rmtree(shard.parent.parent)
    assert flow_of(raw, root, spark).mixed
    assert next(root.glob(f"tokenized/notes/*/*/{shard.name}")).read_bytes() == data
    assert (root / "mixes" / "tiny" / "mix.json").read_bytes() == before


def test_a_flipped_bit_of_the_same_size_stops_the_stage_that_reads_it(
    raw: Path, whole: Path, tmp_path: Path, spark: SparkSession
) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    place, _ = first_file(flow_of(raw, root, spark), "deduped")
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    shutil.rmtree(root / "tokenized")
    with pytest.raises(
        PySparkException, match=r"DamagedDatasetError: .* is damaged .* delete the folder of its dataset"
    ):
        assert flow_of(raw, root, spark).mixed


@pytest.mark.parametrize("stage", ["filtered", "deduped"])
def test_the_manifest_of_another_dataset_is_not_taken_and_nothing_is_swept(
    raw: Path, whole: Path, tmp_path: Path, spark: SparkSession, stage: str
) -> None:
    root = tmp_path / "root"
    shutil.copytree(whole, root)
    one, other = (next(root.glob(f"{stage}/{source}/*/{MANIFEST}")) for source in ("notes", "pages"))
    shutil.copy(one, other)
    [attempt] = other.parent.glob("attempt-*")
    old = attempt.rename(attempt.with_name("attempt-20200101T000000-00000000"))  # which a sweep takes
    with pytest.raises(DamagedDatasetError, match=f"{other.parent}: its {MANIFEST} is that of another dataset"):
        assert flow_of(raw, root, spark).mixed
    assert any(old.iterdir())
