"""`tokenizers` (Apache 2.0, Hugging Face): every kind of tokenizer; its ids are the right ones."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.tokenized.engines.engine import Encoded, strings
from pipeline.tokenized.engines.pieces import PIECE_CHARACTERS, Cut, proven_cut
from pipeline.tokenized.tokenizer import open_tokenizer

BATCH_CHARACTERS = 2**20
"""What is handed over at once: `tokenizers` holds about 120 bytes for each byte of it (6 GB for 50 MB)."""


class TokenizersEngine:
    """Long texts are encoded in pieces where that provably gives the same ids (see `pieces`), whole elsewhere.

    Nothing bounds what a text without such places takes: 20 MB of only spaces, one letter or emoji took 8 to 20 CPU
    seconds and 1.7 to 2.6 GB (a little more than linear in the length: merges are kept in a heap); 200 MB of prose,
    cut, 90 CPU seconds and 1 GB, most of it the text and its ids. `max_document_bytes` is the recipe's bound.
    """

    name = "tokenizers"

    def __init__(self, json_text: str) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        self._tokenizer = open_tokenizer(json_text)

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        """See `Engine`."""
        documents: list[npt.NDArray[np.uint32]] = []
        short: list[str] = []
        n_characters = 0
        for text in strings(texts):
            if len(text) > 2 * PIECE_CHARACTERS and self._cut:
                documents += [*self._ids(short), self._long(text, self._cut)]
                short, n_characters = [], 0
                continue
            short.append(text)
            n_characters += len(text)
            if n_characters >= BATCH_CHARACTERS:
                documents += self._ids(short)
                short, n_characters = [], 0
        return Encoded.of([*documents, *self._ids(short)])

    @cached_property
    def _cut(self) -> Cut | None:
        return proven_cut(self._tokenizer)

    def _long(self, text: str, cut: Cut) -> npt.NDArray[np.uint32]:
        return np.concatenate([ids for piece in cut.pieces(text) for ids in self._ids([piece])])

    def _ids(self, texts: Iterable[str]) -> Iterator[npt.NDArray[np.uint32]]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return (np.array(encoding.ids, np.uint32) for encoding in encodings)
