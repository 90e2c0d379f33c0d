"""The tokenizer of a mix: trained on its text, or from a file or the hub; its ids, fingerprint and canary."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.tokenizer_id import tokenizer_fingerprint

TRAINED_EOS = "<|endoftext|>"
TRAINED_BOS = "<|startoftext|>"
KNOWN_EOS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|eos|>", "[SEP]")
KNOWN_BOS = ("<|startoftext|>", "<s>", "<|begin_of_text|>", "<bos>", "<|bos|>", "[CLS]")
KNOWN_PAD = ("<pad>", "<|pad|>", "[PAD]", "<|padding|>", "<|finetune_right_pad_id|>")
"""What pads a row under `best_fit` and `none`; a tokenizer without any of them is padded with EOS."""
CANARY = "The 3 quick brown foxes\n\tcan't jump — naïve Ünïcödé, 漢字かな, ไทย, 🦊👩‍👩‍👧 x += 0x1F; <|endoftext|>\r\n"
"""Its ids stand in the plan; another tokenizer, or another version that cuts text differently, gives other ids."""

UNSPELT = "\ufdd0" * 16 + "{}"
"""The name of a special token that texts must not spell: noncharacters (Unicode 23.7), which no text interchanges."""


@dataclass(frozen=True, kw_only=True)
class TokenizerInfo:
    """What the stages and the plan need to know of a tokenizer. `json_text` is its `tokenizers` JSON. With
    `specials_in_text` a special token spelt out in a document is that token, else it is text as any other."""

    json_text: str
    fingerprint: str
    vocab_size: int
    eos_id: int
    bos_id: int | None
    pad_id: int
    canary_ids: tuple[int, ...]
    specials_in_text: bool

    @property
    def encoding_json(self) -> str:
        """What engines are opened with: where special tokens are to be found in texts, they are ordinary added ones,
        which every engine finds; their ids stay."""
        if not self.specials_in_text:
            return self.json_text
        fields = json.loads(self.json_text)
        added = [token | {"special": False} for token in fields.get("added_tokens") or ()]
        return json.dumps(fields | {"added_tokens": added})

    @property
    def dtype(self) -> str:
        """The shards' dtype: uint16 where every id fits, else uint32."""
        return "uint16" if self.vocab_size <= 2**16 else "uint32"


def train(texts: Iterable[str], vocab_size: int, *, bos: bool) -> str:
    """A byte-level BPE (Sennrich et al. 2016; byte alphabet of GPT-2) of `vocab_size` ids as `tokenizers` JSON.

    Equal texts in the equal order give equal JSON.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[TRAINED_EOS, TRAINED_BOS] if bos else [TRAINED_EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str())


def from_hub(name: str) -> str:
    """The JSON of a tokenizer on the Hugging Face hub (or in its cache)."""
    try:
        return str(Tokenizer.from_pretrained(name).to_str())
    except Exception as error:  # the hub client raises anything, from network faults to missing files
        raise ValueError(
            f"the tokenizer {name!r} cannot be had from the hub: {' '.join(str(error).split())}; check the name and "
            "the network, or give its tokenizer.json as {file: …}"
        ) from error


def describe(
    json_text: str,
    *,
    where: str,
    eos_token: str | None,
    bos_token: str | None,
    bos: bool,
    specials_in_text: bool = False,
) -> TokenizerInfo:
    """Read a tokenizer's JSON. `ValueError` naming `where` if it is none, or if its special tokens cannot be told."""
    try:
        tokenizer, encoder = Tokenizer.from_str(json_text), open_tokenizer(json_text)
    except Exception as error:  # tokenizers raises bare Exception on bad JSON
        raise ValueError(f"{where} is not a tokenizers JSON file: {' '.join(str(error).split())}") from error
    eos_id = _special(tokenizer, where, "eos_token", eos_token, KNOWN_EOS)
    bos_id = _special(tokenizer, where, "bos_token", bos_token, KNOWN_BOS) if bos else None
    pad_id = next((found for token in KNOWN_PAD if (found := tokenizer.token_to_id(token)) is not None), None)
    return TokenizerInfo(
        json_text=json_text,
        fingerprint=tokenizer_fingerprint(json_text.encode()),
        vocab_size=max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
        eos_id=eos_id,
        bos_id=bos_id,
        pad_id=eos_id if pad_id is None else pad_id,
        canary_ids=tuple(encoder.encode(CANARY, add_special_tokens=False).ids),
        specials_in_text=specials_in_text,
    )


def open_tokenizer(json_text: str) -> Tokenizer:
    """A tokenizer that encodes text as text: special tokens spelt out in a document are cut like other words (a
    document cannot end itself), nothing is added, truncated or padded. It knows no special token by its name where the
    model would find that name in a text."""
    tokenizer = Tokenizer.from_str(_unspelt(json_text))
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unspelt(json_text: str) -> str:
    """The JSON, but the model's entries for special tokens have names that no text spells, where the model looks words
    up: Unigram finds `</s>` in a text as any other piece, whatever `encode_special_tokens` says. Ids stay.

    BPE reaches its entries by merges, and is left as it is.
    """
    fields: dict[str, Any] = json.loads(json_text)
    model, added = fields["model"], fields.get("added_tokens") or ()
    specials = {token["content"]: UNSPELT.format(token["id"]) for token in added if token["special"]}
    if model["type"] == "BPE":
        return json_text
    vocab = model["vocab"]
    if isinstance(vocab, list):
        vocab = [[specials.get(name, name), score] for name, score in vocab]
    else:
        vocab = {specials.get(name, name): number for name, number in vocab.items()}
    unknown = model.get("unk_token")
    changed = {"vocab": vocab} | ({"unk_token": specials.get(unknown, unknown)} if unknown else {})
    kept = [token for token in added if not token["special"]]
    return json.dumps(fields | {"model": model | changed, "added_tokens": kept})


def _special(tokenizer: Tokenizer, where: str, field: str, named: str | None, known: tuple[str, ...]) -> int:
    for token in (named,) if named is not None else known:
        token_id = tokenizer.token_to_id(token)
        if token_id is not None:
            return int(token_id)
    tried = repr(named) if named is not None else ", ".join(known)
    raise ValueError(f"{where} has no token {tried}; name its {field} in the recipe: tokenizer: {{…, {field}: …}}")
