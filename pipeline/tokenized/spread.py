"""How much the tokens a byte differ from document to document: the sums from which the error of an estimate follows."""

import numpy as np
import numpy.typing as npt

SUMS = ("squared_bytes", "bytes_times_tokens", "squared_tokens")


def sums(n_bytes: npt.NDArray[np.int64], n_tokens: npt.NDArray[np.int64]) -> dict[str, int]:
    """Σb², Σbt and Σt² over documents of b bytes of text and t tokens (BOS and EOS included). Exact: Python's integers,
    since one document's square may be 10¹⁶."""
    of_bytes, of_tokens = n_bytes.tolist(), n_tokens.tolist()
    pairs = ((of_bytes, of_bytes), (of_bytes, of_tokens), (of_tokens, of_tokens))
    return {
        name: sum(left * right for left, right in zip(*pair, strict=True))
        for name, pair in zip(SUMS, pairs, strict=True)
    }
