"""Engines: each kind of tokenizer is encoded by a fast engine that proves itself, or by `tokenizers` with a reason."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from unittest import mock

import gigatoken.gigatoken_rs as rust
import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as cutters

from pipeline.tokenized.engines import gigatoken
from pipeline.tokenized.engines.choice import Choice, choose
from pipeline.tokenized.engines.engine import Difference, Encoded, first_difference
from pipeline.tokenized.engines.hard_texts import hard_texts
from pipeline.tokenized.engines.opening import open_engine
from pipeline.tokenized.engines.proof import objection
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.tokenizer import open_tokenizer, train

TEXTS = [
    "the quick brown fox jumps over the lazy dog, isn't it? 1234 naïve 漢字\n\n  and on and on " * 3,
    "def f(x):\n    return x\n" * 9,
]
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(cutter: cutters.PreTokenizer, normalizer: normalizers.Normalizer | None = None) -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    alphabet = cutters.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return str(tokenizer.to_str())


def llama_3(normalizer: normalizers.Normalizer | None = None) -> str:
    plain = cutters.ByteLevel(add_prefix_space=False, use_regex=False)
    return byte_level(cutters.Sequence([cutters.Split(Regex(LLAMA_3), "isolated"), plain]), normalizer)


def digits() -> str:
    return byte_level(
        cutters.Sequence([cutters.Digits(individual_digits=True), cutters.ByteLevel(add_prefix_space=False)])
    )


def llama_2() -> str:
    """SentencePiece-style BPE with byte fallback, as Llama 2's: a space is put before the text, no pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.pre_tokenizer = cutters.Metaspace()
    specials = ["<unk>", "<s>", "</s>", *BYTES]
    tokenizer.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=specials, show_progress=False)
    )
    return edited(tokenizer, pre_tokenizer=None)


def unigram() -> str:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = cutters.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=340, special_tokens=["<unk>", "</s>", *BYTES], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"] | {"byte_fallback": True}
    return edited(tokenizer, model=model)


def word_piece() -> str:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = cutters.BertPreTokenizer()
    specials = ["[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=specials, show_progress=False)
    )
    return str(tokenizer.to_str())


def edited(tokenizer: Tokenizer, **fields: object) -> str:
    """Its JSON with other fields, the byte tokens no longer added ones."""
    found = json.loads(tokenizer.to_str())
    added = [token for token in found["added_tokens"] if token["content"] not in BYTES]
    return json.dumps(found | {"added_tokens": added} | fields)


KINDS: dict[str, Callable[[], str]] = {
    "gpt-2": lambda: train(TEXTS, 400, bos=True),
    "llama-3": llama_3,
    "normalised": lambda: llama_3(normalizers.NFC()),
    "digits": digits,
    "llama-2": llama_2,
    "nfkc": lambda: byte_level(cutters.ByteLevel(add_prefix_space=False), normalizers.NFKC()),
    "unigram": unigram,
    "word-piece": word_piece,
}


@cache
def chosen(kind: str) -> tuple[str, Choice]:
    json_text = KINDS[kind]()
    return json_text, choose(json_text)


@pytest.mark.parametrize(
    ("kind", "name", "refused"),
    [
        ("gpt-2", "gigatoken", []),
        ("llama-3", "gigatoken", []),
        ("normalised", "gigatoken", []),
        ("llama-2", "gigatoken", []),
        ("digits", "fastokens", ["gigatoken"]),
        ("nfkc", "tokenizers", ["gigatoken", "fastokens"]),
        ("unigram", "tokenizers", ["gigatoken", "fastokens"]),
        ("word-piece", "tokenizers", ["gigatoken", "fastokens"]),
    ],
)
def test_engines_each_kind_of_tokenizer_has_one_that_gives_the_ids_of_tokenizers(
    kind: str, name: str, refused: list[str]
) -> None:
    json_text, choice = chosen(kind)
    assert (choice.name, [refusal.name for refusal in choice.refused]) == (name, refused), choice
    assert all("nsupported" in refusal.reason for refusal in choice.refused), choice.refused
    texts = ["", "a new word, unseen: Zwölf <|endoftext|> [SEP]</s> ", "12345 é🦊\x00", " ", "end"]
    tokenizer = open_tokenizer(json_text)
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    for given in (texts, pa.array(texts, pa.string()), pa.array(["?", *texts], pa.large_string())[1:]):
        encoded = choice.open(json_text).encode(given)
        assert encoded.tokens.dtype == np.uint32
        assert encoded.lengths.tolist() == [len(ids) for ids in expected]
        assert encoded.tokens.tolist() == [one for ids in expected for one in ids]
    assert choice.open(json_text).encode([]).lengths.tolist() == []


