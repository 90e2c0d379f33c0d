from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.loader.borders import RowBorders
from pipeline.loader.contents import Arrays, Contents

LENGTH = 8
EOS = 0  # and the id of padding, too

# a document of 3 tokens that holds EOS inside, one of 2, and padding; a full row; a row of nothing but padding
ENDS = [[3, 5], [8], []]
IDS = np.array([[7, EOS, EOS, 9, EOS, 0, 0, 0], [11, 12, 13, 14, 15, 16, 17, EOS], [0] * 8], np.uint16)


def borders_of(ends: list[list[int]]) -> RowBorders:
    first = np.cumsum([0, *map(len, ends)], dtype=np.int64)
    flat = np.array([end for row in ends for end in row], np.int32)
    return RowBorders(sequence_length=LENGTH, first=first, ends=flat)


def made(ids: npt.NDArray[Any], ends: list[list[int]], *, labels: Any = False, documents: bool = False) -> Arrays:
    return Contents(dtype="int64", labels=labels, documents=documents).of(ids, borders_of(ends))


def test_shifted_labels_are_the_next_tokens_and_never_padding() -> None:
    labels = made(IDS, ENDS, labels="shifted")["labels"]
    assert labels.dtype == np.int64
    assert labels.tolist() == [
        [EOS, EOS, 9, EOS, -100, -100, -100, -100],
        [12, 13, 14, 15, 16, 17, EOS, -100],
        [-100] * 8,
    ]


def test_labels_of_the_models_convention_are_the_tokens_themselves() -> None:
    assert made(IDS, ENDS, labels="same")["labels"].tolist() == [
        [7, EOS, EOS, 9, EOS, -100, -100, -100],
        [11, 12, 13, 14, 15, 16, 17, EOS],
        [-100] * 8,
    ]


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("shifted", [EOS, EOS, -100, EOS, -100, -100, -100, -100]),
        ("same", [-100, EOS, EOS, -100, EOS, -100, -100, -100]),
    ],
)
def test_inside_documents_the_first_token_of_one_is_no_target(convention: Any, expected: list[int]) -> None:
    assert made(IDS, ENDS, labels=convention, documents=True)["labels"][0].tolist() == expected


def test_a_model_that_shifts_learns_the_shifted_labels() -> None:
    same = made(IDS, ENDS, labels="same", documents=True)["labels"]
    shifted = made(IDS, ENDS, labels="shifted", documents=True)["labels"]
    assert np.append(same.ravel()[1:], -100).tolist() == shifted.ravel().tolist()  # also of rows laid end to end


def test_documents_and_their_positions() -> None:
    arrays = made(IDS, ENDS, documents=True)
    assert arrays["doc_ids"].tolist() == [[0, 0, 0, 1, 1, -1, -1, -1], [0] * 8, [-1] * 8]
    assert arrays["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 2], [*range(8)], [*range(8)]]
    assert arrays["cu_seqlens"].tolist() == [0, 3, 5, 8, 16, 24]
    assert arrays["max_seqlen"].tolist() == 8
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        "input_ids": "int64",
        "doc_ids": "int32",
        "position_ids": "int64",
        "cu_seqlens": "int32",
        "max_seqlen": "int32",
    }


@pytest.mark.parametrize("labels", ["shifted", "same"])
def test_a_part_without_rows_has_empty_arrays(labels: str) -> None:
    arrays = made(np.empty((0, 8), np.uint16), [], labels=labels, documents=True)
    assert {name: array.shape for name, array in arrays.items()} == {
        "input_ids": (0, 8),
        "labels": (0, 8),
        "doc_ids": (0, 8),
        "position_ids": (0, 8),
        "cu_seqlens": (1,),
        "max_seqlen": (),
    }
    assert arrays["max_seqlen"] == 0


def test_labels_are_int64_whatever_the_ids_are() -> None:
    arrays = Contents(dtype="uint16", labels="same", documents=False).of(IDS, borders_of(ENDS))
    assert arrays["input_ids"] is IDS
    assert arrays["labels"].dtype == np.int64
    assert IDS[0].tolist() == [7, EOS, EOS, 9, EOS, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"dtype": "float32"}, "dtype 'float32': \"int64\""), ({"labels": True}, 'labels True: "shifted"')],
)
def test_unknown_contents_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Contents(**{"dtype": "int64", "labels": False, "documents": False, **options})


def walked(ids: npt.NDArray[Any], ends: list[list[int]], shift: bool, inside: bool) -> list[list[list[int]]]:
    """doc_ids, position_ids and labels, token by token."""
    found: list[list[list[int]]] = [[], [], []]
    for row, row_ends in zip(ids.tolist(), ends, strict=True):
        doc, place, label = [], [], []
        for i in range(LENGTH):
            number = sum(end <= i for end in row_ends)
            begin = ([0, *row_ends])[number]
            doc.append(number if number < len(row_ends) else -1)
            place.append(i - begin)
            label.append(-100 if doc[i] < 0 or (inside and i == begin) else row[i])
        found[0].append(doc)
        found[1].append(place)
        found[2].append([*label[1:], -100] if shift else label)
    return found


ROWS = st.lists(st.lists(st.integers(1, LENGTH), unique=True, max_size=4).map(sorted), max_size=5)


@given(ends=ROWS, shift=st.booleans(), inside=st.booleans())
@settings(deadline=None, max_examples=60)
def test_any_rows_are_as_a_walk_over_their_tokens_has_them(ends: list[list[int]], shift: bool, inside: bool) -> None:
    ids = np.arange(len(ends) * LENGTH).reshape(-1, LENGTH)
    doc_ids, position_ids, labels = walked(ids, ends, shift, inside)
    arrays = made(ids, ends, labels="shifted" if shift else "same", documents=inside)
    assert arrays["labels"].tolist() == labels
    if inside:
        assert arrays["doc_ids"].tolist() == doc_ids
        assert arrays["position_ids"].tolist() == position_ids
        begins = np.flatnonzero(arrays["position_ids"].ravel() == 0)
        assert arrays["cu_seqlens"].tolist() == [*begins.tolist(), ids.size]
        assert arrays["max_seqlen"] == max(np.diff(arrays["cu_seqlens"]), default=0)
