"""Each kind of tokenizer through encoder, shards, commit and report: ids are those of `tokenizers`, and what the report
counts is what a plain count finds."""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer, normalizers

from pipeline.tokenized import quality
from pipeline.tokenized.engines.choice import choose
from pipeline.tokenized.tokenizer import TokenizerInfo, describe, open_tokenizer, train
from pipeline.tokenized.vocabulary import vocabulary
from tests.tokenized.encoded_corpus import check_conserved, encode, tokens_by_document, write
from tests.tokenized.tiny_tokenizers import TEXT, llama_like, unigram, word_piece

TEXTS = [
    "the quick brown fox",
    "",
    "over 漢字 and 🦊🦊",
    "The  QUICK\n\nfox ",
    "ab a b ab",
    "caf\u00e9 cafe\u0301 ﬁne",
    "</s> [SEP] <unk> <|endoftext|> [UNK] <0x41>",
    "\x00\t\ufffd\u200d",
    " ",
]


def byte_level(normalizer: normalizers.Normalizer | None) -> str:
    tokenizer = Tokenizer.from_str(train([TEXT] * 3, 300, bos=False))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return str(tokenizer.to_str())


def unigram_with_bytes() -> str:
    """As SentencePiece's with `byte_fallback`: a character without a token is its bytes."""
    fields = json.loads(unigram().to_str())
    fields["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
    fields["model"]["byte_fallback"] = True
    return json.dumps(fields | {"decoder": json.loads(llama_like().to_str())["decoder"]})


def dropped_bytes() -> str:
    """Byte fallback that lacks the bytes of 漢: where one is missing, "unknown" stands for the character."""
    fields = json.loads(llama_like().to_str())
    del fields["model"]["vocab"]["<0xE6>"]
    return json.dumps(fields)


KINDS: dict[str, Callable[[], str]] = {
    "byte-level": lambda: byte_level(None),
    "byte-level, NFC": lambda: byte_level(normalizers.NFC()),
    "byte-level, NFKC": lambda: byte_level(normalizers.NFKC()),
    "byte-level, lower case": lambda: byte_level(normalizers.Lowercase()),
    "SentencePiece BPE": lambda: str(llama_like().to_str()),
    "SentencePiece BPE, bytes missing": dropped_bytes,
    "Unigram": lambda: str(unigram().to_str()),
    "Unigram with bytes": unigram_with_bytes,
    "WordPiece": lambda: str(word_piece().to_str()),
}
RESPACED, LOST = "white_space", "characters"
VERDICTS: dict[str, list[str | None]] = {  # of each text; those of the other kinds all come back
    "SentencePiece BPE, bytes missing": [None, None, LOST, None, None, None, None, None, None],
    "Unigram": [None, None, LOST, LOST, None, LOST, LOST, LOST, RESPACED],
    "Unigram with bytes": [
        None,
        None,
        None,
        None,
        None,
        None,
        LOST,
        None,
        RESPACED,
    ],  # "<0x41>" is taken for a byte: "A"
    "WordPiece": [None, None, LOST, RESPACED, LOST, LOST, LOST, RESPACED, RESPACED],
}


@cache
def described(kind: str) -> tuple[TokenizerInfo, str]:
    """The tokenizer, and the engine that proves itself on it."""
    info = describe(KINDS[kind](), where=kind, eos_token=None, bos_token=None, bos=False)
    return info, choose(info.json_text).name


def plain_counts(info: TokenizerInfo) -> tuple[int, int, int]:
    """Tokens of all texts, those that are "unknown", and those that are single bytes, by their spelling."""
    encoder, spelling = open_tokenizer(info.json_text), Tokenizer.from_str(info.json_text)
    ids = [one for text in TEXTS for one in encoder.encode(text, add_special_tokens=False).ids]
    names = [spelling.id_to_token(one) for one in ids]
    n_single = sum(re.fullmatch("<0x[0-9A-F]{2}>", name) is not None for name in names)
    if "ByteLevel" in str(spelling.pre_tokenizer):
        n_single = sum(len(spelling.id_to_token(one)) == 1 and spelling.decode([one]) == "\ufffd" for one in ids)
    return len(ids), sum(name in ("<unk>", "[UNK]") for name in names), n_single


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_ids_and_counts_are_those_of_tokenizers(tmp_path: Path, kind: str) -> None:
    info, engine = described(kind)
    rows = encode(info, TEXTS, engine=engine, each=True)
    tokenizer = open_tokenizer(info.json_text)
    expected = [[*tokenizer.encode(text, add_special_tokens=False).ids, info.eos_id] for text in TEXTS]
    tokens, lengths = tokens_by_document(rows, info.dtype)
    assert lengths.tolist() == [len(ids) for ids in expected]
    assert tokens.tolist() == [one for ids in expected for one in ids]
    assert rows.column("difference").null_count == len(TEXTS)
    dataset = write(tmp_path, info, [rows.slice(0, 4), rows.slice(4)], 16, "concat", [info.eos_id])
    check_conserved(dataset, tokens, lengths, info.pad_id)
    known = vocabulary(info.json_text)
    found = quality.row(quality.of_datasets([dataset], known.size), known)
    assert (found.tokens, found.unknown_tokens, found.byte_tokens) == plain_counts(info)
    assert found.bytes == sum(len(text.encode()) for text in TEXTS)
    assert found.documents == found.checked == len(TEXTS)
    assert found.used_ids == len({one for ids in expected for one in ids[:-1]})
    assert found.vocabulary_ids == tokenizer.get_vocab_size()
    verdicts = rows.column("round_trip").to_pylist()
    kinds = [json.loads(verdict)["kind"] if verdict else None for verdict in verdicts]
    assert kinds == VERDICTS.get(kind, [None] * len(TEXTS))
    assert (found.changed, found.respaced) == (kinds.count(LOST), kinds.count(RESPACED))
    assert {example.doc_id for example in found.examples} == {
        name.hex() for name, verdict in zip(rows.column("doc_id").to_pylist(), kinds, strict=True) if verdict
    }
