"""Arrow strings as the compiled passes read them: one byte array and the documents' offsets, no copy of the text."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# The passes keep about two bytes of scratch for each byte of text, so a slice bounds memory whatever the batch is.
SLICE_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Documents as UTF-8: document d is `data[offsets[d]:offsets[d + 1]]`.

    `data` uint8, read-only, C-contiguous; `offsets` int64 [n_documents + 1], ascending.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    @property
    def n_documents(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_bytes(self) -> npt.NDArray[np.int64]:
        """Bytes of each document, int64 [n_documents]."""
        return np.diff(self.offsets)

    def max_parts(self) -> int:
        """No text of n bytes has more than n // 2 + 1 words, lines or paragraphs: two always have a separator between
        them, or the second starts with a letter of at least 3 bytes or follows one. Summed over the documents."""
        return int((self.n_bytes // 2 + 1).sum())


def slices(texts: pa.Array | pa.ChunkedArray) -> Iterator[Texts]:
    """The documents in order, as runs of whole documents of at most `SLICE_BYTES` (a longer document is its own run).

    `ValueError` if `texts` is not string or large_string, or holds nulls.
    """
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise ValueError(f"texts are {texts.type}; signals are measured on string or large_string: cast them first")
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null; documents without text go to quarantine")
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    for chunk in chunks:
        if len(chunk):
            yield from _cut(_view(chunk))


def _view(array: pa.Array) -> Texts:
    _, offset_buffer, data_buffer = array.buffers()
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    offsets = np.frombuffer(offset_buffer, dtype=width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    data = np.empty(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, dtype=np.uint8)
    data = data.view()
    data.flags.writeable = False
    return Texts(data=data, offsets=offsets)


def _cut(texts: Texts) -> Iterator[Texts]:
    first = 0
    while first < texts.n_documents:
        last = int(np.searchsorted(texts.offsets, texts.offsets[first] + SLICE_BYTES, side="right")) - 1
        last = max(first + 1, min(last, texts.n_documents))
        yield Texts(data=texts.data, offsets=texts.offsets[first : last + 1])
        first = last
