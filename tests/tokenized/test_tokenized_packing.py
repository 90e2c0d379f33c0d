"""Packing against the definition: each token is named by its place, so rows and pieces must tell the same of it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokenized import packing
from pipeline.tokenized.packing import Packed, Pieces, pack, permuted, row_order

PAD = 60_000
PACKINGS = ("concat", "best_fit", "none")
LENGTHS = st.lists(st.one_of(st.integers(0, 9), st.integers(0, 40)), max_size=30)


def packed(lengths: Sequence[int], sequence_length: int, how: str) -> Packed:
    """Documents of these lengths; the tokens are numbered from 0 on, over all documents."""
    tokens = np.arange(sum(lengths), dtype=np.uint16)
    return pack(tokens, np.array(lengths, np.int64), sequence_length, how, PAD)


def listed(pieces: Pieces) -> list[tuple[int, int, int, int, int]]:
    """(doc, doc_from, row, token_from, length) of each piece."""
    columns = (pieces.doc, pieces.doc_from, pieces.row, pieces.token_from, pieces.length)
    assert all(column.dtype == np.int64 for column in columns)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def check(result: Packed, lengths: Sequence[int], sequence_length: int) -> None:
    """Each token of each document is found exactly once, in a row where its piece says, or in the tail."""
    starts = [sum(lengths[:doc]) for doc in range(len(lengths))]
    rows = result.rows.tolist()
    assert result.rows.shape == (len(rows), sequence_length)
    assert result.rows.dtype == np.uint16
    found: list[tuple[int, int]] = []
    covered = np.zeros(result.rows.shape, np.int64)
    for doc, doc_from, row, token_from, length in listed(result.pieces):
        assert length > 0
        for offset in range(length):
            assert rows[row][token_from + offset] == starts[doc] + doc_from + offset
            covered[row, token_from + offset] += 1
            found.append((doc, doc_from + offset))
    for doc, doc_from, row, token_from, length in listed(result.tail):
        assert (row, token_from) == (0, 0)
        assert length > 0
        found.extend((doc, doc_from + offset) for offset in range(length))
    assert sorted(found) == [(doc, token) for doc, length in enumerate(lengths) for token in range(length)]
    assert covered.max(initial=0) <= 1
    assert result.n_padding == (covered == 0).sum()
    assert (result.rows[covered == 0] == PAD).all()
    places = [(row, token_from) for _, _, row, token_from, _ in listed(result.pieces)]
    assert places == sorted(places)


@settings(deadline=None, max_examples=150)
@given(LENGTHS, st.integers(1, 12), st.sampled_from(PACKINGS))
def test_every_token_is_found_once(lengths: list[int], sequence_length: int, how: str) -> None:
    result = packed(lengths, sequence_length, how)
    check(result, lengths, sequence_length)
    order = row_order(len(result.rows), "a key")
    moved = permuted(result, order)
    check(moved, lengths, sequence_length)
    assert moved.rows.tolist() == [result.rows[row].tolist() for row in order]


@settings(deadline=None, max_examples=100)
@given(LENGTHS, st.integers(1, 12))
def test_concat_cuts_the_stream_into_rows(lengths: list[int], sequence_length: int) -> None:
    result = packed(lengths, sequence_length, "concat")
    n_rows = sum(lengths) // sequence_length
    assert result.rows.reshape(-1).tolist() == list(range(n_rows * sequence_length))
    assert result.tail.length.sum() == sum(lengths) % sequence_length
    assert result.n_padding == 0


def slow_best_fit(lengths: Sequence[int], sequence_length: int) -> list[list[int]]:
    """Best-fit decreasing by its definition: the documents in each row, full rows of long documents first."""
    rows: list[tuple[int, list[int]]] = []  # (room, documents)
    rests = []
    for doc, length in enumerate(lengths):
        rows += [(0, [doc])] * (length // sequence_length)
        if length % sequence_length:
            rests.append((length % sequence_length, doc))
    for length, doc in sorted(rests, key=lambda rest: (-rest[0], rest[1])):
        fitting = [(room, place) for place, (room, _) in enumerate(rows) if room >= length]
        if fitting:
            _, place = min(fitting)
            rows[place] = (rows[place][0] - length, [*rows[place][1], doc])
        else:
            rows.append((sequence_length - length, [doc]))
    return [sorted(documents) for _, documents in rows]


@settings(deadline=None, max_examples=100)
@given(LENGTHS, st.integers(1, 12))
def test_best_fit_is_best_fit_decreasing(lengths: list[int], sequence_length: int) -> None:
    result = packed(lengths, sequence_length, "best_fit")
    rows: list[list[int]] = [[] for _ in range(len(result.rows))]
    for doc, _, row, _, _ in listed(result.pieces):
        rows[row].append(doc)
    assert rows == slow_best_fit(lengths, sequence_length)
    assert listed(result.tail) == []


@settings(deadline=None, max_examples=50)
@given(LENGTHS, st.integers(1, 12))
def test_best_fit_cuts_no_document_that_fits_into_a_row(lengths: list[int], sequence_length: int) -> None:
    result = packed(lengths, sequence_length, "best_fit")
    docs = result.pieces.doc.tolist()
    for doc, length in enumerate(lengths):
        assert docs.count(doc) == -(-length // sequence_length)


def test_a_small_example_of_each() -> None:
    concat = packed([3, 6, 2], 4, "concat")
    assert concat.rows.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert listed(concat.pieces) == [(0, 0, 0, 0, 3), (1, 0, 0, 3, 1), (1, 1, 1, 0, 4)]
    assert listed(concat.tail) == [(1, 5, 0, 0, 1), (2, 0, 0, 0, 2)]
    best = packed([3, 6, 2, 1], 4, "best_fit")
    assert best.rows.tolist() == [[3, 4, 5, 6], [0, 1, 2, 11], [7, 8, 9, 10]]
    assert listed(best.pieces) == [(1, 0, 0, 0, 4), (0, 0, 1, 0, 3), (3, 0, 1, 3, 1), (1, 4, 2, 0, 2), (2, 0, 2, 2, 2)]
    none = packed([3, 6, 2], 4, "none")
    assert none.rows.tolist() == [[3, 4, 5, 6], [0, 1, 2, PAD], [7, 8, PAD, PAD], [9, 10, PAD, PAD]]
    assert none.n_padding == 5


@pytest.mark.parametrize("how", PACKINGS)
@pytest.mark.parametrize("lengths", [[], [0], [0, 0], [1], [1, 1, 1], [8], [0, 8, 0, 8, 0], [25]])
def test_borders(lengths: list[int], how: str) -> None:
    for sequence_length in (1, 8):
        check(packed(lengths, sequence_length, how), lengths, sequence_length)


def test_a_row_order_depends_on_key_and_count_alone() -> None:
    assert row_order(8, "code/0/0").tolist() == [0, 3, 2, 1, 6, 4, 7, 5]
    assert sorted(row_order(1000, "a").tolist()) == list(range(1000))
    assert row_order(1000, "a").tolist() == row_order(1000, "a").tolist()
    assert row_order(1000, "a").tolist() != row_order(1000, "b").tolist()
    assert len(row_order(0, "a")) == 0


def test_neighbours_are_parted() -> None:
    order = row_order(4096, "code/0/0")
    assert np.mean(np.abs(np.diff(order)) == 1) < 0.005


def test_padding_that_no_shard_holds_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_ROWS_BYTES", 159)
    message = "10 rows of sequence_length 8 for 10 tokens are more than a shard holds; shorten the sequences, or choose"
    with pytest.raises(ValueError, match=message):
        packed([1] * 10, 8, "none")
    assert len(packed([1] * 10, 8, "best_fit").rows) == 2
