from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.deduped.pairs import unique_pairs
from pipeline.deduped.stars.links import ENDS, PAIR, Links
from pipeline.tables.sink import Sink
from tests.deduped import star_reference

Edges = npt.NDArray[np.int64]


def linked(links: Links, ends: Edges, batch_rows: int, folder: Path) -> tuple[Edges, int]:
    """What is made of rows [n, 2] (centre, neighbour), sorted; and how many are unsettled."""
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    halves = np.column_stack((ends[:, 0] // 7 - 3, ends[:, 0] % 7 - 3, ends[:, 1] // 7 - 3, ends[:, 1] % 7 - 3))
    with Sink("steps", str(folder), 0) as sink:
        for start in range(0, max(1, len(ends)), batch_rows):
            columns = halves[start : start + batch_rows].T
            links(pa.record_batch(dict(zip(ENDS, columns.copy(), strict=True))), sink)
    found = [pq.read_table(folder / file.path).select(PAIR).to_pandas().to_numpy() for file in sink.files]
    rows = np.concatenate([np.empty((0, 4), np.int64), *found])
    return (rows[:, ::2] + 3) * 7 + rows[:, 1::2] + 3, sink.counts["unsettled"]


@pytest.mark.parametrize("batch_rows", [1, 2, 5, 1000])
@pytest.mark.parametrize("n_edges", [0, 1, 25, 70, 300])
def test_links_are_those_of_the_reference(batch_rows: int, n_edges: int, tmp_path: Path) -> None:
    edges = unique_pairs(np.random.default_rng(n_edges).integers(0, 60, (n_edges, 2)))
    twice = np.concatenate((edges, edges[::3]))
    large, _ = linked(Links("large"), np.concatenate((twice, twice[:, ::-1])), batch_rows, tmp_path)
    assert unique_pairs(large).tolist() == star_reference.large_star(edges).tolist()
    assert len(large) == len(edges)
    small, _ = linked(Links("small"), twice[:, ::-1], batch_rows, tmp_path)
    assert unique_pairs(small).tolist() == star_reference.small_star(edges).tolist()


@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
@pytest.mark.parametrize(
    ("edges", "unsettled"),
    [
        ([[1, 2], [1, 3], [1, 9], [4, 5]], 0),
        ([[1, 2], [1, 2]], 0),
        ([[1, 3], [2, 3]], 1),
        ([[1, 2], [2, 3], [3, 4]], 2),
        ([[1, 9], [2, 9], [3, 9], [3, 9]], 2),
    ],
)
def test_what_is_no_star_is_unsettled(edges: list[list[int]], unsettled: int, batch_rows: int, tmp_path: Path) -> None:
    forth = np.array(edges)
    _, found = linked(Links("large"), np.concatenate((forth, forth[:, ::-1])), batch_rows, tmp_path)
    assert found == unsettled
