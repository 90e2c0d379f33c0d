"""Shards and indexes read back; every header field corrupted; names that leave the folder."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mds import layout, reader, writer

COLUMNS = {"text": "str", "n": "uint16", "blob": "bytes"}
ROWS = [{"text": "a", "n": 1, "blob": b""}, {"text": "", "n": 2, "blob": b"xyz"}, {"text": "éé", "n": 3, "blob": b"\0"}]
TOKENS = {"tokens": "ndarray:uint16:4"}


def _tokens(n_samples: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    return np.arange(n_samples * 4, dtype=np.uint16).reshape(n_samples, 4)


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _offset(data: bytes, i: int) -> int:
    return int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "little")


def test_rows_come_back() -> None:
    shard = reader.Shard(writer.shard(COLUMNS, ROWS), "x.mds")
    assert shard.n_samples == 3
    assert list(shard.rows()) == ROWS
    assert list(shard.row(1)) == ["blob", "n", "text"]
    for i in (-1, 3):
        with pytest.raises(IndexError, match=rf"x\.mds: row {i} of 3"):
            shard.row(i)


@pytest.mark.parametrize("n_samples", [0, 1, 9])
def test_a_fixed_column_is_a_view_of_the_mapped_file(tmp_path: Path, n_samples: int) -> None:
    path = tmp_path / "shard.00000.mds"
    path.write_bytes(writer.fixed_shard(TOKENS, {"tokens": _tokens(n_samples)}))
    array = reader.open_shard(str(path)).array("tokens")
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array, _tokens(n_samples))
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_a_view_outlives_its_shard(tmp_path: Path) -> None:
    path = tmp_path / "x.mds"
    path.write_bytes(writer.fixed_shard(TOKENS, {"tokens": _tokens(2)}))
    array = reader.open_shard(f"file://{path}").array("tokens")
    path.unlink()
    assert array[1].tolist() == [4, 5, 6, 7]


def test_a_fixed_column_among_others() -> None:
    scores = np.arange(5, dtype=np.float32)
    columns = TOKENS | {"score": "float32"}
    shard = reader.Shard(writer.fixed_shard(columns, {"tokens": _tokens(5), "score": scores}), "x.mds")
    np.testing.assert_array_equal(shard.array("tokens"), _tokens(5))
    np.testing.assert_array_equal(shard.array("score"), scores)
    assert shard.row(3)["score"] == 3.0
    with pytest.raises(ValueError, match=r"x.mds has no column 'x'; it has \['score', 'tokens'\]"):
        shard.array("x")


def test_no_array_of_rows_that_vary_in_size() -> None:
    with pytest.raises(ValueError, match=r"column 'blob' .* variable size"):
        reader.Shard(writer.shard(COLUMNS, ROWS), "x.mds").array("n")


@pytest.mark.parametrize("n_bytes", [0, 1, 7, 8, 30, 200, -1])
def test_a_truncated_shard_is_refused_by_name(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "shard.00007.mds"
    path.write_bytes(writer.shard(COLUMNS, ROWS)[:n_bytes])
    with pytest.raises(ValueError, match=r"shard\.00007\.mds"):
        reader.open_shard(str(path))


def test_bytes_after_the_last_row_are_refused() -> None:
    data = writer.shard(COLUMNS, ROWS)
    with pytest.raises(ValueError, match=f"rows end at byte {len(data)}, but the file has {len(data) + 1} bytes"):
        reader.Shard(data + b"\0", "x.mds")


def test_a_count_that_the_file_cannot_hold_is_refused_before_memory_is_taken() -> None:
    data = writer.shard(COLUMNS, ROWS)
    with pytest.raises(
        ValueError, match=rf"x\.mds: 4294967295 samples need .* 17179869188 bytes, the file has {len(data)}"
    ):
        reader.Shard(_patched(data, 0, b"\xff" * 4), "x.mds")


@pytest.mark.parametrize("i", [0, 1, 3])
@pytest.mark.parametrize("value", [0, 25, 2**32 - 1])
def test_offsets_that_do_not_ascend_within_the_file(i: int, value: int) -> None:
    data = _patched(writer.shard(COLUMNS, ROWS), 4 + 4 * i, value.to_bytes(4, "little"))
    with pytest.raises(ValueError, match=r"x.mds: (row|rows|the header)"):
        reader.Shard(data, "x.mds")


def test_rows_of_fixed_columns_must_have_their_size() -> None:
    data = bytes(writer.fixed_shard(TOKENS, {"tokens": _tokens(3)}))
    moved = _patched(data, 8, (_offset(data, 1) + 1).to_bytes(4, "little"))
    with pytest.raises(ValueError, match=r"x\.mds: row 0 has 9 bytes by its borders; rows of its columns have 8"):
        reader.Shard(moved, "x.mds")


def test_sizes_in_a_row_must_fill_it() -> None:
    data = writer.shard(COLUMNS, ROWS)
    shard = reader.Shard(_patched(data, _offset(data, 1), b"\xff" * 4), "x.mds")
    assert shard.row(0) == ROWS[0]
    with pytest.raises(ValueError, match=r"x\.mds: row 1 has 13 bytes, its values 4294967305"):
        shard.row(1)


def test_a_row_too_short_for_its_sizes() -> None:
    data = writer.shard({"a": "str", "b": "str"}, [{"a": "", "b": ""}, {"a": "", "b": ""}])
    shard = reader.Shard(_patched(data, 8, (_offset(data, 1) - 1).to_bytes(4, "little")), "x.mds")
    with pytest.raises(ValueError, match=r"x\.mds: row 0 has 7 bytes, its sizes alone take 8"):
        shard.row(0)


def test_a_value_that_cannot_be_decoded_is_named() -> None:
    shard = reader.Shard(
        writer.shard({"t": "str"}, [{"t": "ok"}, {"t": "é"}]).replace("é".encode(), b"\xff\xff"), "x.mds"
    )
    with pytest.raises(ValueError, match=r"x\.mds: row 1, column 't': 'utf-8' codec"):
        shard.row(1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"version": 2', b'"version": 3', "format 'mds' version 3"),
        (b'"format": "mds"', b'"format": "csv"', "format 'csv' version 2"),
        (b'["uint16"]', b'["uint32"]', r"column_sizes are \[2\], the encodings \['uint32'\] have \[4\]"),
        (b'["uint16"]', b'["pkl"]   ', "column 'n': encoding 'pkl' can run any code"),
        (b'["n"]', b'[""] ', "a column's name is empty"),
        (b'["n"]', b"[ 7 ]"[:5], "do not match"),
        (b'["n"]', b"[]   ", "do not match"),
        (b'["n"]', b"null ", "'column_names' is None, not a list"),
        (b"{", b"[", "Expecting"),
        (b"{", b"\xff", "utf-8"),
    ],
)
def test_a_corrupt_header_is_refused(old: bytes, new: bytes, message: str) -> None:
    data = writer.shard({"n": "uint16"}, [{"n": 1}])
    assert data.count(old) == 1
    assert len(old) == len(new) or old == b'["uint16"]'
    new = new.ljust(len(old))
    with pytest.raises(ValueError, match=r"x\.mds: the header is corrupt or refused: .*" + message):
        reader.Shard(data.replace(old, new), "x.mds")


def test_repeated_columns_are_refused() -> None:
    data = writer.shard({"a": "int", "b": "int"}, [{"a": 1, "b": 2}]).replace(b'"b"', b'"a"')
    with pytest.raises(ValueError, match=r"column names \['a', 'a'\] repeat"):
        reader.Shard(data, "x.mds")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_changed_byte_reads_or_is_a_value_error(data: st.DataObject) -> None:
    good = writer.shard(COLUMNS | {"a": "ndarray"}, [row | {"a": _tokens(2)} for row in ROWS])
    at = data.draw(st.integers(0, len(good) - 1))
    bad = _patched(good, at, bytes([data.draw(st.integers(0, 255))]))[
        : data.draw(st.integers(len(good) - 2, len(good)))
    ]
    try:
        assert len(list(reader.Shard(bad, "x.mds").rows())) == 3
    except ValueError as error:
        assert "x.mds" in str(error)


def _folder(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A folder of one shard, and its index as JSON fields."""
    writer.write_folder(str(tmp_path), COLUMNS, ROWS, hashes=["md5", "xxh3_64"])
    return str(tmp_path), json.loads((tmp_path / "index.json").read_bytes())


