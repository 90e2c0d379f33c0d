"""The links that large-star and small-star make, on arrays: rows that are sorted come in, a batch at a time."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.tables.sink import Sink

ENDS = ["centre_hi", "centre_lo", "neighbour_hi", "neighbour_lo"]
PAIR = ["a_hi", "a_lo", "b_hi", "b_lo"]

Int64s = npt.NDArray[np.int64]
Vertices = tuple[Int64s, Int64s]  # halves


@dataclass
class Links:
    """Writes the links of one task's rows to the table `pairs`. Rows: `ENDS`, each edge from one end or both, whole
    centres, sorted; repeated ones count once.

    * large: each centre links its larger neighbours to the smallest of them and itself. Counts `unsettled`: neighbours
      but for the smallest of centres that have a smaller one. None: all edges are rays of stars.
    * small: each centre, which is larger than its neighbours, links them and itself to the smallest of them.
    """

    star: Literal["large", "small"]
    _row: list[int] = field(default_factory=list)  # the one before: its ends, and its centre's smallest

    def __call__(self, rows: pa.RecordBatch, sink: Sink) -> None:
        """Write the links of the next rows."""
        if rows.num_rows == 0:
            return
        columns = [rows.column(name).to_numpy() for name in ENDS]
        centre, neighbour = (columns[0], columns[1]), (columns[2], columns[3])
        begins, repeated = self._follow(columns)
        smallest = self._smallest(centre, neighbour, begins)
        self._row = [int(column[-1]) for column in (*columns, *smallest)]
        if self.star == "large":
            sink.count("unsettled", int((~begins & ~repeated & ~_equal(smallest, centre)).sum()))
            kept, linked = ~repeated & _less(centre, neighbour), neighbour
        else:
            kept, linked = ~repeated, _where(_equal(neighbour, smallest), centre, neighbour)
        arrays = [pa.array(half[kept]) for half in (*smallest, *linked)]
        sink.write("pairs", pa.record_batch(arrays, names=PAIR))

    def _follow(self, columns: list[Int64s]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Of each row whether it begins a centre, and whether it is the row before again."""
        before = self._row[:4] or [0, 0, 0, 0]
        same = [
            np.concatenate(([column[0] == last], column[1:] == column[:-1]))
            for column, last in zip(columns, before, strict=True)
        ]
        goes_on = same[0] & same[1]
        goes_on[0] &= bool(self._row)
        return ~goes_on, goes_on & same[2] & same[3]

    def _smallest(self, centre: Vertices, neighbour: Vertices, begins: npt.NDArray[np.bool_]) -> Vertices:
        """For each row the smallest neighbour of its centre, with `large` the centre if it is smaller."""
        first = np.flatnonzero(begins)
        found = neighbour[0][first], neighbour[1][first]
        if self.star == "large":
            own = centre[0][first], centre[1][first]
            found = _where(_less(own, found), own, found)
        carried = self._row[4:] or [0, 0]  # for the rows of a centre that began in an earlier batch
        run = np.cumsum(begins)
        return np.append(carried[0], found[0])[run], np.append(carried[1], found[1])[run]


def _less(a: Vertices, b: Vertices) -> npt.NDArray[np.bool_]:
    return np.asarray((a[0] < b[0]) | ((a[0] == b[0]) & (a[1] < b[1])))


def _equal(a: Vertices, b: Vertices) -> npt.NDArray[np.bool_]:
    return np.asarray((a[0] == b[0]) & (a[1] == b[1]))


def _where(condition: npt.NDArray[np.bool_], a: Vertices, b: Vertices) -> Vertices:
    return np.where(condition, a[0], b[0]), np.where(condition, a[1], b[1])
