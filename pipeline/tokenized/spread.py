"""How much the tokens a byte differ from document to document: the sums from which the error of an estimate follows."""

import numpy as np
import numpy.typing as npt

SUMS = ("squared_bytes", "bytes_times_tokens", "squared_tokens")


def sums(n_bytes: npt.NDArray[np.int64], n_tokens: npt.NDArray[np.int64]) -> dict[str, int]:
    """Σb², Σbt and Σt² over documents of b bytes of text and t tokens (BOS and EOS included). Exact."""
    pairs = ((n_bytes, n_bytes), (n_bytes, n_tokens), (n_tokens, n_tokens))
    return {name: _dot(*pair) for name, pair in zip(SUMS, pairs, strict=True)}


def _dot(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> int:
    """Σ one · other of numbers from 0 on; one document's square may be 10¹⁶, so that 64 bits need not hold the sum."""
    if len(one) and int(one.max()) * int(other.max()) * len(one) >= 2**63:
        return sum(left * right for left, right in zip(one.tolist(), other.tolist(), strict=True))
    return int(one @ other)
