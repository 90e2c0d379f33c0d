"""The similarities of removed documents, against counting by hand; and the choice of the largest clusters."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deduped import clusters
from pipeline.deduped.clusters import Cluster, Largest

Row = tuple[str, str, str, float]
ROWS: list[Row] = [
    ("exact", "web", "web", 1.0),
    ("exact", "web", "books", 1.0),
    ("exact", "web", "books", 1.0),
    ("near", "web", "web", 0.8),
    ("near", "web", "books@0123abcd", 1.0),
    ("near", "news", "web", 0.949),
    ("near", "news", "web", 0.0),
]


def removed(rows: Sequence[Row]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "kind": pa.array([row[0] for row in rows], pa.string()),
            "source": pa.array([row[1] for row in rows], pa.string()),
            "kept_source": pa.array([row[2] for row in rows], pa.string()),
            "similarity": pa.array([row[3] for row in rows], pa.float64()),
        }
    )


def told(*parts: Sequence[Row]) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter({"kept_documents": 3})  # of others, in the same counter
    for rows in parts:
        counts.update(clusters.count(removed(rows)))
    return clusters.histogram(counts)


def bins(*similarities: float) -> dict[float, int]:
    found = told([("near", "a", "a", similarity) for similarity in similarities])
    return {row["from"]: row["documents"] for row in found if row["documents"]}


def test_similarities_of_near_duplicates() -> None:
    rows = told(ROWS)
    assert len(rows) == 20
    assert (rows[0], rows[-1]) == ({"from": 0, "to": 0.05, "documents": 1}, {"from": 0.95, "to": 1, "documents": 1})
    assert {row["from"]: row["documents"] for row in rows if row["documents"]} == {0: 1, 0.8: 1, 0.9: 1, 0.95: 1}
    assert [row["to"] for row in rows[:-1]] == [row["from"] for row in rows[1:]]


def test_a_border_belongs_to_the_bin_above_it() -> None:
    assert bins(*(number / 20 for number in range(21))) == {n / 20: 1 for n in range(19)} | {0.95: 2}
    assert bins(np.nextafter(0.15, 0), 0.15, 3 / 20, 84 / 112, 95.2 / 112) == {0.1: 1, 0.15: 2, 0.75: 1, 0.85: 1}


@pytest.mark.parametrize("similarity", [-0.01, 1.01, float("nan")])
def test_what_is_no_similarity_is_told(similarity: float) -> None:
    with pytest.raises(ValueError, match=f"has a similarity of {similarity}; similarities are from 0 to 1"):
        clusters.count(removed([("near", "a", "a", 0.5), ("near", "a", "a", similarity)]))


def test_nothing_removed() -> None:
    nothing = told([])
    assert nothing == told()
    assert sum(row["documents"] for row in nothing) == 0


def test_counts_of_tasks_add_up() -> None:
    assert told(ROWS[:2], [], ROWS[2:6], ROWS[6:]) == told(ROWS)
    assert json.loads(json.dumps(told(ROWS))) == told(ROWS)


def doc_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def largest_of(*tasks: Sequence[Sequence[tuple[int, int]]], src: int = 0) -> list[Cluster]:
    """Of tasks whose rows show clusters (number of the document that stands for it, its size), in batches."""
    notes = []
    for task, batches in enumerate(tasks):
        largest, row = Largest(), 0
        for batch in batches:
            largest.add([size, doc_id(number).hex(), src, row + at] for at, (number, size) in enumerate(batch))
            row += len(batch)
        notes.append((task, json.loads(json.dumps(largest.notes()))))
    return clusters.chosen(reversed(notes))


def test_the_largest_clusters_by_hand() -> None:
    found = largest_of([[(7, 3), (1 << 127, 5)], [], [(3, 2), (5, 9)]], [], [[(6, 5), (2, 2)]], src=3)
    assert found == [
        Cluster(rank=0, size=9, doc_id=doc_id(5), src=3, task=0, row=3),
        Cluster(rank=1, size=5, doc_id=doc_id(6), src=3, task=2, row=0),
        Cluster(rank=2, size=5, doc_id=doc_id(1 << 127), src=3, task=0, row=1),
        Cluster(rank=3, size=3, doc_id=doc_id(7), src=3, task=0, row=0),
        Cluster(rank=4, size=2, doc_id=doc_id(2), src=3, task=2, row=1),
        Cluster(rank=5, size=2, doc_id=doc_id(3), src=3, task=0, row=2),
    ]
    assert largest_of([[]], []) == []


def test_a_cluster_that_many_documents_show_is_one() -> None:
    shown = [(1, 60)] * 30 + [(number, 3) for number in range(2, 30)]
    found = largest_of([shown[:40], shown[40:]], [shown])
    assert [(one.size, one.doc_id) for one in found] == [(60, doc_id(1)), *((3, doc_id(n)) for n in range(2, 21))]
    assert (found[0].task, found[0].row) == (0, 0)
    other_source = clusters.chosen([(0, [[2, "00", 0, 5]]), (1, [[2, "00", 1, 5]])])
    assert [one.src for one in other_source] == [0, 1]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(2, 6), max_size=120), st.data())
def test_the_largest_are_the_same_whatever_the_tasks(sizes: list[int], data: st.DataObject) -> None:
    every = list(enumerate(data.draw(st.permutations(sizes))))
    expected = sorted(((-size, number) for number, size in every))[:20]
    shuffled = data.draw(st.permutations(every))
    n, step = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 30))
    tasks = [shuffled[first::n] for first in range(n)]
    found = largest_of(*([task[at : at + step] for at in range(0, len(task), step)] for task in tasks))
    assert [(-one.size, int.from_bytes(one.doc_id, "big")) for one in found] == expected
    assert [tasks[one.task][one.row] for one in found] == [(number, -size) for size, number in expected]
    assert [one.rank for one in found] == list(range(len(expected)))
