"""Loops over tokens, compiled: what numpy does only with an index for each token (10 ns; a copy takes 0.3)."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Int64s = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.unsignedinteger[Any]]


@njit(cache=True, nogil=True)
def scatter(tokens: Tokens, lengths: Int64s, starts: Int64s, out: Tokens) -> None:
    """Copy runs of tokens, which follow each other in `tokens`, `lengths` [n] each, to out[starts[i]:] each. Ids that
    `out`'s dtype does not hold are cut: whoever calls has chosen it for the vocabulary."""
    at = np.uint64(0)
    for run in range(len(lengths)):
        start, length = np.uint64(starts[run]), np.uint64(lengths[run])
        for place in range(length):  # unsigned: numba looks at no sign, and the loop is taken 16 tokens at a time
            out[start + np.uint64(place)] = tokens[at + np.uint64(place)]
        at += length


def usage(tokens: Tokens, size: int) -> Int64s:
    """How often each id below `size` stands in the tokens, int64 [size]; `ValueError` at one that is not below."""
    if len(tokens) and int(tokens.max()) >= size:
        raise ValueError(f"id {tokens.max()} is not of a vocabulary of {size}")
    found = np.zeros(size, np.int64)
    _count(tokens, found)
    return found


@njit(cache=True, nogil=True)
def _count(tokens: Tokens, found: Int64s) -> None:
    for token in tokens:
        found[token] += 1
