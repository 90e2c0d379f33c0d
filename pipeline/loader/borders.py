"""Where documents begin and end in the rows of any samples, from the tables beside the shards.

The borders are those that packing made, never places where EOS stands: that a text may hold EOS, and padding be EOS,
changes nothing. A group of borders (those of about 1 MiB of rows) is read by one range request, verified and held; a
group has a few KB, so a block's groups stay in memory while the block is served.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import plan, storage
from pipeline.loader.fetch import Fetcher
from pipeline.loader.parts import DamagedDatasetError, Head, Read, listed_bytes, open_part, parse_head
from pipeline.loader.remote import Remote
from pipeline.loader.stats import Stats
from pipeline.manifest import MANIFEST, File
from pipeline.mds.borders import BORDER_GROUPS, BORDERS, WORD, BorderGroups, group_samples, parse_group, parse_groups
from pipeline.mds.checksums import ShardTable

HELD_BYTES = 64 * 2**20
"""Of groups; those of a block of 1 GiB of rows of 2048 tokens, three pieces each, have 4 MiB."""
REQUESTS = 16
"""Groups of a batch that are read at once where they lie in an object store."""

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
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
    """Open the borders of one part of a source of the plan in `mix_url`: 16 bytes are read for a MiB of its rows.

    `MissingDatasetError` where there is no dataset; `DamagedDatasetError` where it is another than the plan means, has
    no borders, or where its tables are missing, changed, or contradict each other.
    """
    opened = open_part(mix_url, source, part, row_bytes, read)
    url = plan.resolve(mix_url, part.path)
    head = parse_head(read(storage.join(url, MANIFEST)), url)
    borders, listed = _listed(head, BORDERS), _listed(head, BORDER_GROUPS)
    n_groups = int((-(-np.diff(opened.table.first_sample) // group_samples(row_bytes))).sum())
    data = listed_bytes(opened.folder, listed, read)
    try:
        groups = parse_groups(data, n_groups, borders.bytes, f"{url}: {BORDER_GROUPS}")
    except ValueError as error:
        raise DamagedDatasetError(str(error)) from error
    return BorderTable(url=storage.join(opened.folder, borders.path), groups=groups, shards=opened.table)


def open_all_borders(
    url: str, sources: Sequence[tuple[str, Sequence[plan.Part]]], mix: plan.Plan, remote: Remote, stats: Stats
) -> "Borders":
    """The borders of these sources (names and parts) of the plan `mix` in the folder `url`."""
    row = mix.sequence_length, mix.dtype
    if storage.is_local(url):
        return Borders([[open_borders(url, s, part, mix.row_bytes) for part in parts] for s, parts in sources], *row)
    fetcher = Fetcher(url, options=remote.options, deadline_seconds=remote.deadline_seconds, stats=stats)

    def read_range(where: str, start: int, stop: int) -> bytes:
        return asyncio.run_coroutine_threadsafe(fetcher.read(where, start, stop), fetcher.loop).result()

    opened = [[open_borders(url, s, part, mix.row_bytes, fetcher.whole) for part in parts] for s, parts in sources]
    return Borders(opened, *row, read_range)


class Borders:
    """The borders of a plan's samples: (source, sample) → the pieces of the sample's row.

    `tables[s]` are the opened tables of source s's parts, in the plan's order. `read_range` gives bytes [start, stop)
    of a URL; what it raises is raised here. Memory: the tables, HELD_BYTES of groups, and the groups of the rows that
    are asked for, each at most about twice its rows. Not for use by several threads at once.
    """

    def __init__(
        self,
        tables: Sequence[Sequence[BorderTable]],
        sequence_length: int,
        dtype: str,
        read_range: ReadRange = storage.read_range,
    ) -> None:
        self._tables = [table for of_source in tables for table in of_source]
        self._sequence_length = sequence_length
        self._read_range = read_range
        self._at_once = 1 if all(storage.is_local(table.url) for table in self._tables) else REQUESTS
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
        place = self._source_first[source] + sample  # among all samples of all sources
        shard = np.searchsorted(self._first_sample, place, side="right") - 1
        nth, row = np.divmod(place - self._first_sample[shard], self._per_group)
        group = (self._first_group[shard] + nth).tolist()
        n_rows = np.minimum(self._per_group, self._n_rows[shard] - nth * self._per_group).tolist()
        words = self._groups(dict(zip(group, n_rows, strict=True)))
        first, ends = [0], [np.empty(0, np.uint32)]
        for g, n, r in zip(group, n_rows, row.tolist(), strict=True):
            upto = words[g]
            ends.append(upto[n + (int(upto[r - 1]) if r else 0) : n + int(upto[r])])
            first.append(first[-1] + len(ends[-1]))
        return RowBorders(
            sequence_length=self._sequence_length,
            first=np.array(first, np.int64),
            ends=np.concatenate(ends).astype(np.int32),
        )

    def _groups(self, n_rows: Mapping[int, int]) -> dict[int, Words]:
        """The verified words of groups, given with their counts of rows: those held, and the others read."""
        missing = [group for group in n_rows if group not in self._held]
        if self._at_once == 1 or len(missing) < 2:
            found = [self._read(group, n_rows[group]) for group in missing]
        else:
            with ThreadPoolExecutor(min(self._at_once, len(missing))) as pool:
                found = list(pool.map(self._read, missing, [n_rows[group] for group in missing]))
        read = dict(zip(missing, found, strict=True))
        words = {group: read[group] if group in read else self._held[group] for group in n_rows}
        self._hold(words)
        return words

    def _read(self, group: int, n_rows: int) -> Words:
        """The words of a group, verified; where they are wrong, read once more: a transfer may have damaged them."""
        try:
            return self._read_once(group, n_rows)
        except DamagedDatasetError:
            return self._read_once(group, n_rows)

    def _read_once(self, group: int, n_rows: int) -> Words:
        at = int(np.searchsorted(self._table_group, group, side="right")) - 1
        table, number = self._tables[at], group - int(self._table_group[at])
        start, stop = (WORD.itemsize * table.groups.first_word[number : number + 2]).tolist()
        try:
            data = self._read_range(table.url, start, stop)
        except FileNotFoundError as error:
            raise DamagedDatasetError(f"{table.url} is listed in its dataset's manifest, but is not there") from error
        where = f"{table.url}: group {number} (bytes {start} … {stop - 1})"
        try:
            return parse_group(data, n_rows, self._sequence_length, int(table.groups.hashes[number]), where)
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
