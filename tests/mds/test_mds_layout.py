"""Columns, the header, and the arithmetic by which rows are found."""

import pytest

from pipeline.mds import layout, writer

TOKENS = {"tokens": "ndarray:uint16:4"}


def test_columns_stand_in_the_order_of_their_names() -> None:
    assert [column.name for column in layout.parse_columns({"b": "int", "a": "str", "B": "json"})] == ["B", "a", "b"]


def test_row_bytes_is_the_sum_of_the_columns_sizes() -> None:
    assert layout.row_bytes({"tokens": "ndarray:uint16:2048", "source": "uint8"}) == 4097


def test_rows_begin_after_count_offsets_and_config() -> None:
    config = (
        b'{"column_encodings": ["ndarray:uint16:4"], "column_names": ["tokens"], "column_sizes": [8], '
        b'"compression": null, "format": "mds", "hashes": ["xxh3_64"], "size_limit": null, "version": 2}'
    )
    assert layout.fixed_row_offset(TOKENS, 5) == 4 + 4 * 6 + len(config)


@pytest.mark.parametrize("hashes", [(), ("xxh3_64",), ("md5", "sha1")])
@pytest.mark.parametrize("size_limit", [None, 1 << 26])
def test_the_offset_is_that_of_a_shard_written_alike(hashes: tuple[str, ...], size_limit: int | None) -> None:
    rows = [{"n": 258 + i} for i in range(3)]
    data = writer.shard({"n": "uint16"}, rows, hashes=hashes, size_limit=size_limit)
    offset = layout.fixed_row_offset({"n": "uint16"}, 3, hashes=hashes, size_limit=size_limit)
    assert data[offset:] == b"\2\1\3\1\4\1"


def test_variable_columns_have_no_fixed_offset() -> None:
    with pytest.raises(ValueError, match=r"column 'text' \(str\) has values of variable size"):
        layout.fixed_row_offset({"id": "int", "text": "str"}, 5)
    with pytest.raises(ValueError, match="column 'text'"):
        layout.row_bytes({"text": "str"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "at least one column"),
        ({"": "int"}, "name is empty"),
        ({"x": "pkl"}, "column 'x': encoding 'pkl' can run any code"),
        ({"x": 5}, "column 'x' with encoding 5"),
    ],
)
def test_columns_that_are_refused(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layout.parse_columns(columns)


@pytest.mark.parametrize("size_limit", [0, -1, 2**32])
def test_size_limits_out_of_range(size_limit: int) -> None:
    with pytest.raises(ValueError, match=f"size_limit is {size_limit} bytes"):
        layout.fixed_row_offset(TOKENS, 1, size_limit=size_limit)