def test_entries_of_an_index_open_their_shards(tmp_path: Path) -> None:
    folder, fields = _folder(tmp_path)
    (entry,) = reader.read_index(json.dumps(fields).encode(), "index.json")
    assert entry.n_samples == 3
    assert entry.columns == layout.parse_columns(COLUMNS)
    assert entry.file.basename == "shard.00000.mds"
    assert list(reader.open_entry(folder, entry).rows()) == ROWS


def test_shards_behind_a_url(tmp_path: Path) -> None:
    writer.write_folder("memory://mds-reader/data", COLUMNS, ROWS, hashes=["md5", "xxh3_64"])
    data = (Path(_folder(tmp_path)[0]) / "index.json").read_bytes()
    entries = reader.read_index(data, "index.json")
    assert list(reader.open_entry("memory://mds-reader/data", entries[0]).rows()) == ROWS
    assert list(reader.open_shard("memory://mds-reader/data/shard.00000.mds").rows()) == ROWS


def test_a_changed_byte_is_found_by_the_hashes(tmp_path: Path) -> None:
    folder, fields = _folder(tmp_path)
    path = tmp_path / "shard.00000.mds"
    path.write_bytes(path.read_bytes().replace(b"xyz", b"xyy"))
    (entry,) = reader.read_index(json.dumps(fields).encode(), "index.json")
    with pytest.raises(ValueError, match=r"shard\.00000\.mds .*has hashes .*its index lists"):
        reader.open_entry(folder, entry)
    assert reader.open_entry(folder, entry, verify=False).row(1)["blob"] == b"xyy"


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 0)])
def test_a_file_of_another_size_is_refused(tmp_path: Path, cut: slice) -> None:
    folder, fields = _folder(tmp_path)
    path = tmp_path / "shard.00000.mds"
    data = path.read_bytes()
    path.write_bytes(data[cut])
    (entry,) = reader.read_index(json.dumps(fields).encode(), "index.json")
    with pytest.raises(
        ValueError, match=rf"shard\.00000\.mds .* has {len(data[cut])} bytes, its index lists {len(data)}"
    ):
        reader.open_entry(folder, entry, verify=False)


