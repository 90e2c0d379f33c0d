"""What the ids of a tokenizer stand for: their bytes, which of them means "unknown", and which are bare bytes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SPACE_MARK = "▁"  # U+2581, which stands for a space in SentencePiece's vocabularies (Kudo and Richardson 2018)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """`size`: the largest id + 1. `tokens`: id → the bytes of text that it stands for; of ids without a token nothing.

    `unknown_id`: what stands for characters that cannot be encoded (None: there is none). `byte_ids`: what stands for
    single bytes of characters that have no token: `<0x00>` … `<0xFF>` of a model with byte fallback; of a byte-level
    model the bytes 0x80 … 0xFF, which are never a character.
    """

    size: int
    tokens: Mapping[int, bytes]
    unknown_id: int | None
    byte_ids: frozenset[int]


def vocabulary(json_text: str) -> Vocabulary:
    """The vocabulary of a tokenizer's `tokenizers` JSON: BPE, Unigram, WordPiece or WordLevel, byte-level or not."""
    fields = json.loads(json_text)
    model = fields["model"]
    added = {token["id"]: token["content"] for token in fields.get("added_tokens") or ()}
    names = _names(model)
    is_byte_level = _has_byte_level(fields)
    tokens = {number: _bytes(name, fields, is_byte_level) for number, name in names.items()}
    tokens |= {number: content.encode() for number, content in added.items()}
    fallback = _fallback_ids(names) if model.get("byte_fallback") else {}
    tokens |= {number: bytes([byte]) for number, byte in fallback.items()}
    if is_byte_level:
        fallback = {number: token[0] for number, token in tokens.items() if len(token) == 1 and token[0] >= 0x80}
    return Vocabulary(
        size=max(tokens, default=-1) + 1,
        tokens=tokens,
        unknown_id=_unknown_id(model, names | added),
        byte_ids=frozenset(fallback),
    )


def _names(model: Mapping[str, Any]) -> dict[int, str]:
    """id → token as the model spells it. Only Unigram's vocabulary is a list of (token, score)."""
    vocab = model["vocab"]
    if isinstance(vocab, list):
        return {number: name for number, (name, _) in enumerate(vocab)}
    return {number: name for name, number in vocab.items()}


def _unknown_id(model: Mapping[str, Any], names: Mapping[int, str]) -> int | None:
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    unknown = model.get("unk_token")
    return next((number for number, name in names.items() if name == unknown), None)


def _has_byte_level(fields: Mapping[str, Any]) -> bool:
    """Whether the text's bytes are spelt as 256 characters before the model sees them."""
    return any(
        part.get("type") == "ByteLevel" for key in ("normalizer", "pre_tokenizer") for part in _parts(fields[key])
    )


def _parts(part: Any) -> Iterator[Mapping[str, Any]]:
    """The parts of a normaliser, pre-tokeniser or decoder, also those in sequences."""
    if part is None:
        return
    yield part
    for key in ("normalizers", "pretokenizers", "decoders"):
        for inner in part.get(key) or ():
            yield from _parts(inner)


def _bytes(name: str, fields: Mapping[str, Any], is_byte_level: bool) -> bytes:
    """The bytes of a model's token. A token with characters that the byte alphabet lacks is taken as it is spelt."""
    if is_byte_level:
        return bytes(map(BYTE_OF.__getitem__, name)) if all(char in BYTE_OF for char in name) else name.encode()
    model = fields["model"]
    if model["type"] == "WordPiece":
        return name.removeprefix(model["continuing_subword_prefix"]).encode()
    if suffix := model.get("end_of_word_suffix"):
        name = name.removesuffix(suffix)
    marked = any(SPACE_MARK in map(str, _strings(part)) for part in _parts(fields["decoder"]))
    return name.replace(SPACE_MARK, " ").encode() if marked else name.encode()


def _strings(part: Mapping[str, Any]) -> Iterator[Any]:
    """What a decoder (Metaspace, Replace) replaces."""
    yield part.get("replacement")
    pattern = part.get("pattern")
    yield pattern.get("String") if isinstance(pattern, Mapping) else pattern


def _fallback_ids(names: Mapping[int, str]) -> dict[int, int]:
    spelt = {f"<0x{byte:02X}>": byte for byte in range(256)}
    return {number: spelt[name] for number, name in names.items() if name in spelt}


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes (Radford et al. 2019, `bytes_to_unicode`): printable characters of Latin-1 stand for
    themselves, the other bytes, in order, for U+0100 and what follows."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


BYTE_OF = _byte_alphabet()
