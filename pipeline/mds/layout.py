"""The layout of an MDS shard (version 2): its columns, its header, a row's size, and where rows lie in the file.

A shard of n rows, integers little-endian::

    uint32 n │ uint32 offset[n + 1] │ config │ row 0 │ row 1 │ … │ row n-1

Row i lies at bytes offset[i] … offset[i + 1] - 1 of the file. `config` is JSON with sorted keys: version, format,
columns, and with which compression, hashes and size limit the shard was written. A row is a uint32 for each column of
variable size (its bytes), then the values; columns stand in the order of their names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.mds import checksums, encodings
from pipeline.mds.encodings import Encoding

VERSION = 2
FORMAT = "mds"
HASHES = ("xxh3_64",)  # of whole files, where nothing else is asked
MAX_SHARD_BYTES = 2**32 - 1  # offsets are uint32


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's name and its parsed encoding."""

    name: str
    encoding: Encoding


def parse_columns(columns: Mapping[str, str]) -> tuple[Column, ...]:
    """The columns, name → encoding, sorted by name; `ValueError` that names the column whose encoding is refused."""
    for name, encoding in columns.items():
        if not isinstance(name, str) or not isinstance(encoding, str):
            raise ValueError(f"column {name!r} with encoding {encoding!r}: both must be strings")
    return _parse_columns(tuple(sorted(columns.items())))


def parse_ordered_columns(names: Sequence[str], texts: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a file that exists, in its order."""
    if len(set(names)) != len(names):
        raise ValueError(f"column names {list(names)} repeat")
    return _parse_columns(tuple(zip(names, texts, strict=True)))


def is_fixed(columns: Sequence[Column]) -> bool:
    """Whether every row has the same size."""
    return all(column.encoding.size is not None for column in columns)


def row_dtype(columns: Sequence[Column]) -> np.dtype[Any]:
    """A row of fixed-size columns as a packed numpy structure; `ValueError` that names a column of variable size."""
    for column in columns:
        if column.encoding.size is None:
            raise ValueError(
                f"column {column.name!r} ({column.encoding.text}) has values of variable size; "
                "fixed are numbers and ndarray:dtype:shape"
            )
    return np.dtype([(column.name, column.encoding.dtype, column.encoding.shape) for column in columns])


def row_bytes(columns: Mapping[str, str]) -> int:
    """Bytes of each row of fixed-size columns; `ValueError` that names a column of variable size."""
    return row_dtype(parse_columns(columns)).itemsize


def fixed_row_offset(
    columns: Mapping[str, str],
    n_samples: int,
    *,
    hashes: Sequence[str] = HASHES,
    size_limit: int | None = None,
    compression: str | None = None,
) -> int:
    """Where row 0 begins in a shard of n_samples rows of fixed-size columns: row i lies at offset + i * row_bytes.

    It depends on `hashes`, `size_limit` and `compression` because the header repeats them; they are those the shard was
    written with.
    """
    parsed = parse_columns(columns)
    row_dtype(parsed)
    return first_offset(n_samples, config_bytes(parsed, tuple(hashes), size_limit, compression))


def first_offset(n_samples: int, config: bytes) -> int:
    """Bytes before row 0."""
    if n_samples < 0:
        raise ValueError(f"n_samples is {n_samples}")
    return 4 + 4 * (n_samples + 1) + len(config)


def config_fields(
    columns: Sequence[Column], hashes: Sequence[str], size_limit: int | None, compression: str | None = None
) -> dict[str, Any]:
    """What a shard's header and its index entry say alike of how it was written."""
    checksums.check_hash_names(hashes)
    if size_limit is not None and not 0 < size_limit <= MAX_SHARD_BYTES:
        raise ValueError(f"size_limit is {size_limit} bytes; it must lie in 1 … {MAX_SHARD_BYTES}, or be None")
    return {
        "version": VERSION,
        "format": FORMAT,
        "compression": compression,
        "hashes": list(hashes),
        "size_limit": size_limit,
        "column_names": [column.name for column in columns],
        "column_encodings": [column.encoding.text for column in columns],
        "column_sizes": [column.encoding.size for column in columns],
    }


@lru_cache(maxsize=256)
def config_bytes(
    columns: tuple[Column, ...], hashes: tuple[str, ...], size_limit: int | None, compression: str | None = None
) -> bytes:
    """The `config` of a shard's header."""
    return json.dumps(config_fields(columns, hashes, size_limit, compression), sort_keys=True).encode()


@lru_cache(maxsize=256)
def _parse_columns(items: tuple[tuple[str, str], ...]) -> tuple[Column, ...]:
    if not items:
        raise ValueError("a shard needs at least one column")
    if any(not name for name, _ in items):
        raise ValueError("a column's name is empty")
    columns = []
    for name, text in items:
        try:
            columns.append(Column(name=name, encoding=encodings.parse(text)))
        except ValueError as error:
            raise ValueError(f"column {name!r}: {error}") from error
    return tuple(columns)
