import gzip
import io

from pipeline.documents.reading import read_file
from pipeline.documents.records import Format, Quarantined, ReadParams, Reason, Record


def read(data: bytes, file: str = "a.txt", max_document_bytes: int = 10_000) -> Record | Quarantined:
    params = ReadParams(format=Format.TEXT, max_document_bytes=max_document_bytes)
    (item,) = read_file(lambda: io.BytesIO(data), file, len(data), params)
    return item


def test_a_file_is_one_document_as_it_stands() -> None:
    text = "Zoë\r\n\n\0 two\n".encode()
    record = Record(record=0, text=text, url=None, meta="{}")
    assert read(text) == read(b"\xef\xbb\xbf" + text) == read(gzip.compress(text), "a.txt.gz") == record


def test_an_empty_file_is_an_empty_document() -> None:
    empty = Quarantined(
        record=0, reason=Reason.EMPTY_TEXT, detail="the file is empty", head=b"", n_bytes=0, whole_file=False
    )
    assert read(b"") == read(gzip.compress(b""), "a.txt.gz") == empty
    bom_alone = read(b"\xef\xbb\xbf")
    assert isinstance(bom_alone, Quarantined) and bom_alone.reason == Reason.EMPTY_TEXT


def test_a_file_that_is_not_utf8_is_quarantined() -> None:
    assert read(b"caf\xe9") == Quarantined(
        record=0,
        reason=Reason.INVALID_UTF8,
        detail="byte 0xe9 at offset 3 of the file is not UTF-8",
        head=b"caf\xe9",
        n_bytes=4,
        whole_file=False,
    )


def test_utf16_is_no_text_though_it_is_utf8_of_letters_and_nuls() -> None:
    data = "Plain English, saved by an editor.".encode("utf-16-le")
    data.decode()
    item = read(data)
    assert isinstance(item, Quarantined)
    assert (item.reason, item.n_bytes) == (Reason.INVALID_UTF8, len(data))
    assert item.detail == "34 of 68 bytes are NUL: it is UTF-16, UTF-32 or no text; convert it to UTF-8"
    assert isinstance(read(b"a\0b\0cdef" * 10), Record)  # some NULs are none of its marks


def test_a_file_over_the_limit_is_counted_and_not_held() -> None:
    data = b"x" * 3_000_000
    expected = Quarantined(
        record=0,
        reason=Reason.TOO_LARGE,
        detail="the file has 3000000 bytes; max_document_bytes is 10000",
        head=b"x" * 1024,
        n_bytes=3_000_000,
        whole_file=False,
    )
    assert read(data) == read(gzip.compress(data), "a.txt.gz") == expected
    assert isinstance(read(b"x" * 10_000), Record)


def test_half_a_file_is_no_document() -> None:
    data = gzip.compress(b"the whole text")
    item = read(data[:-8], "a.txt.gz")
    assert isinstance(item, Quarantined)
    assert (item.record, item.reason, item.whole_file) == (0, Reason.TRUNCATED, True)
    assert (item.head, item.n_bytes) == (b"the whole text", 14)


def test_a_file_that_is_not_compressed_though_named_so() -> None:
    item = read(b"plain", "a.txt.zst")
    assert isinstance(item, Quarantined)
    assert (item.record, item.reason, item.head, item.n_bytes) == (None, Reason.NOT_COMPRESSED, b"plain", 5)
