"""The bytes of the border tables, against literals and a slow reader of their own."""

import struct

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds.borders import group_samples, join_shards, parse_group, parse_groups, shard_borders

Ends = list[list[int]]  # of the pieces of each row


def encoded(rows: Ends, row_bytes: int) -> bytes:
    row = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    return shard_borders(row, np.array([end for own in rows for end in own], np.int64), len(rows), row_bytes)


def slowly_read(table: bytes, words: bytes, n_rows: list[int], per_group: int) -> Ends:
    """What two files say, of shards with so many rows each, word by word."""
    found: Ends = []
    number = 0
    for n in n_rows:
        for first in range(0, n, per_group):
            start, xxh3 = struct.unpack_from("<QQ", table, 16 * number)
            stop, _ = struct.unpack_from("<QQ", table, 16 * (number + 1))
            assert xxhash.xxh3_64_intdigest(words[4 * start : 4 * stop]) == xxh3
            group = [struct.unpack_from("<I", words, 4 * at)[0] for at in range(start, stop)]
            own = min(per_group, n - first)
            upto, ends = [0, *group[:own]], group[own:]
            found += [ends[upto[row] : upto[row + 1]] for row in range(own)]
            number += 1
    assert len(table) == 16 * (number + 1)
    return found


def test_a_group_is_about_a_mebibyte_of_rows() -> None:
    assert [group_samples(n) for n in (1, 256, 4096, 2**18, 2**20, 2**22)] == [2**20, 4096, 256, 4, 1, 1]
    with pytest.raises(ValueError, match="row_bytes is 0"):
        group_samples(0)


def test_the_bytes_of_a_shard_of_three_rows() -> None:
    words = struct.pack("<7I", 2, 3, 3, 3, 8, 5, 9)[
        :24
    ]  # upto: 2, 3, 3; ends: 3, 8 of row 0; 5 of row 1; none of row 2
    table = struct.pack("<4Q", 0, xxhash.xxh3_64_intdigest(words), 6, 0)
    assert encoded([[3, 8], [5], []], row_bytes=16) == table + words


def test_rows_of_a_mebibyte_have_a_group_each() -> None:
    one, other = struct.pack("<2I", 1, 7), struct.pack("<3I", 2, 4, 9)
    rows = [(0, xxhash.xxh3_64_intdigest(one)), (2, xxhash.xxh3_64_intdigest(other)), (5, 0)]
    assert encoded([[7], [4, 9]], row_bytes=2**20) == b"".join(struct.pack("<2Q", *row) for row in rows) + one + other


def test_shards_are_joined_one_after_the_other() -> None:
    shards = [[[3, 8], [8]], [[8]], [[2], [1, 2, 8], [8]]]
    found = join_shards([encoded(rows, 2**19) for rows in shards], [2, 1, 3], 2**19, 8, "here")
    assert slowly_read(found.groups, found.borders, [2, 1, 3], 2) == [rows for shard in shards for rows in shard]
    assert (found.n_pieces, found.n_tokens) == (9, 8 + 8 + 8 + 2 + 8 + 8)
    empty = join_shards([], [], 16, 8, "here")
    assert (empty.borders, empty.groups, empty.n_pieces, empty.n_tokens) == (b"", bytes(16), 0, 0)


rows_of_eight = st.lists(st.sets(st.integers(1, 8), max_size=8).map(sorted), min_size=1, max_size=9)


@given(st.lists(rows_of_eight, max_size=4), st.sampled_from([16, 2**18, 2**19, 2**20]))
@settings(deadline=None, max_examples=60)
def test_what_is_written_is_what_is_read(shards: list[Ends], row_bytes: int) -> None:
    counts = [len(rows) for rows in shards]
    found = join_shards([encoded(rows, row_bytes) for rows in shards], counts, row_bytes, 8, "here")
    flat = [ends for rows in shards for ends in rows]
    assert slowly_read(found.groups, found.borders, counts, group_samples(row_bytes)) == flat
    assert found.n_pieces == sum(map(len, flat))
    assert found.n_tokens == sum(ends[-1] for ends in flat if ends)


@pytest.mark.parametrize("sequence_length", [1, 128, 131_072])
def test_rows_as_long_as_they_come(sequence_length: int) -> None:
    rows = [list(range(1, sequence_length + 1)), [sequence_length]]
    found = join_shards([encoded(rows, 4 * sequence_length)], [2], 4 * sequence_length, sequence_length, "here")
    assert slowly_read(found.groups, found.borders, [2], group_samples(4 * sequence_length)) == rows


