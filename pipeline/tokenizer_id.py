"""Which tokenizer this is: one fingerprint for a `tokenizers` JSON file, however it is laid out."""

import hashlib
import json


def tokenizer_fingerprint(json_text: bytes) -> str:
    """64 hexadecimal digits: the sha256 of the canonical JSON (sorted keys, no white space, UTF-8 unescaped).

    Indentation, the order of keys and escapes do not count; every value does. `ValueError` if the text is not the JSON
    object that a tokenizer is.
    """
    try:
        value = json.loads(json_text)
    except ValueError as error:
        raise ValueError(f"not a tokenizer's JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a tokenizer's JSON: a {type(value).__name__} where an object was expected")
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
