"""Components by alternating large-star and small-star on arrays: the slow reference for `pipeline.deduped.stars`."""

import numpy as np
import numpy.typing as npt


def star_components(edges: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The answer of `components`, by alternating large-star and small-star: on arrays.

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


def unique_pairs(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs of any numbers ascending, each once, smaller number first; a number paired with itself goes."""
    both = np.sort(pairs, axis=1)
    return np.asarray(np.unique(both[both[:, 0] != both[:, 1]], axis=0))


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