@pytest.mark.parametrize(
    ("words", "n_rows"),
    [
        ([], 1),  # cut before its counts
        ([2, 1], 2),  # counts that descend
        ([1], 1),  # an end is missing
        ([1, 3, 4], 1),  # an end too many
        ([1, 9], 1),  # behind the row
        ([1, 0], 1),  # a piece without a token
        ([2, 3, 3], 1),  # the second piece has none
        ([2, 5, 4], 1),  # ends that descend
        ([1, 3, 3, 2, 2], 2),  # and in the second row alone
    ],
)
def test_words_that_are_no_borders_are_refused(words: list[int], n_rows: int) -> None:
    data = struct.pack(f"<{len(words)}I", *words)
    message = rf"here: its {len(data)} bytes are no borders of {n_rows} rows of 8 tokens"
    with pytest.raises(ValueError, match=message):
        parse_group(data, n_rows, 8, xxhash.xxh3_64_intdigest(data), "here")


def test_a_group_of_other_bytes_is_refused() -> None:
    data = struct.pack("<3I", 2, 3, 8)
    expected = xxhash.xxh3_64_intdigest(data)
    assert parse_group(data, 1, 8, expected, "here").tolist() == [2, 3, 8]
    with pytest.raises(ValueError, match=rf"here is damaged: its xxh3-64 is [0-9a-f]{{16}}, expected {expected:016x}"):
        parse_group(struct.pack("<3I", 2, 4, 8), 1, 8, expected, "here")
    odd = data[:-1]
    with pytest.raises(ValueError, match="no borders"):
        parse_group(odd, 1, 8, xxhash.xxh3_64_intdigest(odd), "here")


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 7), (3, 0)],  # a group is missing
        [(0, 7), (3, 7), (6, 7), (9, 0)],  # one too many
        [(1, 7), (3, 7), (9, 0)],  # does not begin at 0
        [(0, 7), (0, 7), (9, 0)],  # a group without a word
        [(0, 7), (3, 7), (8, 0)],  # ends before the file
        [(0, 7), (3, 7), (9, 1)],  # the last row is no total
        [(0, 7), (2**64 - 3, 7), (9, 0)],
        [(0, 7), (2**63 - 1, 7), (9, 0)],
    ],
)
def test_a_table_of_groups_that_are_not_there_is_refused(rows: list[tuple[int, int]]) -> None:
    good = b"".join(struct.pack("<2Q", *row) for row in [(0, 7), (3, 2**64 - 1), (9, 0)])
    table = parse_groups(good, 2, 36, "here")
    assert (table.first_word.tolist(), table.hashes.tolist()) == ([0, 3, 9], [7, 2**64 - 1])
    with pytest.raises(ValueError, match="here: "):
        parse_groups(b"".join(struct.pack("<2Q", *row) for row in rows), 2, 36, "here")


@pytest.mark.parametrize("n_bytes", [35, 37, 39, 40])
def test_a_table_for_borders_of_another_size_is_refused(n_bytes: int) -> None:
    table = b"".join(struct.pack("<2Q", *row) for row in [(0, 7), (3, 7), (9, 0)])
    with pytest.raises(ValueError, match=f"here: .* in the {n_bytes} bytes of the borders"):
        parse_groups(table, 2, n_bytes, "here")


def test_a_damaged_shard_stops_the_end_of_a_dataset() -> None:
    shard = encoded([[3, 8], [8]], row_bytes=16)
    for at in range(len(shard)):
        damaged = bytearray(shard)
        damaged[at] ^= 0x10
        with pytest.raises(ValueError, match="borders of code, shard 1"):
            join_shards([shard, bytes(damaged)], [2, 2], 16, 8, "borders of code")


def test_words_with_a_right_checksum_are_borders_or_refused() -> None:
    """Whoever wrote them: what is served ascends inside each row and stays in it."""
    rng = np.random.default_rng(7)
    good = np.frombuffer(encoded([[3, 8], [8], [], [1, 2, 7]], row_bytes=16)[32:], np.uint32)
    served = 0
    for _ in range(3000):
        words = good.copy()
        words[rng.integers(len(words), size=rng.integers(1, 4))] = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2**32 - 1])
        data = words[: rng.choice([len(words), len(words), rng.integers(len(words))])].tobytes()
        try:
            found = parse_group(data, 4, 8, xxhash.xxh3_64_intdigest(data), "here").tolist()
        except ValueError:
            continue
        served += 1
        rows = [found[4 + a : 4 + b] for a, b in zip([0, *found[:3]], found[:4], strict=True)]
        assert [end for row in rows for end in row] == found[4:]
        assert all(row == sorted(set(row)) and set(row) <= set(range(1, 9)) for row in rows)
    assert 0 < served < 1500
