import asyncio
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import fsspec
import numpy as np
import numpy.typing as npt
import pytest

from pipeline import manifest, storage
from pipeline import plan as plans
from pipeline.loader import ahead, borders
from pipeline.loader.borders import Borders, RowBorders, open_borders
from pipeline.loader.fetch import Fetcher
from pipeline.manifest import DamagedDatasetError
from tests.tiny_mix import VALIDATION, make_tiny_mix, tiny_ends

N_SAMPLES = (58, 30, 13)
ALL = [(source, sample) for source, n in enumerate(N_SAMPLES) for sample in range(n)]
ROW_BYTES = 32


def opened(
    mix: str | Path, read_range: borders.ReadRange = storage.read_range, fetcher: Fetcher | None = None
) -> Borders:
    plan = plans.load(str(mix))
    tables = [
        [open_borders(str(mix), source.name, part, plan.row_bytes) for part in source.parts] for source in plan.sources
    ]
    fetch = None if fetcher is None else lambda: fetcher
    return Borders(tables, plan.sequence_length, plan.dtype, read_range, fetch)


def arrays(samples: list[tuple[int, int]]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    source, sample = np.array(samples, np.int64).reshape(-1, 2).T
    return source.astype(np.int16), sample


def of(tables: Borders, samples: list[tuple[int, int]]) -> RowBorders:
    return tables.of(*arrays(samples))


def ends_of(found: RowBorders) -> list[list[int]]:
    return [found.ends[a:b].tolist() for a, b in zip(found.first[:-1], found.first[1:], strict=True)]


def folder_of(mix: Path, source: int = 0, part: int = 1) -> Path:
    """The files of a part, by default one of shards with 1, 23 and 8 samples, samples 26 … 57 of its source."""
    dataset = manifest.load(plans.resolve(str(mix), plans.load(str(mix)).sources[source].parts[part].path))
    return Path(dataset.url) / dataset.manifest.attempt


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of four rows: several in a shard, the last short."""
    monkeypatch.setattr("pipeline.mds.borders.GROUP_BYTES", 4 * ROW_BYTES)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.usefixtures("small_groups")
def test_every_sample_has_its_own_borders(tmp_path: Path, padded: bool) -> None:
    tables = opened(make_tiny_mix(tmp_path, padded=padded))
    wanted = [ALL[i] for i in np.random.default_rng(0).permutation(len(ALL))]
    found = of(tables, [*wanted, *wanted[:9]])
    assert ends_of(found) == [tiny_ends(*which, padded=padded) for which in [*wanted, *wanted[:9]]]
    assert [ends_of(of(tables, [which])) for which in wanted] == [
        [tiny_ends(*which, padded=padded)] for which in wanted
    ]
    assert (str(found.first.dtype), str(found.ends.dtype), found.sequence_length) == ("int64", "int32", 16)


def test_pieces_begin_where_those_before_them_end() -> None:
    found = RowBorders(
        sequence_length=8, first=np.array([0, 2, 2, 3, 3, 6]), ends=np.array([3, 8, 5, 1, 2, 7], np.int32)
    )
    assert found.n_rows == 5
    assert found.begins.tolist() == [0, 3, 0, 0, 1, 2]
    assert found.tokens_end.tolist() == [8, 0, 5, 0, 7]
    assert (str(found.begins.dtype), str(found.tokens_end.dtype)) == ("int32", "int32")
    padding = RowBorders(sequence_length=8, first=np.zeros(3, np.int64), ends=np.empty(0, np.int32))
    assert (padding.begins.tolist(), padding.tokens_end.tolist()) == ([], [0, 0])


def test_no_samples_have_no_borders(tiny: Path) -> None:
    found = of(opened(tiny), [])
    assert (found.n_rows, found.begins.tolist(), found.tokens_end.tolist()) == (0, [], [])


def test_sources_without_a_part_and_wide_tokens(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path, sequence_length=5, dtype="uint32")
    plan = plans.load(str(mix))
    tables = [[open_borders(str(mix), s.name, part, 20) for part in s.validation] for s in plan.sources]
    found = Borders(tables, 5, "uint32").of(np.array([1, 0], np.int16), np.array([7, 5]))  # web has no validation set
    assert ends_of(found) == [tiny_ends(1, VALIDATION + 7, 5), tiny_ends(0, VALIDATION + 5, 5)]


@pytest.mark.usefixtures("small_groups")
def test_a_group_is_one_request_and_then_held(tmp_path: Path) -> None:
    asked: list[tuple[str, int, int]] = []

    def counted(url: str, start: int, stop: int) -> bytes:
        asked.append((url, start, stop))
        return storage.read_range(url, start, stop)

    tables = opened(make_tiny_mix(tmp_path), counted)
    assert asked == []
    of(tables, [(1, 8), (1, 11), (1, 9), (0, 0)])
    assert len(asked) == len(set(asked)) == 2
    of(tables, [(1, 10), (1, 8), (0, 3)])
    assert len(asked) == 2
    of(tables, [(1, 12)])
    assert len(asked) == 3
    assert asked[2][1] == asked[0][2]  # the next group, behind the first


@pytest.mark.usefixtures("small_groups")
def test_no_more_is_held_than_the_bound(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counted(url: str, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return storage.read_range(url, start, stop)

    tables = opened(make_tiny_mix(tmp_path), counted)
    of(tables, ALL)
    monkeypatch.setattr(borders, "HELD_BYTES", sum(asked) // 2)
    n_groups = len(asked)
    for which in [*ALL, *ALL]:
        assert ends_of(of(tables, [which])) == [tiny_ends(*which)]
        held = [words.nbytes for words in tables._held.values()]
        assert sum(held) == tables._held_bytes <= sum(asked[:n_groups]) // 2
    assert 1.5 * n_groups < len(asked) <= 3 * n_groups  # twice through all, half of them held
    assert ends_of(of(tables, ALL)) == [tiny_ends(*which) for which in ALL]  # more at once than is held


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """The tiny mix in a store that is not this machine's disk."""
    make_tiny_mix(tmp_path)
    fs = fsspec.filesystem("memory")
    fs.put(str(tmp_path), "/borders-tiny", recursive=True)
    yield "memory://borders-tiny/mixes/tiny"
    fs.rm("/borders-tiny", recursive=True)


class Noted(Fetcher):
    """Notes what is asked for; `meet`: nothing is answered before two ranges are asked for."""

    def __init__(self, url: str, *, meet: bool = False) -> None:
        super().__init__(url)
        self.asked: list[tuple[int | None, int | None]] = []
        self._both = asyncio.Barrier(2) if meet else None

    async def read(self, url: str, start: int | None, stop: int | None, deadline: float | None = None) -> bytes:
        self.asked.append((start, stop))
        if self._both is not None:
            await asyncio.wait_for(self._both.wait(), 10)
        return await super().read(url, start, stop, deadline)


@pytest.mark.usefixtures("small_groups")
def test_groups_of_a_store_are_read_side_by_side(remote: str) -> None:
    found = of(opened(remote, fetcher=Noted(remote, meet=True)), [(1, 0), (1, 4)])
    assert ends_of(found) == [tiny_ends(1, 0), tiny_ends(1, 4)]
    assert ends_of(of(opened(remote, fetcher=Noted(remote)), ALL)) == [tiny_ends(*which) for which in ALL]


@pytest.mark.usefixtures("small_groups")
def test_what_was_announced_is_there_when_it_is_asked_for(remote: str) -> None:
    fetcher = Noted(remote)
    tables = opened(remote, fetcher=fetcher)
    tables.expect(*arrays(ALL))
    n, ends = int(tables._first_group[-1]), time.monotonic() + 10
    while len(fetcher.asked) < n:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert [ends_of(of(tables, [which])) for which in ALL] == [[tiny_ends(*which)] for which in ALL]
    assert len(fetcher.asked) == n  # and each group once
    tables.expect(*arrays(ALL))  # they are held
    assert len(fetcher.asked) == n


@pytest.mark.usefixtures("small_groups")
def test_little_is_fetched_ahead_and_all_is_served(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 100)
    monkeypatch.setattr(borders, "HELD_BYTES", 100)
    fetcher = Noted(remote)
    tables = opened(remote, fetcher=fetcher)
    tables.expect(*arrays(ALL))
    time.sleep(0.2)
    assert 0 < len(fetcher.asked) < 5
    for part in (ALL[50:], ALL[:70]):  # not in the order that was announced
        assert ends_of(of(tables, part)) == [tiny_ends(*which) for which in part]


def test_who_waits_for_borders_can_be_interrupted(remote: str) -> None:
    tables = opened(remote, fetcher=Noted(remote, meet=True))
    timer = threading.Timer(0.2, tables.interrupt)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(CancelledError):
        of(tables, [(1, 0)])
    assert time.monotonic() - begin < 5
    tables.begin()
    assert ends_of(of(tables, [(1, 0), (0, 30)])) == [tiny_ends(1, 0), tiny_ends(0, 30)]
    timer.join()


def test_a_transfer_that_was_damaged_is_asked_for_again(tiny: Path) -> None:
    answers = [b"", b"\0" * 1000]

    def damaged_once(url: str, start: int, stop: int) -> bytes:
        return answers.pop()[: stop - start] if len(answers) == 2 else storage.read_range(url, start, stop)

    assert ends_of(of(opened(tiny, damaged_once), [(1, 3)])) == [tiny_ends(1, 3)]
    assert len(answers) == 1


def test_damaged_borders_are_named_and_others_are_served(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    file = folder_of(mix) / "borders.bin"
    good = file.read_bytes()
    flip(file, len(good) - 1)  # of the last shard, samples 50 … 57
    tables = opened(mix)
    assert ends_of(of(tables, [(0, 49), (0, 26)])) == [tiny_ends(0, 49), tiny_ends(0, 26)]
    message = (
        rf"{file}: group 2 \(bytes \d+ … \d+\) is damaged: its xxh3-64 is .* expected [0-9a-f]{{16}}; copy the file"
    )
    for _ in range(2):
        with pytest.raises(DamagedDatasetError, match=message):
            of(tables, [(0, 57)])
    file.write_bytes(good)
    assert ends_of(of(tables, [(0, 57)])) == [tiny_ends(0, 57)]
    file.unlink()
    with pytest.raises(DamagedDatasetError, match=rf"{file} is listed .* but is not there"):
        of(opened(mix), [(0, 57)])


@pytest.mark.parametrize("name", ["shards.bin", "border_groups.bin"])
def test_changed_tables_are_refused_at_the_start(tmp_path: Path, name: str) -> None:
    mix = make_tiny_mix(tmp_path)
    flip(folder_of(mix) / name, 17)
    with pytest.raises(DamagedDatasetError, match=rf"{name} was changed or damaged: its xxh3 is"):
        opened(mix)
    (folder_of(mix) / name).unlink()
    with pytest.raises(DamagedDatasetError, match=rf"{name} is listed .* but is not there"):
        opened(mix)


def test_tables_of_another_size_of_rows_are_refused(tmp_path: Path, small_groups: None) -> None:
    mix = make_tiny_mix(tmp_path)
    part = plans.load(str(mix)).sources[0].parts[1]
    with pytest.raises(DamagedDatasetError, match=r"border_groups.bin: 160 bytes, the table of 3 groups has 64"):
        open_borders(str(mix), "code", part, ROW_BYTES // 8)


def test_a_dataset_of_an_older_version_says_what_to_do(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    listed = folder_of(mix).parent / manifest.MANIFEST
    listed.write_text(listed.read_text().replace('"border_groups.bin"', '"other.bin"'))
    with pytest.raises(DamagedDatasetError, match=r"lists no border_groups.bin, .* run `make mix` again"):
        opened(mix)


def test_another_dataset_than_the_plan_means_is_refused(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    part = plans.load(str(mix)).sources[0].parts[0]
    for changed, message in (
        (plans.Part(path=part.path, fingerprint="0" * 32, n_samples=26), "was made of 0{32}"),
        (plans.Part(path=part.path, fingerprint=part.fingerprint, n_samples=27), "holds 26 samples, .* says 27"),
    ):
        with pytest.raises(DamagedDatasetError, match=message):
            open_borders(str(mix), "code", changed, ROW_BYTES)
    shutil.rmtree(folder_of(mix, part=0).parent)
    with pytest.raises(manifest.MissingDatasetError, match=part.fingerprint):
        open_borders(str(mix), "code", part, ROW_BYTES)


@pytest.mark.usefixtures("small_groups")
def test_mutated_tables_give_the_right_borders_or_an_error(remote: str) -> None:
    """3,000 changed files of a part (bits, runs, cuts, insertions, parts of each other): never a wrong border."""
    part, rng = plans.load(remote).sources[0].parts[1], np.random.default_rng(11)
    dataset = manifest.load(plans.resolve(remote, part.path))
    urls = [url for url in dataset.urls("tables") if not url.endswith("granules.bin")]
    good = [storage.read(url) for url in urls]
    wanted = [tiny_ends(0, 26 + i) for i in range(32)]
    assert len(urls) == 3
    refused = served = 0
    for number in range(3000):
        url, data = urls[number % 3], good[number % 3]
        storage.write(url, _mutated(data, rng))
        try:
            table = open_borders(remote, "code", part, ROW_BYTES)
            for sample in (0, 5, 9, 13, 17, 22, 26, 31):  # groups that are whole are still served
                try:
                    found = Borders([[table]], 16, "uint16").of(np.zeros(1, np.int16), np.array([sample]))
                except DamagedDatasetError as error:
                    assert "borders.bin: group" in str(error)
                    refused += 1
                else:
                    assert ends_of(found) == [wanted[sample]]
                    served += 1
        except DamagedDatasetError as error:
            assert url.rsplit("/", 1)[1] in str(error)
            refused += 8
        storage.write(url, data)
    assert refused + served == 8 * 3000
    assert refused > 8 * 2000  # two of three change a table, all of which is verified
    assert served > 2000


def _mutated(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    at, n = int(rng.integers(len(out))), int(rng.integers(1, 9))
    match rng.integers(6):
        case 0:
            out[at] ^= 1 << int(rng.integers(8))
        case 1:
            out[at : at + n] = rng.bytes(n)
        case 2:
            del out[at : at + n]
        case 3:
            out[at:at] = rng.bytes(n)
        case 4:
            del out[at:]
        case _:
            other = int(rng.integers(len(out)))
            out[at : at + 16] = data[other : other + 16]
    return bytes(out)
