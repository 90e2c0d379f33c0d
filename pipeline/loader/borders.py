"""Where documents begin and end in the rows of any samples, from the tables beside the shards.

The borders are those that packing made, never places where EOS stands: that a text may hold EOS, and padding be EOS,
changes nothing. A group of borders (those of about 1 MiB of rows) is read by one range request, verified and held; a
group has a few KB, so a block's groups stay in memory while the block is served.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pipeline import plan, storage
from pipeline.loader.ahead import Ahead, Group, Words
from pipeline.loader.fetch import Fetcher
from pipeline.loader.parts import Head, OpenPart, Read, listed_bytes, open_part
from pipeline.manifest import DamagedDatasetError, File
from pipeline.mds.borders import BORDER_GROUPS, BORDERS, WORD, BorderGroups, group_samples, parse_group, parse_groups
from pipeline.mds.checksums import ShardTable

HELD_BYTES = 64 * 2**20
"""Of groups; those of a block of 1 GiB of rows of 2048 tokens, three pieces each, have 4 MiB."""
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
ReadRange = Callable[[str, int, int], bytes]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowBorders:
    """The pieces of documents in n rows: those of row i are first[i] … first[i + 1] - 1, in the order of their tokens.

    A piece is a document or a part of one that goes on in another row; BOS and EOS belong to their document. It holds
    tokens begins[p] … ends[p] - 1 of its row. Pieces follow each other from token 0 on; what is behind the last is
    padding.
    """

    sequence_length: int
    first: Int64s  # [n + 1]
    ends: Int32s  # [n_pieces]

    @property
    def n_rows(self) -> int:
        return len(self.first) - 1

    @property
    def begins(self) -> Int32s:
        """int32 [n_pieces]: where each piece begins in its row; a row's first at 0."""
        begins: Int32s = np.concatenate([np.zeros(1, np.int32), self.ends[:-1]])[: len(self.ends)]
        begins[self.first[:-1][np.diff(self.first) > 0]] = 0
        return begins

    @property
    def tokens_end(self) -> Int32s:
        """int32 [n]: where each row's padding begins; sequence_length where there is none, 0 where all is padding."""
        filled = np.diff(self.first) > 0
        found = np.zeros(self.n_rows, np.int32)
        found[filled] = self.ends[self.first[1:][filled] - 1]
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class BorderTable:
    """The borders of a part, ready to be read: `url` of its `borders.bin`, its groups there, its shards' samples."""

    url: str
    groups: BorderGroups
    shards: ShardTable


def open_borders(mix_url: str, source: str, part: plan.Part, row_bytes: int, read: Read = storage.read) -> BorderTable:
    """Open the borders of one part of a source of the plan in `mix_url`: as `open_part` and `border_table`."""
    return border_table(open_part(mix_url, source, part, row_bytes, read), row_bytes, read)


