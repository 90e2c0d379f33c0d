"""Tokens of documents → rows of `sequence_length`, and the pieces: which token of which document stands where.

Nothing is cut off and thrown away: a document longer than a row goes on in other rows; what does not fill a row under
`concat` is handed back as the tail.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

Int64s = npt.NDArray[np.int64]

MAX_ROWS_BYTES = 2**31  # of a shard, which is held twice while it is written; the format ends at 2³²


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Runs of a document's tokens in rows: parallel int64 arrays, ordered by (row, token_from).

    `doc` is the document's index in the batch that was packed, `doc_from` the run's first token in the document,
    `row` and `token_from` its place, `length` its tokens.
    """

    doc: Int64s
    doc_from: Int64s
    row: Int64s
    token_from: Int64s
    length: Int64s


@dataclass(frozen=True, kw_only=True)
class Packed:
    """`rows` [n_rows, sequence_length]; `pieces` of the rows; `tail` pieces (row and token_from are 0) of tokens that
    filled no row; `n_padding` tokens in rows that belong to no document."""

    rows: npt.NDArray[np.unsignedinteger[Any]]
    pieces: Pieces
    tail: Pieces
    n_padding: int


def pack(
    tokens: npt.NDArray[np.unsignedinteger[Any]], lengths: Int64s, sequence_length: int, packing: str, pad_id: int
) -> Packed:
    """Pack documents, given as their tokens one after the other and their lengths.

    `concat`: documents follow each other and rows cut through them (GPT-2's and LLM Foundry's way); no padding, a tail.
    `best_fit`: documents stay whole where they fit into a row; longer ones fill rows of their own and their rest is
    placed like a document; best-fit decreasing (Ding et al. 2024, "Fewer Truncations Improve Language Modeling").
    `none`: every document begins a row.

    Raises `ValueError` where padding makes so many rows that no shard holds them.
    """
    if packing == "concat":
        return _concat(tokens, lengths, sequence_length)
    pieces, n_rows = _placed(lengths, sequence_length, packing)
    return _fill(tokens, lengths, _offsets(pieces), n_rows, sequence_length, pad_id)


def count_rows(lengths: Int64s, sequence_length: int, packing: str) -> int:
    """How many rows `pack` makes of documents of these lengths."""
    if packing == "concat":
        return int(lengths.sum()) // sequence_length
    return _placed(lengths, sequence_length, packing)[1]


