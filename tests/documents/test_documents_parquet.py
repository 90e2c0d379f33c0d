import io
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.documents.reading import read_file
from pipeline.documents.records import Format, Quarantined, ReadParams, Reason, Record


def stored(columns: dict[str, pa.Array | list[object]], **options: object) -> bytes:
    """A Parquet file of these columns."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)
    return buffer.getvalue()


def read(data: bytes, **fields: object) -> list[Record | Quarantined]:
    params = ReadParams(format=Format.PARQUET, **fields)  # type: ignore[arg-type]
    return list(read_file(lambda: io.BytesIO(data), "a.parquet", len(data), params))


def lost(data: bytes, **fields: object) -> Quarantined:
    """The one entry for a file that is lost as a whole."""
    (item,) = read(data, **fields)
    assert isinstance(item, Quarantined)
    assert (item.record, item.whole_file, item.n_bytes) == (None, True, len(data))
    return item


def test_rows_become_records() -> None:
    data = stored({"n": [1, 2], "text": ["Zoë", "b\0"], "link": ["http://a", None], "key": ["k1", "k2"]})
    assert read(data, url_field="link", id_field="key") == [
        Record(record=0, text="Zoë".encode(), url="http://a", meta='{"id":"k1","n":1}'),
        Record(record=1, text=b"b\0", url=None, meta='{"id":"k2","n":2,"link":null}'),
    ]


def test_nested_columns_binary_values_and_times_go_to_the_meta() -> None:
    data = stored(
        {
            "text": ["a"],
            "struct": [{"x": [1, None], "y": "é"}],
            "map": pa.array([[("k", 1.5)]], pa.map_(pa.string(), pa.float64())),
            "binary": [b"\x00\xff"],
            "time": pa.array([datetime(2024, 2, 29, 12, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "nanoseconds": pa.array([1_709_208_000_000_000_001], pa.timestamp("ns")),
            "day": pa.array([date(2024, 2, 29)], pa.date32()),
            "price": pa.array([Decimal("1.10")], pa.decimal128(5, 2)),
            "nan": [float("nan")],
            "flag": [True],
        }
    )
    (item,) = read(data)
    assert isinstance(item, Record)
    assert json.loads(item.meta) == {
        "struct": {"x": [1, None], "y": "é"},
        "map": [["k", 1.5]],
        "binary": "00ff",
        "time": "2024-02-29T12:00:00+00:00",
        "nanoseconds": "2024-02-29T12:00:00.000000001",
        "day": "2024-02-29",
        "price": "1.10",
        "nan": None,
        "flag": True,
    }


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_kind_of_text_column_is_read(kind: pa.DataType) -> None:
    texts = pa.array(["Zoë", "b"]).cast(kind)
    assert [item.text for item in read(stored({"text": texts})) if isinstance(item, Record)] == ["Zoë".encode(), b"b"]


def test_rows_without_a_text_are_quarantined_and_the_others_are_not() -> None:
    texts = pa.array([b"a", None, b"", b"caf\xe9", b"\xed\xa0\x80", b"b" * 50, b"c"])
    as_strings = texts.view(pa.string())  # what a writer that does not check leaves
    for column in (texts, as_strings):
        items = read(stored({"text": column, "n": list(range(7))}), max_document_bytes=30)
        assert [(i.record, i.text if isinstance(i, Record) else i.reason) for i in items] == [
            (0, b"a"),
            (1, Reason.NULL_TEXT),
            (2, Reason.EMPTY_TEXT),
            (3, Reason.INVALID_UTF8),
            (4, Reason.INVALID_UTF8),
            (5, Reason.TOO_LARGE),
            (6, b"c"),
        ]
        details = [item.detail for item in items if isinstance(item, Quarantined)]
        assert details[0] == 'the column "text" is null; the row has {"n":1}'
        assert details[2] == "byte 0xe9 at offset 3 of the text is not UTF-8"
        assert details[4] == "text and meta have 57 bytes; max_document_bytes is 30"
        heads = [(item.head, item.n_bytes) for item in items if isinstance(item, Quarantined)]
        assert heads == [(b"", 0), (b"", 0), (b"caf\xe9", 4), (b"\xed\xa0\x80", 3), (b"b" * 50, 50)]


def test_other_columns_that_python_cannot_hold_cost_their_row_alone() -> None:
    data = stored(
        {
            "text": ["a", "b", "c"],
            "when": pa.array([0, 2**60, 0], pa.timestamp("us")),
            "title": pa.array([b"t", b"t", b"\xe9"]).view(pa.string()),
        }
    )
    items = read(data)
    assert [item.reason if isinstance(item, Quarantined) else item.text for item in items] == [
        b"a",
        Reason.UNREADABLE_FIELD,
        Reason.INVALID_UTF8,
    ]


def test_numbers_go_on_over_batches_and_row_groups() -> None:
    data = stored({"text": [f"text {n}" for n in range(1000)]}, row_group_size=300)
    assert [(item.record, item.text) for item in read(data) if isinstance(item, Record)] == [
        (n, b"text %d" % n) for n in range(1000)
    ]


def test_an_empty_table_has_no_records() -> None:
    assert read(stored({"text": pa.array([], pa.string())})) == []


def test_a_missing_column_names_those_there_are() -> None:
    item = lost(stored({"body": ["a"], "n": [1]}))
    assert item.reason == Reason.MISSING_COLUMN
    assert item.detail == 'the file has 0 columns "text"; it has: body, n'


def test_a_text_column_of_another_type_is_named() -> None:
    item = lost(stored({"text": [["a"]]}))
    assert item.reason == Reason.COLUMN_TYPE
    assert 'the column "text" is list<element: string>, not string; name another text_field' in item.detail
    assert lost(stored({"text": [1]})).reason == Reason.COLUMN_TYPE


@pytest.mark.parametrize("data", [b"", b"PAR1", b'{"text": "a"}\n', b"PAR1" + b"x" * 100 + b"PAR1", b"\0" * 5000])
def test_a_file_that_is_not_parquet_is_lost_as_a_whole(data: bytes) -> None:
    item = lost(data)
    assert item.reason == Reason.BROKEN_PARQUET
    assert item.detail.startswith("not a Parquet file, or a damaged one: ")


def test_a_truncated_file_is_lost_as_a_whole() -> None:
    data = stored({"text": ["a" * 100] * 100})
    assert lost(data[: len(data) // 2]).reason == Reason.BROKEN_PARQUET


def test_damage_in_a_later_row_group_keeps_the_rows_before_it() -> None:
    texts = [os.urandom(500).hex() for _ in range(200)]
    data = stored({"text": texts}, row_group_size=100, use_dictionary=False, compression="zstd")
    start = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0).data_page_offset
    damaged = data[: start + 50] + bytes(2000) + data[start + 2050 :]
    *records, last = read(damaged)
    assert [item.text for item in records if isinstance(item, Record)] == [text.encode() for text in texts[:100]]
    assert isinstance(last, Quarantined)
    assert (last.record, last.reason, last.whole_file) == (100, Reason.BROKEN_PARQUET, True)


def test_errors_of_the_store_are_raised_and_no_quarantine() -> None:
    data = stored({"text": ["a" * 1000] * 100})

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("the store is gone")

    with pytest.raises(OSError, match="the store is gone"):
        list(read_file(lambda: Failing(data), "a.parquet", len(data), ReadParams(format=Format.PARQUET)))


def test_long_texts_are_decoded_a_few_at_a_time() -> None:
    texts = [os.urandom(500_000).hex() for _ in range(100)]  # one row group of 100 MB
    data = stored({"text": texts}, use_dictionary=False, write_batch_size=1)  # pages of one text
    params = ReadParams(format=Format.PARQUET)
    before, peak, n_records = pa.total_allocated_bytes(), 0, 0
    for item in read_file(lambda: io.BytesIO(data), "a.parquet", len(data), params):
        assert item.n_bytes == 1_000_000
        peak = max(peak, pa.total_allocated_bytes() - before)
        n_records += 1
    assert n_records == 100
    assert peak < 48_000_000
