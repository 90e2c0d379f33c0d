import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xxhash

from pipeline import plan as plans
from pipeline.loader.granules import Granules
from pipeline.loader.parts import open_part
from pipeline.manifest import DamagedDatasetError
from tests.tiny_mix import make_tiny_mix, tiny_row, tiny_shard

ROW_BYTES = 32
N_SAMPLES = (58, 30, 13)


def opened(mix: Path) -> Granules:
    plan = plans.load(str(mix))
    parts = [[open_part(str(mix), source.name, part, ROW_BYTES) for part in source.parts] for source in plan.sources]
    return Granules(parts, plan.sequence_length, plan.dtype)


def rows(granules: Granules, source: int, samples: list[int]) -> list[list[int]]:
    sources = np.full(len(samples), source, np.int16)
    return [list(map(int, row)) for row in granules.gather(sources, np.array(samples, np.int64))]


def open_shards() -> list[Path]:
    """The shard files that this process holds open: a mapping holds a descriptor."""
    targets = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [target for target in targets if target.suffix == ".mds"]


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def test_every_sample_of_every_source_is_its_row(tiny: Path) -> None:
    granules = opened(tiny)
    wanted = [(source, sample) for source, n in enumerate(N_SAMPLES) for sample in range(n)]
    np.random.default_rng(0).shuffle(wanted)
    source, sample = np.array(wanted).T
    found = granules.gather(source.astype(np.int16), sample)
    assert found.dtype == np.uint16
    assert found.tolist() == [tiny_row(s, i) for s, i in wanted]


def test_no_samples_are_no_rows(tiny: Path) -> None:
    assert opened(tiny).gather(np.empty(0, np.int16), np.empty(0, np.int64)).shape == (0, 16)


@pytest.mark.parametrize("length", [2**13, 2**14 - 1, 2**14, 2**15, 2**17])  # up to 256 KiB a row
def test_long_rows_are_served_whole(length: int, tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path, sequence_length=length, shards={"code": [[2, 1]], "docs": [[2]], "web": [[1]]})
    plan = plans.load(str(mix))
    parts = [[open_part(str(mix), source.name, part, 2 * length) for part in source.parts] for source in plan.sources]
    assert rows(Granules(parts, length, "uint16"), 0, [2, 0]) == [tiny_row(0, 2, length), tiny_row(0, 0, length)]


def test_wide_tokens_are_served_whole(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path, sequence_length=5, dtype="uint32")
    plan = plans.load(str(mix))
    parts = [[open_part(str(mix), source.name, part, 20) for part in source.parts] for source in plan.sources]
    assert rows(Granules(parts, 5, "uint32"), 1, [7, 29]) == [tiny_row(1, 7, 5), tiny_row(1, 29, 5)]


def test_a_damaged_granule_is_named_and_the_others_are_served(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "code", part=1, shard=1)  # samples 27 … 49 of code, granules of 8
    flip(shard, shard.stat().st_size - ROW_BYTES * (23 - 8))  # its row 8, the first of its second granule
    granules = opened(mix)
    assert rows(granules, 0, [27, 34, 43]) == [tiny_row(0, 27), tiny_row(0, 34), tiny_row(0, 43)]
    message = (
        rf"{shard}: granule 1 \(rows 8 and on\) is damaged: its xxh3-64 is [0-9a-f]{{16}}, expected [0-9a-f]{{16}};"
    )
    for _ in range(2):  # it does not pass when asked again
        with pytest.raises(DamagedDatasetError, match=message):
            rows(granules, 0, [30, 42])


def test_damage_that_a_new_copy_has_healed_is_read_again(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "docs")
    good = Path(shutil.copy(shard, tmp_path / "good"))
    flip(shard, shard.stat().st_size - 1)  # in the last granule
    granules = opened(mix)
    assert rows(granules, 1, [0]) == [tiny_row(1, 0)]  # the damaged file is mapped now
    good.replace(shard)
    assert rows(granules, 1, [29]) == [tiny_row(1, 29)]


def test_each_granule_is_verified_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    granules = opened(tiny)
    hashed: list[int] = []

    def counting(data: memoryview) -> int:
        hashed.append(len(data) // ROW_BYTES)
        return int(xxhash.xxh3_64_intdigest(data))

    monkeypatch.setattr("pipeline.loader.granules.xxhash", SimpleNamespace(xxh3_64_intdigest=counting))
    rows(granules, 0, [0, 1, 7, 7, 16])  # the first granule, and the third, of one sample
    rows(granules, 0, [2, 16])
    assert hashed == [8, 1]


@pytest.mark.parametrize("same", [True, False])
def test_a_file_that_was_replaced_is_verified_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    monkeypatch.setattr("pipeline.loader.mapped.STAMP_SECONDS", -1.0)  # it is looked at each time
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "docs")
    granules = opened(mix)
    assert rows(granules, 1, [0]) == [tiny_row(1, 0)]
    other = Path(shutil.copy(shard, tmp_path / "other"))
    if not same:
        flip(other, other.stat().st_size - ROW_BYTES * 30)
    other.replace(shard)
    if same:
        assert rows(granules, 1, [0]) == [tiny_row(1, 0)]
    else:
        with pytest.raises(DamagedDatasetError, match=r"granule 0 .* is damaged"):
            rows(granules, 1, [0])


@pytest.mark.parametrize("change", [-1, 1])
def test_a_shard_of_another_size_is_refused(tmp_path: Path, change: int) -> None:
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "docs")
    data = shard.read_bytes()
    shard.write_bytes(data[:-1] if change < 0 else data + b"x")
    message = f"{shard} has {len(data) + change} bytes, its 30 rows need {len(data)}"
    with pytest.raises(DamagedDatasetError, match=message):
        rows(opened(mix), 1, [0])


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "docs")
    shard.unlink()
    with pytest.raises(DamagedDatasetError, match=f"{shard} is listed in its dataset's tables, but is not there"):
        rows(opened(mix), 1, [0])


def test_few_descriptors_are_enough(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (9, 9))  # a quarter: two mapped shards of eight
    granules = opened(tiny)
    for sample in [0, 20, 27, 57, 0, 57]:
        assert rows(granules, 0, [sample]) == [tiny_row(0, sample)]
        assert len(granules._mapped) <= 2


def test_closing_unmaps_and_does_no_harm(tiny: Path) -> None:
    granules = opened(tiny)
    rows(granules, 0, [0, 20])
    assert len(open_shards()) == 2
    granules.close()
    assert open_shards() == []
    assert rows(granules, 0, [20]) == [tiny_row(0, 20)]
    granules.close()


def test_a_shard_that_ctrl_c_left_half_mapped_is_mapped_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    granules = opened(tiny)

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.loader.mapped._address_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rows(granules, 1, [3])
    assert rows(granules, 1, [3]) == [tiny_row(1, 3)]
