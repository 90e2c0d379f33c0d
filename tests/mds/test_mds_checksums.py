"""Granules, tables of shards and whole-file hashes, on literals."""

import hashlib
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds import checksums


def test_a_granule_is_about_32_kib_and_at_most_8_samples() -> None:
    sizes = {1: 8, 256: 8, 4096: 8, 4097: 7, 16_384: 2, 32_768: 1, 32_769: 1, 10**6: 1}
    assert {size: checksums.granule_samples(size) for size in sizes} == sizes


def test_a_row_of_no_bytes_has_no_granules() -> None:
    with pytest.raises(ValueError, match="row_bytes is 0"):
        checksums.granule_samples(0)


@pytest.mark.parametrize(("n_samples", "row_bytes", "n_granules"), [(0, 4, 0), (8, 4, 1), (9, 4, 2), (3, 20_000, 3)])
def test_granule_hashes_are_those_of_the_rows_bytes(n_samples: int, row_bytes: int, n_granules: int) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (n_samples, row_bytes), np.uint8)
    step = checksums.granule_samples(row_bytes)
    expected = [xxhash.xxh3_64_intdigest(rows[i : i + step].tobytes()) for i in range(0, n_samples, step)]
    hashes = checksums.granule_hashes(rows)
    assert hashes.dtype == np.uint64
    assert len(hashes) == n_granules
    assert hashes.tolist() == expected


def test_granule_hashes_refuse_rows_that_are_not_contiguous_bytes() -> None:
    rows = np.zeros((4, 6), np.uint8)
    wrong_rows: list[Any] = [rows[:, ::2], rows.astype(np.uint16), rows[0]]
    for wrong in wrong_rows:
        with pytest.raises(ValueError, match="rows must be C-contiguous uint8"):
            checksums.granule_hashes(wrong)


def test_a_table_of_shards_with_a_gap() -> None:
    table = checksums.shard_table([0, 2, 3], [10, 8, 1], row_bytes=4096)
    assert table.first_sample.tolist() == [0, 10, 18, 19]
    assert table.first_granule.tolist() == [0, 2, 3, 4]
    assert (table.n_samples, table.n_granules) == (19, 4)
    data = checksums.table_bytes(table)
    assert np.frombuffer(data, "<i8").reshape(-1, 3).tolist() == [[0, 0, 0], [10, 2, 2], [18, 3, 3], [19, 4, -1]]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 1000)), max_size=5), st.integers(1, 50_000))
def test_a_table_survives_its_bytes(shards: list[tuple[int, int]], row_bytes: int) -> None:
    number = (np.cumsum([step for step, _ in shards]) - 1).astype(int).tolist()
    table = checksums.shard_table(number, [count for _, count in shards], row_bytes)
    again = checksums.parse_table(checksums.table_bytes(table), "shards.bin")
    assert again.number.tolist() == number
    assert again.first_sample.tolist() == table.first_sample.tolist()
    assert again.first_granule.tolist() == table.first_granule.tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "0 bytes are not a table"),
        ([[0, 0, 0]], "ends with the number 0, not -1"),
        ([[5, 0, 0], [6, 1, -1]], "start at sample 5 and granule 0"),
        ([[0, 0, 0], [8, 1, 0], [9, 2, -1]], "shard 1 has number 0"),
        ([[0, 0, -7], [8, 1, -1]], "shard 0 has number -7"),
        ([[0, 0, 0], [0, 1, -1]], "shard 0 has number 0, 0 samples"),
        ([[0, 0, 0], [9, 1, -1]], "9 samples, 1 granules"),
        ([[0, 0, 0], [3, 4, -1]], "3 samples, 4 granules"),
        ([[0, 0, 0], [9, 2, 1], [8, 3, -1]], "shard 1 has number 1, -1 samples"),
    ],
)
def test_a_broken_table_is_refused_by_name(rows: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=r"a/shards\.bin.*" + message):
        checksums.parse_table(np.array(rows, "<i8").tobytes(), "a/shards.bin")


def test_a_cut_table_is_refused() -> None:
    data = checksums.table_bytes(checksums.shard_table([0], [4], 16))
    with pytest.raises(ValueError, match=r"shards\.bin: 47 bytes"):
        checksums.parse_table(data[:-1], "shards.bin")


def test_shard_names() -> None:
    assert checksums.shard_name(17) == "shard.00017.mds"
    assert checksums.shard_name(123_456) == "shard.123456.mds"
    with pytest.raises(ValueError, match="shard number -1"):
        checksums.shard_name(-1)


def test_whole_file_hashes_have_the_names_of_hashlib_and_xxhash() -> None:
    assert checksums.file_hashes(b"abc", ["md5", "xxh64"]) == {
        "md5": hashlib.md5(b"abc").hexdigest(),
        "xxh64": "44bc2cf5ad770999",
    }


def test_hash_names_are_checked() -> None:
    with pytest.raises(ValueError, match=r"hash 'crc32' is unknown; known are .*xxh3_64"):
        checksums.check_hash_names(["crc32"])
    with pytest.raises(ValueError, match=r"ascending order: \['md5', 'xxh64'\]"):
        checksums.check_hash_names(["xxh64", "md5"])
    with pytest.raises(ValueError, match="unique"):
        checksums.check_hash_names(["md5", "md5"])
