"""Connected components of the graph of verified pairs: in memory, and in rounds that can be done on tables.

Both take edges as int64 [m, 2] over any vertex numbers, in any order, repeated or not, and answer alike: the vertices
that have an edge, ascending, and the smallest vertex of each one's component.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.deduped.pairs import unique_pairs


def components(edges: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Vertices (int64 [v], ascending) and labels (int64 [v]): the smallest vertex of each one's component.

    Union-find with path halving, where the smaller root wins: O(m log v) at worst (Tarjan and van Leeuwen, "Worst-case
    Analysis of Set Union Algorithms", 1984).
    """
    vertices, places = np.unique(edges, return_inverse=True)
    parents = np.arange(len(vertices), dtype=np.int64)
    _unite(places.reshape(-1, 2).astype(np.int64), parents)
    return vertices, vertices[parents]


def star_components(edges: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The answer of `components`, by alternating large-star and small-star: the reference for rounds on tables.

    Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected Components in MapReduce and Beyond" (SoCC 2014),
    the alternating algorithm. A vertex's component is its own star when a round changes nothing.
    """
    vertices = np.unique(edges)
    stars = unique_pairs(edges)
    while not np.array_equal(stars, following := small_star(large_star(stars))):
        stars = following
    labels = vertices.copy()
    labels[np.searchsorted(vertices, stars[:, 1])] = stars[:, 0]
    return vertices, labels


def large_star(edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each vertex links its larger neighbours to the smallest of its neighbours and itself.

    Edges in and out: int64 [m, 2], each once, smaller vertex first, ascending. The components stay.
    """
    centre, neighbour = np.concatenate((edges, edges[:, ::-1])).T
    smallest = _smallest_neighbour(centre, neighbour)
    larger = neighbour > centre
    return unique_pairs(np.column_stack((smallest[larger], neighbour[larger])))


def small_star(edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each vertex links itself and its smaller neighbours to the smallest of these. Edges as in `large_star`."""
    neighbour, centre = edges.T
    smallest = _smallest_neighbour(centre, neighbour)
    linked = np.concatenate((neighbour, centre))
    return unique_pairs(np.column_stack((np.tile(smallest, 2), linked)))


def _smallest_neighbour(centre: npt.NDArray[np.int64], neighbour: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each edge the smallest of its centre and all the centre's neighbours: int64 [m]."""
    centres, places = np.unique(centre, return_inverse=True)
    smallest = centres.copy()
    np.minimum.at(smallest, places, neighbour)
    return smallest[places]


@njit(cache=True, nogil=True)
def _unite(edges: npt.NDArray[np.int64], parents: npt.NDArray[np.int64]) -> None:
    """Unite the ends of all edges; afterwards each of `parents` is the smallest member of its component."""
    for edge in range(len(edges)):
        left, right = _root(edges[edge, 0], parents), _root(edges[edge, 1], parents)
        parents[max(left, right)] = min(left, right)
    for vertex in range(len(parents)):  # parents are smaller than their children: theirs are final already
        parents[vertex] = parents[parents[vertex]]


@njit(cache=True, nogil=True)
def _root(vertex: int, parents: npt.NDArray[np.int64]) -> int:
    """The root above a vertex; every other vertex on the way is moved up to its grandparent."""
    while parents[vertex] != vertex:
        parents[vertex] = parents[parents[vertex]]
        vertex = parents[vertex]
    return vertex
