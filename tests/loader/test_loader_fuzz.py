"""10,000 seeded mutations of each kind of file that a loader reads: an error that names the file, or right samples."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import xxhash

from pipeline import manifest, storage
from pipeline import plan as plans
from pipeline.loader.cache import DiskCache
from pipeline.loader.granules import Granules
from pipeline.loader.parts import OpenPart, open_part, parse_head
from pipeline.loader.stats import Stats
from pipeline.manifest import DamagedDatasetError
from pipeline.mds.checksums import parse_table
from tests.tiny_mix import make_tiny_mix, tiny_row, tiny_shard

T = TypeVar("T")
N = 10_000
ROW_BYTES = 32


def mutated(data: bytes, random: random.Random) -> bytes:
    """One to three changes: a bit, a byte, a run of bytes gone, doubled, moved or zeroed, or the end cut off."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        at = random.randrange(len(found)) if found else 0
        n = random.choice((1, 1, 2, 8, 24))
        kind = random.randrange(7)
        if kind == 0 and found:
            found[at] ^= 1 << random.randrange(8)
        elif kind == 1 and found:
            found[at] = random.randrange(256)
        elif kind == 2:
            del found[at : at + n]
        elif kind == 3:
            found[at:at] = found[at : at + n]
        elif kind == 4:
            found[at : at + n] = bytes(n)
        elif kind == 5:
            found[at : at + n] = b"\xff" * n
        else:
            del found[at:]
    return bytes(found)


def read_or_refused(read: Callable[[bytes, str], T], data: bytes, name: str) -> T | None:
    """What was read, or None where it was refused; by another error, or one that does not name it, the test fails."""
    try:
        return read(data, name)
    except ValueError as error:  # the project's own are ValueErrors
        assert name in str(error), repr(error)
        return None


def test_plans(tiny: Path) -> None:
    text = (tiny / plans.PLAN).read_bytes()
    good, draw = plans.from_json(text, "here/mix.json"), random.Random(1)
    for _ in range(N):
        found = read_or_refused(plans.from_json, mutated(text, draw), "here/mix.json")
        assert found is None or found == good


def test_manifests(tiny: Path) -> None:
    part = plans.load(str(tiny)).sources[0].parts[1]
    url = plans.resolve(str(tiny), part.path)
    text = (Path(url) / manifest.MANIFEST).read_bytes()
    good, draw = parse_head(text, url), random.Random(2)
    for _ in range(N):
        changed = mutated(text, draw)
        head = read_or_refused(parse_head, changed, url)
        if head is not None:  # another attempt is a folder that is not there, never one outside
            assert all(piece not in ("", ".", "..") for piece in head.attempt.split("/"))
            assert head.tables == good.tables or open_with(changed, tiny, part)


def open_with(changed: bytes, tiny: Path, part: plans.Part) -> bool:
    """Whether the part is refused, or the same, with this manifest instead of its own."""

    def read(path: str) -> bytes:
        return changed if path.endswith(manifest.MANIFEST) else Path(path).read_bytes()

    good = open_part(str(tiny), "code", part, ROW_BYTES)
    found = []
    try:
        found.append(open_part(str(tiny), "code", part, ROW_BYTES, read))
    except (DamagedDatasetError, OSError):
        return True
    return np.array_equal(found[0].table.first_sample, good.table.first_sample) and found[0].folder == good.folder


def test_tables_of_shards(tiny: Path) -> None:
    """Their own checks, as if the manifest's checksum did not stand before them."""
    part = plans.load(str(tiny)).sources[0].parts[1]
    opened = open_part(str(tiny), "code", part, ROW_BYTES)
    data, draw = (Path(opened.folder) / "shards.bin").read_bytes(), random.Random(3)
    for _ in range(N):
        table = read_or_refused(parse_table, mutated(data, draw), "here/shards.bin")
        if table is not None:
            assert len(table.number) <= len(data) // 24 + 9
            assert table.n_samples >= len(table.number)


def test_a_table_of_shards_with_another_checksum_is_refused(tiny: Path) -> None:
    part = plans.load(str(tiny)).sources[0].parts[1]
    opened = open_part(str(tiny), "code", part, ROW_BYTES)
    data, draw = (Path(opened.folder) / "shards.bin").read_bytes(), random.Random(4)
    for _ in range(500):
        changed = mutated(data, draw)

        def opened_with(changed: bytes, name: str) -> OpenPart:
            return open_part(
                str(tiny), "code", part, ROW_BYTES, lambda url: changed if url.endswith(name) else storage.read(url)
            )

        assert changed == data or read_or_refused(opened_with, changed, "shards.bin") is None


@pytest.mark.parametrize("what", ["shard", "hashes"])
def test_shards_and_their_checksums(tmp_path: Path, what: str) -> None:
    """Each mutation lies on the disk; all samples of the part are asked for, and are right or refused."""
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "docs")
    path = shard if what == "shard" else shard.with_name("granules.bin")
    data, draw = path.read_bytes(), random.Random(5)
    part = plans.load(str(mix)).sources[1].parts[0]
    opened = open_part(str(mix), "docs", part, ROW_BYTES)
    expected = [tiny_row(1, sample) for sample in range(30)]
    source, sample = np.zeros(30, np.int16), np.arange(30)
    n_refused = 0
    for _ in range(N):
        changed = mutated(data, draw)
        path.unlink()  # another inode: what is mapped stays what it was
        path.write_bytes(changed)

        def rows(_: bytes, __: str) -> list[list[int]]:
            again = opened if what == "shard" else open_part(str(mix), "docs", part, ROW_BYTES)
            found: list[list[int]] = Granules([[again]], 16, "uint16").gather(source, sample).tolist()
            return found

        name = shard.name if len(changed) == len(data) else path.name
        found = read_or_refused(rows, changed, name)
        assert found in (None, expected)
        n_refused += found is None
    assert n_refused > N // 2


def test_entries_of_the_cache(tmp_path: Path) -> None:
    """As many entries, each a mutation: files that are written anew are what takes time here."""
    data, draw = random.Random(0).randbytes(500), random.Random(6)
    cache = DiskCache(tmp_path, 10**9, Stats())
    entries = [mutated(data, draw) for _ in range(N)]
    cache.write("ab" * 16, range(N), entries)
    found = cache.read("ab" * 16, range(N), [xxhash.xxh3_64_intdigest(data)] * N)
    assert found == [data if entry == data else None for entry in entries]


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc", "a/../../b", "."])
def test_names_that_leave_the_dataset_are_refused(tmp_path: Path, name: str) -> None:
    mix = make_tiny_mix(tmp_path)
    part = plans.load(str(mix)).sources[0].parts[0]
    path = Path(plans.resolve(str(mix), part.path)) / manifest.MANIFEST
    fields = json.loads(path.read_bytes())
    shutil.copytree(path.parent / fields["attempt"], tmp_path / "elsewhere")
    path.write_text(json.dumps(fields | {"attempt": name}, indent=1))
    with pytest.raises(DamagedDatasetError, match="leaves the dataset's folder"):
        open_part(str(mix), "code", part, ROW_BYTES)
