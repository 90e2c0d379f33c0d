"""The rows of any samples, from mapped shards, each granule verified against its checksum before it is first served."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.loader.hashes import HashPages
from pipeline.loader.mapped import MappedShards
from pipeline.loader.parts import OpenPart
from pipeline.loader.places import Int64s, Located, Places
from pipeline.manifest import DamagedDatasetError
from pipeline.order import Rows

GATHER_BYTES = (
    2**20
)  # rows copied at once, as bytes: a shard's rows may begin at an odd byte, from where casts are slow
PREPARED_ROWS = 512  # located and verified together: what a batch of few rows costs is then shared

X = TypeVar("X")


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """A batch whose rows `copy` can have; `located` where they have been mapped and verified."""

    rows: Rows
    located: Located | None


class Granules:
    """The samples of a plan's sources on this machine's disks: (source, sample) → row of `sequence_length` tokens.

    `parts[s]` are the opened parts of source s, in the plan's order. Not for use by several threads at once.
    """

    def __init__(self, parts: Sequence[Sequence[OpenPart]], sequence_length: int, dtype: str) -> None:
        self._places = Places(parts, sequence_length, dtype)
        self.sequence_length = sequence_length
        self.memory_bytes = 0  # of its own: mapped pages are the page cache's
        self._mapped = MappedShards(self._places)
        self._hashes = HashPages(self._places.parts)
        self._at_once = min(PREPARED_ROWS, self._mapped.at_once)
        self._verified = np.zeros(self._places.n_granules // 8 + 1, np.uint8)  # one bit a granule

    def gather(
        self, source: npt.NDArray[np.int16], sample: Int64s, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """The rows of (source[i], sample[i]), into `out` [n, sequence_length] of any wider dtype, else new memory.

        `DamagedDatasetError` names shard file, granule, expected and found where a checksum, a size or a file is wrong.
        """
        if out is None:
            out = np.empty((len(sample), self.sequence_length), self._places.dtype)
        located = self._places.locate(source, sample)
        for first in range(0, len(sample), self._at_once):
            some = located[first : first + self._at_once]
            self._prepare(some)
            self._copy(some, out[first : first + self._at_once])
        return out

    def follow(self, coming: Iterator[tuple[Rows, X]]) -> "Iterator[tuple[Rows, X, Held]]":
        """The batches as they come. `copy` has the rows of the one given last.

        Several batches are located and verified together, the first ones excepted: that costs the same for one batch
        as for many. Where this fails it is done again for each batch when its turn comes, so an error comes with it.
        """
        at_once = 1
        while group := list(_upto(coming, min(at_once, self._at_once))):
            prepared = self._prepared([rows for rows, _ in group])
            for (rows, extra), located in zip(group, prepared, strict=True):
                yield rows, extra, Held(rows=rows, located=located)
            at_once = min(2 * sum(len(rows) for rows, _ in group) + 1, PREPARED_ROWS)

    def copy(self, held: "Held", out: npt.NDArray[Any]) -> None:
        """The rows of the batch that was given last, into `out`: as `gather`."""
        if held.located is None:
            self.gather(held.rows.source, held.rows.sample, out)
        else:
            self._copy(held.located, out)

    def interrupt(self) -> None:
        """Nobody waits here for long."""

    def close(self) -> None:
        """Give the mapped shards back; another `gather` maps them again."""
        self._mapped.close()

    def _prepared(self, batches: list[Rows]) -> list[Located | None]:
        """Where the rows of these batches lie, all mapped and verified; None for all where that did not succeed."""
        n_rows = [len(rows) for rows in batches]
        if len(batches) == 1 or sum(n_rows) > self._at_once:
            return [None] * len(batches)
        located = self._places.locate(
            np.concatenate([rows.source for rows in batches]), np.concatenate([rows.sample for rows in batches])
        )
        try:
            self._prepare(located)
        except (OSError, DamagedDatasetError):
            return [None] * len(batches)  # told by the batch that it concerns
        ends = np.cumsum(n_rows).tolist()
        return [located[end - n : end] for end, n in zip(ends, n_rows, strict=True)]

    def _prepare(self, rows: Located) -> None:
        for shard in self._mapped.ensure(rows.shard):
            self._forget(shard)
        self._verify(rows)

    def _copy(self, rows: Located, out: npt.NDArray[Any]) -> None:
        step = max(1, GATHER_BYTES // self._places.row_bytes)
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            out[first : first + step] = self._mapped.gather(some.shard, some.row).view(self._places.dtype)

    def _verify(self, rows: Located) -> None:
        """Compare the granules of these rows with their checksums, where that has not been done yet."""
        new = np.flatnonzero(self._verified[rows.granule >> 3] >> (rows.granule & 7).astype(np.uint8) & 1 == 0)
        if not len(new):
            return
        granule, at = np.unique(rows.granule[new], return_index=True)
        shard = rows.shard[new[at]]
        first, last = self._places.spans(shard, granule)
        expected = self._expected(granule)
        spans = zip(shard.tolist(), first.tolist(), last.tolist(), strict=True)
        views = self._mapped.view
        found = [xxhash.xxh3_64_intdigest(views(k)[a:b]) for k, a, b in spans]
        for i in np.flatnonzero(np.array(found, np.uint64) != expected).tolist():
            self._check_again(int(shard[i]), int(granule[i]), slice(int(first[i]), int(last[i])), int(expected[i]))
        np.bitwise_or.at(self._verified, granule >> 3, np.uint8(1) << (granule & 7).astype(np.uint8))

    def _check_again(self, shard: int, granule: int, span: slice, expected: int) -> None:
        """Compare once more, from the file opened anew."""
        self._mapped.drop(shard)
        self._forget(shard)
        self._mapped.ensure(np.array([shard]))
        found = xxhash.xxh3_64_intdigest(self._mapped.view(shard)[span])
        if found != expected:
            raise DamagedDatasetError(
                f"{self._places.says(granule)} is damaged: "
                f"its xxh3-64 is {found:016x}, expected {expected:016x}; copy the file anew or make the dataset again"
            )

    def _expected(self, granule: Int64s) -> npt.NDArray[np.uint64]:
        return self._hashes.of(*self._places.parts_of(granule))

    def _forget(self, shard: int) -> None:
        """Another file stands for this shard now: nothing of it is verified."""
        granule = np.arange(self._places.first_granule[shard], self._places.first_granule[shard + 1])
        np.bitwise_and.at(self._verified, granule >> 3, ~(np.uint8(1) << (granule & 7).astype(np.uint8)))


def _upto(coming: Iterator[tuple[Rows, X]], n_rows: int) -> Iterator[tuple[Rows, X]]:
    """The next batches, until they have `n_rows` rows or more."""
    for rows, extra in coming:
        yield rows, extra
        n_rows -= max(1, len(rows))
        if n_rows <= 0:
            return
