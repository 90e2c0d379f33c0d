from pathlib import Path

import pytest

from pipeline.document import content_hash
from pipeline.manifest import Dataset
from pipeline.take_down import parse
from pipeline.taken_down import lookup
from pipeline.taken_down.lookup import Copy
from tests.tokenized.test_tokenized_origin import code, made


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Dataset]:
    """Records 0 to 3; 1 was cut by a rule, 2 removed as a copy of 0, 3 rejected."""
    texts = ["one", "two, cut", "one and a half", "three"]
    rows = [
        {"doc_id": code(n), "text": text, "url": f"http://www.x.org/{n}/"} for n, text in enumerate(texts)
    ]  # 32 bytes
    raw = made(tmp_path, "documents", {"raw": {}}, {"documents": rows})
    rejected = [{"doc_id": code(3), "source": "code", "reason": "language"}]
    filtered = made(tmp_path, "filtered", {"documents": raw.manifest.fingerprint}, {"rejected": rejected})
    kept = [rows[0], rows[1] | {"text": "two"}]
    removed = [{"doc_id": code(2), "kept_doc_id": code(0), "kept_source": "code", "kind": "near", "similarity": 0.8}]
    deduped = made(tmp_path, "deduped", {"code": filtered.manifest.fingerprint}, {"deduped": kept, "removed": removed})
    return {"code": made(tmp_path, "tokenized", {"deduped": deduped.manifest.fingerprint}, {})}


def test_entries_are_looked_for_as_read_and_as_tokenized(source: dict[str, Dataset]) -> None:
    as_read, as_tokenized, of_none = (content_hash(text).hex() for text in ("TWO,  cut", "two", "four"))
    listed = parse(
        f"https://x.org/3\nhttps://x.org/9\ncontent:{as_read}\ncontent:{as_tokenized}\ncontent:{of_none}\n{'0' * 32}",
        "gone.txt",
    )
    assert lookup.documents(listed, source) == {
        "https://x.org/3": {code(3)},
        f"content:{as_read}": {code(1)},
        f"content:{as_tokenized}": {code(1)},
        "0" * 32: {b"\0" * 16},
    }
    assert lookup.known([code(3), b"\0" * 16], source) == {code(3)}


def test_what_stays_in_the_place_of_a_removed_document_is_told(source: dict[str, Dataset]) -> None:
    expected = Copy(doc_id=code(2), kept_doc_id=code(0), kept_source="code", kind="near", similarity=0.8)
    assert lookup.copies([code(1), code(2), code(3)], source) == [expected]
