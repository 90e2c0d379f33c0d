"""Cuts applied to texts: the compiled copy against Python bytes, and the map of spans in both directions."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.texts import buffers
from pipeline.texts.buffers import slices
from pipeline.texts.cuts import Cuts
from pipeline.texts.edits import account, apply, to_edited, to_raw, together, without

Span = tuple[int, int, int]  # first, last, reason

WRITTEN = (b"", "‹mail›".encode(), b"", b"#")


def cuts_of(documents: Sequence[Sequence[Span]]) -> Cuts:
    spans = [span for document in documents for span in document]
    return Cuts(
        starts=np.cumsum([0, *map(len, documents)]),
        first=np.array([span[0] for span in spans], np.int64),
        last=np.array([span[1] for span in spans], np.int64),
        reason=np.array([span[2] for span in spans], np.uint8),
    )


def spans_of(cuts: Cuts) -> list[list[Span]]:
    spans = list(zip(cuts.first.tolist(), cuts.last.tolist(), cuts.reason.tolist(), strict=True))
    return [spans[a:b] for a, b in zip(cuts.starts[:-1], cuts.starts[1:], strict=True)]


def cut_by_definition(text: str, spans: Sequence[Span], written: Sequence[bytes] = WRITTEN) -> str:
    raw = text.encode()
    for first, last, reason in reversed(spans):
        raw = raw[:first] + written[reason] + raw[last:]
    return raw.decode()


def edits_by_definition(spans: Sequence[Span]) -> list[int] | None:
    entries: list[list[int]] = []
    for first, last, reason in spans:
        length = len(WRITTEN[reason])
        if entries and entries[-1][1:] == [first, 0] and length == 0:
            entries[-1][1] = last
        else:
            entries.append([first, last, length])
    return [number for entry in entries for number in entry] or None


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[Span]]:
    """A text and cuts between its characters."""
    text = draw(st.text(st.sampled_from("ab é我🤗\n"), max_size=14))
    borders = [len(text[:at].encode()) for at in range(len(text) + 1)]
    ends = sorted(draw(st.lists(st.sampled_from(borders), max_size=8, unique=True)))
    return text, [(first, last, draw(st.integers(0, 3))) for first, last in pairwise(ends) if draw(st.booleans())]


def origins(text: str, spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Of each byte of the edited text the span of the raw text it comes from."""
    found, at = [], 0
    for first, last, reason in [*spans, (len(text.encode()), 0, 0)]:
        found += [(byte, byte + 1) for byte in range(at, first)] + [(first, last)] * len(WRITTEN[reason])
        at = last
    return found


@settings(deadline=None, max_examples=200)
@given(st.lists(cut_texts(), max_size=6), st.sampled_from([pa.string(), pa.large_string()]), st.data())
def test_texts_are_cut_as_bytes_would_be(
    documents: list[tuple[str, list[Span]]], kind: pa.DataType, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(documents)))
    texts = pa.array([text for text, _ in documents], kind)[first:]
    chosen = [spans for _, spans in documents[first:]]
    edited = apply(texts, cuts_of(chosen), WRITTEN)
    edited.texts.validate(full=True)
    edited.edits.validate(full=True)
    assert edited.texts.type == pa.large_string()
    assert edited.edits.type == pa.list_(pa.int64())
    assert edited.texts.to_pylist() == [cut_by_definition(text, spans) for text, spans in documents[first:]]
    assert edited.n_bytes.tolist() == [len(text.encode()) for text in edited.texts.to_pylist()]
    assert edited.edits.to_pylist() == [edits_by_definition(spans) for spans in chosen]


@settings(deadline=None, max_examples=100)
@given(st.lists(cut_texts(), min_size=1, max_size=6), st.data())
def test_texts_without_their_cuts_are_texts_again(documents: list[tuple[str, list[Span]]], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(documents) - 1))
    (texts,) = slices(pa.array([text for text, _ in documents])[first:])
    left = without(texts, cuts_of([spans for _, spans in documents[first:]]))
    nothing = [b""] * len(WRITTEN)
    expected = [cut_by_definition(text, spans, nothing) for text, spans in documents[first:]]
    ends = zip(left.offsets[:-1], left.offsets[1:], strict=True)
    assert [left.data[start:end].tobytes().decode() for start, end in ends] == expected


@settings(deadline=None, max_examples=100)
@given(st.lists(cut_texts(), max_size=6), st.data())
def test_bytes_are_conserved(documents: list[tuple[str, list[Span]]], data: st.DataObject) -> None:
    chosen = np.array([data.draw(st.booleans()) for _ in documents], np.bool_)
    cuts = cuts_of([spans for _, spans in documents])
    edited = apply(pa.array([text for text, _ in documents], pa.string()), cuts, WRITTEN)
    found = account(cuts, chosen, WRITTEN)
    raw = sum(len(text.encode()) for (text, _), counts in zip(documents, chosen, strict=True) if counts)
    assert raw - found.removed_bytes.sum() + found.written_bytes.sum() == edited.n_bytes[chosen].sum()
    for reason in range(4):
        spans = [[s for s in spans if s[2] == reason] for (_, spans), c in zip(documents, chosen, strict=True) if c]
        assert found.documents[reason] == sum(bool(part) for part in spans)
        assert found.spans[reason] == sum(map(len, spans))
        assert found.removed_bytes[reason] == sum(last - first for part in spans for first, last, _ in part)
        assert found.written_bytes[reason] == found.spans[reason] * len(WRITTEN[reason])


