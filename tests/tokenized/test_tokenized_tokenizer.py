import hashlib
import json
import subprocess
import sys

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from pipeline.tokenized import tokenizer as tokenizers
from pipeline.tokenized.engines.reference import TokenizersEngine
from pipeline.tokenized.tokenizer import CANARY, TRAINED_BOS, TRAINED_EOS, TokenizerInfo, describe, train

TEXTS = [
    "the quick brown fox jumps over the lazy dog; the end\n" * 3,
    "naïve 漢字 the théâtre 🦊",
    "def f(x):\n    return x\n",
]


@pytest.fixture(scope="module")
def trained() -> str:
    return train(TEXTS, 300, bos=True)


def described(
    json_text: str, *, eos_token: str | None = None, bos_token: str | None = None, bos: bool = False
) -> TokenizerInfo:
    return describe(json_text, where="mine.json", eos_token=eos_token, bos_token=bos_token, bos=bos)


def ids_of(
    info: TokenizerInfo, texts: list[str], *, bos_id: int | None = None, eos_id: int | None = None
) -> list[list[int]]:
    """The ids of each text, as the stage has them."""
    before, after = ([] if one is None else [one] for one in (bos_id, eos_id))
    found = TokenizersEngine(info.json_text).encode(texts).documents()
    return [[*before, *ids.tolist(), *after] for ids in found]


def word_level(*words: str, special: tuple[str, ...] = ()) -> str:
    """The JSON of a tokenizer whose ids are the places of the words."""
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special])
    return str(tokenizer.to_str())


def test_a_trained_tokenizer_has_the_vocabulary_asked_for(trained: str) -> None:
    info = described(trained, bos=True)
    assert info.vocab_size == 300
    assert (info.eos_id, info.bos_id, info.pad_id) == (0, 1, 0)
    assert info.dtype == "uint16"
    assert (
        info.fingerprint
        == hashlib.sha256(
            json.dumps(json.loads(trained), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        ).hexdigest()
    )
    assert [list(info.canary_ids)] == ids_of(info, [CANARY])
    assert 0 not in info.canary_ids


def test_without_bos_there_is_no_such_token() -> None:
    json_text = train(TEXTS, 257, bos=False)
    assert described(json_text).vocab_size == 257
    assert Tokenizer.from_str(json_text).token_to_id(TRAINED_BOS) is None
    assert described(train([], 257, bos=False)).vocab_size == 257


def test_training_gives_equal_bytes_in_every_process(trained: str) -> None:
    code = (
        "import hashlib; from pipeline.tokenized.tokenizer import train; "
        f"print(hashlib.sha256(train({TEXTS!r}, 300, bos=True).encode()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(trained.encode()).hexdigest()


def test_any_text_comes_back_from_its_ids(trained: str) -> None:
    texts = ["", " ", "a", CANARY, "\x00\x7f\ufffd\U0010ffff", *TEXTS]
    decoder = Tokenizer.from_str(trained)
    assert [decoder.decode(ids, skip_special_tokens=False) for ids in ids_of(described(trained), texts)] == texts


def test_special_tokens_spelt_in_a_text_stay_text(trained: str) -> None:
    info = described(trained, bos=True)
    text = f"a{TRAINED_EOS}b {TRAINED_BOS}"
    (ids,) = ids_of(info, [text], bos_id=info.bos_id, eos_id=info.eos_id)
    assert (ids[0], ids[-1]) == (info.bos_id, info.eos_id)
    assert not {info.bos_id, info.eos_id} & set(ids[1:-1])
    assert Tokenizer.from_str(trained).decode(ids[1:-1], skip_special_tokens=False) == text


def test_truncation_padding_and_added_tokens_of_the_file_do_nothing() -> None:
    tokenizer = Tokenizer.from_str(word_level("<unk>", "a", "b", "</s>", special=("</s>",)))
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=10)
    info = described(str(tokenizer.to_str()))
    assert ids_of(info, ["a b a b"], eos_id=info.eos_id) == [[1, 2, 1, 2, 3]]


@pytest.mark.parametrize(("n_words", "dtype"), [(2**16 - 1, "uint16"), (2**16, "uint32")])
def test_ids_are_uint16_where_all_fit(n_words: int, dtype: str) -> None:
    info = described(word_level(*map(str, range(n_words)), "</s>"))
    assert info.vocab_size == n_words + 1
    assert info.dtype == dtype
    assert ids_of(info, [f"{n_words - 1} 0"], eos_id=info.eos_id) == [[n_words - 1, 0, n_words]]


def test_the_largest_id_counts_not_the_number_of_tokens() -> None:
    fields = json.loads(word_level("<unk>", "a", "</s>"))
    fields["model"]["vocab"]["a"] = 70_000
    assert described(json.dumps(fields)).vocab_size == 70_001


@pytest.mark.parametrize("eos", tokenizers.KNOWN_EOS)
def test_known_ends_are_found(eos: str) -> None:
    assert described(word_level("<unk>", "a", eos)).eos_id == 2


def test_named_tokens_come_first_and_padding_is_found() -> None:
    info = described(
        word_level("<unk>", "</s>", "<|end|>", "<|begin|>", "<pad>"),
        eos_token="<|end|>",
        bos_token="<|begin|>",
        bos=True,
    )
    assert (info.eos_id, info.bos_id, info.pad_id) == (2, 3, 4)
    assert described(word_level("<unk>", "</s>", "<s>")).bos_id is None
    assert described(word_level("<unk>", "</s>", "<s>"), bos=True).bos_id == 2


def test_special_tokens_that_cannot_be_told_are_an_error() -> None:
    text = word_level("<unk>", "a")
    with pytest.raises(
        ValueError, match=r"mine\.json has no token <\|endoftext\|>, </s>, .*; name its eos_token in the"
    ):
        described(text)
    with pytest.raises(ValueError, match=r"mine\.json has no token '<end>'; name its eos_token in the recipe"):
        described(text, eos_token="<end>")
    with pytest.raises(
        ValueError, match=r"has no token .*; name its bos_token in the recipe: tokenizer: \{…, bos_token"
    ):
        described(text, eos_token="a", bos=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": "1.0"}', "just text"])
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"mine\.json is not a tokenizers JSON file: "):
        described(text)


def test_a_tokenizer_that_the_hub_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> Tokenizer:
        raise Exception(f"cannot reach\n{name}")

    monkeypatch.setattr(tokenizers, "Tokenizer", type("Fake", (), {"from_pretrained": staticmethod(fails)}))
    with pytest.raises(
        ValueError, match="the tokenizer 'me/x' cannot be had from the hub: cannot reach me/x; check the"
    ):
        tokenizers.from_hub("me/x")
