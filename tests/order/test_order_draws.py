import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order.draws import Draws, draws_of, samples_of, source_draws

SHAPES = [(1, 1), (1, 8), (7, 1), (7, 3), (8, 4), (31, 2), (255, 16), (256, 16), (257, 16), (5003, 1), (20_001, 4)]


@pytest.mark.parametrize(("n_samples", "chunk_samples"), SHAPES)
def test_each_pass_serves_every_sample_once(n_samples: int, chunk_samples: int) -> None:
    draws = Draws(key=11, n_samples=n_samples, chunk_samples=chunk_samples)
    for number in (0, 1, 2, 10**9):
        served = samples_of(draws, number * n_samples, (number + 1) * n_samples)
        assert served.dtype == np.int64
        np.testing.assert_array_equal(np.sort(served), np.arange(n_samples))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SHAPES), st.integers(0, 10**12), st.integers(1, 400), st.data())
def test_a_range_is_a_piece_of_its_whole_and_the_inverse_finds_each_draw(
    shape: tuple[int, int], first: int, length: int, data: st.DataObject
) -> None:
    draws = Draws(key=5, n_samples=shape[0], chunk_samples=shape[1])
    served = samples_of(draws, first, first + length)
    cut = data.draw(st.integers(0, length - 1))
    np.testing.assert_array_equal(samples_of(draws, first + cut, first + length), served[cut:])
    draw = first + cut
    assert draws_of(draws, int(served[cut]), np.array([draw // shape[0]])).tolist() == [draw]


def test_chunks_stay_together_and_the_short_one_comes_at_any_slot() -> None:
    draws = Draws(key=3, n_samples=11, chunk_samples=3)  # chunks 0-2, 3-5, 6-8, and the short one 9-10
    slots_of_short = set()
    for number in range(40):
        served = samples_of(draws, number * 11, (number + 1) * 11).tolist()
        chunks = []
        while served:
            size = 2 if served[0] == 9 else 3
            assert served[:size] == list(range(served[0], served[0] + size))
            chunks.append(served[0] // 3)
            served = served[size:]
        assert sorted(chunks) == [0, 1, 2, 3]
        slots_of_short.add(chunks.index(3))
    assert slots_of_short == {0, 1, 2, 3}


def test_passes_differ_and_so_do_sources_and_seeds() -> None:
    draws = source_draws(1, "c4", 500, 16)
    passes = [samples_of(draws, number * 500, (number + 1) * 500).tolist() for number in range(20)]
    others = [samples_of(source_draws(*other, 500, 16), 0, 500).tolist() for other in ((1, "c5"), (2, "c4"))]
    assert len(set(map(tuple, passes + others))) == 22


def test_a_source_of_few_chunks_is_cut_finer() -> None:
    assert source_draws(1, "a", 10**6, 256).chunk_samples == 256
    assert source_draws(1, "a", 4096, 256).chunk_samples == 256
    assert source_draws(1, "a", 4095, 256).chunk_samples == 255
    assert source_draws(1, "a", 100, 256).chunk_samples == 6
    assert [source_draws(1, "a", n, 256).chunk_samples for n in (1, 16, 31, 32)] == [1, 1, 1, 2]


def test_draws_are_frozen() -> None:
    assert samples_of(source_draws(17, "c4", 50, 256), 0, 12).tolist() == [
        36,
        37,
        38,
        42,
        43,
        44,
        18,
        19,
        20,
        27,
        28,
        29,
    ]
    assert samples_of(source_draws(17, "c4", 10**12, 1), 10**13, 10**13 + 3).tolist() == [
        109510332813,
        846082341857,
        376160406450,
    ]
