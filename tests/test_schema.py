import pyarrow as pa
import pytest

from pipeline import schema
from pipeline.filtered.catalogue import SIGNALS

WANTED = pa.schema([pa.field("id", pa.int32(), False), pa.field("text", pa.large_string(), True)])


def test_a_table_as_arrow_and_as_ddl() -> None:
    table = schema.arrow("documents", "quarantine")
    assert table.names == ["source", "file", "record", "reason", "detail", "head", "n_bytes", "whole_file"]
    assert table.field("record") == pa.field("record", pa.int64(), True)
    assert table.field("head") == pa.field("head", pa.binary(), False)
    assert schema.ddl("documents", "quarantine", ("head", "record")) == "head binary, record bigint"
    assert schema.ddl("tokenized", "tails") == "partition int, doc_id binary, doc_token_from bigint, tokens binary"


def test_conform_orders_and_casts() -> None:
    batch = pa.record_batch({"text": pa.array(["a", None]), "id": pa.array([1, 2], pa.int64())})
    conformed = schema.conform(batch, WANTED, "here")
    assert conformed.schema == WANTED
    assert conformed.to_pydict() == {"id": [1, 2], "text": ["a", None]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": pa.array([1])}, r"here: column 'text' is missing; it has \['id'\]"),
        ({"id": pa.array([1]), "text": pa.array(["a"]), "x": pa.array([1])}, "here: column 'x' is not in the schema"),
        ({"id": pa.array(["one"]), "text": pa.array(["a"])}, "here: column 'id' is string, the schema wants int32"),
        ({"id": pa.array([2**31]), "text": pa.array(["a"])}, "here: column 'id' is int64, the schema wants int32"),
        ({"id": pa.array([[1]]), "text": pa.array(["a"])}, "here: column 'id' is list<.*>, the schema wants int32"),
        ({"id": pa.array([1, None]), "text": pa.array(["a", "b"])}, "here: column 'id' has 1 nulls"),
    ],
)
def test_conform_names_the_wrong_column(columns: dict[str, pa.Array], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schema.conform(pa.record_batch(columns), WANTED, "here")


@pytest.mark.parametrize("values", [["x"], [2**31], [b"x"], [[1]]])
def test_array_names_the_wrong_column(values: list[object]) -> None:
    assert schema.array([1, None], WANTED, "id", "here") == pa.array([1, None], pa.int32())
    with pytest.raises(ValueError, match="here: column 'id' must be int32: "):
        schema.array(values, WANTED, "id", "here")


def test_signals_are_the_catalogue() -> None:
    table = schema.arrow("signals", "signals")
    assert table.names == ["doc_id", *SIGNALS]
    assert {name: table.field(name).type for name in SIGNALS} == {
        name: pa.from_numpy_dtype(dtype) for name, dtype in SIGNALS.items()
    }


def test_a_document_keeps_its_columns_from_stage_to_stage() -> None:
    documents = list(schema.columns("documents", "documents"))
    signals = [column for column in schema.columns("signals", "signals")[1:] if column["name"] != "n_bytes"]
    filtered = list(schema.columns("filtered", "filtered"))
    languages = filtered[len(documents) : len(documents) + 2]
    assert filtered[:-2] == documents + languages + signals
    assert [column["name"] for column in filtered[-2:]] == ["compression_ratio", "edits"]
    assert [column["name"] for column in languages] == [c["name"] for c in schema.columns("languages", "languages")[1:]]
    assert list(schema.columns("deduped", "deduped"))[:-1] == documents
