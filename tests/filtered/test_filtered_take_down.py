import pyarrow as pa
import pytest

from pipeline.filtered.take_down import TakeDown, listed, parse

DOC = bytes(range(16))


def test_a_file_lists_doc_ids_and_urls() -> None:
    text = f"# court order 7\n{DOC.hex()}\n\n  https://x.org/a?b=1 \n{DOC.hex().upper()}\n"
    assert parse(text, "gone.txt") == TakeDown(doc_ids=frozenset({DOC}), urls=frozenset({"https://x.org/a?b=1"}))


@pytest.mark.parametrize("entry", ["x.org/a", DOC.hex()[:-1], "page 7"])
def test_an_entry_that_cannot_match_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match=r"gone\.txt, line 2: .* is neither a doc_id"):
        parse(f"# list\n{entry}", "gone.txt")


def test_documents_are_listed_by_either() -> None:
    documents = pa.record_batch(
        {"doc_id": [DOC, b"x" * 16, b"y" * 16], "url": [None, "https://x.org/a", "https://x.org"]}
    )
    found = listed(documents, TakeDown(doc_ids=frozenset({DOC}), urls=frozenset({"https://x.org/a"})))
    assert found.tolist() == [True, True, False]
    assert listed(documents, TakeDown(doc_ids=frozenset(), urls=frozenset())).tolist() == [False] * 3
