import numpy as np
import pytest

from pipeline.tokenized.token_loops import scatter, usage


@pytest.mark.parametrize("wide", ["uint16", "uint32"])
@pytest.mark.parametrize("out", ["uint16", "uint32"])
def test_runs_go_to_their_places(wide: str, out: str) -> None:
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, 40, 50)
    order = rng.permutation(50)
    ends = np.cumsum(lengths[order])
    starts = np.empty(50, np.int64)
    starts[order] = ends - lengths[order]
    tokens = rng.integers(0, 2**16, int(lengths.sum())).astype(wide)
    tokens.flags.writeable = False  # as bytes that were read are
    runs = np.split(tokens, np.cumsum(lengths)[:-1])
    found = np.zeros(len(tokens), out)
    scatter(tokens, lengths, starts, found)
    assert found.tolist() == np.concatenate([runs[place] for place in order]).tolist()


def test_usage_counts_each_id() -> None:
    tokens = np.array([3, 0, 3, 2], np.uint16)
    assert usage(tokens, 5).tolist() == [1, 0, 1, 2, 0]
    assert usage(tokens[:0], 2).tolist() == [0, 0]
    with pytest.raises(ValueError, match="id 3 is not of a vocabulary of 3"):
        usage(tokens, 3)
