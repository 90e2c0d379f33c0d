import hashlib

import pytest

from pipeline.tokenizer_id import tokenizer_fingerprint


def test_it_is_the_sha256_of_the_canonical_json() -> None:
    canonical = '{"a":[1,"é"],"b":{"c":null,"d":0.5}}'
    assert tokenizer_fingerprint(canonical.encode()) == hashlib.sha256(canonical.encode()).hexdigest()


def test_layout_does_not_count_and_values_do() -> None:
    fingerprint = tokenizer_fingerprint('{"a":[1,"é"],"b":{"c":null,"d":0.5}}'.encode())
    assert tokenizer_fingerprint(b'{\n "b": {"d": 0.5, "c": null},\n "a": [1, "\\u00e9"]\n}') == fingerprint
    assert tokenizer_fingerprint(b'{"a":[1,"e"],"b":{"c":null,"d":0.5}}') != fingerprint


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff"])
def test_other_texts_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a tokenizer's JSON"):
        tokenizer_fingerprint(text)
