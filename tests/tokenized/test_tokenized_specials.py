"""Special tokens spelt out in documents: text as any other, or, where the recipe says so, those tokens."""

import json
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from pipeline import recipe, recipe_files
from pipeline.manifest import Dataset, Manifest
from pipeline.tokenized import parts
from pipeline.tokenized.engines.choice import choose
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.shards import Shape
from pipeline.tokenized.tokenizer import TokenizerInfo, describe, open_tokenizer, train
from tests.tokenized.encoded_corpus import encode, tokens_by_document
from tests.tokenized.tiny_tokenizers import TEXT, llama_like, unigram, word_piece

TEXTS = ["the </s> fox", "a</s>", "</s></s> [SEP] <|endoftext|>the<|endoftext|>", "[UNK] <unk>", "", "the [SEP]ab"]


def word_level() -> str:
    words = ["[UNK]", "</s>", "the", "fox"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["</s>", "[UNK]"])
    return str(tokenizer.to_str())


def normalised() -> str:
    tokenizer = Tokenizer.from_str(train([TEXT] * 3, 300, bos=True))
    tokenizer.normalizer = normalizers.NFC()
    return str(tokenizer.to_str())


KINDS: dict[str, Callable[[], str]] = {
    "byte-level": lambda: train([TEXT] * 3, 300, bos=True),
    "normalised": normalised,
    "SentencePiece BPE": lambda: str(llama_like().to_str()),
    "Unigram": lambda: str(unigram().to_str()),
    "WordPiece": lambda: str(word_piece().to_str()),
    "WordLevel": word_level,
}


@cache
def made(kind: str) -> str:
    """Its JSON; training Unigram twice gives two."""
    return KINDS[kind]()


def described(json_text: str, *, specials_in_text: bool) -> TokenizerInfo:
    return describe(
        json_text, where="here", eos_token=None, bos_token=None, bos=False, specials_in_text=specials_in_text
    )


def ids_of(info: TokenizerInfo, engine: str) -> list[list[int]]:
    tokens, lengths = tokens_by_document(encode(info, TEXTS, engine=engine, eos=False, each=True), info.dtype)
    ends = lengths.cumsum().tolist()
    return [tokens[end - length : end].tolist() for end, length in zip(ends, lengths.tolist(), strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_specials_in_a_text_are_text_unless_the_recipe_says_so(kind: str) -> None:
    json_text = made(kind)
    plain = Tokenizer.from_str(json_text)
    unknown = {plain.token_to_id("<unk>"), plain.token_to_id("[UNK]")}
    specials = {token["id"] for token in json.loads(json_text)["added_tokens"]} - unknown
    assert specials
    info = described(json_text, specials_in_text=False)
    found = ids_of(info, choose(info.encoding_json).name)
    assert not specials & {one for ids in found for one in ids}
    asked = described(json_text, specials_in_text=True)
    found = ids_of(asked, choose(asked.encoding_json).name)
    assert found == [plain.encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert specials & {one for ids in found for one in ids}


@pytest.mark.parametrize(("kind", "engine"), [("byte-level", "gigatoken"), ("normalised", "gigatoken")])
def test_a_fast_engine_proves_itself_with_specials_in_text(kind: str, engine: str) -> None:
    assert choose(described(made(kind), specials_in_text=True).encoding_json).name == engine


@pytest.mark.parametrize("kind", ["Unigram", "WordPiece", "WordLevel"])
@settings(deadline=None, max_examples=100)
@given(text=st.text(st.sampled_from("the quickfox[]漢ﬁ\n▁</s>"), max_size=40))
def test_names_that_no_text_spells_leave_other_ids_alone(kind: str, text: str) -> None:
    plain = Tokenizer.from_str(made(kind))
    plain.encode_special_tokens = True
    text = text.replace("</s>", "")
    expected = plain.encode(text, add_special_tokens=False).ids
    assert open_tokenizer(made(kind)).encode(text, add_special_tokens=False).ids == expected


def test_everything_else_of_the_tokenizer_is_the_same() -> None:
    text, found = (described(made("Unigram"), specials_in_text=asked) for asked in (False, True))
    assert (text.fingerprint, text.eos_id, text.vocab_size) == (found.fingerprint, found.eos_id, found.vocab_size)
    assert (text.canary_ids, text.json_text) == (found.canary_ids, found.json_text)
    assert text.encoding_json == text.json_text
    assert TokenizersEngine(found.encoding_json).encode(["</s>"]).tokens.tolist()[-1] == found.eos_id


def test_datasets_with_and_without_are_not_the_same() -> None:
    manifest = Manifest(
        stage="deduped", source="code", version=1, fingerprint="f", inputs={}, parameters={}, attempt="a", files=(),
        counts={"kept_bytes": 10, "kept_documents": 1},
    )  # fmt: skip
    part = parts.Part(deduped=Dataset(url="here", manifest=manifest), number=0)
    shape = Shape(sequence_length=8, dtype="uint16", packing="concat", pad_id=0, vocab_size=300)
    specs = [
        parts.spec(
            part,
            parts.TokenizeParams(
                info=described(made("byte-level"), specials_in_text=asked),
                shape=shape,
                bos=False,
                eos=True,
                holdout_documents=0,
            ),
        )
        for asked in (False, True)
    ]
    assert specs[0].fingerprint != specs[1].fingerprint


def test_the_recipe_says_so() -> None:
    text = """
name: tiny
seed: 1
sequence_length: 16
budget_tokens: 1K
tokenizer: {train: {vocab_size: 300}CHOICE}
sources: {code: {root: r, files: ["*.jsonl"], weight: 1}}
"""
    for choice, asked in (("", False), (", specials_in_text: true", True)):
        mix = recipe.parse(text.replace("CHOICE", choice), "here")
        assert recipe_files.described(mix, made("byte-level"), "here").specials_in_text is asked
