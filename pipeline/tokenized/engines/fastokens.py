"""`fastokens` (Apache 2.0, github.com/crusoecloud/fastokens): BPE with pre-tokenizers that `gigatoken` does not know,
single digits among them."""

import os
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from pipeline.tokenized.engines.engine import Encoded, strings, without_specials
from pipeline.tokenized.engines.reference import TokenizersEngine

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # read when its pool of threads starts, at the first batch
import fastokens._native as rust


class FastokensEngine:
    """Raises `ValueError` when opened with a tokenizer of a kind that it does not know.

    Version 0.3 refuses texts on which its regular expressions run out of stack, such as a million spaces. Those are
    encoded by `tokenizers`, whose ids are the right ones whichever engine is taken.
    """

    name = "fastokens"

    def __init__(self, json_text: str) -> None:
        self._json_text = json_text
        self._tokenizer = rust.Tokenizer.from_json_str(without_specials(json_text))

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        """See `Engine`."""
        given = strings(texts)
        try:
            return self._batch(given)
        except ValueError:  # which of the texts it is, it does not say
            return Encoded.of([self._one(text).tokens for text in given])

    @cached_property
    def _reference(self) -> TokenizersEngine:
        return TokenizersEngine(self._json_text)

    def _one(self, text: str) -> Encoded:
        try:
            return self._batch([text])
        except ValueError:
            return self._reference.encode([text])

    def _batch(self, texts: Sequence[str]) -> Encoded:
        ids, offsets = self._tokenizer.encode_batch_flat(texts)
        bounds = np.frombuffer(offsets, "<u8").astype(np.int64)
        return Encoded(tokens=np.frombuffer(ids, "<u4"), lengths=np.diff(bounds))
