"""Connected components of large graphs, by star rounds on tables and by union-find in memory: the same, at what cost?

Random edges, stars, cliques and paths, of so many edges each, and one path alone. Vertices are random numbers, edges
lie in random order, as pairs of hashed documents do. Both start from a step of pairs, as `pipeline.deduped.spark` does;
union-find reads it, numbers the vertices and writes a step of labels.

Graphs are made, united in memory and compared in processes forked for that: the driver's peak is that of the stars.
"""

import resource
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from bench.measure import Cost, apart, below
from bench.table import figure, show
from bench.workers import Usage, watched
from pipeline.deduped.batches import labels_of
from pipeline.deduped.components import components
from pipeline.deduped.stars.spark import star_labels
from pipeline.deduped.steps.spark import Step, Steps, collected

HUBS = 10
CLIQUE = 200  # vertices
WARM_EDGES = 20_000  # until the JVM has compiled what takes most

Edges = npt.NDArray[np.int64]
Graph = Callable[[np.random.Generator], Edges]
"""Draws the edges: int64 [m, 2] of vertices 0, 1, …"""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What both ways took for a graph of `n_vertices` with an edge. `n_rounds` of the stars; `disk_bytes` that their
    steps left; `driver_bytes`: the most that this process has held since it began."""

    n_edges: int
    n_vertices: int
    n_components: int
    stars: Cost
    usage: Usage
    n_rounds: int
    disk_bytes: int
    driver_bytes: int
    united: Cost


def main(spark: SparkSession, n_edges: int, path_vertices: int) -> None:
    """Measure and print; an error if the two differ. Paths have `path_vertices` each."""
    components(np.zeros((1, 2), np.int64))  # compiled before the forks
    measure(spark, lambda chance: random_edges(chance, WARM_EDGES))
    _show({name: measure(spark, graph) for name, graph in graphs(n_edges, path_vertices).items()})


def graphs(n_edges: int, path_vertices: int) -> Mapping[str, Graph]:
    """What is measured, by name."""
    return {
        "random": lambda chance: random_edges(chance, n_edges),
        f"{HUBS} stars": lambda chance: star_edges(n_edges),
        f"cliques of {CLIQUE}": lambda chance: clique_edges(n_edges),
        f"paths of {path_vertices:,}": lambda chance: path_edges(n_edges // (path_vertices - 1), path_vertices),
        f"one path of {path_vertices:,}": lambda chance: path_edges(1, path_vertices),
    }


def random_edges(chance: np.random.Generator, n_edges: int) -> Edges:
    """Edges between any two of `n_edges` vertices; some vertices have none."""
    edges = chance.integers(n_edges, size=(n_edges, 2))
    edges[:, 1] += edges[:, 0] == edges[:, 1]
    return edges


def star_edges(n_edges: int) -> Edges:
    """Vertices 0 to HUBS − 1 with as many others each, that have no other edge."""
    others = np.arange(n_edges)
    return np.column_stack((others % HUBS, others + HUBS))


def clique_edges(n_edges: int) -> Edges:
    """Whole cliques of CLIQUE vertices, of `n_edges` edges or a little less, at least one."""
    one = np.column_stack(np.triu_indices(CLIQUE, 1))
    first = np.arange(max(1, n_edges // len(one))) * CLIQUE
    return np.asarray((one + first[:, None, None]).reshape(-1, 2))


def path_edges(n_paths: int, n_vertices: int) -> Edges:
    """Paths of `n_vertices` each."""
    after = np.arange(n_paths * n_vertices).reshape(n_paths, n_vertices)
    return np.column_stack((after[:, :-1].reshape(-1), after[:, 1:].reshape(-1)))


def measure(spark: SparkSession, graph: Graph) -> Found:
    """Both ways on one graph; `RuntimeError` if they differ, the difference goes to stderr."""
    with TemporaryDirectory() as folder:
        steps = Steps(spark=spark, url=folder)
        apart(lambda: steps.put("edges", "pairs", as_pairs(np.random.default_rng(1), graph)))
        edges = _written(Path(folder) / "edges", "pairs")
        frames: list[DataFrame] = []
        with watched() as usage:
            stars = below(lambda: frames.append(star_labels(steps, edges)), edges.n_rows)
        driver_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        rounds = list(Path(folder).glob("*-star-*"))
        disk_bytes = sum(path.stat().st_size for of in rounds for path in of.rglob("*") if path.is_file())
        by_stars = steps.write("by-stars", "labels", frames[0])
        united = apart(lambda: steps.put("united", "labels", labels_of(collected(edges))))
        in_memory = _written(Path(folder) / "united", "labels")
        apart(lambda: check(by_stars, in_memory))
    return Found(
        n_edges=edges.n_rows,
        n_vertices=in_memory.n_rows,
        n_components=in_memory.n_rows - by_stars.n_rows,
        stars=stars,
        usage=usage,
        n_rounds=sum(of.name.startswith("large") for of in rounds),
        disk_bytes=disk_bytes,
        driver_bytes=driver_bytes,
        united=united,
    )


def as_pairs(chance: np.random.Generator, graph: Graph) -> pa.Table:
    """The graph as a table `pairs`: vertices renamed to random numbers, edges in random order."""
    edges = chance.permutation(graph(chance))
    n_vertices = int(edges.max()) + 1
    edges = np.sort(chance.permutation(n_vertices)[edges], axis=1)
    halves = chance.integers(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (2, n_vertices))
    hi, lo = halves[:, np.lexsort(halves[::-1])]  # ordered as the numbers are
    ends = {"a": edges[:, 0], "b": edges[:, 1]}
    return pa.table({f"{end}_{half}": of[n] for end, n in ends.items() for half, of in (("hi", hi), ("lo", lo))})


def check(by_stars: Step, united: Step) -> None:
    """`ValueError` unless both steps of labels name the same components; those of the stars leave out the vertices
    that name them."""
    ours, wanted = (_in_order(collected(step)) for step in (by_stars, united))
    wanted = wanted[(wanted[:, :2] != wanted[:, 2:]).any(axis=1)]
    if len(ours) != len(wanted):
        raise ValueError(f"the stars label {len(ours):,} vertices, union-find {len(wanted):,}")
    differing = (ours != wanted).any(axis=1)
    if differing.any():
        raise ValueError(
            f"stars and union-find differ in {differing.sum():,} of {len(ours):,} rows, first "
            f"{ours[differing][0].tolist()}, {wanted[differing][0].tolist()} (hi, lo, label_hi, label_lo)"
        )


def _in_order(labels: pa.Table) -> npt.NDArray[np.int64]:
    """int64 [n, 4], ascending."""
    columns = [labels.column(name).to_numpy() for name in ("hi", "lo", "label_hi", "label_lo")]
    return np.asarray(np.column_stack(columns)[np.lexsort(columns[::-1])])


def _written(folder: Path, table: str) -> Step:
    """A step that a forked process has written."""
    files = sorted(folder.rglob("*.parquet"))
    n_rows = sum(pq.read_metadata(file).num_rows for file in files)
    return Step(table=table, urls=tuple(map(str, files)), n_rows=n_rows, counts=Counter(), notes=())


def _show(found: Mapping[str, Found]) -> None:
    rows = [
        [
            name,
            f"{one.n_edges:,}",
            f"{one.n_vertices:,}",
            f"{one.n_components:,}",
            f"{one.n_rounds}",
            figure(one.stars.wall_seconds),
            figure(one.usage.jvm_seconds),
            figure(one.usage.python_seconds),
            figure(one.disk_bytes / 1e6),
            figure(one.usage.peak_bytes / 1e6),
            figure(one.driver_bytes / 1e6),
            figure(one.united.wall_seconds),
            figure(one.united.cpu_seconds),
            figure(one.united.peak_bytes / 1e6),
        ]
        for name, one in found.items()
    ]
    header = ["", "edges", "vertices", "components", "stars: rounds", "s", "CPU s, JVM", "Python", "disk MB"]
    header += ["worker MB", "driver MB", "union-find: s", "CPU s", "MB"]
    show("deduped: components, the same from star rounds and from union-find", header, rows)
