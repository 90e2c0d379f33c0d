"""The tables' schemas: `schemas/<stage>.json` → Arrow, and `conform`, which names the column that is wrong.

A stage's file holds its tables; a table lists per column name, type, nullable, meaning and unit. Spark fails on a wrong
column without naming it, hence the check on our side of the border.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

TYPES = {
    "string": pa.large_string(),
    "binary": pa.binary(),
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int64s": pa.list_(pa.int64()),
}
SQL_TYPES = {
    "string": "string",
    "binary": "binary",
    "bool": "boolean",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float32": "float",
    "float64": "double",
    "int64s": "array<bigint>",
}


@cache
def columns(stage: str, table: str) -> tuple[dict[str, Any], ...]:
    """The columns of a table as the schema file lists them."""
    tables = json.loads((folder() / f"{stage}.json").read_text(encoding="utf-8"))["tables"]
    return tuple(tables[table]["columns"])


@cache
def arrow(stage: str, table: str) -> pa.Schema:
    """The Arrow schema of a table."""
    return pa.schema(
        [pa.field(column["name"], TYPES[column["type"]], column["nullable"]) for column in columns(stage, table)]
    )


def ddl(stage: str, table: str, only: tuple[str, ...] | None = None) -> str:
    """The table's columns (or `only` those, in that order) as a Spark schema string."""
    types = {column["name"]: SQL_TYPES[column["type"]] for column in columns(stage, table)}
    return ", ".join(f"{name} {types[name]}" for name in (only or tuple(types)))


def array(values: Any, schema: pa.Schema, name: str, where: str) -> pa.Array:
    """`values` (Arrow, numpy or a list) as the column `name` of `schema`; `ValueError` that names it and `where`."""
    if isinstance(values, pa.Array) or name not in schema.names:
        return values if isinstance(values, pa.Array) else pa.array(values)
    try:
        return pa.array(values, type=schema.field(name).type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: column {name!r} must be {schema.field(name).type}: {error}") from error


def conform(batch: pa.RecordBatch, schema: pa.Schema, where: str) -> pa.RecordBatch:
    """`batch` with exactly the columns of `schema`, in its order and types.

    Raises `ValueError` naming `where` and the column that is missing, too many, of a type that does not convert, or
    null where it must not be.
    """
    given = set(batch.schema.names)
    if missing := [name for name in schema.names if name not in given]:
        raise ValueError(f"{where}: column {missing[0]!r} is missing; it has {sorted(given)}")
    if extra := sorted(given - set(schema.names)):
        raise ValueError(f"{where}: column {extra[0]!r} is not in the schema {schema.names}")
    arrays = []
    for field in schema:
        array = batch.column(field.name)
        if array.type != field.type:
            try:
                array = array.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ValueError(
                    f"{where}: column {field.name!r} is {array.type}, the schema wants {field.type}: {error}"
                ) from error
        if not field.nullable and array.null_count:
            raise ValueError(f"{where}: column {field.name!r} has {array.null_count} nulls and must not have any")
        arrays.append(array)
    return pa.record_batch(arrays, schema=schema)


def folder() -> Path:
    """Where the schemas lie: in the installed package, or beside it in the repository."""
    inside_wheel = Path(__file__).parent / "schemas"
    return inside_wheel if inside_wheel.is_dir() else Path(__file__).parent.parent / "schemas"
