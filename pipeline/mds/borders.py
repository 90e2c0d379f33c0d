"""Where the pieces of documents end in the rows of a dataset: `borders.bin` and `border_groups.bin`, beside the shards.

A row is a run of pieces (documents, or parts of long ones) that begins at token 0, and padding after the last. So the
ends of its pieces tell all: a piece begins where the one before it ends, and padding begins at the last end. The rows
of a shard lie in groups of `group_samples` rows; a group is uint32 words:

    upto  [its rows]   how many ends the group's rows 0 … r have together
    ends  [upto[-1]]   row by row, ascending: 1 … sequence_length

`borders.bin` is the groups of all shards one after the other, `border_groups.bin` uint64 [groups + 1, 2]: each group's
first word and the xxh3-64 of its bytes, the last row the count of words and 0. All little-endian. So the borders of a
sample are found by arithmetic and read by one range, verified; the table of groups, 16 bytes for a MiB of rows, is
verified as a whole by the hash in the manifest. A row costs 4 bytes, and 4 for each of its pieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

BORDERS = "borders.bin"
BORDER_GROUPS = "border_groups.bin"

GROUP_BYTES = 2**20
"""Bytes of the rows of a group, about: those of a chunk of the order, which are needed together. A group is never
larger than about twice its rows: a piece has at least a token, of 2 bytes or more, and its end has 4."""

WORD: np.dtype[np.uint32] = np.dtype("<u4")
GROUP_ROW: np.dtype[np.uint64] = np.dtype("<u8")  # border_groups.bin: [n_groups + 1, 2]

Int64s = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True, eq=False)
class BorderGroups:
    """Group g is words first_word[g] … first_word[g + 1] - 1 of `borders.bin`, its xxh3-64 is hashes[g]."""

    first_word: Int64s  # [n_groups + 1]
    hashes: npt.NDArray[np.uint64]  # [n_groups]


@dataclass(frozen=True, kw_only=True)
class JoinedBorders:
    """The two files of a dataset, and what they hold: pieces, and tokens that are no padding."""

    borders: bytes
    groups: bytes
    n_pieces: int
    n_tokens: int


def group_samples(row_bytes: int) -> int:
    """Samples in a group: about 1 MiB of rows, at least 1. A shard's last group may be shorter."""
    if row_bytes < 1:
        raise ValueError(f"row_bytes is {row_bytes}; a row has at least one byte")
    return max(1, GROUP_BYTES // row_bytes)


def shard_borders(row: Int64s, end: Int64s, n_rows: int, row_bytes: int) -> bytes:
    """One shard's table of groups and, after it, its groups, from its pieces in order: the row of each, ascending, and
    its end in the row, ascending there. Of a dataset with one shard these are the bytes of both files."""
    step = group_samples(row_bytes)
    firsts = np.searchsorted(row, np.arange(0, n_rows + step, step).clip(max=n_rows))
    upto = np.cumsum(np.bincount(row, minlength=n_rows))
    groups = []
    for number, (first, last) in enumerate(zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True)):
        counts = upto[number * step : (number + 1) * step] - first
        groups.append(np.concatenate([counts, end[first:last]]).astype(WORD).tobytes())
    return b"".join([_group_rows([len(group) // WORD.itemsize for group in groups], [*map(_hash, groups)]), *groups])


def join_shards(
    shards: Sequence[bytes], n_samples: Sequence[int], row_bytes: int, sequence_length: int, where: str
) -> JoinedBorders:
    """The files of a dataset from what `shard_borders` gave for each of its shards, with each one's count of samples.
    All of it is checked: `ValueError` that names `where` and the shard's place."""
    n_words: list[int] = []
    hashes: list[int] = []
    bodies: list[bytes] = []
    n_pieces = n_tokens = 0
    for place, (shard, n_rows) in enumerate(zip(shards, n_samples, strict=True)):
        inside = f"{where}, shard {place}"
        step = group_samples(row_bytes)
        table_bytes = (-(-n_rows // step) + 1) * 2 * GROUP_ROW.itemsize
        body = shard[table_bytes:]
        table = parse_groups(shard[:table_bytes], -(-n_rows // step), len(body), inside)
        for number, expected in enumerate(table.hashes.tolist()):
            first, last = table.first_word[number : number + 2].tolist()
            own = min(step, n_rows - number * step)
            group = parse_group(
                body[WORD.itemsize * first : WORD.itemsize * last],
                own,
                sequence_length,
                expected,
                f"{inside}, group {number}",
            )
            counts, ends = np.diff(group[:own], prepend=WORD.type(0)), group[own:]
            n_pieces += len(ends)
            n_tokens += int(ends[group[:own][counts > 0] - 1].sum(dtype=np.int64))
        n_words += np.diff(table.first_word).tolist()
        hashes += table.hashes.tolist()
        bodies.append(body)
    return JoinedBorders(
        borders=b"".join(bodies), groups=_group_rows(n_words, hashes), n_pieces=n_pieces, n_tokens=n_tokens
    )


def parse_groups(data: bytes, n_groups: int, n_bytes: int, where: str) -> BorderGroups:
    """The table in the bytes of `border_groups.bin`, for a `borders.bin` of `n_bytes`; `ValueError` that names `where`
    if they are cut, or not those of `n_groups` groups."""
    row_bytes = 2 * GROUP_ROW.itemsize
    if len(data) != (n_groups + 1) * row_bytes:
        raise ValueError(f"{where}: {len(data)} bytes, the table of {n_groups} groups has {(n_groups + 1) * row_bytes}")
    rows = np.frombuffer(data, GROUP_ROW).reshape(-1, 2)
    first_word = rows[:, 0].astype(np.int64)
    in_order = first_word[0] == 0 and (first_word >= 0).all() and (np.diff(first_word) > 0).all()
    if not in_order or first_word[-1] != n_bytes // WORD.itemsize or n_bytes % WORD.itemsize or rows[-1, 1] != 0:
        raise ValueError(f"{where}: its groups are not one after the other in the {n_bytes} bytes of the borders")
    return BorderGroups(first_word=first_word, hashes=np.ascontiguousarray(rows[:-1, 1], np.uint64))


def parse_group(data: bytes, n_rows: int, sequence_length: int, expected: int, where: str) -> Words:
    """The words of a group of `n_rows` rows; `ValueError` that names `where` if their xxh3-64 is not `expected`, or if
    they are no borders of such rows."""
    found = _hash(data)
    if found != expected:
        raise ValueError(f"{where} is damaged: its xxh3-64 is {found:016x}, expected {expected:016x}")
    words = np.frombuffer(data, WORD) if len(data) % WORD.itemsize == 0 else np.zeros(0, WORD)
    if not _are_borders(words, n_rows, sequence_length):
        raise ValueError(f"{where}: its {len(data)} bytes are no borders of {n_rows} rows of {sequence_length} tokens")
    return words.astype(np.uint32, copy=False)


def _are_borders(words: Words, n_rows: int, sequence_length: int) -> bool:
    upto, ends = words[:n_rows].astype(np.int64), words[n_rows:].astype(np.int64)
    if len(upto) < n_rows or (np.diff(upto) < 0).any() or (int(upto[-1]) if n_rows else 0) != len(ends):
        return False
    if not len(ends):
        return True
    steps = np.diff(ends, prepend=0)
    starts = np.concatenate([[0], upto[:-1]])
    starts = starts[starts < len(ends)]
    steps[starts] = ends[starts]  # the first of a row follows nothing
    return bool((steps > 0).all()) and int(ends.max()) <= sequence_length


def _group_rows(n_words: Sequence[int], hashes: Sequence[int]) -> bytes:
    firsts = np.concatenate([[0], np.cumsum(np.array(n_words, np.int64))])
    rows = np.stack([firsts.astype(np.uint64), np.array([*hashes, 0], np.uint64)], axis=1)
    return rows.astype(GROUP_ROW).tobytes()


def _hash(data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data)
