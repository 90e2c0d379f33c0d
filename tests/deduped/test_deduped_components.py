from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deduped.components import components
from tests.deduped.star_reference import large_star, small_star, star_components

Edges = npt.NDArray[np.int64]
Algorithm = Callable[[Edges], tuple[Edges, Edges]]
both = pytest.mark.parametrize("algorithm", [components, star_components])


def reference(edges: list[tuple[int, int]]) -> dict[int, int]:
    """Labels by spreading the smaller one over each edge until nothing changes."""
    labels = {vertex: vertex for edge in edges for vertex in edge}
    changed = True
    while changed:
        changed = False
        for left, right in edges:
            if labels[left] != labels[right]:
                labels[left] = labels[right] = min(labels[left], labels[right])
                changed = True
    return labels


def as_edges(edges: list[tuple[int, int]]) -> Edges:
    return np.array(edges, dtype=np.int64).reshape(-1, 2)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40)), max_size=60))
def test_both_algorithms_give_the_components_of_random_graphs(edges: list[tuple[int, int]]) -> None:
    expected = sorted(reference(edges).items())
    for algorithm in (components, star_components):
        vertices, labels = algorithm(as_edges(edges))
        assert list(zip(vertices.tolist(), labels.tolist(), strict=True)) == expected


@both
def test_no_edges(algorithm: Algorithm) -> None:
    vertices, labels = algorithm(as_edges([]))
    assert vertices.shape == labels.shape == (0,)


@both
def test_vertices_may_be_any_int64(algorithm: Algorithm) -> None:
    vertices, labels = algorithm(as_edges([(2**63 - 1, 7), (-(2**63), 5), (7, 2**62)]))
    assert vertices.tolist() == [-(2**63), 5, 7, 2**62, 2**63 - 1]
    assert labels.tolist() == [-(2**63), -(2**63), 7, 7, 7]


@both
def test_cliques_and_stars(algorithm: Algorithm) -> None:
    clique = [(i, j) for i in range(100, 160) for j in range(100, i)]
    star = [(999, i) for i in range(200, 900)]
    vertices, labels = algorithm(as_edges(clique + star))
    assert set(labels[vertices < 200].tolist()) == {100}
    assert set(labels[vertices >= 200].tolist()) == {200}


@both
@pytest.mark.parametrize("order", ["ascending", "random"])
def test_a_path_of_100_000(algorithm: Algorithm, order: str) -> None:
    n = 100_000
    vertices = np.arange(n) if order == "ascending" else np.random.default_rng(3).permutation(n)
    answer, labels = algorithm(np.column_stack((vertices[:-1], vertices[1:])))
    np.testing.assert_array_equal(answer, np.arange(n))
    assert not labels.any()


def test_a_path_is_a_star_after_logarithmically_many_rounds() -> None:
    stars = np.column_stack((np.arange(1023), np.arange(1, 1024)))
    for _ in range(12):
        stars = small_star(large_star(stars))
    assert stars.tolist() == [[0, i] for i in range(1, 1024)]


def test_large_star_moves_larger_neighbours_and_small_star_smaller_ones() -> None:
    edges = as_edges([(1, 5), (2, 5), (5, 7), (5, 9)])
    assert large_star(edges).tolist() == [[1, 5], [1, 7], [1, 9], [2, 5]]
    assert small_star(edges).tolist() == [[1, 2], [1, 5], [5, 7], [5, 9]]
