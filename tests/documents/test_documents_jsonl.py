import gzip
import io
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents.reading import read_file
from pipeline.documents.records import Quarantined, ReadParams, Reason, Record


def read(data: bytes, file: str = "a.jsonl", **fields: object) -> list[Record | Quarantined]:
    return list(read_file(lambda: io.BytesIO(data), file, len(data), ReadParams(**fields)))  # type: ignore[arg-type]


def brief(items: list[Record | Quarantined]) -> list[tuple[int | None, str]]:
    """Number and text of each record, number and reason of what is quarantined."""
    return [(item.record, item.text.decode() if isinstance(item, Record) else f"!{item.reason}") for item in items]


def only(data: bytes, file: str = "a.jsonl", **fields: object) -> Quarantined:
    """The one thing that comes out, which is a quarantine entry."""
    (item,) = read(data, file, **fields)
    assert isinstance(item, Quarantined)
    return item


def test_a_line_becomes_a_record() -> None:
    line = b'{"id": 7, "text": "Z\xc3\xb6e says hi", "link": "http://a", "n": {"b": [1]}}\n'
    assert read(line, url_field="link", id_field="id") == [
        Record(record=0, text="Zöe says hi".encode(), url="http://a", meta='{"id":7,"n":{"b":[1]}}')
    ]


def test_another_text_field() -> None:
    assert read(b'{"content": "hi", "text": 5}', text_field="content") == [
        Record(record=0, text=b"hi", url=None, meta='{"text":5}')
    ]


def test_an_empty_file_has_no_records() -> None:
    assert read(b"") == read(gzip.compress(b""), "a.gz") == []
    assert read(b"\n \n\r\n\t") == read(b"\xef\xbb\xbf") == []


def test_the_number_of_a_record_is_its_line_whatever_lies_between() -> None:
    data = b'{"text": "a"}\n\n \r\nbroken\n{"text": "b"}\n'
    assert brief(read(data)) == [(0, "a"), (3, "!broken_json"), (4, "b")]


def test_line_ends_of_windows_and_none_at_the_end() -> None:
    assert brief(read(b'{"text": "a\\r\\nb"}\r\n{"text": "c"}\r\n')) == [(0, "a\r\nb"), (1, "c")]
    assert brief(read(b'{"text": "a"}\n{"text": "b"}')) == [(0, "a"), (1, "b")]


