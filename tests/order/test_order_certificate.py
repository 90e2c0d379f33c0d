from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.order import (
    CHAIN_START,
    Order,
    OrderStage,
    Rows,
    batch_rows,
    block_hash,
    chain,
    rank_rows,
    rows_hash,
)

F = Fraction
ORDER = Order(
    seed=17,
    block_samples=32,
    chunk_samples=4,
    names=("a", "b"),
    n_samples=(100, 200),
    stages=(OrderStage(until=None, weights=(F(1), F(2))),),
)


def test_the_hash_is_that_of_what_the_ranks_were_served() -> None:
    for world_size in (1, 3, 5):
        parts = [
            rank_rows(ORDER, first, 8, rank, world_size) for first in range(32, 64, 8) for rank in range(world_size)
        ]
        rows = Rows(
            position=np.concatenate([part.position for part in parts]),
            source=np.concatenate([part.source for part in parts]),
            sample=np.concatenate([part.sample for part in parts]),
        )
        assert rows_hash(ORDER, 1, rows, ["x", "y"]) == block_hash(ORDER, 1, ["x", "y"])


def test_the_hash_changes_with_all_that_it_covers() -> None:
    rows = batch_rows(ORDER, 0, 32)
    swapped = rows.sample[[1, 0, *range(2, 32)]]
    hashes = {
        block_hash(ORDER, 0, ["x", "y"]),
        block_hash(ORDER, 1, ["x", "y"]),
        block_hash(ORDER, 0, ["x", "z"]),
        block_hash(replace(ORDER, seed=18), 0, ["x", "y"]),
        block_hash(replace(ORDER, names=("a", "c")), 0, ["x", "y"]),
        block_hash(replace(ORDER, n_samples=(160, 200)), 0, ["x", "y"]),
        rows_hash(ORDER, 0, replace(rows, sample=swapped), ["x", "y"]),
        rows_hash(ORDER, 0, replace(rows, source=(1 - rows.source).astype(np.int16)), ["x", "y"]),
    }
    assert len(hashes) == 8


def test_the_hash_does_not_depend_on_the_listing_of_the_sources() -> None:
    stages = (OrderStage(until=None, weights=(F(2), F(1))),)
    other = replace(ORDER, names=("b", "a"), n_samples=(200, 100), stages=stages)
    assert block_hash(other, 3, ["y", "x"]) == block_hash(ORDER, 3, ["x", "y"])


def test_rows_that_are_not_the_block_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not block 0, whose positions are \[0, 32\)"):
        rows_hash(ORDER, 0, batch_rows(ORDER, 0, 31), ["x", "y"])
    with pytest.raises(ValueError, match="2 sources but 1 fingerprints"):
        block_hash(ORDER, 0, ["x"])


def test_the_chain_tells_the_order_of_the_blocks() -> None:
    one, two = block_hash(ORDER, 0, ["x", "y"]), block_hash(ORDER, 1, ["x", "y"])
    assert chain(chain(CHAIN_START, one), two) != chain(chain(CHAIN_START, two), one)


def test_certificates_are_frozen() -> None:
    served = block_hash(ORDER, 0, ["x", "y"])
    assert (served, chain(CHAIN_START, served)) == (
        "143bac89e0f6888fac7bed62d8087661",
        "a5a1e6b645d3856eaff0963a4cfc665d",
    )
