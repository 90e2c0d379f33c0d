from fractions import Fraction
from time import process_time

import numpy as np
import pytest

from pipeline.order import Order, OrderStage, positions_of, samples, served

F = Fraction


def _order(n_samples: tuple[int, ...], *stages: tuple[int | None, tuple[Fraction, ...]], block_samples: int) -> Order:
    return Order(
        seed=4,
        block_samples=block_samples,
        chunk_samples=4,
        names=tuple("abcd"[: len(n_samples)]),
        n_samples=n_samples,
        stages=tuple(OrderStage(until=until, weights=weights) for until, weights in stages),
    )


SMALL = _order(
    (1, 13, 64, 200),
    (90, (F("0.1"), F("0.2"), F("0.3"), F("0.4"))),
    (150, (F(0), F(1), F(0), F(1))),
    (None, (F(1), F(2), F(3), F(4))),
    block_samples=32,
)


@pytest.mark.parametrize(("source", "sample"), [(0, 0), (1, 0), (1, 12), (2, 5), (2, 63), (3, 0), (3, 199)])
def test_positions_are_those_that_a_walk_finds(source: int, sample: int) -> None:
    rows = samples(SMALL, 0, 3000)
    walked = np.flatnonzero((rows.source == source) & (rows.sample == sample)).tolist()
    n_passes = np.count_nonzero(rows.source == source) // SMALL.n_samples[source]
    found = positions_of(SMALL, source, sample, n_passes)
    assert found.dtype == np.int64
    assert found.tolist() == walked[:n_passes]
    assert positions_of(SMALL, source, sample, 2, first_pass=3).tolist() == walked[3:5]
    assert positions_of(SMALL, source, sample, 0).tolist() == []


@pytest.mark.parametrize("before", [0, 1, 31, 32, 700, 3000])
@pytest.mark.parametrize(
    ("source", "wanted"), [(0, [0]), (1, [0, 12]), (2, [5, 63]), (3, [0, 199]), (3, list(range(150))), (2, [])]
)
def test_what_is_served_before_a_position_is_what_a_walk_finds(source: int, wanted: list[int], before: int) -> None:
    rows = samples(SMALL, 0, 3000)
    hits = np.flatnonzero((rows.source == source) & np.isin(rows.sample, wanted))
    hits = hits[hits < before]
    every = served(SMALL, {0: np.array([0]), source: np.array(wanted, dtype=np.int64)}, before)
    positions, found = every[source]
    assert positions.tolist() == hits.tolist()
    assert found.tolist() == rows.sample[hits].tolist()
    assert source == 0 or every[0][0].tolist() == np.flatnonzero(rows.source[:before] == 0).tolist()


def test_few_samples_of_a_long_run_are_found_without_walking() -> None:
    order = _order((10**12, 10**9), (None, (F("0.9"), F("0.1"))), block_samples=4096)
    wanted = np.array([5, 123_456_789_012], dtype=np.int64)
    start = process_time()
    positions, found = served(order, {0: wanted}, 10**12)[0]
    assert process_time() - start < 0.9
    both = sorted((int(positions_of(order, 0, sample, 1)[0]), sample) for sample in wanted.tolist())
    assert list(zip(positions.tolist(), found.tolist(), strict=True)) == [pair for pair in both if pair[0] < 10**12]


def test_many_passes_in_one_block() -> None:
    order = _order((3, 40), (None, (F(1), F(1))), block_samples=1024)
    rows = samples(order, 0, 2048)
    walked = np.flatnonzero((rows.source == 0) & (rows.sample == 2)).tolist()
    assert positions_of(order, 0, 2, 250).tolist() == walked[:250]
    assert positions_of(order, 0, 2, 3, first_pass=200).tolist() == walked[200:203]


def test_a_source_that_ends_is_not_found_beyond() -> None:
    order = _order((10, 10), (50, (F(1), F(1))), (None, (F(0), F(1))), block_samples=16)
    rows = samples(order, 0, 50)
    for sample in range(10):
        walked = np.flatnonzero((rows.source == 0) & (rows.sample == sample)).tolist()
        assert positions_of(order, 0, sample, 9).tolist() == walked
    assert positions_of(_order((5, 5), (None, (F(0), F(1))), block_samples=8), 0, 3, 1).tolist() == []


def test_a_pass_of_a_huge_source_is_found_without_walking() -> None:
    order = _order((10**12, 10**9), (None, (F("0.9"), F("0.1"))), block_samples=4096)
    start = process_time()
    positions = positions_of(order, 0, 123_456_789_012, 3)
    assert process_time() - start < 0.9
    assert [int(0.9 * position) // 10**12 for position in positions.tolist()] == [0, 1, 2]
    for position in positions.tolist():
        rows = samples(order, position, position + 1)
        assert (rows.source.tolist(), rows.sample.tolist()) == ([0], [123_456_789_012])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 0, 1), "source 4 does not exist; the sources are 0 … 3"),
        ((-1, 0, 1), "source -1 does not exist"),
        ((1, 13, 1), "'b' has the samples 0 … 12, not 13"),
    ],
)
def test_what_does_not_exist_is_refused(arguments: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        positions_of(SMALL, *arguments)
    with pytest.raises(ValueError, match="first_pass is -1"):
        positions_of(SMALL, 0, 0, 1, first_pass=-1)