def row_order(n_rows: int, key: str) -> Int64s:
    """A keyed permutation of a partition's rows: position → row. It depends on the key and the count alone."""
    seed = np.uint64(xxhash.xxh3_64_intdigest(key.encode()))
    with np.errstate(over="ignore"):
        x = np.arange(n_rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + seed
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's finaliser (Steele et al. 2014)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(x ^ (x >> np.uint64(31)), kind="stable").astype(np.int64)


def permuted(packed: Packed, order: Int64s) -> Packed:
    """The same rows in another order: new row i is old row `order[i]`; pieces follow."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    row = place[packed.pieces.row]
    by_row = np.lexsort((packed.pieces.token_from, row))
    pieces = _take(packed.pieces, by_row, row[by_row])
    return Packed(rows=packed.rows[order], pieces=pieces, tail=packed.tail, n_padding=packed.n_padding)


def _concat(tokens: npt.NDArray[np.unsignedinteger[Any]], lengths: Int64s, sequence_length: int) -> Packed:
    total = int(lengths.sum())
    n_rows = total // sequence_length
    doc_ends = np.cumsum(lengths)
    doc_starts = doc_ends - lengths
    starts = np.unique(np.concatenate([doc_starts[lengths > 0], np.arange(0, total, sequence_length, dtype=np.int64)]))
    ends = np.append(starts[1:], total) if len(starts) else starts
    doc = np.searchsorted(doc_ends, starts, side="right").astype(np.int64)
    in_rows = starts < n_rows * sequence_length
    row = np.where(in_rows, starts // sequence_length, 0)
    token_from = np.where(in_rows, starts % sequence_length, 0)
    every = Pieces(doc=doc, doc_from=starts - doc_starts[doc], row=row, token_from=token_from, length=ends - starts)
    return Packed(
        rows=tokens[: n_rows * sequence_length].reshape(n_rows, sequence_length),
        pieces=_take(every, np.flatnonzero(in_rows)),
        tail=_take(every, np.flatnonzero(~in_rows)),
        n_padding=0,
    )


def _placed(lengths: Int64s, sequence_length: int, packing: str) -> tuple[Pieces, int]:
    """The row of each piece (token_from is 0), and the number of rows, where documents begin rows of their own."""
    whole, rest = _split(lengths, sequence_length)
    placed = _best_fit(rest, sequence_length) if packing == "best_fit" else _one_each(rest)
    n_whole = len(whole.doc)
    return _joined(whole, rest, placed + n_whole), n_whole + (int(placed.max()) + 1 if len(placed) else 0)


def _split(lengths: Int64s, sequence_length: int) -> tuple[Pieces, Pieces]:
    """Full rows that a document fills alone (row = their number), and the rests (row and token_from are 0)."""
    n_full = lengths // sequence_length
    doc = np.repeat(np.arange(len(lengths), dtype=np.int64), n_full)
    nth = np.arange(len(doc), dtype=np.int64) - np.repeat(np.cumsum(n_full) - n_full, n_full)
    zeros = np.zeros(len(doc), np.int64)
    whole = Pieces(
        doc=doc,
        doc_from=nth * sequence_length,
        row=np.arange(len(doc), dtype=np.int64),
        token_from=zeros,
        length=zeros + sequence_length,
    )
    with_rest = np.flatnonzero(lengths % sequence_length).astype(np.int64)
    none = np.zeros(len(with_rest), np.int64)
    rest = Pieces(
        doc=with_rest,
        doc_from=n_full[with_rest] * sequence_length,
        row=none,
        token_from=none,
        length=lengths[with_rest] % sequence_length,
    )
    return whole, rest


def _one_each(rest: Pieces) -> Int64s:
    return np.arange(len(rest.doc), dtype=np.int64)


def _best_fit(rest: Pieces, sequence_length: int) -> Int64s:
    """Row of each rest: longest first, each into the row with the least room that still holds it; of equals the first.

    A heap of rows for each room: one sorted list of all open rows took quadratic time where many stay open.
    """
    placed = np.zeros(len(rest.doc), np.int64)
    rooms: list[int] = []  # those that rows have left, ascending: never more than sequence_length
    rows: dict[int, list[int]] = {}  # room → the rows that have it left, a heap
    n_rows = 0
    longest_first = np.argsort(-rest.length, kind="stable")
    for item, length in zip(longest_first.tolist(), rest.length[longest_first].tolist(), strict=True):
        place = bisect_left(rooms, length)
        if place < len(rooms):
            room = rooms[place]
            row = heappop(rows[room])
            if not rows[room]:
                del rows[room], rooms[place]
        else:
            room, row = sequence_length, n_rows
            n_rows += 1
        placed[item] = row
        left = room - length
        if left in rows:
            heappush(rows[left], row)
        elif left:
            rows[left] = [row]
            insort(rooms, left)
    return placed


def _joined(whole: Pieces, rest: Pieces, rest_rows: Int64s) -> Pieces:
    return Pieces(
        doc=np.concatenate([whole.doc, rest.doc]),
        doc_from=np.concatenate([whole.doc_from, rest.doc_from]),
        row=np.concatenate([whole.row, rest_rows]),
        token_from=np.concatenate([whole.token_from, rest.token_from]),
        length=np.concatenate([whole.length, rest.length]),
    )


def _offsets(pieces: Pieces) -> Pieces:
    """Pieces of a row one after the other, in the order of the documents."""
    by_row = np.lexsort((pieces.doc, pieces.row))
    row, length = pieces.row[by_row], pieces.length[by_row]
    ends = np.cumsum(length)
    first_of_row = np.searchsorted(row, row, side="left")
    token_from = ends - length - (ends - length)[first_of_row]
    moved = _take(pieces, by_row)
    return Pieces(doc=moved.doc, doc_from=moved.doc_from, row=row, token_from=token_from, length=length)


def _fill(
    tokens: npt.NDArray[np.unsignedinteger[Any]], lengths: Int64s, pieces: Pieces, n_rows: int, width: int, pad_id: int
) -> Packed:
    if n_rows * width * tokens.itemsize > MAX_ROWS_BYTES:
        raise ValueError(
            f"{n_rows} rows of sequence_length {width} for {int(lengths.sum())} tokens are more than a shard holds; "
            "shorten the sequences, or choose `packing: best_fit` or `concat`"
        )
    rows = np.full((n_rows, width), pad_id, dtype=tokens.dtype)
    starts = np.cumsum(lengths) - lengths
    target = np.repeat(pieces.row * width + pieces.token_from, pieces.length)
    origin = np.repeat(starts[pieces.doc] + pieces.doc_from, pieces.length)
    within = np.arange(len(target)) - np.repeat(np.cumsum(pieces.length) - pieces.length, pieces.length)
    rows.reshape(-1)[target + within] = tokens[origin + within]
    empty = np.zeros(0, np.int64)
    no_tail = Pieces(doc=empty, doc_from=empty, row=empty, token_from=empty, length=empty)
    return Packed(rows=rows, pieces=pieces, tail=no_tail, n_padding=n_rows * width - int(lengths.sum()))


def _take(pieces: Pieces, which: Int64s, row: Int64s | None = None) -> Pieces:
    return Pieces(
        doc=pieces.doc[which],
        doc_from=pieces.doc_from[which],
        row=pieces.row[which] if row is None else row,
        token_from=pieces.token_from[which],
        length=pieces.length[which],
    )