@settings(deadline=None, max_examples=300)
@given(cut_texts())
def test_the_map_leads_back_to_where_each_byte_came_from(document: tuple[str, list[Span]]) -> None:
    text, spans = document
    edits, places, n_raw = edits_by_definition(spans), origins(*document), len(text.encode())
    for first in range(len(places)):
        for last in range(first + 1, len(places) + 1):
            raw = to_raw(edits, first, last)
            assert raw == (places[first][0], places[last - 1][1])
            edited = to_edited(edits, *raw)
            assert edited is not None
            assert edited[0] <= first < last <= edited[1]
            assert to_raw(edits, *edited) == raw
    for first in range(n_raw):
        for last in range(first + 1, n_raw + 1):
            held = [at for at, (begin, end) in enumerate(places) if begin < last and end > first]
            assert to_edited(edits, first, last) == ((held[0], held[-1] + 1) if held else None)
    for at in range(len(places) + 1):
        point = places[at][0] if at < len(places) else n_raw
        assert to_raw(edits, at, at) == (point, point)
    for at in range(n_raw + 1):
        begins = [place for place, (begin, end) in enumerate(places) if end > at]
        assert to_edited(edits, at, at) == ((begins[0],) * 2 if begins else (len(places),) * 2)


def test_spans_by_hand() -> None:
    text = "Mail a@b.de now. [1]Bye"
    edited = apply(pa.array([text]), cuts_of([[(5, 11, 1), (17, 20, 0)]]), (b"", b"<MAIL>"))
    (edits,) = edited.edits.to_pylist()
    assert edited.texts.to_pylist() == ["Mail <MAIL> now. Bye"]
    assert edits == [5, 11, 6, 17, 20, 0]
    assert to_raw(edits, 7, 13) == (5, 13)
    assert to_raw(edits, 12, 20) == (12, 23)
    assert to_raw(edits, 16, 17) == (16, 17)
    assert to_raw(edits, 17, 17) == (20, 20)
    assert to_raw(edits, 8, 8) == (5, 5)
    assert to_edited(edits, 6, 7) == (5, 11)
    assert to_edited(edits, 18, 20) is None
    assert to_edited(edits, 18, 18) == (17, 17)
    assert to_raw(None, 3, 4) == to_edited(None, 3, 4) == (3, 4)


@pytest.mark.parametrize("spans", [[(0, 6, 0)], [(0, 6, 1)], [(0, 3, 0), (3, 6, 2)]])
def test_whole_documents_and_empty_ones(spans: list[Span]) -> None:
    edited = apply(pa.array(["", "我們", ""]), cuts_of([[], spans, []]), WRITTEN)
    assert edited.texts.to_pylist() == ["", WRITTEN[spans[0][2]].decode(), ""]
    assert edited.edits.to_pylist() == [None, [0, 6, len(WRITTEN[spans[0][2]])], None]


def test_deletions_touch_only_within_a_document() -> None:
    edited = apply(pa.array(["abc", "defgh"]), cuts_of([[(1, 3, 0)], [(3, 4, 2), (4, 5, 0)]]), WRITTEN)
    assert edited.edits.to_pylist() == [[1, 3, 0], [3, 5, 0]]


def test_no_documents() -> None:
    none = cuts_of([])
    edited = apply(pa.array([], pa.string()), none, WRITTEN)
    assert (len(edited.texts), len(edited.edits), len(edited.n_bytes)) == (0, 0, 0)
    assert account(none, np.empty(0, np.bool_), WRITTEN).spans.tolist() == [0, 0, 0, 0]
    assert together(none, none, 1).n_documents == 0


def test_runs_of_documents_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "SLICE_BYTES", 5)
    edited = apply(pa.array(["abc", "def", "", "ghi"]), cuts_of([[(1, 2, 3)], [(2, 3, 1)], [], [(0, 1, 0)]]), WRITTEN)
    assert edited.texts.to_pylist() == ["a#c", "de‹mail›", "", "hi"]


