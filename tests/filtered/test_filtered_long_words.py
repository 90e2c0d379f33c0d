"""Words that are too long are found by jumping over the text; the reference looks at each word."""

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.filtered.long_words import find
from pipeline.texts.buffers import slices
from tests.filtered.test_filtered_signals import words_of

FRAGMENTS = [
    "a",
    "bcdefgh",
    "é",
    "e\u0301",
    "我",
    "，",
    "ไ",
    "😀",
    " ",
    " ",
    "\n",
    "\r\n",
    "\u3000",
    "\x85",
    "\xa0",
    "(",
    "x" * 30,
]
TEXTS = st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join), min_size=1, max_size=5)


def reference(texts: list[str], longest: int) -> list[int]:
    found, before = [], 0
    for text in texts:
        at = 0
        for word in words_of(text)[0]:
            at = text.index(word, at)
            if len(word) > longest:
                found.append(before + len(text[:at].encode()))
            at += len(word)
        before += len(text.encode())
    return found


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.integers(1, 40))
@example(["ab", "c" * 9], 8)  # the texts lie behind each other
@example(["x" * 9 + "\n" + "y" * 9, "z" * 8], 8)
def test_long_words_are_found_where_they_start(texts: list[str], longest: int) -> None:
    (part,) = slices(pa.array(texts))
    assert find(part, longest).tolist() == reference(texts, longest)