class Wrong:
    """`tokenizers`, but for one word of one text."""

    name = "wrong"

    def __init__(self, json_text: str, word: str) -> None:
        self._right, self._word = TokenizersEngine(json_text), word

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        return self._right.encode([str(text).replace(self._word, "x") for text in texts])


def test_engines_a_wrong_one_is_refused_with_the_text() -> None:
    json_text, _ = chosen("gpt-2")
    reason = objection(Wrong(json_text, "\u2029"), json_text)
    assert reason is not None
    assert "differs from tokenizers: text" in reason
    assert "\\u2029" in reason


def test_engines_the_first_difference_names_text_place_ids_and_words() -> None:
    json_text, _ = chosen("gpt-2")
    texts = ["the same", "left " * 400 + "the quick fox" + " right" * 400, "the quick fox"]
    reference = TokenizersEngine(json_text).encode(texts)
    assert first_difference(texts, reference, reference) is None
    found = first_difference(texts, Wrong(json_text, "quick").encode(texts), reference)
    assert isinstance(found, Difference)
    right = TokenizersEngine(json_text).encode(texts[1:2]).tokens
    until = len(TokenizersEngine(json_text).encode(["left " * 400 + "the"]).tokens)
    assert found.text == 1
    assert until <= found.position <= until + 1
    assert found.reference_ids == tuple(right[found.position - 8 : found.position + 8].tolist())
    assert found.ids != found.reference_ids
    assert "quick" in found.around
    assert len(found.around) == 500


def test_engines_rows_of_other_documents_are_not_compared() -> None:
    one = Encoded(tokens=np.zeros(2, np.uint32), lengths=np.array([2]))
    two = Encoded(tokens=np.zeros(2, np.uint32), lengths=np.array([1, 1]))
    assert first_difference(["a", "b"], Encoded(tokens=two.tokens[:1], lengths=np.array([1, 0])), two) is not None
    with pytest.raises(ValueError, match="1 documents are compared with 2"):
        first_difference(["a", "b"], one, two)


def test_engines_a_package_that_is_not_there_or_dies_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    json_text, _ = chosen("gpt-2")
    choice = choose(json_text, candidates=["no-such-package"])
    assert choice.name == "tokenizers"
    assert [refusal.reason for refusal in choice.refused] == ["not installed"]
    monkeypatch.setattr("sys.executable", "/bin/false")  # stands for an engine that ends its process
    choice = choose(json_text, candidates=["gigatoken"])
    assert choice.name == "tokenizers"
    assert "its process ended with status 1" in choice.refused[0].reason


def test_engines_a_worker_with_another_version_is_an_error() -> None:
    json_text, choice = chosen("gpt-2")
    with pytest.raises(RuntimeError, match=r"0\.0\.1 proved itself on the driver"):
        Choice(name=choice.name, version="0.0.1", refused=()).open(json_text)
    with pytest.raises(ValueError, match="there is no engine 'x'; there are tokenizers, gigatoken, fastokens"):
        open_engine("x", json_text)


def test_engines_a_null_is_an_error() -> None:
    json_text, _ = chosen("gpt-2")
    for name in ("tokenizers", "gigatoken", "fastokens"):
        with pytest.raises(ValueError, match="1 of 2 texts are null"):
            open_engine(name, json_text).encode(pa.array(["a", None]))


@pytest.mark.parametrize(("most_grown", "opened"), [(2**40, 1), (-(2**40), 3)])
def test_engines_gigatoken_opened_anew_where_memory_has_grown_gives_the_same_ids(
    most_grown: int, opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    json_text, _ = chosen("gpt-2")
    expected = open_engine("gigatoken", json_text).encode(TEXTS).tokens.tolist()
    monkeypatch.setattr(gigatoken, "CACHED_TEXT_BYTES", 1)
    monkeypatch.setattr(gigatoken, "MOST_GROWN", most_grown)
    with mock.patch.object(rust, "load_hf_json", wraps=rust.load_hf_json) as load:
        engine = open_engine("gigatoken", json_text)
        for _ in range(3):
            assert engine.encode(TEXTS).tokens.tolist() == expected
    assert load.call_count == opened


def test_engines_hard_texts_hold_what_they_promise_and_are_the_same_each_time() -> None:
    json_text, _ = chosen("gpt-2")
    texts = hard_texts(open_tokenizer(json_text))
    everything = set("".join(texts))
    assert {chr(code) for code in (*range(0xD800), *range(0xE000, 0x20000))} <= everything
    assert (
        "a<|startoftext|>b <|startoftext|>c<|startoftext|> 1<|startoftext|>2\n<|startoftext|>.<|startoftext|>!" in texts
    )
    assert texts == hard_texts(open_tokenizer(json_text))
