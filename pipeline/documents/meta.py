"""A record's remaining fields, kept as JSON.

The fields stay in the record's own order, as Python's `json` writes them (UTF-8, no white space between). What JSON
cannot hold becomes something that it can: NaN and infinities null, binary values hexadecimal digits, dates and times
ISO 8601, decimals and durations their text. Of a key that a JSON object repeats, the last value counts (as for Python,
JavaScript and jq). Lone surrogates stay the escapes that they were.
"""

import json
import math
from typing import Any

from pipeline.documents.records import ReadParams, Reason, RefusedError
from pipeline.documents.utf8 import encoded

MAX_NESTING = 200  # levels. Python's own limit depends on its version and on the stack; this one is the same everywhere


def _plain(value: Any) -> str:
    """A value that JSON has no form for, as text."""
    if isinstance(value, bytes):
        return value.hex()
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
_ESCAPED = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=_plain)


def split_fields(fields: dict[str, Any], params: ReadParams) -> tuple[str | None, str]:
    """The URL and the `meta` of a record: its fields but the text.

    A URL that is not a string stays in the meta. The id comes first there, as "id"; another field of that name then
    gets underscores at its end. Raises `RefusedError`.
    """
    rest = {key: value for key, value in fields.items() if key != params.text_field}
    url = None
    if params.url_field is not None and isinstance(rest.get(params.url_field), str):
        url = rest.pop(params.url_field)
        encoded(url, params.url_field)
    if params.id_field is not None and params.id_field in rest:
        rest = _with_id(rest, params.id_field)
    return url, to_json(rest)


def to_json(fields: dict[str, Any]) -> str:
    """A JSON object, valid UTF-8; `RefusedError` (too_nested) where it has more than `MAX_NESTING` levels."""
    if not fields:
        return "{}"
    try:
        text = _encode(_JSON, fields)
        if text.count("[") + text.count("{") > MAX_NESTING and _levels(fields) > MAX_NESTING:
            raise RecursionError
        text.encode()
    except UnicodeEncodeError:
        return _encode(_ESCAPED, fields)
    except RecursionError:
        raise too_nested() from None
    return text


def too_nested() -> RefusedError:
    """The refusal of a record that is nested too deeply."""
    return RefusedError(Reason.TOO_NESTED, f"lists and objects lie in one another more than {MAX_NESTING} levels deep")


def _with_id(fields: dict[str, Any], id_field: str) -> dict[str, Any]:
    renamed: dict[str, Any] = {"id": fields[id_field]}
    for key, value in fields.items():
        if key == id_field:
            continue
        free = key
        while free in renamed or (free != key and free in fields):
            free += "_"
        renamed[free] = value
    return renamed


def _encode(encoder: json.JSONEncoder, fields: dict[str, Any]) -> str:
    try:
        return encoder.encode(fields)
    except ValueError:  # a number that is not finite
        return encoder.encode(_finite(fields))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _levels(value: Any) -> int:
    """How deeply lists and objects are nested; a flat object has one level."""
    n_levels, level = 0, [value]
    while containers := [item for item in level if isinstance(item, dict | list | tuple)]:
        n_levels += 1
        level = [item for outer in containers for item in (outer.values() if isinstance(outer, dict) else outer)]
    return n_levels
