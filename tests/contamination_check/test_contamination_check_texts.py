"""Tokens decode to the same text in runs as at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from pipeline.contamination_check import texts
from pipeline.contamination_check.documents import Tokens
from pipeline.contamination_check.texts import CONTEXT_TOKENS, runs, text_of, without_specials
from tests.tokenized.test_tokenized_where import tokenizer
from tests.tokenized.tiny_tokenizers import llama_like, unigram, word_piece

WORDS = st.sampled_from(["the", "quick ", "naïve", " 漢字", "🦊", "dog;\n", "\ufffd", "a b", "  ", "👩‍👩‍👧"])
TEXTS = st.lists(WORDS, min_size=1, max_size=30).map("".join)


def ids_of(one: Tokenizer, text: str) -> Tokens:
    return np.array(one.encode(text, add_special_tokens=False).ids, np.uint16)


@given(text=TEXTS, data=st.data())
@settings(deadline=None, max_examples=150)
def test_runs_are_the_text_wherever_they_end(text: str, data: st.DataObject) -> None:
    ids = ids_of(tokenizer(), text)
    ends = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=12)))
    assert "".join(runs(tokenizer(), ids, [*ends, len(ids)])) == text


@pytest.mark.parametrize("make", [llama_like, unigram, word_piece])
def test_other_kinds_keep_the_spaces_at_the_ends_of_runs(make: type) -> None:
    one = make()
    ids = ids_of(one, "the quick brown fox jumps over the lazy dog ab a b ab " * 3)
    whole = one.decode(ids.tolist(), skip_special_tokens=False)
    for step in (1, 2, 7, CONTEXT_TOKENS + 3):
        assert "".join(runs(one, ids, [*range(step, len(ids), step), len(ids)])) == whole


def test_a_cut_character_belongs_to_the_run_in_which_it_ends() -> None:
    ids = ids_of(tokenizer(), "x𝕏y")
    assert len(ids) == 6  # four of one byte each
    assert runs(tokenizer(), ids, [1, 2, 3, 4, 5, 6]) == ["x", "", "", "", "𝕏", "y"]
    assert runs(tokenizer(), ids[:3], [1, 3]) == ["x", "\ufffd"]


def test_a_long_document_is_decoded_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "naïve 漢字 𝕏 dog; " * 40
    monkeypatch.setattr(texts, "RUN_TOKENS", 11)
    assert text_of(tokenizer(), ids_of(tokenizer(), text)) == text


def test_bos_and_eos_at_the_ends_are_no_text() -> None:
    def left(ids: list[int], bos: int | None) -> list[int]:
        tokens = np.array(ids, np.uint16)
        return list(tokens[without_specials(tokens, bos, 0)].tolist())

    assert left([1, 5, 0, 6, 0], 1) == [5, 0, 6]
    assert left([1, 5, 6], None) == [1, 5, 6]
    assert (left([], 1), left([0], None), left([1, 0], 1)) == ([], [], [])
