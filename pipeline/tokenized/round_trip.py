"""Whether texts come back from their ids: decode(encode(text)) against text, on documents sampled by hash.

Two texts are equal if they are the same characters after the tokenizer's own normaliser: what it does to every text
(lower case, NFC, the mark before the first word) is no failure. Compared is decode(ids of the text alone): BOS and EOS,
which the stage adds, are left out, and no id is skipped, so that "unknown" shows. What differs in white space only
(which WordPiece's words, and prefix spaces, do not keep) is told apart from what differs in its characters.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.document import order_hash
from pipeline.tokenized.vocabulary import SPACE_MARK

SAMPLE_KEY = "round trip"
SAMPLED = 1000  # one document of so many
MOST_CHARACTERS = 2**21
"""Texts that are longer, or have more ids, are not checked: decoding takes 60 to 90 bytes for each id, normalising 35
for each byte of the text (of U+FDFA, which NFKC makes 18 characters of, 350), and shorter ones fail as well."""
EXCERPT_CHARACTERS = 200
BEFORE = 60  # characters of an excerpt that stand before the first difference

Kind = Literal["white_space", "characters"]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How a text differs from what its ids decode to, both normalised: from character `at` on; `text` and `decoded`
    are the characters around it, at most `EXCERPT_CHARACTERS`."""

    kind: Kind
    at: int
    text: str
    decoded: str


class RoundTrip:
    """A tokenizer opened to decode. It is told the ids, whichever engine made them."""

    def __init__(self, json_text: str) -> None:
        self._tokenizer = Tokenizer.from_str(json_text)

    def difference(self, text: str, ids: Sequence[int]) -> Difference | None:
        """The difference between a text and its decoded `ids` (without BOS and EOS); None where they are equal."""
        decoded = self._tokenizer.decode(ids, skip_special_tokens=False)
        if decoded == text:
            return None
        text, decoded = self._normal(text), self._normal(decoded)
        if decoded == text:
            return None
        at = _first_difference(text, decoded)
        return Difference(
            kind="white_space" if _bare(text) == _bare(decoded) else "characters",
            at=at,
            text=_around(text, at),
            decoded=_around(decoded, at),
        )

    def verdicts(
        self,
        doc_ids: pa.Array,
        texts: pa.Array,
        tokens: npt.NDArray[np.unsignedinteger[Any]],
        lengths: Int64s,
        *,
        first: bool = False,
    ) -> pa.StringArray:
        """For each document null (not checked), "" (equal), or its `Difference` as JSON: a column that can travel with
        the document, so that it is counted once however often its task runs.

        `tokens` are those of the documents' texts one after the other, `lengths` [n] how many each has. Checked are the
        documents that the hash chooses, and with `first` the first one too, up to `MOST_CHARACTERS`.
        """
        chosen = order_hash(doc_ids, SAMPLE_KEY) < np.uint64(2**64 // SAMPLED)
        if first:
            chosen[:1] = True
        ends = np.cumsum(lengths)
        found: list[str | None] = [None] * len(texts)
        for place in np.flatnonzero(chosen).tolist():
            text = texts[place].as_py()
            if max(len(text), lengths[place]) <= MOST_CHARACTERS:
                ids = tokens[ends[place] - lengths[place] : ends[place]].tolist()
                difference = self.difference(text, ids)
                found[place] = json.dumps(asdict(difference)) if difference else ""
        return pa.array(found, pa.string())

    def _normal(self, text: str) -> str:
        normalizer = self._tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))


def _bare(text: str) -> str:
    return "".join(text.replace(SPACE_MARK, " ").split())


def _first_difference(one: str, other: str) -> int:
    """The first character in which two texts differ: the shorter one's length where it begins the other."""
    low, high = 0, min(len(one), len(other))  # the first `low` are equal
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _around(text: str, at: int) -> str:
    start = max(0, at - BEFORE)
    return text[start : start + EXCERPT_CHARACTERS]