def test_byte_order_marks_are_dropped_also_those_of_files_put_together() -> None:
    file = b'\xef\xbb\xbf{"text": "a"}\n'
    assert brief(read(file + file)) == [(0, "a"), (1, "a")]
    assert brief(read(gzip.compress(file) * 2, "a.jsonl.gz")) == [(0, "a"), (1, "a")]
    assert brief(read(b'{"text": "\xef\xbb\xbfa"}')) == [(0, "\ufeffa")]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b'{"text": "a"', Reason.BROKEN_JSON, "Expecting ',' delimiter at character 12 of the line"),
        (b'{"text": "a"} {"text": "b"}', Reason.BROKEN_JSON, "Extra data at character 14 of the line"),
        (b'{"text": "a\tb"}', Reason.BROKEN_JSON, "Invalid control character at at character 11 of the line"),
        (b"<html>", Reason.BROKEN_JSON, "Expecting value at character 0 of the line"),
        (b'["text"]', Reason.NOT_AN_OBJECT, "the line is a JSON array, not an object with a text field"),
        (b'"text"', Reason.NOT_AN_OBJECT, "the line is a JSON string, not an object with a text field"),
        (b"null", Reason.NOT_AN_OBJECT, "the line is a JSON null, not an object with a text field"),
        (b'{"txt": "a", "n": 1}', Reason.MISSING_TEXT, 'there is no field "text"; the record has: txt, n'),
        (b"{}", Reason.MISSING_TEXT, 'there is no field "text"; the record has: none'),
        (b'{"text": null}', Reason.NULL_TEXT, 'the field "text" is null'),
        (b'{"text": 5}', Reason.TEXT_NOT_STRING, 'the field "text" is a JSON number, not a string'),
        (b'{"text": true}', Reason.TEXT_NOT_STRING, 'the field "text" is a JSON boolean, not a string'),
        (b'{"text": ["a"]}', Reason.TEXT_NOT_STRING, 'the field "text" is a JSON array, not a string'),
        (b'{"text": ""}', Reason.EMPTY_TEXT, 'the field "text" is empty'),
        (b'{"text": "caf\xe9"}', Reason.INVALID_UTF8, "byte 0xe9 at offset 13 of the line is not UTF-8"),
        (b'{"text": "\xed\xa0\x80"}', Reason.INVALID_UTF8, "byte 0xed at offset 10 of the line is not UTF-8"),
        (
            b'{"text": "ab\\ud800"}',
            Reason.LONE_SURROGATE,
            'the field "text" holds the lone surrogate U+D800 at character 2',
        ),
    ],
)
def test_a_line_that_is_no_document_is_quarantined_and_the_others_are_not(
    line: bytes, reason: Reason, detail: str
) -> None:
    before, bad, after = read(b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n')
    assert brief([before, after]) == [(0, "a"), (2, "b")]
    assert bad == Quarantined(record=1, reason=reason, detail=detail, head=line, n_bytes=len(line), whole_file=False)


def test_surrogate_pairs_nul_and_escapes_are_text() -> None:
    assert brief(read(b'{"text": "\\ud83d\\ude00 \\u0000 \\u00e9"}')) == [(0, "😀 \0 é")]


def test_white_space_alone_is_text() -> None:
    assert brief(read(b'{"text": " \\n"}')) == [(0, " \n")]


@pytest.mark.parametrize("n_levels", [250, 1_000, 100_000])
def test_deep_nesting_is_quarantined(n_levels: int) -> None:
    line = b'{"text": "a", "x": ' + b"[" * n_levels + b"]" * n_levels + b"}"
    assert only(line).reason == Reason.TOO_NESTED
    assert brief(read(line.replace(b"text", b"t") + b'\n{"text": "b"}'))[-1] == (1, "b")


def test_numbers_that_are_none_are_null_and_huge_ones_stay_or_are_quarantined() -> None:
    (item,) = read(b'{"text": "a", "x": NaN, "y": [-Infinity, 1e999, 1e3], "z": 123456789012345678901234567890}')
    assert isinstance(item, Record)
    assert item.meta == '{"x":null,"y":[null,null,1000.0],"z":123456789012345678901234567890}'
    bad = only(b'{"text": "a", "x": ' + b"9" * 5000 + b"}")
    assert (bad.reason, bad.n_bytes, len(bad.head)) == (Reason.HUGE_NUMBER, 5020, 1024)


def test_of_repeated_keys_the_last_counts() -> None:
    assert read(b'{"text": "a", "k": 1, "text": "b", "k": 2}') == [
        Record(record=0, text=b"b", url=None, meta='{"k":2}')
    ]


def test_the_detail_can_be_stored_also_where_a_name_cannot() -> None:
    assert only(b'{"\\ud800": 1}').detail == r'there is no field "text"; the record has: \ud800'


def test_a_document_of_50_mb_is_read() -> None:
    text = "x" * 49_999_000 + "é" * 500
    data = json.dumps({"text": text}).encode() + b'\n{"text": "next"}\n'
    for file, stored in (("a.jsonl", data), ("a.jsonl.zst", zstandard.compress(data))):
        big, after = read(stored, file)
        assert isinstance(big, Record) and big.n_bytes == 50_000_000 and big.text == text.encode()
        assert brief([after]) == [(1, "next")]


def test_a_document_over_the_limit_is_skipped_and_the_next_is_read() -> None:
    line = b'{"text": "' + b"x" * 5_000_000 + b'"}'
    big, after = read(zstandard.compress(line + b'\n{"text": "next"}'), "a.zst", max_document_bytes=1_000_000)
    assert big == Quarantined(
        record=0,
        reason=Reason.TOO_LARGE,
        detail="the line has 5000012 bytes; max_document_bytes is 1000000",
        head=line[:1024],
        n_bytes=5_000_012,
        whole_file=False,
    )
    assert brief([after]) == [(1, "next")]
    exact = b'{"text": "abc"}'
    assert brief(read(exact, max_document_bytes=len(exact))) == [(0, "abc")]
    assert brief(read(exact, max_document_bytes=len(exact) - 1)) == [(0, "!too_large")]


@pytest.mark.parametrize("file", ["a.jsonl.gz", "a.jsonl.zst"])
def test_of_a_truncated_file_the_whole_records_are_kept_and_the_cut_one_is_not(file: str) -> None:
    lines = b"".join(json.dumps({"text": f"{n} {n * 0x9E3779B97F4A7C15:x}"}).encode() + b"\n" for n in range(20_000))
    data = gzip.compress(lines) if file.endswith(".gz") else zstandard.compress(lines)
    *records, last = read(data[: len(data) // 2], file)
    assert len(records) > 5_000
    assert [item.record for item in records] == list(range(len(records)))
    assert all(isinstance(item, Record) for item in records)
    assert isinstance(last, Quarantined)
    assert (last.record, last.reason, last.whole_file) == (len(records), Reason.TRUNCATED, True)
    assert lines.split(b"\n")[len(records)].startswith(last.head)
    assert last.n_bytes == len(last.head) > 0


def test_a_cut_at_a_line_end_is_a_loss_all_the_same() -> None:
    data = gzip.compress(b'{"text": "a"}\n')
    *records, last = read(data[:-8], "a.jsonl.gz")  # all of the text, without the checksum
    assert brief(records) == [(0, "a")]
    assert isinstance(last, Quarantined)
    assert (last.record, last.reason, last.n_bytes, last.whole_file) == (None, Reason.TRUNCATED, 0, True)


def test_a_cut_record_is_no_document_even_if_it_looks_whole() -> None:
    data = gzip.compress(b'{"text": "a"}')
    assert brief(read(data[:-8], "a.jsonl.gz")) == [(0, "!truncated")]


def test_garbage_after_the_compressed_data_is_counted() -> None:
    *records, last = read(gzip.compress(b'{"text": "a"}\n') + b"garbage", "a.jsonl.gz")
    assert brief(records) == [(0, "a")]
    assert last == Quarantined(
        record=None,
        reason=Reason.BROKEN_COMPRESSION,
        detail="other bytes follow the end of the gzip data",
        head=b"garbage",
        n_bytes=7,
        whole_file=True,
    )


@pytest.mark.parametrize("file", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_that_is_not_compressed_though_named_so_is_lost_as_a_whole(file: str) -> None:
    item = only(b'{"text": "a"}\n', file)
    assert (item.record, item.reason, item.whole_file) == (None, Reason.NOT_COMPRESSED, True)
    assert (item.head, item.n_bytes) == (b'{"text": "a"}\n', 14)


def test_members_and_frames_may_cut_lines() -> None:
    gz = gzip.compress(b'{"text":') + gzip.compress(b' "a"}\n')
    assert brief(read(gz, "a.jsonl.gz")) == [(0, "a")]
    zst = zstandard.compress(b'{"text":') + zstandard.compress(b' "a"}\n')
    assert brief(read(zst, "a.jsonl.zst")) == [(0, "a")]


def test_errors_of_the_store_are_raised() -> None:
    def open_stream() -> io.BytesIO:
        raise ConnectionError("no route to the store")

    with pytest.raises(ConnectionError, match="no route"):
        list(read_file(open_stream, "a.jsonl", 10, ReadParams()))


@given(st.lists(st.binary(max_size=12), max_size=6), st.booleans())
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_accounted_for_line_by_line(lines: list[bytes], compressed: bool) -> None:
    data = b"\n".join(lines)
    items = read(gzip.compress(data), "a.gz") if compressed else read(data)
    expected = [n for n, line in enumerate(data.split(b"\n")) if line.removeprefix(b"\xef\xbb\xbf").strip()]
    assert [item.record for item in items] == expected


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.text(min_size=1))
@settings(deadline=None, max_examples=100)
def test_any_text_comes_out_as_it_went_in(fields: dict[str, object], text: str) -> None:
    fields = fields | {"text": text}
    (item,) = read(json.dumps(fields).encode())
    assert isinstance(item, Record)
    assert item.text.decode() == text
    assert json.loads(item.meta) == {key: value for key, value in fields.items() if key != "text"}
