import sys

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.document import folded, normal_form
from pipeline.texts.normal import FOLDED_CODES, exact_hashes, normal_runs

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


def compiled(texts: pa.Array, run_bytes: int = 2**20) -> list[str]:
    return [
        run.data[run.offsets[i] : run.offsets[i + 1]].tobytes().decode()
        for run in normal_runs(texts, run_bytes)
        for i in range(len(run))
    ]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \n\u3000AÉȺİΣ漢"))), max_size=8)
)
def test_the_compiled_normal_form_is_the_defined_one(texts: list[str]) -> None:
    expected = [normal_form(text) for text in texts]
    assert compiled(pa.array(texts, pa.string())) == expected
    assert compiled(pa.array(texts, pa.large_string()), run_bytes=4) == expected


def test_every_character_of_unicode() -> None:
    assert compiled(pa.array(CHARACTERS)) == [normal_form(character) for character in CHARACTERS]
    assert all(folded(character) == character for character in CHARACTERS if ord(character) >= FOLDED_CODES)


def test_texts_that_grow() -> None:
    assert compiled(pa.array(["ȺȾ" * 100_001, "Ⱥ"])) == ["ⱥⱦ" * 100_001, "ⱥ"]


def test_slices_are_taken_where_they_lie() -> None:
    texts = pa.array(["Ab", "C  D", "", "É"])
    assert compiled(texts[1:3]) == ["c d", ""]
    assert compiled(texts[2:2]) == []


def test_runs_hold_what_fits_and_at_least_one_text() -> None:
    runs = normal_runs(pa.array(["aa", "bb", "cccccccc", "", "d"]), run_bytes=4)
    assert [len(run) for run in runs] == [2, 1, 2]


def test_exact_hashes_are_those_of_the_normal_form() -> None:
    texts = ["Hello  World", "hello world ", "hello, world", "", "\n"]
    hashes = exact_hashes(pa.array(texts))
    assert hashes == [xxhash.xxh3_128_digest(normal_form(text)) for text in texts]
    assert [hashes.index(value) for value in hashes] == [0, 0, 2, 3, 3]


def test_nulls_other_types_and_broken_utf8_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 texts are null; leave these rows out"):
        exact_hashes(pa.array(["a", None]))
    with pytest.raises(ValueError, match="texts are of type binary; cast them"):
        exact_hashes(pa.array([b"a"]))
    offsets = np.array([0, 2], dtype=np.int32)
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(b"a\xe0")])
    with pytest.raises(ValueError, match=r"texts are not valid UTF-8: .* index 0; quarantine such records"):
        exact_hashes(broken)
