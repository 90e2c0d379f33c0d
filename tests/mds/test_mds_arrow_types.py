"""Encodings derived from types, types derived from encodings, and pairs that never fit."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.mds import arrow_types, encodings, layout


def _column(encoding: str) -> layout.Column:
    return layout.parse_columns({"x": encoding})[0]


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        (pa.string(), "str"),
        (pa.binary(), "bytes"),
        (pa.bool_(), "uint8"),
        (pa.int8(), "int8"),
        (pa.int32(), "int32"),
        (pa.int64(), "int"),
        (pa.float32(), "float32"),
        (pa.float64(), "float64"),
        (pa.decimal128(10, 2), "str_decimal"),
        (pa.list_(pa.int32()), "ndarray:int32"),
        (pa.list_(pa.int64()), "ndarray:int64"),
    ],
)
def test_the_encoding_of_a_type_can_hold_it(kind: pa.DataType, encoding: str) -> None:
    assert arrow_types.derive("x", kind) == encoding
    arrow_types.check_writable(_column(encoding), kind)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.list_(pa.string()), pa.list_(pa.list_(pa.int32())), pa.struct([("a", pa.int32())])]
)
def test_a_type_without_an_encoding_is_named(kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match=r"column 'x' of type .* has no encoding of its own; name one in the option"):
        arrow_types.derive("x", kind)


@pytest.mark.parametrize("encoding", ["str", "bytes", "int", "json", "str_int", *encodings.DTYPES, "ndarray:uint16:2"])
def test_every_encoding_is_read_as_its_own_type_and_as_binary(encoding: str) -> None:
    natural = arrow_types.natural(encodings.parse(encoding))
    for kind in (natural, pa.binary()):
        arrow_types.check_readable(_column(encoding), kind)
        arrow_types.check_writable(_column(encoding), kind)


def test_open_arrays_are_typed_by_a_sample() -> None:
    encoding = encodings.parse("ndarray")
    assert arrow_types.natural(encoding, np.ones((2, 3), np.uint16)) == pa.list_(pa.list_(pa.int32()))
    unsigned = arrow_types.natural(encoding, np.ones(2, np.uint64))
    assert unsigned == pa.list_(pa.decimal128(20, 0))
    arrow_types.check_readable(_column("ndarray"), unsigned)
    assert arrow_types.natural(encoding) == pa.list_(pa.float64())
    assert arrow_types.natural(encodings.parse("ndarray:uint64:2,2")) == pa.list_(pa.list_(pa.decimal128(20, 0)))


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [
        ("int", pa.float64()),
        ("uint8", pa.decimal128(5, 1)),
        ("str", pa.int64()),
        ("bytes", pa.string()),
        ("ndarray:uint16:2", pa.list_(pa.float32())),
        ("ndarray:uint16:2", pa.list_(pa.list_(pa.int32()))),
        ("ndarray:uint16:2,2", pa.list_(pa.int32())),
        ("ndarray", pa.list_(pa.string())),
        ("str_float", pa.int64()),
    ],
)
def test_types_that_never_fit_are_refused(encoding: str, kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match=f"column 'x' of type .* does not fit the encoding {encoding!r}"):
        arrow_types.check_writable(_column(encoding), kind)


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [
        ("int", pa.string()),
        ("str", pa.int64()),
        ("json", pa.struct([("a", pa.int32())])),
        ("ndarray:uint16:2,2", pa.list_(pa.int32())),
        ("ndarray", pa.int32()),
        ("float64", pa.float32()),
        ("float64", pa.decimal128(10, 2)),
        ("str_decimal", pa.int64()),
        ("str_float", pa.int32()),
    ],
)
def test_types_that_a_column_cannot_be_read_as_are_refused(encoding: str, kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match=rf"column 'x' \({encoding}\) cannot be read as .* read it as binary"):
        arrow_types.check_readable(_column(encoding), kind)
