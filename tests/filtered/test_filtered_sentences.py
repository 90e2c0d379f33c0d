"""Sentences by hand; against a reference in `test_filtered_c4`."""

import pyarrow as pa
import pytest

from pipeline.filtered.sentences import count
from pipeline.texts.buffers import slices


def counted(*texts: str) -> list[int]:
    (part,) = slices(pa.array(texts))
    return [int(n) for n in count(part)]


@pytest.mark.parametrize(
    ("line", "n"),
    [
        ("One is here.", 1),
        ("One is here. Two (that is).", 2),
        ('"One!" he said. "Two?"', 3),
        ("Version 3.14 of example.com is out.", 1),
        ("Wait . . . what?!", 2),
        ("一句话。两句话！「三句话。」", 3),
        ("ไทย ไทย. ไทย", 2),
        ("... ! ?", 1),
        ("He said “no end”", 1),
        ("One.\x85Two.\u2028Three", 3),
    ],
)
def test_sentences_of_a_line(line: str, n: int) -> None:
    assert counted(line) == [n]


def test_each_line_that_is_not_empty_has_a_sentence() -> None:
    assert counted("One\nTwo\r\nThree\rFour", "\n\r\n\r", "", "...\n?!\n\n-") == [4, 0, 0, 3]
    assert counted("One. Two.\r\n\r\nThree. Four") == [4]


def test_documents_end_sentences() -> None:
    assert counted("One. Tw", "o. Three.", "。", "Four") == [2, 2, 1, 1]