def border_table(part: OpenPart, row_bytes: int, read: Read = storage.read) -> BorderTable:
    """The borders of an opened part: 16 bytes are read for a MiB of its rows.

    `DamagedDatasetError` where it has no borders, or where their tables are missing, changed, or contradict each other.
    """
    borders, listed = _listed(part.head, BORDERS), _listed(part.head, BORDER_GROUPS)
    n_groups = int((-(-np.diff(part.table.first_sample) // group_samples(row_bytes))).sum())
    data = listed_bytes(part.folder, listed, read)
    try:
        groups = parse_groups(data, n_groups, borders.bytes, f"{part.head.url}: {BORDER_GROUPS}")
    except ValueError as error:
        raise DamagedDatasetError(str(error)) from error
    return BorderTable(url=storage.join(part.folder, borders.path), groups=groups, shards=part.table)


class Borders:
    """The borders of a plan's samples: (source, sample) → the pieces of the sample's row.

    `tables[s]` are the opened tables of source s's parts, in the plan's order. `read_range` gives bytes [start, stop)
    of a URL; what it raises is raised here. In a store `fetch` makes what reads instead, in the thread that needs it:
    several groups at a time, and before they are needed, if they were announced (`expect`). Memory: the tables,
    HELD_BYTES and AHEAD_BYTES of groups, and the groups of the rows that are asked for, each at most about twice its
    rows. For one thread; only `interrupt` may be called from others.
    """

    def __init__(
        self,
        tables: Sequence[Sequence[BorderTable]],
        sequence_length: int,
        dtype: str,
        read_range: ReadRange = storage.read_range,
        fetch: Callable[[], Fetcher] | None = None,
    ) -> None:
        self._tables = [table for of_source in tables for table in of_source]
        self._sequence_length = sequence_length
        self._read_range = read_range
        self._fetch = fetch
        self._ahead: Ahead | None = None
        self._per_group = group_samples(sequence_length * np.dtype(dtype).itemsize)
        self._source_first = _starts([sum(table.shards.n_samples for table in of_source) for of_source in tables])
        self._n_rows = _joined([np.diff(table.shards.first_sample) for table in self._tables])
        self._first_sample = _starts(self._n_rows)
        self._first_group = _starts(-(-self._n_rows // self._per_group))
        self._table_group = _starts([len(table.groups.hashes) for table in self._tables])
        self._held: OrderedDict[int, Words] = OrderedDict()
        self._held_bytes = 0

    def of(self, source: npt.NDArray[np.int16], sample: Int64s) -> RowBorders:
        """The borders of the rows of (source[i], sample[i]), in this order.

        `DamagedDatasetError` names the file and the group where it is not what its checksum says.
        """
        groups, row = self._located(source, sample)
        words = self._words(groups)
        first, ends = [0], [np.empty(0, np.uint32)]
        for (number, n), r in zip(groups, row.tolist(), strict=True):
            upto = words[number]
            ends.append(upto[n + (int(upto[r - 1]) if r else 0) : n + int(upto[r])])
            first.append(first[-1] + len(ends[-1]))
        return RowBorders(
            sequence_length=self._sequence_length,
            first=np.array(first, np.int64),
            ends=np.concatenate(ends).astype(np.int32),
        )

    def expect(self, source: npt.NDArray[np.int16], sample: Int64s) -> None:
        """These rows will be asked for after those announced before: where borders are fetched, begin with them."""
        if self._fetch is not None:
            groups, _ = self._located(source, sample)
            self._fetched_ahead().expect(group for group in groups if group.number not in self._held)

    def begin(self) -> None:
        """What was announced is not needed, or was given up; other rows will be."""
        self.interrupt()
        self._ahead = None

    def interrupt(self) -> None:
        """End whoever waits for borders, in another thread, with a `CancelledError`."""
        if self._ahead is not None:
            self._ahead.interrupt()

    def _located(self, source: npt.NDArray[np.int16], sample: Int64s) -> tuple[list[Group], Int64s]:
        """The group of each row, and its place in it."""
        place = self._source_first[source] + sample  # among all samples of all sources
        shard = np.searchsorted(self._first_sample, place, side="right") - 1
        nth, row = np.divmod(place - self._first_sample[shard], self._per_group)
        number = self._first_group[shard] + nth
        n_rows = np.minimum(self._per_group, self._n_rows[shard] - nth * self._per_group)
        return [Group(*one) for one in zip(number.tolist(), n_rows.tolist(), strict=True)], row

    def _words(self, groups: Sequence[Group]) -> dict[int, Words]:
        """The verified words of groups: those held, and the others read."""
        missing = list({group.number: group for group in groups if group.number not in self._held}.values())
        found = self._fetched_ahead().take(missing) if self._fetch is not None else map(self._read, missing)
        read = {group.number: words for group, words in zip(missing, found, strict=True)}
        words = {number: read[number] if number in read else self._held[number] for number, _ in groups}
        self._hold(words)
        return words

    def _fetched_ahead(self) -> Ahead:
        if self._fetch is None:
            raise RuntimeError("these borders lie on a disk")
        if self._ahead is None:
            self._ahead = Ahead(partial(self._start, self._fetch()))
        return self._ahead

    def _start(self, fetcher: Fetcher, group: Group) -> tuple[Future[Words], int]:
        """Begin to fetch a group; how many bytes that are."""
        _, _, start, stop = self._span(group.number)
        return asyncio.run_coroutine_threadsafe(self._bring(fetcher, group), fetcher.loop), stop - start

    async def _bring(self, fetcher: Fetcher, group: Group) -> Words:
        """As `_read`, on the fetcher's loop."""
        table, _, start, stop = self._span(group.number)
        try:
            try:
                return self._parsed(group, await fetcher.read(table.url, start, stop))
            except DamagedDatasetError:
                return self._parsed(group, await fetcher.read(table.url, start, stop))
        except FileNotFoundError as error:
            raise _gone(table) from error

    def _read(self, group: Group) -> Words:
        """The words of a group, verified; where they are wrong, read once more: a transfer may have damaged them."""
        table, _, start, stop = self._span(group.number)
        try:
            try:
                return self._parsed(group, self._read_range(table.url, start, stop))
            except DamagedDatasetError:
                return self._parsed(group, self._read_range(table.url, start, stop))
        except FileNotFoundError as error:
            raise _gone(table) from error

    def _span(self, group: int) -> tuple[BorderTable, int, int, int]:
        """The table of a group, its number there, and its bytes [start, stop)."""
        at = int(np.searchsorted(self._table_group, group, side="right")) - 1
        table, number = self._tables[at], group - int(self._table_group[at])
        start, stop = (WORD.itemsize * table.groups.first_word[number : number + 2]).tolist()
        return table, number, start, stop

    def _parsed(self, group: Group, data: bytes) -> Words:
        table, number, start, stop = self._span(group.number)
        where = f"{table.url}: group {number} (bytes {start} … {stop - 1})"
        try:
            return parse_group(data, group.n_rows, self._sequence_length, int(table.groups.hashes[number]), where)
        except ValueError as error:
            raise DamagedDatasetError(f"{error}; copy the file anew or make the dataset again") from error

    def _hold(self, words: Mapping[int, Words]) -> None:
        """Keep these groups as those used last; those used longest ago go where it is too much."""
        for group, own in words.items():
            self._held_bytes += 0 if group in self._held else own.nbytes
            self._held[group] = own
            self._held.move_to_end(group)
        while self._held_bytes > HELD_BYTES:
            _, gone = self._held.popitem(last=False)
            self._held_bytes -= gone.nbytes


def _gone(table: BorderTable) -> DamagedDatasetError:
    return DamagedDatasetError(f"{table.url} is listed in its dataset's manifest, but is not there")


def _listed(head: Head, name: str) -> File:
    if name not in head.tables:
        raise DamagedDatasetError(
            f"{head.url}: its manifest lists no {name}, so nothing tells where documents end in its rows; datasets "
            "that were made before there were such tables have none: run `make mix` again"
        )
    return head.tables[name]


def _starts(counts: Sequence[int] | Int64s) -> Int64s:
    """int64 [n + 1]: where each of n runs of these lengths begins, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(counts, np.int64))])


def _joined(arrays: list[Int64s]) -> Int64s:
    return np.concatenate([np.empty(0, np.int64), *arrays])
