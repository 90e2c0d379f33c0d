"""Shards of a partition, against the real `MDSWriter` and however its rows are cut into batches."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.mds import arrow_shards
from pipeline.mds.arrow_shards import ShardFormat
from tests.real_streaming import import_streaming


def _batches(table: pa.Table, rows_a_batch: int) -> list[pa.RecordBatch]:
    return list(table.to_batches(max_chunksize=rows_a_batch))


def _shards(form: ShardFormat, table: pa.Table, rows_a_batch: int) -> list[bytes]:
    shards = arrow_shards.shards(form, _batches(table, rows_a_batch))
    return [b"".join(storage.pieces(data)) for data, _ in shards]


def _real(form: ShardFormat, rows: list[dict[str, Any]]) -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        with import_streaming().MDSWriter(
            out=str(Path(name, "real")),
            columns=dict(form.columns),
            hashes=list(form.hashes),
            size_limit=form.size_limit,
        ) as out:
            for row in rows:
                out.write(row)
        index = json.loads(Path(name, "real", "index.json").read_bytes())
        return [Path(name, "real", shard["raw_data"]["basename"]).read_bytes() for shard in index["shards"]]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 40), st.integers(1, 50), st.integers(150, 900) | st.none())
def test_fixed_rows_in_any_batches_are_the_real_shards(n_rows: int, rows_a_batch: int, size_limit: int | None) -> None:
    tokens = np.arange(n_rows * 10, dtype=np.uint16).reshape(n_rows, 10) * 7
    form = ShardFormat(columns={"tokens": "ndarray:uint16:10", "n": "int32"}, size_limit=size_limit)
    table = pa.table(
        {
            "tokens": pa.array(tokens.astype(np.int32).tolist(), pa.list_(pa.int32())),
            "n": pa.array(range(n_rows), pa.int64()),
        }
    )
    rows = [{"tokens": row, "n": np.int32(i)} for i, row in enumerate(tokens)]
    assert _shards(form, table, rows_a_batch) == _real(form, rows)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.text(max_size=30), st.integers(-5, 5)), max_size=30),
    st.integers(1, 12),
    st.integers(200, 600),
)
def test_rows_of_variable_size_in_any_batches_are_the_real_shards(
    values: list[tuple[str, int]], rows_a_batch: int, size_limit: int
) -> None:
    form = ShardFormat(columns={"text": "str", "n": "int"}, size_limit=size_limit, hashes=("sha1",))
    kinds = pa.schema({"n": pa.int64(), "text": pa.string()})
    rows = [{"text": text, "n": n} for text, n in values]
    assert _shards(form, pa.Table.from_pylist(rows, kinds), rows_a_batch) == _real(form, rows)


@pytest.mark.parametrize("encoding", ["uint8", "str_int"])
def test_rows_are_counted_over_batches_and_shards(encoding: str) -> None:
    table = pa.table({"x": pa.array([1] * 50 + [300 if encoding == "uint8" else None])})
    with pytest.raises(ValueError, match="row 50, column 'x': "):
        _shards(ShardFormat(columns={"x": encoding}, size_limit=260), table, 7)


def test_a_wrong_format_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="hash 'md4' is unknown"):
        ShardFormat(columns={"x": "int"}, hashes=("md4",))
    with pytest.raises(ValueError, match="size_limit is 0 bytes"):
        ShardFormat(columns={"x": "int"}, size_limit=0)
