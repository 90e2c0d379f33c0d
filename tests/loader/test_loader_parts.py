import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import manifest
from pipeline import plan as plans
from pipeline.loader.hashes import HashPages
from pipeline.loader.parts import open_part
from pipeline.manifest import DamagedDatasetError
from tests.tiny_mix import make_tiny_mix

ROW_BYTES = 32


@pytest.fixture
def part(tiny: Path) -> plans.Part:
    return plans.load(str(tiny)).sources[0].parts[1]


def own_mix(tmp_path: Path) -> tuple[str, plans.Part, Path]:
    """A mix that may be damaged: its URL, a part of shards with 1, 23 and 8 samples, and the folder of its files."""
    mix = str(make_tiny_mix(tmp_path))
    part = plans.load(mix).sources[0].parts[1]
    dataset = manifest.load(plans.resolve(mix, part.path))
    return mix, part, Path(dataset.url) / dataset.manifest.attempt


def test_a_part_is_its_table_its_hashes_and_its_files_sizes(tiny: Path, part: plans.Part) -> None:
    opened = open_part(str(tiny), "code", part, ROW_BYTES)
    assert opened.table.first_sample.tolist() == [0, 1, 24, 32]
    assert opened.table.first_granule.tolist() == [0, 1, 4, 5]
    hashes = HashPages([opened]).of(np.zeros(5, np.int64), np.arange(5)[::-1])
    assert hashes.dtype == np.uint64
    assert hashes[::-1].tobytes() == (Path(opened.folder) / "granules.bin").read_bytes()
    assert (Path(opened.folder) / "shard.00003.mds").is_file()
    assert opened.fingerprint == part.fingerprint


def test_a_missing_dataset_names_the_source_and_the_place(tmp_path: Path, tiny: Path, part: plans.Part) -> None:
    alone = shutil.copytree(tiny, tmp_path / "mixes" / "tiny")  # the plan's folder without the root around it
    with pytest.raises(
        manifest.MissingDatasetError, match=r"needs .*/tokenized/code/.* for its source 'code'.*whole root"
    ):
        open_part(str(alone), "code", part, ROW_BYTES)


def test_another_dataset_at_the_place_is_refused(tiny: Path, part: plans.Part) -> None:
    with pytest.raises(DamagedDatasetError, match=f"is the dataset {part.fingerprint}, .* was made of {'0' * 32}"):
        open_part(str(tiny), "code", replace(part, fingerprint="0" * 32), ROW_BYTES)


def test_another_count_of_samples_is_refused(tiny: Path, part: plans.Part) -> None:
    with pytest.raises(DamagedDatasetError, match=r"holds 32 samples, the mix .* says 33"):
        open_part(str(tiny), "code", replace(part, n_samples=33), ROW_BYTES)


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    mix, part, folder = own_mix(tmp_path)
    table = bytearray((folder / "shards.bin").read_bytes())
    table[24] ^= 1
    (folder / "shards.bin").write_bytes(table)
    with pytest.raises(DamagedDatasetError, match=r"shards\.bin was changed or damaged: its xxh3 is .*manifest says"):
        open_part(mix, "code", part, ROW_BYTES)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    mix, part, folder = own_mix(tmp_path)
    (folder / "shards.bin").unlink()
    with pytest.raises(DamagedDatasetError, match=r"shards\.bin is listed .*but is not there"):
        open_part(mix, "code", part, ROW_BYTES)


@pytest.mark.parametrize(("n_bytes", "found"), [(32, "32"), (0, "0"), (None, "None")])
def test_missing_or_cut_hashes_are_refused(tmp_path: Path, n_bytes: int | None, found: str) -> None:
    mix, part, folder = own_mix(tmp_path)
    hashes = (folder / "granules.bin").read_bytes()
    (folder / "granules.bin").unlink()
    if n_bytes is not None:
        (folder / "granules.bin").write_bytes(hashes[:n_bytes])
    with pytest.raises(
        DamagedDatasetError, match=rf"granules\.bin has {found} bytes, the manifest says 40, and 5 gran"
    ):
        open_part(mix, "code", part, ROW_BYTES)


def test_a_table_for_other_granules_is_refused(tiny: Path, part: plans.Part) -> None:
    with pytest.raises(DamagedDatasetError, match="shard 3 has 3 granules, its samples need 23"):
        open_part(str(tiny), "code", part, row_bytes=32 * 1024)


def test_checksums_are_read_by_pages_and_few_are_held(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [open_part(str(tiny), "code", part, ROW_BYTES) for part in plans.load(str(tiny)).sources[0].parts]
    every = [(n, g) for n, part in enumerate(parts) for g in range(part.table.n_granules)]
    part, number = np.array(every * 2, np.int64).T
    expected = HashPages(parts).of(part, number)
    monkeypatch.setattr("pipeline.loader.hashes.PAGE", 2)
    monkeypatch.setattr("pipeline.loader.hashes.HELD_PAGES", 1)
    pages = HashPages(parts)
    assert np.array_equal(pages.of(part, number), expected)
    assert len(pages._held) == 1


def test_a_table_of_checksums_that_was_cut_is_told(tmp_path: Path) -> None:
    mix, part, folder = own_mix(tmp_path)
    opened = open_part(mix, "code", part, ROW_BYTES)
    table = folder / "granules.bin"
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(DamagedDatasetError, match=r"granules\.bin ends before checksum 5"):
        HashPages([opened]).of(np.zeros(1, np.int64), np.zeros(1, np.int64))
