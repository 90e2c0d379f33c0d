"""Where a long text may be cut so that the ids of the pieces are the ids of the text."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import Tokenizer

from pipeline.tokenized.engines.hard_texts import PIECES

PIECE_CHARACTERS = 2**18
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Cut at white space between two ASCII letters (`place`): before it, or, if `dropped`, leaving it out, as where a
    normalizer puts a space before whatever it is given (Llama 2). `spanning` finds tokens that such a cut would break,
    in any of the ways in which vocabularies write white space: as it is, by GPT-2's letters, as ▁."""

    place: re.Pattern[str]
    spanning: re.Pattern[str]
    dropped: bool

    def pieces(self, text: str, n_characters: int = PIECE_CHARACTERS) -> Iterator[str]:
        """The text in pieces of `n_characters` (1 or more) and what there is up to the next place; no place, no cut."""
        first = 0
        while found := self.place.search(text, first + n_characters):
            yield text[first : found.start()]
            first = found.end() if self.dropped else found.start()
        yield text[first:]


_SPACE = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")
_SPANS_SPACE = re.compile("[A-Za-z][ Ġ▁]")
CUTS = (
    Cut(place=re.compile(r"(?<=[A-Za-z])[ \n](?=[A-Za-z])"), spanning=re.compile("[A-Za-z][ \nĠĊ▁]"), dropped=False),
    Cut(place=_SPACE, spanning=_SPANS_SPACE, dropped=False),
    Cut(place=_SPACE, spanning=_SPANS_SPACE, dropped=True),
)


def proven_cut(tokenizer: Tokenizer) -> Cut | None:
    """The kind of cut that leaves this tokenizer's ids alone, if one does.

    No token spans it: no entry of the vocabulary has white space after a letter, so that no merge and no piece of a
    best path joins the sides. And normalizer and pre-tokenizer see each side as they see the whole: all pairs of
    letters, and `PIECES` on both sides, cut wherever they may be cut, have the ids of the uncut texts.
    """
    added = [token for token in json.loads(tokenizer.to_str())["added_tokens"] if not token["special"]]
    if any(token["lstrip"] or token["rstrip"] or token["single_word"] for token in added):
        return None  # such a token looks at what is beside it
    entries = list(tokenizer.get_vocab(with_added_tokens=True))
    return next((cut for cut in CUTS if _leaves_ids(tokenizer, entries, cut)), None)


def _leaves_ids(tokenizer: Tokenizer, entries: list[str], cut: Cut) -> bool:
    return not any(map(cut.spanning.search, entries)) and all(_same(tokenizer, cut, text) for text in _texts())


def _texts() -> Iterator[str]:
    for space in " \n":
        yield "".join(f"{left}{space}{right}." for left in LETTERS for right in LETTERS)
        for piece in PIECES:
            yield f"{piece}a{space}b{piece} x{piece}y{space}z {piece}{space}q{space}{piece}{space}I{space}'ll{space}I"


def _same(tokenizer: Tokenizer, cut: Cut, text: str) -> bool:
    pieces = tokenizer.encode_batch_fast(list(cut.pieces(text, 1)), add_special_tokens=False)
    whole: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return [one for piece in pieces for one in piece.ids] == whole
