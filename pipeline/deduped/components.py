"""Connected components of the graph of verified pairs, in memory (`stars` finds them on tables)."""

import numpy as np
import numpy.typing as npt
from numba import njit


def components(edges: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The vertices that have an edge (int64 [v], ascending) and their labels (int64 [v]): the smallest vertex of each
    one's component. `edges`: int64 [m, 2] over any vertex numbers, in any order, repeated or not.

    Union-find with path halving, where the smaller root wins: O(m log v) at worst (Tarjan and van Leeuwen, "Worst-case
    Analysis of Set Union Algorithms", 1984).
    """
    vertices, places = np.unique(edges, return_inverse=True)
    parents = np.arange(len(vertices), dtype=np.int64)
    _unite(places.reshape(-1, 2).astype(np.int64), parents)
    return vertices, vertices[parents]


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
