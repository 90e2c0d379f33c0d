"""`gigatoken` (MIT, github.com/marcelroed/gigatoken): byte-level and SentencePiece-style BPE, over 100 MB/s a core."""

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import awkward
import gigatoken.gigatoken_rs as rust
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from awkward.contents import ListOffsetArray, NumpyArray
from awkward.index import Index64

from pipeline.tokenized.engines.engine import Encoded, utf8_buffers, without_specials

CACHED_TEXT_BYTES = 2**28
MOST_GROWN = 2**30
"""Version 0.10 keeps every word it has met; random letters grew it by 5 bytes a byte, prose by less than 1 in 50. So it
is opened anew after so much text where the process has grown by so much: that takes 0.05 s for a vocabulary of 16,000,
0.25 s for 65,000, and as long again until the common words are known."""


class GigatokenEngine:
    """Raises `RuntimeError` when opened with a tokenizer of a kind that it does not know.

    A text that is one word costs more than its share: 5, 20 and 50 MB of spaces took 1.8, 8.9 and 31 CPU seconds
    (0.36, 0.45 and 0.61 a MB) and 22 bytes a byte, 50 MB of one letter 2 seconds; 200 MB of prose 1.7 seconds and as
    much memory as its ids. `max_document_bytes` is the recipe's bound.
    """

    name = "gigatoken"

    def __init__(self, json_text: str) -> None:
        self._json_text = without_specials(json_text)
        self._before = _resident_bytes()  # once: what an engine gives back need not leave the process
        self._open()

    def encode(self, texts: pa.Array | Sequence[str]) -> Encoded:
        """See `Engine`. Texts go in and ids come out as one array and its offsets, without a Python object for each."""
        data, ends = utf8_buffers(texts)
        if self._n_bytes > CACHED_TEXT_BYTES and _resident_bytes() - self._before > MOST_GROWN:
            self._open()
        self._n_bytes += int(ends[-1] - ends[0])
        found = self._tokenizer.encode_batch(_strings(data, ends), parallel=False).layout
        offsets = np.asarray(found.offsets.data).astype(np.int64, copy=False)
        return Encoded(tokens=np.asarray(found.content.data)[offsets[0] : offsets[-1]], lengths=np.diff(offsets))

    def _open(self) -> None:
        self._tokenizer = rust.load_hf_json(self._json_text)
        self._n_bytes = 0


def _strings(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> awkward.Array:
    """Texts as `awkward` has them: bytes ends[i] … ends[i + 1] - 1 are text i."""
    characters = NumpyArray(data, parameters={"__array__": "char"})
    return awkward.Array(ListOffsetArray(Index64(ends), characters, parameters={"__array__": "string"}))


def _resident_bytes() -> int:
    """What this process holds of the machine's memory."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: the most that it has held, in bytes
