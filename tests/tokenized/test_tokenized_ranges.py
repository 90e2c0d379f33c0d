import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokenized.ranges import (
    MAX_RANGES,
    PARTITION_BYTES,
    RANGE_BYTES,
    Ranges,
    hash_order,
    place,
    ranges_of,
)

MIB = 2**20


@pytest.mark.parametrize(
    ("text_bytes", "n_ranges", "n_partitions"),
    [
        (0, 1, 1),
        (1, 1, 1),
        (32 * MIB, 1, 1),
        (64 * MIB - 1, 1, 2),
        (64 * MIB, 2, 1),
        (100 * MIB, 2, 2),
        (1024 * MIB, 32, 1),
        (64 * 32 * MIB, 64, 1),
        (64 * 32 * MIB + 1, 64, 2),
        (10**12, 64, 466),
    ],
)
def test_ranges_of(text_bytes: int, n_ranges: int, n_partitions: int) -> None:
    assert ranges_of(text_bytes) == Ranges(n_ranges=n_ranges, n_partitions=n_partitions)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**15))
def test_ranges_have_a_size(text_bytes: int) -> None:
    ranges = ranges_of(text_bytes)
    assert ranges.n_ranges & (ranges.n_ranges - 1) == 0
    assert ranges.n_ranges <= MAX_RANGES
    a_range = text_bytes / ranges.n_ranges
    assert a_range >= RANGE_BYTES or ranges.n_ranges == 1
    assert a_range / ranges.n_partitions <= PARTITION_BYTES


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=50),
    st.sampled_from([1, 2, 8, 64]),
    st.integers(1, 1000),
)
def test_place_cuts_the_hashes_into_equal_parts(hashes: list[int], n_ranges: int, n_partitions: int) -> None:
    ranges = Ranges(n_ranges=n_ranges, n_partitions=n_partitions)
    number, inside = place(np.array(hashes, np.uint64), ranges)
    assert number.dtype == inside.dtype == np.int64
    width = 2**64 // n_ranges
    for value, a_range, partition in zip(hashes, number.tolist(), inside.tolist(), strict=True):
        assert a_range == value // width
        high_bits = (value % width) * n_ranges >> 32
        assert partition == high_bits * n_partitions >> 32
        assert 0 <= partition < n_partitions


def test_place_grows_with_the_hash() -> None:
    hashes = np.sort(np.random.default_rng(1).integers(0, 2**64 - 1, 10_000, np.uint64, endpoint=True))
    number, inside = place(hashes, Ranges(n_ranges=8, n_partitions=5))
    assert (np.diff(number * 5 + inside) >= 0).all()
    counts = np.bincount(number * 5 + inside, minlength=40)
    assert counts.min() > 150  # 250 on average


def order_of(ids: list[bytes], hashes: list[int]) -> list[int]:
    rows = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16)
    order: list[int] = hash_order(np.array(hashes, np.uint64), rows).tolist()
    return order


def test_documents_are_packed_in_the_order_of_hash_then_doc_id() -> None:
    ids = [bytes([value]) * 16 for value in (200, 3, 77, 128, 127)]
    assert order_of(ids, [7, 2**64 - 1, 0, 2**63, 7]) == [2, 4, 0, 3, 1]
    assert order_of([], []) == []


def test_documents_of_one_hash_are_ordered_as_bytes() -> None:
    ids = [b"\xff" + b"\0" * 15, b"\0" * 15 + b"\xff", b"\0" * 15 + b"\x01", b"\0" * 7 + b"\x01" + b"\0" * 8]
    assert order_of(ids, [5] * 4) == [2, 1, 3, 0]
