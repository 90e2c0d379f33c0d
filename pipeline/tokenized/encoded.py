"""Encoded documents on their way to the partition of their hash: BOS and EOS added, tokens as Arrow binaries."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]


def with_specials(tokens: Tokens, lengths: Int64s, *, bos_id: int | None, eos_id: int | None) -> tuple[Tokens, Int64s]:
    """Documents, given as their tokens one after the other and their `lengths` [n], with BOS before and EOS after each;
    None adds nothing. The dtype stays."""
    n_before, n_after = int(bos_id is not None), int(eos_id is not None)
    longer = lengths + n_before + n_after
    ends = np.cumsum(longer)
    out = np.empty(int(ends[-1]) if len(ends) else 0, tokens.dtype)
    is_text = np.ones(len(out), np.bool_)
    if bos_id is not None:
        out[ends - longer] = bos_id
        is_text[ends - longer] = False
    if eos_id is not None:
        out[ends - 1] = eos_id
        is_text[ends - 1] = False
    out[is_text] = tokens
    return out, longer


def as_binaries(tokens: Tokens, lengths: Int64s) -> pa.LargeBinaryArray:
    """The tokens of each document as little-endian bytes; not copied on little-endian machines."""
    little = np.ascontiguousarray(tokens.astype(tokens.dtype.newbyteorder("<"), copy=False))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64) * little.itemsize
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(little)]
    )
