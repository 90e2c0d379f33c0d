"""Long texts are cut only where the ids stay those of the whole text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as cutters

from pipeline.tokenized.engines.pieces import CUTS, proven_cut
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.tokenizer import open_tokenizer, train

TEXTS = ["the quick brown fox jumps over\nthe lazy dog, isn't it? 1234 naïve 漢字\n\n  and on and on " * 3]
BYTE_LEVEL = train(TEXTS, 400, bos=False)


def space_before() -> str:
    """A normalizer that puts a space before each text, as Llama 2's, and ends of lines inside of tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.pre_tokenizer = cutters.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], show_progress=False)
    )
    return json.dumps(json.loads(tokenizer.to_str()) | {"pre_tokenizer": None})


def phrases() -> str:
    """No pre-tokenizer: tokens run over spaces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=100, show_progress=False))
    return str(tokenizer.to_str())


def test_pieces_end_at_white_space_between_letters() -> None:
    text = "aa bb  cc\ndd, ee 1 ff gg"
    assert list(CUTS[0].pieces(text, 1)) == ["aa", " bb  cc", "\ndd, ee 1 ff", " gg"]
    assert list(CUTS[0].pieces(text, 3)) == ["aa bb  cc", "\ndd, ee 1 ff", " gg"]
    assert list(CUTS[2].pieces(text, 1)) == ["aa", "bb  cc\ndd, ee 1 ff", "gg"]
    assert list(CUTS[0].pieces("", 1)) == [""]


@pytest.mark.parametrize(
    ("json_text", "expected"), [(BYTE_LEVEL, CUTS[0]), (space_before(), CUTS[2]), (phrases(), None)]
)
def test_pieces_a_cut_is_proven_for_each_tokenizer(json_text: str, expected: object) -> None:
    assert proven_cut(open_tokenizer(json_text)) == expected


def test_pieces_a_token_that_eats_white_space_forbids_cuts() -> None:
    tokenizer = json.loads(BYTE_LEVEL)
    token = {"id": 400, "content": "<x>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False}
    added = [*tokenizer["added_tokens"], token | {"special": False}]
    assert proven_cut(open_tokenizer(json.dumps(tokenizer | {"added_tokens": added}))) is None


@settings(deadline=None, max_examples=60)
@given(text=st.text(st.sampled_from("ab Iz\n\t'.,s1é漢🦊\u0301\u2029\xa0▁<|"), max_size=60), space_is_put=st.booleans())
def test_pieces_have_the_ids_of_the_text(text: str, space_is_put: bool) -> None:
    tokenizer = open_tokenizer(space_before() if space_is_put else BYTE_LEVEL)
    cut = CUTS[2] if space_is_put else CUTS[0]
    pieces = [one for piece in cut.pieces(text, 1) for one in tokenizer.encode(piece, add_special_tokens=False).ids]
    assert pieces == tokenizer.encode(text, add_special_tokens=False).ids


def test_pieces_of_long_texts_among_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a b", "the quick fox\n" * 50, "", "漢字 " * 40, "over the lazy dog " * 30]
    expected = TokenizersEngine(BYTE_LEVEL).encode(texts)
    monkeypatch.setattr("pipeline.tokenized.engines.reference.PIECE_CHARACTERS", 20)
    monkeypatch.setattr("pipeline.tokenized.engines.reference.BATCH_CHARACTERS", 100)
    cut = TokenizersEngine(BYTE_LEVEL).encode(texts)
    assert cut.tokens.tolist() == expected.tokens.tolist()
    assert cut.lengths.tolist() == expected.lengths.tolist()
