import numpy as np
import pytest

from pipeline.tokenized.encoded import as_binaries, with_specials
from pipeline.tokenized.shards import documents_of

TOKENS, LENGTHS = np.array([1, 2, 3, 4, 5], np.uint16), np.array([2, 0, 3])


@pytest.mark.parametrize(
    ("bos_id", "eos_id", "tokens", "lengths"),
    [
        (None, None, [1, 2, 3, 4, 5], [2, 0, 3]),
        (None, 9, [1, 2, 9, 9, 3, 4, 5, 9], [3, 1, 4]),
        (8, None, [8, 1, 2, 8, 8, 3, 4, 5], [3, 1, 4]),
        (8, 9, [8, 1, 2, 9, 8, 9, 8, 3, 4, 5, 9], [4, 2, 5]),
        (0, 0, [0, 1, 2, 0, 0, 0, 0, 3, 4, 5, 0], [4, 2, 5]),
    ],
)
def test_specials_stand_around_each_document(
    bos_id: int | None, eos_id: int | None, tokens: list[int], lengths: list[int]
) -> None:
    found, longer = with_specials(TOKENS, LENGTHS, bos_id=bos_id, eos_id=eos_id)
    assert (found.tolist(), longer.tolist(), str(found.dtype)) == (tokens, lengths, "uint16")


def test_no_document_has_no_specials() -> None:
    found, longer = with_specials(TOKENS[:0], LENGTHS[:0], bos_id=1, eos_id=2)
    assert (len(found), len(longer)) == (0, 0)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_binaries_there_and_back(dtype: str) -> None:
    binaries = as_binaries(TOKENS.astype(dtype), LENGTHS)
    assert [len(value) // np.dtype(dtype).itemsize for value in binaries.to_pylist()] == [2, 0, 3]
    documents = documents_of(binaries[1:], binaries[1:], dtype)
    assert (documents.tokens.tolist(), documents.lengths.tolist()) == ([3, 4, 5], [0, 3])
    assert as_binaries(TOKENS.byteswap().view(TOKENS.dtype.newbyteorder()), LENGTHS) == as_binaries(TOKENS, LENGTHS)
