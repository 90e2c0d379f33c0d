"""JSON lines: one JSON object a line, its text in one field.

Lines end with a line feed, also after a carriage return; the last one may lack it. Lines of white space alone are no
records. A byte order mark at the start of a line is dropped (files that begin with one are concatenated, too). NaN and
infinities, which are not JSON but common, are read, as null. The standard library's parser reads 300 MB/s of documents
of 16 KB and 140 MB/s of those of 2 KB on one core, which does not limit the stage, and keeps integers of any size.
"""

import json
from collections.abc import Iterator
from typing import Any

from pipeline.documents.compression import BrokenError
from pipeline.documents.lines import Line, LineSplitter
from pipeline.documents.meta import split_fields, too_nested
from pipeline.documents.records import Quarantined, ReadParams, Reason, Record, RefusedError, quarantined
from pipeline.documents.utf8 import BOM, decoded, encoded

_JSON = json.JSONDecoder(parse_constant=lambda name: None)  # NaN, Infinity, -Infinity


def read(
    pieces: Iterator[bytes], stored_bytes: int, params: ReadParams, first: int = 0
) -> Iterator[Record | Quarantined]:
    """The records of a file. `pieces` are its raw bytes (see `compression.decompressed`), `stored_bytes` its size; or
    of some of its lines, which begin with number `first`."""
    splitter = LineSplitter(params.max_document_bytes, first)
    try:
        for piece in pieces:
            for line in splitter.feed(piece):
                if not _is_blank(line):
                    yield _read_line(line, params)
    except BrokenError as broken:
        line = splitter.pending()
        yield quarantined(
            broken,
            record=line.number if line.n_bytes else None,
            head=line.data or broken.head,
            n_bytes=line.n_bytes + stored_bytes - broken.stored,
            whole_file=True,
        )
        return
    line = splitter.pending()
    if not _is_blank(line):
        yield _read_line(line, params)


def _is_blank(line: Line) -> bool:
    data = line.data.removeprefix(BOM)
    return line.n_bytes == len(line.data) and (not data or data.isspace())


def _read_line(line: Line, params: ReadParams) -> Record | Quarantined:
    try:
        if line.n_bytes > params.max_document_bytes:
            detail = f"the line has {line.n_bytes} bytes; max_document_bytes is {params.max_document_bytes}"
            raise RefusedError(Reason.TOO_LARGE, detail)
        fields = _parse(line.data)
        text = _text(fields, params.text_field)
        url, meta = split_fields(fields, params)
    except RefusedError as refused:
        return quarantined(refused, record=line.number, head=line.data, n_bytes=line.n_bytes)
    return Record(record=line.number, text=text, url=url, meta=meta)


def _parse(data: bytes) -> dict[str, Any]:
    """The object on a line."""
    try:
        value = _JSON.decode(decoded(data.removeprefix(BOM), "the line"))
    except json.JSONDecodeError as error:
        raise RefusedError(Reason.BROKEN_JSON, f"{error.msg} at character {error.pos} of the line") from None
    except RecursionError:
        raise too_nested() from None
    except ValueError as error:  # int() refuses more than sys.get_int_max_str_digits() digits
        raise RefusedError(Reason.HUGE_NUMBER, str(error)) from None
    if not isinstance(value, dict):
        raise RefusedError(
            Reason.NOT_AN_OBJECT, f"the line is a JSON {_json_type(value)}, not an object with a text field"
        )
    return value


def _text(fields: dict[str, Any], field: str) -> bytes:
    """The text in UTF-8."""
    if field not in fields:
        known = ", ".join(fields) or "none"
        raise RefusedError(Reason.MISSING_TEXT, f'there is no field "{field}"; the record has: {known}')
    value = fields[field]
    if value is None:
        raise RefusedError(Reason.NULL_TEXT, f'the field "{field}" is null')
    if not isinstance(value, str):
        raise RefusedError(Reason.TEXT_NOT_STRING, f'the field "{field}" is a JSON {_json_type(value)}, not a string')
    if not value:
        raise RefusedError(Reason.EMPTY_TEXT, f'the field "{field}" is empty')
    return encoded(value, field)


def _json_type(value: object) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
