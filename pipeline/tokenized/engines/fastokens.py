"""`fastokens` (Apache 2.0, github.com/crusoecloud/fastokens): BPE with pre-tokenizers that `gigatoken` does not know,
single digits among them."""

import os
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.tokenized.engines.engine import Encoded, strings, without_specials

os.environ.setdefault("RAYON_NUM_THREADS", "1")  # read when its pool of threads starts, at the first batch
import fastokens._native as rust


class FastokensEngine:
    """Raises `ValueError` when opened with a tokenizer of a kind that it does not know."""

    name = "fastokens"

    def __init__(self, json_text: str) -> None:
        self._tokenizer = rust.Tokenizer.from_json_str(without_specials(json_text))

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        """See `Engine`."""
        ids, offsets = self._tokenizer.encode_batch_flat(strings(texts))
        bounds = np.frombuffer(offsets, "<u8").astype(np.int64)
        return Encoded(tokens=np.frombuffer(ids, "<u4"), lengths=np.diff(bounds))
