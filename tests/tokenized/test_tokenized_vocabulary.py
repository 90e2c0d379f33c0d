import json

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from pipeline.tokenized.tokenizer import train
from pipeline.tokenized.vocabulary import BYTE_OF, vocabulary
from tests.tokenized.tiny_tokenizers import llama_like, unigram, word_piece

TEXTS = ["the quick brown fox jumps over the lazy dog", "naïve café 漢字 🦊 the the quick"] * 3


def test_the_byte_alphabet_is_that_of_tokenizers() -> None:
    assert sorted(BYTE_OF) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(BYTE_OF.values()) == list(range(256))
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for text in ("a b\n", "naïve ­\x7f\x00", "漢字🦊"):
        [(spelt, _)] = spell.pre_tokenize_str(text)
        assert bytes(BYTE_OF[char] for char in spelt) == text.encode()


@pytest.mark.parametrize("text", TEXTS[:2])
def test_the_bytes_of_the_ids_are_the_text(text: str) -> None:
    known = vocabulary(train(TEXTS, 300, bos=False))
    ids = Tokenizer.from_str(train(TEXTS, 300, bos=False)).encode(text).ids
    assert b"".join(known.tokens[number] for number in ids) == text.encode()


def test_a_byte_level_tokenizer() -> None:
    known = vocabulary(train(TEXTS, 300, bos=False))
    assert (known.size, len(known.tokens), known.unknown_id) == (300, 300, None)
    assert known.tokens[0] == b"<|endoftext|>"
    assert sorted(known.tokens[number][0] for number in known.byte_ids) == list(range(0x80, 0x100))


def test_byte_level_as_a_normalizer() -> None:
    tokenizer = Tokenizer(models.BPE({"Ġ": 0, "a": 1, "Ã": 2, "漢": 3}, []))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.ByteLevel()])
    known = vocabulary(tokenizer.to_str())
    assert known.tokens == {0: b" ", 1: b"a", 2: b"\xc3", 3: "漢".encode()}
    assert known.byte_ids == {2}


def test_a_tokenizer_with_byte_fallback() -> None:
    known = vocabulary(llama_like().to_str())
    assert known.unknown_id == 0
    assert known.byte_ids == set(range(3, 259))
    assert [known.tokens[number] for number in (1, 3, 258, 259, 262, 263)] == [
        b"<s>",
        b"\0",
        b"\xff",
        b" ",
        b" a",
        b"ab",
    ]
    fields = json.loads(llama_like().to_str())
    fields["model"]["byte_fallback"] = False
    plain = vocabulary(json.dumps(fields))
    assert plain.byte_ids == set()
    assert plain.tokens[3] == b"<0x00>"


def test_unigram_and_word_piece() -> None:
    one = unigram()
    known = vocabulary(one.to_str())
    assert known.unknown_id == one.token_to_id("<unk>") == 1
    assert known.byte_ids == set()
    assert known.tokens[one.token_to_id("▁")] == b" "
    other = word_piece()
    known = vocabulary(other.to_str())
    assert known.unknown_id == other.token_to_id("[UNK]")
    assert known.tokens[other.token_to_id("##e")] == b"e"
    assert b"".join(known.tokens[number] for number in other.encode("quick").ids) == b"quick"


def test_added_tokens_stand_as_they_are_spelt() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="?"))
    tokenizer.add_tokens([AddedToken("▁x", normalized=False)])
    known = vocabulary(tokenizer.to_str())
    assert known.tokens == {0: b"a", 1: "▁x".encode()}
    assert (known.size, known.unknown_id) == (2, None)


def test_the_end_mark_of_a_word_is_no_text() -> None:
    model = models.BPE({"a": 0, "a</w>": 1}, [], end_of_word_suffix="</w>")
    assert vocabulary(Tokenizer(model).to_str()).tokens == {0: b"a", 1: b"a"}
