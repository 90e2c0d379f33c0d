import pyarrow as pa
import pytest

from pipeline.document import content_hash
from pipeline.take_down import TakeDown, matches, parse

DOC = bytes(range(16))


def test_a_file_lists_doc_ids_urls_and_contents() -> None:
    text = (
        f"# court order 7\n{DOC.hex()}\n\n  http://www.x.org/a/?b=1&utm_id=7 \n{DOC.hex().upper()}\n"
        f"content:{'0a' * 16}\n"
    )
    assert parse(text, "gone.txt") == TakeDown(
        doc_ids=frozenset({DOC}), urls=frozenset({"https://x.org/a?b=1"}), contents=frozenset({b"\n" * 16})
    )
    assert parse(text, "gone.txt").entries == {DOC.hex(), "https://x.org/a?b=1", "content:" + "0a" * 16}


def test_a_byte_order_mark_is_no_part_of_the_first_entry() -> None:
    assert parse(f"\ufeff{DOC.hex()}\n", "gone.txt").doc_ids == {DOC}


@pytest.mark.parametrize("entry", ["x.org/a", DOC.hex()[:-1], "page 7", f"content:{DOC.hex()}0", "content:/x"])
def test_an_entry_that_cannot_match_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match=r"gone\.txt, line 2: .* is neither a doc_id"):
        parse(f"# list\n{entry}", "gone.txt")


def test_documents_are_listed_by_doc_id_page_and_text() -> None:
    documents = pa.record_batch(
        {
            "doc_id": [DOC, b"x" * 16, b"y" * 16, b"z" * 16],
            "url": [None, "http://www.x.org/a?utm_id=3", "https://x.org", ""],
            "text": ["A", "B", "some\n Text", "some text."],
        }
    )
    content = content_hash("Some text").hex()
    take_down = parse(f"{DOC.hex()}\nhttps://x.org/a\ncontent:{content}", "gone.txt")
    assert matches(documents, take_down) == [(0, DOC.hex()), (1, "https://x.org/a"), (2, f"content:{content}")]
    assert matches(documents, parse("", "gone.txt")) == []


def test_the_digest_is_that_of_the_entries() -> None:
    one, other = f"{DOC.hex()}\nhttps://x.org/a", f"# why\nhttps://www.x.org/a\n{DOC.hex().upper()}"
    assert parse(one, "a").digest == parse(other, "b").digest
    assert parse(DOC.hex(), "a").digest != parse(f"content:{DOC.hex()}", "a").digest
