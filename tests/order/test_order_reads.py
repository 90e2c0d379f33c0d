from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from pipeline.order import Order, OrderStage, block_range, rank_rows, samples
from pipeline.order.reads import Reads, predicted

F = Fraction
PERCENT = ("40", "20", "12", "8", "6", "5", "4", "3", "1.5", "0.5")


def _order(n_samples: dict[str, int], *stages: tuple[int | None, list[str]], block_samples: int = 64) -> Order:
    return Order(
        seed=17,
        block_samples=block_samples,
        chunk_samples=8,
        names=tuple(n_samples),
        n_samples=tuple(n_samples.values()),
        stages=tuple(OrderStage(until=until, weights=tuple(map(F, weights))) for until, weights in stages),
    )


STAGED = _order({"a": 500, "b": 37, "one": 1}, (150, ["0.6", "0.3", "0.1"]), (None, ["0.5", "0.5", "0"]))
SHARDS = [np.array(starts, dtype=np.int64) for starts in ([0, 3, 19, 400], [0, 30], [0])]


def _granule(order: Order, shards: list[list[int]], source: int, sample: int) -> tuple[int, int, int, int]:
    """Source, first sample of the shard, number in the shard, samples in it: granules of 4 samples."""
    borders = [*shards[source], order.n_samples[source]]
    first, last = next((low, high) for low, high in pairwise(borders) if low <= sample < high)
    number = (sample - first) // 4
    return source, first, number, min(4, last - first - 4 * number)


def _slow(
    order: Order, numbers: list[int], size: int, world_size: int, shards: list[list[int]], until: int = 2**62
) -> Reads:
    fetched = unique = requests = most = 0
    for block in numbers:
        first, last = block_range(order, block)
        last = min(last, until)
        per_rank: list[set[tuple[int, int, int, int]]] = [set() for _ in range(world_size)]
        for batch in range(first // size, (last - 1) // size + 1):
            for rank, seen in enumerate(per_rank):
                rows = rank_rows(order, batch * size, size, rank, world_size)
                for position, source, sample in zip(rows.position, rows.source, rows.sample, strict=True):
                    if first <= position < last:
                        seen.add(_granule(order, shards, int(source), int(sample)))
        held = [sum(granule[3] for granule in seen) for seen in per_rank]
        fetched, most = fetched + sum(held), max(most, *held)
        requests += sum((s, f, n - 1, 4) not in seen for seen in per_rank for s, f, n, _ in seen)
        before = samples(order, 0, first)
        drawn = [int((before.source == source).sum()) for source in range(len(order.names))]
        by_pass = set()
        block_rows = samples(order, first, last)
        for source, sample in zip(block_rows.source.tolist(), block_rows.sample.tolist(), strict=True):
            by_pass.add((drawn[source] // order.n_samples[source], _granule(order, shards, source, sample)))
            drawn[source] += 1
        unique += sum(granule[3] for _, granule in by_pass)
    return Reads(fetched_samples=fetched, unique_samples=unique, requests=requests, held_samples=most)


@pytest.mark.parametrize("world_size", [1, 3, 8, 50])
@pytest.mark.parametrize("size", [1, 7, 32, 100])
def test_the_reads_are_those_of_the_ranks_rows(size: int, world_size: int) -> None:
    shards = [starts.tolist() for starts in SHARDS]
    for numbers in ([0], [2], [1, 3]):  # block 2 is the last of its stage, of 22 positions
        assert predicted(STAGED, numbers, size, world_size, 4, SHARDS) == _slow(
            STAGED, numbers, size, world_size, shards
        )


def test_nothing_is_read_beyond_the_end_of_the_run() -> None:
    shards = [starts.tolist() for starts in SHARDS]
    assert predicted(STAGED, [0, 1], 20, 3, 4, SHARDS, until=100) == _slow(STAGED, [0, 1], 20, 3, shards, until=100)
    with pytest.raises(ValueError, match="the block from 128 on begins after the end of the run at 100"):
        predicted(STAGED, [2], 20, 3, 4, until=100)


@pytest.mark.parametrize(("ranks", "most"), [(8, 1.05), (48, 1.05), (64, 1.05), (512, 1.2)])
def test_ten_sources_are_read_hardly_more_than_once(ranks: int, most: float) -> None:
    """The bounds of the design: ten sources from 0.5 % to 40 % of 10⁹ rows of 4 KiB, granules of 8 rows."""
    order = Order(
        seed=17,
        block_samples=2**18,
        chunk_samples=256,
        names=tuple(f"s{i}" for i in range(10)),
        n_samples=tuple(int(F(percent) * 10**7) for percent in PERCENT),
        stages=(OrderStage(until=None, weights=tuple(map(F, PERCENT))),),
    )
    for rows_a_rank in (4, 5, 7, 31, 40):  # of block 0, of one that batches straddle at both ends, and a far one
        assert 1 <= predicted(order, [0, 100, 1907], rows_a_rank * ranks, ranks, 8).amplification <= most


def test_without_shards_a_source_is_one() -> None:
    whole = [np.zeros(1, dtype=np.int64)] * 3
    assert predicted(STAGED, [0, 1], 16, 4, 4) == predicted(STAGED, [0, 1], 16, 4, 4, whole)


def test_one_rank_fetches_what_there_is_once() -> None:
    order = _order({"a": 64}, (None, ["1"]))
    reads = predicted(order, [0], 8, 1, 4)
    assert reads == Reads(fetched_samples=64, unique_samples=64, requests=1, held_samples=64)
    assert reads.amplification == 1


def test_what_cannot_be_predicted_is_refused() -> None:
    for arguments in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="global_batch_size, world_size and granule_samples are at least 1"):
            predicted(STAGED, [0], *arguments)
