import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deduped.keep import kept_index

Document = tuple[int, int, float, int, bytes]  # component, priority, signal, n_bytes, doc_id


def kept(documents: list[Document], *, with_signal: bool = False) -> list[int]:
    def integers(place: int) -> npt.NDArray[np.int64]:
        return np.array([document[place] for document in documents], dtype=np.int64)

    ids = np.frombuffer(b"".join(document[4] for document in documents), dtype=np.uint8).reshape(-1, 16)
    answer = kept_index(
        integers(0),
        priority=integers(1),
        signal=np.array([document[2] for document in documents]) if with_signal else None,
        n_bytes=integers(3),
        doc_id=ids,
    )
    return [int(index) for index in answer]


def an_id(number: int, byte: int = 15) -> bytes:
    return bytes(number if place == byte else 0 for place in range(16))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 1, 0.0, 10, an_id(9)), (1, 2, 0.9, 99, an_id(1))),  # priority before all
        ((1, 1, 0.9, 10, an_id(9)), (1, 1, 0.1, 99, an_id(1))),  # then the larger signal
        ((1, 1, -9.0, 10, an_id(9)), (1, 1, np.nan, 99, an_id(1))),  # which must have been measured
        ((1, 1, 0.5, 99, an_id(9)), (1, 1, 0.5, 10, an_id(1))),  # then the longer text
        ((1, 1, 0.5, 10, an_id(1)), (1, 1, 0.5, 10, an_id(9))),  # then the smaller doc_id
        ((1, 1, 0.5, 10, an_id(255, byte=1)), (1, 1, 0.5, 10, an_id(1, byte=0))),  # from its first byte on
        ((1, 1, 0.5, 10, an_id(1, byte=9)), (1, 1, 0.5, 10, an_id(128, byte=8))),  # to its last
    ],
)
def test_the_order_of_precedence(first: Document, second: Document) -> None:
    assert kept([first, second], with_signal=True) == [0, 0]
    assert kept([second, first], with_signal=True) == [1, 1]


def test_without_a_signal_length_decides() -> None:
    assert kept([(1, 1, 0.9, 10, an_id(1)), (1, 1, 0.1, 99, an_id(2))]) == [1, 1]


def test_each_component_keeps_one() -> None:
    documents = [(7, 1, 0.0, 5, an_id(4)), (3, 1, 0.0, 1, an_id(3)), (7, 1, 0.0, 8, an_id(2)), (3, 0, 0.0, 1, an_id(1))]
    assert kept([*documents, (-1, 9, 0.0, 0, an_id(9))]) == [2, 3, 2, 3, 4]
    assert kept([]) == []


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 2),
            st.sampled_from([0.0, 0.5, 1.0, float("nan"), float("-inf")]),
            st.integers(0, 2),
            st.binary(min_size=16, max_size=16),
        ),
        max_size=12,
        unique_by=lambda document: document[4],
    ),
    st.booleans(),
)
def test_kept_is_the_smallest_of_its_component_by_python(documents: list[Document], with_signal: bool) -> None:
    def rank(index: int) -> tuple[object, ...]:
        _, priority, signal, n_bytes, doc_id = documents[index]
        missing = signal != signal or signal == float("-inf")
        return (priority, (missing, 0.0 if missing else -signal) if with_signal else (), -n_bytes, doc_id)

    expected = [
        min((other for other in range(len(documents)) if documents[other][0] == document[0]), key=rank)
        for document in documents
    ]
    assert kept(documents, with_signal=with_signal) == expected
