"""Rows and arrays → shards, index and folders. Byte identity with `MDSWriter`: test_mds_real.py."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds import writer

TOKENS = {"tokens": "ndarray:uint16:4"}


def test_a_shard_of_two_rows_byte_by_byte() -> None:
    config = (
        b'{"column_encodings": ["str", "uint8"], "column_names": ["a", "b"], "column_sizes": [null, 1], '
        b'"compression": null, "format": "mds", "hashes": [], "size_limit": null, "version": 2}'
    )
    first = 4 + 4 * 3 + len(config)
    assert writer.shard({"b": "uint8", "a": "str"}, [{"a": "hi", "b": 7}, {"a": "", "b": 8}], hashes=()) == (
        b"\2\0\0\0"
        + b"".join(offset.to_bytes(4, "little") for offset in (first, first + 7, first + 12))
        + config
        + b"\2\0\0\0hi\7"
        + b"\0\0\0\0\x08"
    )


@pytest.mark.parametrize("n_samples", [0, 1, 17])
def test_arrays_and_rows_make_the_same_shard(n_samples: int) -> None:
    rng = np.random.default_rng(2)
    columns = {"tokens": "ndarray:uint16:4", "mask": "ndarray:float16:2,3", "source": "int", "score": "float32"}
    arrays: dict[str, Any] = {
        "tokens": rng.integers(0, 65536, (n_samples, 4), np.uint16),
        "mask": rng.random((n_samples, 2, 3)).astype(np.float16),
        "source": rng.integers(-9, 9, n_samples),
        "score": rng.random(n_samples, np.float32),
    }
    rows = [{name: array[i] for name, array in arrays.items()} for i in range(n_samples)]
    assert writer.fixed_shard(columns, arrays, hashes=["md5"], size_limit=99) == writer.shard(
        columns, rows, hashes=["md5"], size_limit=99
    )
    tokens = {"tokens": arrays["tokens"]}
    assert writer.fixed_shard(TOKENS, tokens) == writer.shard(TOKENS, [{"tokens": row} for row in tokens["tokens"]])


def test_an_array_in_another_memory_order_makes_the_same_shard() -> None:
    tokens = np.arange(40, dtype=np.uint16).reshape(10, 4)
    expected = writer.fixed_shard(TOKENS, {"tokens": tokens})
    assert writer.fixed_shard(TOKENS, {"tokens": np.asfortranarray(tokens)}) == expected
    assert writer.fixed_shard(TOKENS, {"tokens": np.repeat(tokens, 2, axis=0)[::2]}) == expected


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"tokens": np.zeros((2, 4), np.int16)},
            r"column 'tokens' .* is given int16 \(2, 4\); it takes uint16 \(2, 4\)",
        ),
        ({"tokens": np.zeros((2, 5), np.uint16)}, r"is given uint16 \(2, 5\)"),
        ({"tokens": np.zeros(8, np.uint16)}, r"is given uint16 \(8,\)"),
        ({"tokens": np.zeros((2, 4), ">u2")}, "is given >u2"),
        ({"x": np.zeros((2, 4), np.uint16)}, r"the columns \['x'\], but the shard's columns are \['tokens'\]"),
        ({}, r"columns are \['tokens'\]"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        writer.fixed_shard(TOKENS, arrays)


def test_arrays_of_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"column 'b' \(int\) is given int64 \(2,\); it takes int64 \(3,\)"):
        writer.fixed_shard({"a": "int", "b": "int"}, {"a": np.zeros(3, np.int64), "b": np.zeros(2, np.int64)})


def test_a_shard_larger_than_its_offsets_can_say_is_refused() -> None:
    columns = {"x": f"ndarray:uint8:{2**16}"}
    huge = np.broadcast_to(np.zeros((1, 2**16), np.uint8), (2**16, 2**16))  # 4 GiB, in no memory
    with pytest.raises(ValueError, match=r"65536 rows make a shard of 4295\d{6} bytes; .* use several shards"):
        writer.fixed_shard(columns, {"x": huge})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": 5}, "row 1: column 'a': 5 does not fit the encoding 'str'"),
        ({}, r"row 1: values for the columns \[\]"),
        ({"a": "x", "b": 1}, r"row 1: values for the columns \['a', 'b'\], but the shard's columns are \['a'\]"),
    ],
)
def test_rows_that_do_not_fit_are_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        writer.shard({"a": "str"}, [{"a": "fine"}, row])


def test_an_index_entry() -> None:
    data = writer.fixed_shard(TOKENS, {"tokens": np.zeros((3, 4), np.uint16)})
    entry = writer.index_entry(TOKENS, "shard.00003.mds", data, 3)
    assert entry == {
        "column_encodings": ["ndarray:uint16:4"],
        "column_names": ["tokens"],
        "column_sizes": [8],
        "compression": None,
        "format": "mds",
        "hashes": ["xxh3_64"],
        "raw_data": {
            "basename": "shard.00003.mds",
            "bytes": len(data),
            "hashes": {"xxh3_64": xxhash.xxh3_64_hexdigest(data)},
        },
        "samples": 3,
        "size_limit": None,
        "version": 2,
        "zip_data": None,
    }
    assert json.loads(writer.index([entry])) == {"shards": [entry], "version": 2}
    assert writer.index([]) == b'{"shards": [], "version": 2}'


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 60), max_size=12), st.integers(1, 120))
def test_groups_are_the_longest_that_fit(sizes: list[int], room: int) -> None:
    rows = [bytes([i]) * size for i, size in enumerate(sizes)]
    groups = list(writer.split(rows, 100, 108 + room))
    assert [row for group in groups for row in group] == rows
    for group, following in itertools.pairwise(groups):
        assert sum(4 + len(row) for row in [*group, following[0]]) > room
    for i, group in enumerate(groups):
        assert len(group) == 1 or sum(4 + len(row) for row in group) <= room
        assert group or i == 0  # an empty one only before a first row that is too large


def test_a_folder_that_holds_files_is_refused(tmp_path: Path) -> None:
    writer.write_folder(str(tmp_path / "new"), {"a": "int"}, [{"a": 1}])
    with pytest.raises(ValueError, match="new holds files already"):
        writer.write_folder(str(tmp_path / "new"), {"a": "int"}, [{"a": 1}])


def test_rows_that_do_not_fit_leave_no_index(tmp_path: Path) -> None:
    one_row = len(writer.shard({"a": "int"}, [{"a": 1}], size_limit=200))
    with pytest.raises(ValueError, match="row 2"):
        writer.write_folder(str(tmp_path), {"a": "int"}, [{"a": 1}, {"a": 2}, {"a": "x"}], size_limit=one_row)
    assert [file.name for file in tmp_path.iterdir()] == ["shard.00000.mds"]
