"""What every engine does: texts in, token ids out; and where two engines differ."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

WINDOW_TOKENS = 8  # ids shown before and after the first that differ
SHOWN_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """`tokens` uint32 [n_tokens], document after document, without BOS and EOS; `lengths` int64 [n_documents]."""

    tokens: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, documents: Sequence[npt.NDArray[np.uint32]]) -> "Encoded":
        """Of one array of ids a document; a single document's array is not copied."""
        lengths = np.fromiter(map(len, documents), np.int64, len(documents))
        if len(documents) == 1:
            return cls(tokens=documents[0], lengths=lengths)
        return cls(tokens=np.concatenate(documents) if documents else np.empty(0, np.uint32), lengths=lengths)

    def documents(self) -> list[npt.NDArray[np.uint32]]:
        """Each document's ids, as views."""
        ends = np.cumsum(self.lengths).tolist()
        return [self.tokens[end - length : end] for end, length in zip(ends, self.lengths.tolist(), strict=True)]


class Engine(Protocol):
    """A tokenizer opened in one thread. Special tokens spelt out in a text are encoded as text, nothing is added."""

    name: str

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        """The ids of texts: an Arrow array of strings without nulls, or strings."""
        ...


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first id that is not the reference's: of text `text`, at `position` of its ids; some ids of both around it,
    and at most 500 characters of the text around it."""

    text: int
    position: int
    ids: tuple[int, ...]
    reference_ids: tuple[int, ...]
    around: str

    @property
    def told(self) -> str:
        """The difference in words, without the text's number."""
        ids, reference = list(self.ids), list(self.reference_ids)
        return f"token {self.position}: {ids} instead of {reference}, in {self.around!r}"

    def __str__(self) -> str:
        return f"text {self.text}, {self.told}"


def first_difference(texts: pa.Array | Sequence[str], encoded: Encoded, reference: Encoded) -> Difference | None:
    """Where an engine's ids first leave the reference's, if anywhere."""
    if len(encoded.lengths) != len(reference.lengths):
        n, of = len(encoded.lengths), len(reference.lengths)
        raise ValueError(f"{n} documents are compared with {of}; an engine gives one row of ids a text")
    pairs = zip(encoded.documents(), reference.documents(), strict=True)
    for number, (ids, right) in enumerate(pairs):
        if not np.array_equal(ids, right):
            shared = min(len(ids), len(right))
            unequal = np.flatnonzero(ids[:shared] != right[:shared])
            position = int(unequal[0]) if len(unequal) else shared
            window = slice(max(0, position - WINDOW_TOKENS), position + WINDOW_TOKENS)
            return Difference(
                text=number,
                position=position,
                ids=tuple(ids[window].tolist()),
                reference_ids=tuple(right[window].tolist()),
                around=_around(str(texts[number]), position / max(1, len(right))),
            )
    return None


def strings(texts: pa.Array | Sequence[str]) -> list[str]:
    """The texts as Python strings; `ValueError` at a null."""
    if not isinstance(texts, pa.Array):
        return list(texts)
    _check_no_null(texts)
    found: list[str] = texts.to_pylist()
    return found


def utf8_buffers(texts: pa.Array | Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The texts' UTF-8, one after the other, and int64 [n + 1]: where each begins, and the end of the last. Arrow's own
    bytes, not copied; `ValueError` at a null."""
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
    _check_no_null(array)
    wide = array.cast(pa.large_binary())
    ends = np.frombuffer(wide.buffers()[1] or bytes(8), np.int64)[wide.offset : wide.offset + len(wide) + 1]
    return np.frombuffer(wide.buffers()[2] or b"", np.uint8), ends


def without_specials(json_text: str) -> str:
    """A tokenizer's JSON for an engine that would cut special tokens out of a text: those are left out, and what adds
    tokens, cuts or pads. Added tokens that are not special stay: `tokenizers` finds them in a text."""
    tokenizer: dict[str, Any] = json.loads(json_text)
    added: Iterable[dict[str, Any]] = tokenizer.get("added_tokens") or ()
    kept = [token for token in added if not token.get("special")]
    return json.dumps(tokenizer | {"added_tokens": kept, "post_processor": None, "truncation": None, "padding": None})


def _check_no_null(texts: pa.Array) -> None:
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null; leave them out before they are encoded")


def _around(text: str, share: float) -> str:
    """Ids are not offsets: the place is estimated from the share of the ids before it. A short text is shown whole."""
    first = max(0, min(int(share * len(text)) - SHOWN_CHARACTERS // 2, len(text) - SHOWN_CHARACTERS))
    return text[first : first + SHOWN_CHARACTERS]
