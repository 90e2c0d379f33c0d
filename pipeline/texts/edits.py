"""Cuts applied to texts, and the map between bytes of the text as it was (*raw*) and of the text without the cuts
(*edited*).

A cut takes a span out and writes something fixed for its reason in its place: nothing (a *deletion*) or a *mask*. What
remains stands in its order, byte for byte.

*Edit list* of a document: three numbers for each place that changed, ascending: where the span began and ended in the
raw text, and how many bytes were written there. Deletions that touch are one entry. A text without cuts has no list.

For each document and in all: bytes of the raw text - removed + written = bytes of the edited text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit, types

from pipeline.texts.buffers import Texts, slices
from pipeline.texts.cuts import Cuts

Ints = npt.NDArray[np.int64]

_INTS = types.Array(types.int64, 1, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_CUTS = (_INTS, _INTS, _INTS, _BYTES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Edited:
    """Texts after their cuts: `texts` large_string, `n_bytes` of each (int64 [n]), `edits` list<int64>: the edit lists,
    null where a document has no cut."""

    texts: pa.Array
    n_bytes: Ints
    edits: pa.Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """What each reason did, int64 [n_reasons]: `documents` with at least one cut of it, its cuts (`spans`), and the
    bytes that these removed and wrote."""

    documents: Ints
    spans: Ints
    removed_bytes: Ints
    written_bytes: Ints


def together(outer: Cuts, inner: Cuts, n_outer_reasons: int) -> Cuts:
    """The cuts of both on the same documents; the reasons of `inner` stand behind the `n_outer_reasons` of `outer`.

    A span of `inner` that shares a byte with one of `outer` is not cut by itself, and nothing of it stays: what `outer`
    does not hold of it goes with the span of `outer` before it (with the one behind it, at its beginning), which grows
    by that much. So a half deleted e-mail address leaves neither its other half nor a mask, and `outer` keeps the
    number and order of its spans. `ValueError` if the numbers of documents differ.
    """
    if outer.n_documents != inner.n_documents:
        raise ValueError(f"cuts of {outer.n_documents} and of {inner.n_documents} documents; they must be of the same")
    most = len(outer.first) + len(inner.first)
    starts, reason = np.zeros(len(outer.starts), np.int64), np.empty(most, np.uint8)
    first, last = np.empty(most, np.int64), np.empty(most, np.int64)
    outer_arrays = (outer.starts, outer.first, outer.last, outer.reason)
    inner_arrays = (inner.starts, inner.first, inner.last, inner.reason)
    _merge(*outer_arrays, *inner_arrays, n_outer_reasons, starts, first, last, reason)
    n = int(starts[-1])
    return Cuts(starts=starts, first=first[:n], last=last[:n], reason=reason[:n])


def apply(texts: pa.Array, cuts: Cuts, written: Sequence[bytes]) -> Edited:
    """Cut the spans out of the texts and write `written[reason]` (UTF-8) in the place of each.

    `ValueError` if `texts` is not string or large_string or holds nulls, and for cuts that are not as `Cuts` says, or
    of a reason that `written` lacks.
    """
    runs = list(slices(texts))
    raw_bytes = np.concatenate([np.empty(0, np.int64), *(run.n_bytes for run in runs)])
    _check(cuts, raw_bytes, len(written))
    lengths = _lengths(written)
    change = np.append(0, np.cumsum(lengths[cuts.reason] - (cuts.last - cuts.first)))
    n_bytes = raw_bytes + np.diff(change[cuts.starts])
    masks, mask_starts = np.frombuffer(b"".join(written), np.uint8), np.append(0, np.cumsum(lengths))
    new, size, document = np.empty(int(n_bytes.sum()), np.uint8), 0, 0
    for run in runs:
        starts = cuts.starts[document : document + run.n_documents + 1]
        here = slice(int(starts[0]), int(starts[-1]))
        before = np.repeat(run.offsets[:-1], np.diff(starts))
        first, last, reason = before + cuts.first[here], before + cuts.last[here], cuts.reason[here]
        _check_borders(run, first)
        _check_borders(run, last[last < run.offsets[-1]])
        size = _copy(run.data, run.offsets[0], run.offsets[-1], first, last, reason, masks, mask_starts, new, size)
        document += run.n_documents
    buffers = [None, pa.py_buffer(np.append(0, np.cumsum(n_bytes))), pa.py_buffer(new)]
    return Edited(
        texts=pa.Array.from_buffers(pa.large_string(), len(texts), buffers),
        n_bytes=n_bytes,
        edits=_edit_lists(cuts, lengths),
    )


def without(texts: Texts, cuts: Cuts) -> Texts:
    """The texts with the spans cut out and nothing written in their place, as new texts. `ValueError` for cuts that are
    not as `Cuts` says."""
    _check(cuts, texts.n_bytes, 1 + int(cuts.reason.max(initial=0)))
    change = np.append(0, np.cumsum(cuts.first - cuts.last))
    n_bytes = texts.n_bytes + np.diff(change[cuts.starts])
    offsets = np.append(0, np.cumsum(n_bytes))
    before = np.repeat(texts.offsets[:-1], np.diff(cuts.starts))
    first, last, nothing = before + cuts.first, before + cuts.last, np.zeros(len(cuts.first), np.uint8)
    new = np.empty(int(offsets[-1]), np.uint8)
    no_masks, no_starts = np.empty(0, np.uint8), np.zeros(2, np.int64)
    _copy(texts.data, texts.offsets[0], texts.offsets[-1], first, last, nothing, no_masks, no_starts, new, 0)
    return Texts(data=new, offsets=offsets)


def account(cuts: Cuts, chosen: npt.NDArray[np.bool_], written: Sequence[bytes]) -> Account:
    """What the cuts of the `chosen` documents (bool [n_documents]) do, for each of the reasons that `written` has."""
    documents = cuts.documents()
    counts = chosen[documents]
    documents, reason = documents[counts], cuts.reason[counts]
    held = np.zeros((cuts.n_documents, len(written)), np.bool_)
    held[documents, reason] = True
    spans = np.bincount(reason, minlength=len(written))
    removed = np.zeros(len(written), np.int64)
    np.add.at(removed, reason, (cuts.last - cuts.first)[counts])
    return Account(
        documents=held.sum(axis=0), spans=spans, removed_bytes=removed, written_bytes=spans * _lengths(written)
    )


def to_raw(edits: Sequence[int] | None, first: int, last: int) -> tuple[int, int]:
    """Where bytes [first, last) of the edited text came from: the smallest span of the raw text that holds them all.

    Of a mask, in whole or in part, that is the whole masked span. Deletions within the span belong to it, those at its
    ends do not. An empty span becomes the empty span before the byte that follows it: behind what was deleted there,
    before the masked span if it stands in or before a mask. `ValueError` for spans and edit lists that cannot be.
    """
    _check_span(first, last)
    start = _raw(edits, first)[0]
    return start, _raw(edits, last - 1)[1] if last > first else start


def to_edited(edits: Sequence[int] | None, first: int, last: int) -> tuple[int, int] | None:
    """Where bytes [first, last) of the raw text are in the edited text: the smallest span that holds all that stayed of
    them, and the whole mask of those that were masked. None where nothing of them stayed.

    An empty span becomes an empty span: within a deletion the place where that stood, within a masked span the
    beginning of the mask. `ValueError` for spans and edit lists that cannot be.
    """
    _check_span(first, last)
    start, stop = _edited(edits, first)[0], _edited(edits, last)[1]
    if first == last:
        return start, start
    return (start, stop) if start < stop else None


def _raw(edits: Sequence[int] | None, at: int) -> tuple[int, int]:
    """The raw span of byte `at` of the edited text."""
    shift = 0
    for raw_first, raw_last, edited_first, edited_last in _entries(edits):
        if at < edited_first:
            break
        if at < edited_last:
            return raw_first, raw_last
        shift = raw_last - edited_last
    return at + shift, at + shift + 1


def _edited(edits: Sequence[int] | None, at: int) -> tuple[int, int]:
    """The place in the edited text of the border before byte `at` of the raw text, twice; within a cut, where that
    which was written begins and ends."""
    shift = 0
    for raw_first, raw_last, edited_first, edited_last in _entries(edits):
        if at <= raw_first:
            break
        if at < raw_last:
            return edited_first, edited_last
        shift = edited_last - raw_last
    return at + shift, at + shift


def _entries(edits: Sequence[int] | None) -> Iterator[tuple[int, int, int, int]]:
    """Of each entry of an edit list the span in the raw and in the edited text."""
    edits = edits or ()
    if len(edits) % 3:
        raise ValueError(f"an edit list has three numbers for each place; this one has {len(edits)} numbers")
    shift, end = 0, 0
    for first, last, written in zip(edits[::3], edits[1::3], edits[2::3], strict=True):
        if not (end <= first < last and written >= 0):
            raise ValueError(f"an edit list is ascending; this one has ({first}, {last}, {written}) behind byte {end}")
        yield first, last, first + shift, first + shift + written
        shift, end = shift + written - (last - first), last


def _check_span(first: int, last: int) -> None:
    if not 0 <= first <= last:
        raise ValueError(f"bytes [{first}, {last}) are no span; it takes 0 <= first <= last")


def _lengths(written: Sequence[bytes]) -> Ints:
    return np.array([len(mask) for mask in written], np.int64)


def _check(cuts: Cuts, n_bytes: Ints, n_reasons: int) -> None:
    """The compiled copy trusts what is checked here."""
    if cuts.n_documents != len(n_bytes):
        raise ValueError(f"cuts of {cuts.n_documents} documents for {len(n_bytes)} texts; they must be of the same")
    n_spans = {len(cuts.first), len(cuts.last), len(cuts.reason), int(cuts.starts[-1])}
    if len(n_spans) > 1 or cuts.starts[0] != 0 or (np.diff(cuts.starts) < 0).any():
        raise ValueError(f"the cuts' starts do not ascend from 0 to their number ({sorted(n_spans)} spans by array)")
    if len(cuts.reason) and int(cuts.reason.max()) >= n_reasons:
        raise ValueError(f"a cut has reason {cuts.reason.max()}; what is written is given for {n_reasons} reasons")
    documents = cuts.documents()
    before = np.append(0, cuts.last[:-1])[: len(documents)]
    before[cuts.starts[:-1][np.diff(cuts.starts) > 0]] = 0
    wrong = (cuts.first < before) | (cuts.last <= cuts.first) | (cuts.last > n_bytes[documents])
    if wrong.any():
        span = int(wrong.argmax())
        raise ValueError(
            f"document {documents[span]} of {n_bytes[documents[span]]} bytes has a cut of bytes [{cuts.first[span]}, "
            f"{cuts.last[span]}) behind byte {before[span]}; cuts ascend, are not empty, do not overlap and end within "
            "the text"
        )


def _check_borders(run: Texts, at: Ints) -> None:
    inside = run.data[at] & 0xC0 == 0x80
    if inside.any():
        place = int(at[inside.argmax()])
        document = int(np.searchsorted(run.offsets, place, side="right")) - 1
        at_byte = place - run.offsets[document]
        raise ValueError(f"a cut starts or ends at byte {at_byte} of a text, within a character, not between two")


def _edit_lists(cuts: Cuts, lengths: Ints) -> pa.Array:
    """The edit lists of all documents."""
    n = len(cuts.first)
    deletes = lengths[cuts.reason] == 0
    begins = np.ones(n, np.bool_)
    begins[1:] = (cuts.first[1:] != cuts.last[:-1]) | ~deletes[1:] | ~deletes[:-1]
    begins[cuts.starts[:-1][np.diff(cuts.starts) > 0]] = True
    places = np.flatnonzero(begins)
    entries = np.empty((len(places), 3), np.int64)
    entries[:, 0] = cuts.first[places]
    entries[:, 1] = cuts.last[np.append(places[1:], n)[: len(places)] - 1]
    entries[:, 2] = lengths[cuts.reason[places]]
    offsets = 3 * np.append(0, np.cumsum(begins))[cuts.starts]
    none = pa.array(np.diff(offsets) == 0)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(entries.ravel()), mask=none)


@njit(
    types.void(*_CUTS, *_CUTS, types.int64, types.int64[::1], types.int64[::1], types.int64[::1], types.uint8[::1]),
    cache=True,
    nogil=True,
)
def _merge(  # type: ignore[no-untyped-def]
    o_starts, o_first, o_last, o_reason, i_starts, i_first, i_last, i_reason, n_outer, starts, first, last, reason
):
    n = 0
    for document in range(len(starts) - 1):
        o, o_end, i, i_end = o_starts[document], o_starts[document + 1], i_starts[document], i_starts[document + 1]
        lead, reach, behind_outer = -1, 0, False  # lead: where the next outer span begins; reach: where inner ones end
        while o < o_end or i < i_end:
            if i < i_end and (o == o_end or i_first[i] < o_first[o]):
                reach = i_last[i]
                limit = o_first[o] if o < o_end else reach
                if behind_outer and i_first[i] < last[n - 1]:
                    last[n - 1] = max(last[n - 1], min(reach, limit))
                elif reach > limit:
                    lead = i_first[i]
                else:
                    first[n], last[n], reason[n] = i_first[i], reach, n_outer + i_reason[i]
                    n, behind_outer = n + 1, False
                i += 1
            else:
                limit = o_first[o + 1] if o + 1 < o_end else reach
                first[n] = o_first[o] if lead < 0 else lead
                last[n], reason[n] = max(o_last[o], min(reach, limit)), o_reason[o]
                n, lead, behind_outer = n + 1, -1, True
                o += 1
        starts[document + 1] = n


@njit(cache=True, nogil=True)
def _put(source, new, size):  # type: ignore[no-untyped-def]
    # Plain indices into views: with sums as indices, or as an assignment, the loop is 4 to 19 times slower.
    target = new[size : size + len(source)]
    for k in range(len(source)):
        target[k] = source[k]
    return size + len(source)


@njit(
    types.int64(
        *(_BYTES, types.int64, types.int64, _INTS, _INTS, _BYTES, _BYTES, _INTS),
        *(types.uint8[::1], types.int64),
    ),
    cache=True,
    nogil=True,
)
def _copy(data, start, end, first, last, reason, masks, mask_starts, new, size):  # type: ignore[no-untyped-def]
    """Write data[start:end] less the spans, with their masks, to `new` from place `size`; where that ends. Texts lie
    behind each other in both, so what stays between two cuts is one copy, however many texts it holds."""
    for span in range(len(first)):
        size = _put(data[start : first[span]], new, size)
        mask = reason[span]
        size = _put(masks[mask_starts[mask] : mask_starts[mask + 1]], new, size)
        start = last[span]
    return _put(data[start:end], new, size)