def test_an_index_that_contradicts_its_shard(tmp_path: Path) -> None:
    folder, fields = _folder(tmp_path)
    shard = fields["shards"][0]
    (entry,) = reader.read_index(json.dumps(fields | {"shards": [shard | {"samples": 2}]}).encode(), "index.json")
    with pytest.raises(ValueError, match="holds 3 samples, its index lists 2"):
        reader.open_entry(folder, entry)
    other = shard | {"column_encodings": ["bytes", "int16", "str"]}
    (entry,) = reader.read_index(json.dumps(fields | {"shards": [other]}).encode(), "index.json")
    with pytest.raises(ValueError, match=r"has columns .*uint16.*, its index lists .*int16"):
        reader.open_entry(folder, entry)


@pytest.mark.parametrize(
    "name", ["../shard.mds", "/etc/passwd", "a/../../b", "", ".", "a//b", "..\\b", "s3://bucket/shard.mds"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    _, fields = _folder(tmp_path)
    fields["shards"][0]["raw_data"]["basename"] = name
    with pytest.raises(ValueError, match=r"index\.json: shard 0: .*" + re.escape(repr(name)) + " leaves"):
        reader.read_index(json.dumps(fields).encode(), "index.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": -1}, "'samples' is -1"),
        ({"samples": True}, "'samples' is True"),
        ({"samples": 1e3}, r"'samples' is 1000\.0"),
        ({"samples": 2**32}, "'samples' is 4294967296"),
        ({"samples": 10**6}, "1000000 samples in 2.. bytes; their header takes 4000008"),
        ({"format": "json"}, "format 'json'"),
        ({"version": 1}, "version 1"),
        ({"column_encodings": ["pkl", "uint16", "str"]}, "column 'blob': .* can run any code"),
        ({"column_names": None}, "'column_names' is None"),
        ({"raw_data": None}, "'raw_data' is None"),
        ({"raw_data": {"basename": "a", "bytes": "9", "hashes": {}}}, "'bytes' is '9'"),
        ({"raw_data": {"basename": "a", "bytes": 900, "hashes": {"md5": 5}}}, "are not strings"),
        ({"compression": "zstd"}, "compression is 'zstd', but zip_data is None"),
        (
            {"compression": "lzo", "zip_data": {"basename": "a", "bytes": 9, "hashes": {}}},
            "compression 'lzo' is unknown",
        ),
    ],
)
def test_a_wrong_index_entry_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    _, fields = _folder(tmp_path)
    fields["shards"].append(fields["shards"][0] | change)
    with pytest.raises(ValueError, match=r"a/index\.json: shard 1: .*" + message):
        reader.read_index(json.dumps(fields).encode(), "a/index.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expecting"),
        (b"\xff\xff", "utf-8"),
        (b"[" * 100_000, "recursion"),
        (b"[]", '"version" 2'),
        (b'{"version": 1, "shards": []}', '"version" 2'),
        (b'{"version": 2}', "'shards' is None"),
        (b'{"version": 2, "shards": [5]}', "shard 0: int where"),
    ],
)
def test_what_is_no_index(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r"index\.json: .*(" + message + ")"):
        reader.read_index(data, "index.json")


def test_a_shard_listed_twice_would_be_served_twice(tmp_path: Path) -> None:
    _, fields = _folder(tmp_path)
    fields["shards"] *= 2
    with pytest.raises(ValueError, match=r"shard\.00000\.mds is listed 2 times"):
        reader.read_index(json.dumps(fields).encode(), "index.json")
