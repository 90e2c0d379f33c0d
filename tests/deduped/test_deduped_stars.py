from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.deduped.batches import labels_of
from pipeline.deduped.pairs import unique_pairs
from pipeline.deduped.stars import spark as stars
from pipeline.deduped.steps.spark import Step, Steps, collected
from tests.deduped import star_reference

Edges = npt.NDArray[np.int64]


def put(steps: Steps, edges: Edges) -> Step:
    """Edges as a step: a vertex's halves are its number div and mod 7, less 3, so that halves repeat and are negative;
    vertices are ordered as the numbers are."""
    ends = {"a": edges[:, 0], "b": edges[:, 1]}
    columns = {f"{end}_hi": n // 7 - 3 for end, n in ends.items()} | {f"{end}_lo": n % 7 - 3 for end, n in ends.items()}
    return steps.put("edges", "pairs", pa.table(columns))


def edges_of(rows: pa.Table) -> list[list[int]]:
    a, b = (
        (rows.column(f"{end}_hi").to_numpy() + 3) * 7 + rows.column(f"{end}_lo").to_numpy() + 3 for end in ("a", "b")
    )
    return [[int(a), int(b)] for a, b in unique_pairs(np.column_stack((a, b)))]


def random_graph(n_vertices: int, n_edges: int, seed: int) -> Edges:
    return unique_pairs(np.random.default_rng(seed).integers(0, n_vertices, (n_edges, 2)))


def test_large_star_and_small_star_are_those_of_the_reference(spark: SparkSession, tmp_path: Path) -> None:
    edges = random_graph(60, 70, seed=1)
    steps = Steps(spark=spark, url=str(tmp_path))
    step = put(steps, np.concatenate((edges, edges[::3])))  # some edges twice
    large = collected(stars.large_star(steps, "large", step))
    assert edges_of(large) == star_reference.large_star(edges).tolist()
    small = collected(stars.small_star(steps, "small", step))
    assert edges_of(small) == star_reference.small_star(edges).tolist()


def test_the_components_are_those_found_in_memory(spark: SparkSession, tmp_path: Path) -> None:
    places = np.random.default_rng(2).permutation(2500)
    path = np.column_stack((places[:-1], places[1:]))
    clique = np.array([(i, j) for i in range(40) for j in range(i + 1, 40)])
    star = np.column_stack((np.full(500, 499), np.r_[0:499, 500]))
    graphs = [random_graph(1000, 700, seed=3), path, clique, star, np.array([[0, 1]])]
    edges = unique_pairs(np.concatenate([graph + 10_000 * number for number, graph in enumerate(graphs)]))
    steps = Steps(spark=spark, url=str(tmp_path))
    step = put(steps, edges)
    found = stars.star_labels(steps, step).toArrow().to_pylist()
    expected = labels_of(pa.Table.from_batches(steps.read(step).toArrow().to_batches())).to_pylist()
    others = [row for row in expected if (row["hi"], row["lo"]) != (row["label_hi"], row["label_lo"])]
    assert sorted(map(tuple, (row.values() for row in found))) == sorted(map(tuple, (row.values() for row in others)))


def test_no_edges(spark: SparkSession, tmp_path: Path) -> None:
    steps = Steps(spark=spark, url=str(tmp_path))
    assert stars.star_labels(steps, put(steps, np.empty((0, 2), np.int64))).toArrow().num_rows == 0