def test_texts_and_cuts_may_be_read_only() -> None:
    cuts = cuts_of([[(1, 2, 0)]])
    for array in vars(cuts).values():
        array.flags.writeable = False
    assert apply(pa.array(["abc"]), together(cuts, cuts, 1), WRITTEN).texts.to_pylist() == ["ac"]


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ([(2, 4, 0)], [(5, 7, 0)], [(2, 4, 0), (5, 7, 2)]),
        ([(5, 7, 1)], [(2, 4, 1), (8, 9, 0)], [(2, 4, 3), (5, 7, 1), (8, 9, 2)]),
        ([(2, 4, 0)], [(4, 7, 0)], [(2, 4, 0), (4, 7, 2)]),
        ([(2, 9, 0)], [(2, 4, 0), (5, 7, 1), (8, 9, 1)], [(2, 9, 0)]),
        ([(2, 4, 0)], [(3, 7, 0)], [(2, 7, 0)]),
        ([(2, 4, 0)], [(1, 3, 0)], [(1, 4, 0)]),
        ([(2, 4, 0)], [(1, 7, 0)], [(1, 7, 0)]),
        ([(2, 4, 0), (6, 8, 1)], [(1, 9, 0)], [(1, 6, 0), (6, 9, 1)]),
        ([(2, 4, 0), (6, 8, 1)], [(3, 7, 0)], [(2, 6, 0), (6, 8, 1)]),
        ([(2, 4, 0), (6, 8, 1), (8, 9, 0)], [(3, 5, 0), (5, 9, 0)], [(2, 5, 0), (5, 8, 1), (8, 9, 0)]),
    ],
)
def test_cuts_of_two_kinds_by_hand(outer: list[Span], inner: list[Span], expected: list[Span]) -> None:
    found = together(cuts_of([[], outer]), cuts_of([[], inner]), 2)
    assert spans_of(found) == [[], expected]


@settings(deadline=None, max_examples=300)
@given(st.text("abcde", max_size=20), st.data())
def test_nothing_of_a_half_deleted_span_stays(text: str, data: st.DataObject) -> None:
    outer, inner = (
        [(a, b, data.draw(st.integers(0, 1))) for a, b in pairwise(ends) if data.draw(st.booleans())]
        for ends in (sorted(data.draw(st.sets(st.integers(0, len(text))))) for _ in range(2))
    )
    (found,) = spans_of(together(cuts_of([outer]), cuts_of([inner]), 2))
    touched = [span for span in inner if any(span[0] < o[1] and o[0] < span[1] for o in outer)]
    alone = [(first, last, 2 + reason) for first, last, reason in inner if (first, last, reason) not in touched]
    deleted = {byte for first, last, _ in outer + touched for byte in range(first, last)}
    assert [span for span in found if span[2] >= 2] == alone
    grown = [span for span in found if span[2] < 2]
    assert [span[2] for span in grown] == [span[2] for span in outer]
    assert all(g[0] <= o[0] and o[1] <= g[1] for g, o in zip(grown, outer, strict=True))
    assert [byte for first, last, _ in grown for byte in range(first, last)] == sorted(deleted)
    written = (b"", b"", b"1", b"2")
    edited = apply(pa.array([text]), cuts_of([found]), written)  # checks that the cuts ascend without overlap
    assert edited.texts.to_pylist() == [cut_by_definition(text, found, written)]


@pytest.mark.parametrize(
    ("documents", "error"),
    [
        ([[(0, 1, 0)]], "cuts of 1 documents for 2 texts"),
        ([[], [(1, 4, 0)]], r"document 1 of 3 bytes has a cut of bytes \[1, 4\)"),
        ([[(1, 1, 0)], []], r"document 0 of 3 bytes has a cut of bytes \[1, 1\) behind byte 0"),
        ([[(0, 2, 0), (1, 3, 0)], []], r"cut of bytes \[1, 3\) behind byte 2"),
        ([[(-1, 2, 0)], []], r"cut of bytes \[-1, 2\)"),
        ([[], [(0, 2, 0)]], "byte 2 of a text, within a character"),
        ([[], [(2, 3, 0)]], "byte 2 of a text, within a character"),
        ([[(0, 1, 4)], []], "a cut has reason 4; what is written is given for 4 reasons"),
    ],
)
def test_cuts_that_cannot_be_are_told(documents: list[list[Span]], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        apply(pa.array(["abc", "xé"]), cuts_of(documents), WRITTEN)


def test_starts_that_cannot_be_are_told() -> None:
    cuts = cuts_of([[(0, 1, 0)], [(0, 1, 0)]])
    for starts in ([0, 1, 3], [0, 3, 2], [1, 1, 2]):
        wrong = Cuts(starts=np.array(starts), first=cuts.first, last=cuts.last, reason=cuts.reason)
        with pytest.raises(ValueError, match="starts do not ascend from 0 to their number"):
            apply(pa.array(["abc", "d"]), wrong, WRITTEN)
    (texts,) = slices(pa.array(["abc"]))
    with pytest.raises(ValueError, match="cuts of 2 documents for 1 texts"):
        without(texts, cuts)
    with pytest.raises(ValueError, match="cuts of 2 and of 0 documents"):
        together(cuts, cuts_of([]), 1)


@pytest.mark.parametrize("to", [to_raw, to_edited])
def test_spans_and_edit_lists_that_cannot_be_are_told(to: Callable[[list[int] | None, int, int], object]) -> None:
    for first, last in ((-1, 2), (3, 2)):
        with pytest.raises(ValueError, match=rf"bytes \[{first}, {last}\) are no span"):
            to(None, first, last)
    with pytest.raises(ValueError, match="this one has 2 numbers"):
        to([1, 2], 0, 1)
    for edits in ([5, 6, 0, 4, 5, 0], [5, 5, 0], [5, 6, -1]):
        with pytest.raises(ValueError, match="an edit list is ascending"):
            to(edits, 0, 9)
