"""What reading a file gives: documents' records, and what had to be left out, with the reason."""

from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 1024  # of a quarantined record, enough to see what it is
DETAIL_CHARACTERS = 300


class Format(StrEnum):
    """How a source's files hold its records."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    TEXT = "text"


class Reason(StrEnum):
    """Why a record, or the rest of a file, did not become documents."""

    UNKNOWN_COMPRESSION = "unknown_compression"  # an ending that is neither .gz nor .zst but a known compression
    NOT_COMPRESSED = "not_compressed"  # named .gz or .zst and is not
    BROKEN_COMPRESSION = "broken_compression"  # damaged, or other bytes after the end
    TRUNCATED = "truncated"  # the compressed data end too early
    WINDOW_TOO_LARGE = "window_too_large"  # zstd that needs more memory than is allowed
    BROKEN_JSON = "broken_json"
    NOT_AN_OBJECT = "not_an_object"  # a JSON line that is a list, a string, a number, …
    TOO_NESTED = "too_nested"
    HUGE_NUMBER = "huge_number"  # an integer of more than 4,300 digits
    BROKEN_PARQUET = "broken_parquet"
    MISSING_COLUMN = "missing_column"
    COLUMN_TYPE = "column_type"  # the text column holds something else than text
    MISSING_TEXT = "missing_text"
    NULL_TEXT = "null_text"
    TEXT_NOT_STRING = "text_not_string"
    EMPTY_TEXT = "empty_text"
    INVALID_UTF8 = "invalid_utf8"
    LONE_SURROGATE = "lone_surrogate"
    UNREADABLE_FIELD = "unreadable_field"  # another field than the text, as a date beyond the year 9999
    TOO_LARGE = "too_large"


class RefusedError(Exception):
    """A record, or a whole file, that cannot become documents. `detail` is for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record that can become a document.

    `record` is its number in the file. `text` is valid UTF-8, not empty, and may hold NUL; it is bytes because Arrow
    takes bytes four times faster than str: `pa.array(texts, pa.large_binary()).cast(pa.large_string())`. `meta` is a
    JSON object with the remaining fields, in the record's own order (see `meta`).
    """

    record: int
    text: bytes
    url: str | None
    meta: str

    @property
    def n_bytes(self) -> int:
        """Size of the text in UTF-8."""
        return len(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """What could not become a document.

    `record` is its number, None where the loss does not begin inside a record. `detail` is one line. `head` holds the
    first `HEAD_BYTES` bytes of the raw record, as stored but decompressed. `n_bytes` are lost: those of the raw record,
    and where `whole_file` says that the rest of the file is lost too, the stored bytes that could not be read (of a
    Parquet file: all it has).
    """

    record: int | None
    reason: Reason
    detail: str
    head: bytes
    n_bytes: int
    whole_file: bool


@dataclass(frozen=True, kw_only=True)
class ReadParams:
    """How a source's files are read.

    `text_field`, `url_field`, `id_field` name fields of a JSON line or columns of a Parquet file; a text file has none.
    The id goes to `meta` as "id", whatever the source calls it. `max_document_bytes` limits the raw record: the JSON
    line, the text file, or text and meta of a Parquet row; it also bounds the memory of reading (see `reading`).
    """

    format: Format = Format.JSONL
    text_field: str = "text"
    url_field: str | None = None
    id_field: str | None = None
    max_document_bytes: int = 100_000_000

    def __post_init__(self) -> None:
        if self.format not in set(Format):
            raise ValueError(f"format is {self.format!r}; known are {', '.join(Format)}")
        if self.max_document_bytes < 1:
            raise ValueError(f"max_document_bytes is {self.max_document_bytes}; it must be at least 1")
        names = [name for name in (self.text_field, self.url_field, self.id_field) if name is not None]
        if "" in names:
            raise ValueError("text_field, url_field or id_field is empty; give the field's name, or leave it out")
        if len(set(names)) < len(names):
            raise ValueError(f"text_field, url_field and id_field must be different fields, not {', '.join(names)}")


def quarantined(
    refused: RefusedError, *, record: int | None, head: bytes, n_bytes: int, whole_file: bool = False
) -> Quarantined:
    """The quarantine entry of a refusal: `detail` on one line and encodable, `head` cut to size."""
    detail = " ".join(refused.detail.encode("utf-8", "backslashreplace").decode().split())
    return Quarantined(
        record=record,
        reason=refused.reason,
        detail=detail[:DETAIL_CHARACTERS],
        head=head[:HEAD_BYTES],
        n_bytes=n_bytes,
        whole_file=whole_file,
    )
