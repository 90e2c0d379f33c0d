import os
import time
from pathlib import Path

import pytest
import xxhash

from pipeline.loader import cache as caches
from pipeline.loader.cache import FOLDER, DiskCache
from pipeline.loader.stats import Stats

PART = "0123456789abcdef" * 2


def granule(number: int, n_bytes: int = 1000) -> bytes:
    return bytes([number % 256]) * n_bytes


def hashes(numbers: range) -> list[int]:
    return [xxhash.xxh3_64_intdigest(granule(number)) for number in numbers]


def filled(folder: Path, numbers: range, cache_bytes: int = 10**6) -> DiskCache:
    cache = DiskCache(folder, cache_bytes, Stats())
    cache.write(PART, numbers, [granule(number) for number in numbers])
    return cache


def found(cache: DiskCache, numbers: range) -> list[int]:
    data = cache.read(PART, numbers, hashes(numbers))
    return [number for number, piece in zip(numbers, data, strict=True) if piece == granule(number)]


def test_what_was_written_is_read_by_another_process(tmp_path: Path) -> None:
    filled(tmp_path, range(1020, 1030))
    other = DiskCache(tmp_path, 10**6, stats := Stats())
    assert found(other, range(1018, 1032)) == list(range(1020, 1030))
    assert (stats.shown()["cache_hits"], stats.shown()["cache_misses"]) == (10, 4)


@pytest.mark.parametrize("damage", [b"", b"x" * 1000, granule(3)[:-1], granule(3) + b"x"])
def test_a_damaged_entry_is_none(tmp_path: Path, damage: bytes) -> None:
    cache = filled(tmp_path, range(5))
    (tmp_path / FOLDER / PART / "0" / "3").write_bytes(damage)
    assert found(cache, range(5)) == [0, 1, 2, 4]
    cache.write(PART, range(3, 4), [granule(3)])
    assert found(cache, range(5)) == [0, 1, 2, 3, 4]


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = filled(tmp_path, range(100))
    for number in range(100):
        os.utime(tmp_path / FOLDER / PART / "0" / str(number), (1000 + number, 1000 + number))
    assert found(cache, range(10)) == list(range(10))  # used just now
    small = DiskCache(tmp_path, 50_000, Stats())
    assert found(small, range(100)) == [*range(10), *range(65, 100)]


def test_it_stays_about_as_large_as_it_may(tmp_path: Path) -> None:
    cache = filled(tmp_path, range(0), 50_000)
    for number in range(200):
        cache.write(PART, range(number, number + 1), [granule(number)])
    held = [path for path in tmp_path.rglob("*") if path.is_file() and path.name.isdecimal()]
    assert 40 <= len(held) <= 54


def test_old_temporary_files_are_swept_and_young_ones_stay(tmp_path: Path) -> None:
    filled(tmp_path, range(3))
    folder = tmp_path / FOLDER / PART / "0"
    old, young = folder / f".{'a' * 32}.tmp", folder / f".{'b' * 32}.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * caches.SWEEP_AFTER_SECONDS,) * 2)
    DiskCache(tmp_path, 10**6, Stats())
    assert (old.exists(), young.exists()) == (False, True)


def test_nothing_is_deleted_that_it_did_not_write(tmp_path: Path) -> None:
    cache = filled(tmp_path, range(60))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "7").write_bytes(b"mine" * 100_000)
    folder = tmp_path / FOLDER
    (folder / ("f" * 32)).symlink_to(outside)
    (folder / PART / "9").symlink_to(outside)
    (folder / PART / "0" / "notes.txt").write_bytes(b"mine")
    (folder / PART / "0" / "999").symlink_to(outside / "7")
    kept = [outside / "7", folder / PART / "0" / "notes.txt", folder / PART / "0" / "999", tmp_path / "outside"]
    DiskCache(tmp_path, 1, Stats())  # everything that is its own must go
    assert found(cache, range(60)) == []
    assert all(path.exists() for path in kept)


def test_links_are_refused(tmp_path: Path) -> None:
    cache = filled(tmp_path, range(2))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / FOLDER / PART / "1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link or no folder"):
        cache.write(PART, range(1024, 1025), [granule(0)])
    entry = tmp_path / FOLDER / PART / "0" / "1"
    entry.rename(tmp_path / "elsewhere" / "1")
    entry.symlink_to(tmp_path / "elsewhere" / "1")
    assert found(cache, range(2)) == [0]


@pytest.mark.parametrize("name", ["../../etc", "", "..", "A" * 32, "/tmp", "0" * 31])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a folder of the cache"):
        DiskCache(tmp_path, 1000, Stats()).write(name, range(1), [b"x"])
