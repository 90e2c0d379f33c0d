"""The graphs of the bench `deduped components`, and that a difference between its two ways is an error."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from bench import deduped_components as bench
from pipeline.deduped.batches import labels_of
from pipeline.deduped.components import components
from pipeline.deduped.pairs import unique_pairs
from pipeline.deduped.steps.spark import Step, Steps

LABELS = ("hi", "lo", "label_hi", "label_lo")


def labels(steps: Steps, name: str, rows: list[list[int]]) -> Step:
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return steps.put(name, "labels", pa.table(dict(zip(LABELS, columns, strict=True))))


@pytest.mark.parametrize(
    ("edges", "n_edges", "n_components", "largest", "most_neighbours"),
    [
        (lambda: bench.star_edges(1_000), 1_000, 10, 101, 100),
        (lambda: bench.clique_edges(45_000), 2 * 19_900, 2, 200, 199),
        (lambda: bench.clique_edges(1), 19_900, 1, 200, 199),
        (lambda: bench.path_edges(3, 500), 3 * 499, 3, 500, 2),
    ],
)
def test_graphs(
    edges: Callable[[], npt.NDArray[np.int64]], n_edges: int, n_components: int, largest: int, most_neighbours: int
) -> None:
    drawn = edges()
    assert len(unique_pairs(drawn)) == len(drawn) == n_edges
    sizes = np.unique(components(drawn)[1], return_counts=True)[1]
    assert (len(sizes), sizes.max()) == (n_components, largest)
    assert np.bincount(drawn.reshape(-1)).max() == most_neighbours


def test_a_random_graph_has_no_loops() -> None:
    edges = bench.random_edges(np.random.default_rng(1), 1_000)
    assert edges.shape == (1_000, 2)
    assert (edges[:, 0] != edges[:, 1]).all()
    assert edges.min() >= 0 and edges.max() <= 1_000


def test_pairs_are_the_graph_under_other_names() -> None:
    pairs = bench.as_pairs(np.random.default_rng(1), lambda chance: bench.path_edges(2, 50))
    ends = [list(zip(*(pairs[f"{end}_{half}"].to_pylist() for half in ("hi", "lo")), strict=True)) for end in "ab"]
    assert all(a < b for a, b in zip(*ends, strict=True))
    vertices, neighbours = np.unique(np.array(ends).reshape(-1, 2), axis=0, return_counts=True)
    assert (len(vertices), np.bincount(neighbours).tolist()) == (100, [0, 4, 96])
    names = labels_of(pairs)
    assert len(set(zip(names["label_hi"].to_pylist(), names["label_lo"].to_pylist(), strict=True))) == 2
    assert (vertices < 0).any() and (vertices > 2**62).any()


def test_a_graph_is_measured_both_ways(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    found = bench.measure(spark, lambda chance: bench.path_edges(3, 20))
    assert (found.n_edges, found.n_vertices, found.n_components) == (57, 60, 3)
    assert 2 <= found.n_rounds <= 6
    assert found.stars.rate == 57 / found.stars.wall_seconds
    assert found.usage.jvm_seconds > 0
    assert found.disk_bytes > 1_000
    assert found.driver_bytes > 50e6  # a Python with Arrow and numpy
    assert 0 < found.united.wall_seconds < found.stars.wall_seconds
    bench._show({"three paths": found})
    row = re.findall(r"^  three paths +([\d., ]+)$", capsys.readouterr().out, re.MULTILINE)
    assert [len(cells.split()) for cells in row] == [13]


def test_labels_that_differ_are_an_error(spark: SparkSession, tmp_path: Path) -> None:
    steps = Steps(spark=spark, url=str(tmp_path))
    united = labels(steps, "united", [[1, 1, 1, 1], [5, 0, 1, 1], [1, 2, 1, 1]])
    bench.check(labels(steps, "same", [[1, 2, 1, 1], [5, 0, 1, 1]]), united)
    with pytest.raises(ValueError, match=r"differ in 1 of 2 rows, first \[5, 0, 1, 2\], \[5, 0, 1, 1\]"):
        bench.check(labels(steps, "other", [[5, 0, 1, 2], [1, 2, 1, 1]]), united)
    with pytest.raises(ValueError, match="the stars label 1 vertices, union-find 2"):
        bench.check(labels(steps, "fewer", [[1, 2, 1, 1]]), united)
