from collections.abc import Collection, Sequence
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.deduped.batches import doc_id_of, estimated, labels_of, pairs_of, write_pairs
from pipeline.deduped.pairs import ALL_PAIRS
from pipeline.tables.sink import Sink

Row = tuple[int, int, int, int]  # bucket, affinity, and the halves of the vertex
Pair = tuple[tuple[int, int], tuple[int, int]]
HALVES = ("hi", "lo")


def batch(rows: Sequence[Row], earlier: Collection[int] = ()) -> pa.RecordBatch:
    """`earlier`: the last halves of the vertices of earlier documents."""
    columns = zip(*rows, strict=True) if rows else ([], [], [], [])
    names = ("bucket", "affinity", "hi", "lo")
    arrays = {name: pa.array(column, pa.int64()) for name, column in zip(names, columns, strict=True)}
    return pa.record_batch(arrays | {"earlier": pa.array([row[3] in earlier for row in rows], pa.bool_())})


def pairs(*batches: Sequence[Row], earlier: Collection[int] = ()) -> list[Pair]:
    found = [row for pairs in pairs_of(iter([batch(rows, earlier) for rows in batches])) for row in pairs.to_pylist()]
    return [((row["a_hi"], row["a_lo"]), (row["b_hi"], row["b_lo"])) for row in found if not row["bucket_size"]]


def edges(*found: Pair) -> pa.Table:
    values = {
        f"{end}_{half}": [pair[i][j] for pair in found] for i, end in enumerate("ab") for j, half in enumerate(HALVES)
    }
    return pa.table({name: pa.array(column, pa.int64()) for name, column in values.items()})


def test_vertices_of_a_bucket_are_paired_the_smaller_one_first() -> None:
    assert pairs([(1, 0, 5, -1), (2, 0, 7, 7)], [(1, 0, 5, -2), (1, 0, -9, 3)]) == [
        ((-9, 3), (5, -2)),
        ((-9, 3), (5, -1)),
        ((5, -2), (5, -1)),
    ]


@pytest.mark.parametrize("batches", [[], [[]], [[(1, 0, 5, 5)]], [[(1, 0, 5, 5), (1, 0, 5, 5)], [(1, 0, 5, 5)]]])
def test_nothing_one_vertex_and_its_copies_have_no_pairs(batches: list[list[Row]]) -> None:
    assert pairs(*batches) == []


def test_copies_do_not_make_a_bucket_large() -> None:
    rows = [(1, number % 3, 0, number) for number in range(ALL_PAIRS)]
    assert pairs(rows * 5) == [((0, a), (0, b)) for a, b in combinations(range(ALL_PAIRS), 2)]


def test_large_buckets_give_the_same_pairs_wherever_they_are_and_in_whatever_order() -> None:
    random = Random(4)
    buckets = [[(bucket, random.randrange(6), bucket, random.randrange(99)) for _ in range(90)] for bucket in range(3)]
    rows = [row for bucket in buckets for row in bucket]
    random.shuffle(rows)
    assert pairs(rows[:100], rows[100:]) == sorted(pair for bucket in buckets for pair in pairs(bucket))


def test_the_largest_bucket_is_told_with_its_largest_new_vertex_and_written_as_a_note(tmp_path: Path) -> None:
    rows = [(1, 0, 0, 9), (2, 0, 7, 4), (2, 0, 7, 3), (2, 0, 8, 1), (2, 0, 8, 1), (3, 0, 0, 9), (3, 0, 0, 8)]
    [found] = pairs_of(iter([batch(rows)]))
    assert [row for row in found.to_pylist() if row["bucket_size"]] == [
        {"a_hi": 8, "a_lo": 1, "b_hi": 8, "b_lo": 1, "bucket_size": 3}
    ]
    with Sink("steps", str(tmp_path), 0) as sink:
        for size, hi in ((2, 5), (7, 1), (3, 9)):
            ends = {f"{end}_{half}": [hi] for end in "ab" for half in HALVES}
            write_pairs(pa.record_batch(ends | {"bucket_size": [size]}), sink)
        write_pairs(found, sink)
    assert sink.notes == {"bucket": [7, 1, 1]}
    assert [file.rows for file in sink.files] == [4]


def test_of_buckets_of_one_size_the_same_is_told_however_they_are_parted() -> None:
    buckets = [[(bucket, 0, hi, lo) for lo in range(3)] for bucket, hi in ((1, 4), (2, -9), (3, 6))]

    def told(*parts: list[tuple[int, int, int, int]]) -> list[int]:
        found = [row for part in parts for one in pairs_of(iter([batch(part)])) for row in one.to_pylist()]
        return max([row["bucket_size"], row["a_hi"], row["a_lo"]] for row in found)

    assert (
        told(buckets[0] + buckets[1] + buckets[2])
        == told(*buckets)
        == told(buckets[2] + buckets[0], buckets[1])
        == [3, 6, 2]
    )


def test_earlier_documents_are_paired_with_new_ones_only() -> None:
    buckets = [(1, 0, 0, 1), (1, 0, 0, 2), (2, 0, 0, 2), (2, 0, 0, 3), (2, 0, 0, 4), (2, 0, 0, 5)]
    assert pairs(buckets, earlier=[1, 2, 4]) == [
        ((0, 2), (0, 3)),
        ((0, 2), (0, 5)),
        ((0, 3), (0, 4)),
        ((0, 3), (0, 5)),
        ((0, 4), (0, 5)),
    ]
    assert pairs(buckets, earlier=range(6)) == []


def test_a_text_that_an_earlier_document_has_too_is_paired_with_new_ones_only() -> None:
    new, old = batch([(1, 0, 0, 1), (1, 0, 0, 3)]), batch([(1, 0, 0, 1), (1, 0, 0, 2)], earlier=[1, 2])
    for batches in ([new, old], [old, new]):
        [found] = pairs_of(iter(batches))
        assert [tuple(row.values()) for row in found.to_pylist()] == [
            (0, 1, 0, 3, 0),
            (0, 2, 0, 3, 0),
            (0, 3, 0, 3, 3),
        ]


def test_labels_are_the_smallest_vertices_of_the_components() -> None:
    found = labels_of(edges(((3, -5), (3, 4)), ((-2, 9), (3, 4)), ((8, 0), (8, 1)))).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        (-2, 9, -2, 9),
        (3, -5, -2, 9),
        (3, 4, -2, 9),
        (8, 0, 8, 0),
        (8, 1, 8, 0),
    ]
    assert labels_of(edges()).num_rows == 0


def test_a_doc_id_is_its_halves_put_together() -> None:
    assert doc_id_of(1, -1) == bytes(7) + b"\x01" + b"\xff" * 8


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_signatures_are_read_from_slices_of_either_kind(kind: pa.DataType) -> None:
    signatures = [np.array(values, "<u4").tobytes() for values in ([9, 9], [1, 2], [1, 3], [4, 5])]
    ends = {name: pa.array([0, 1, 2, 3]) for name in ("a_hi", "a_lo", "b_hi", "b_lo")}
    rows = pa.record_batch(ends | {"a": pa.array(signatures, kind), "b": pa.array([signatures[1]] * 4, kind)})
    [found] = estimated(2, iter([rows.slice(1, 2)]))
    assert found.column("similarity").to_pylist() == [1.0, 0.5]
    assert found.column("a_hi").to_pylist() == [1, 2]
    with pytest.raises(ValueError, match=r"items of \[8\] bytes where all have 12"):
        list(estimated(3, iter([rows])))
