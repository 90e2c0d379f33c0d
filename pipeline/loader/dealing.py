"""How the global order is cut into global batches, these into the ranks' parts, and a part into micro-batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.loader import skips
from pipeline.loader.sequence import Sequence


class GlobalBatch(NamedTuple):
    """`runs`: its positions, ascending ranges [first, last), of `size` in all. `after`: the position of the next
    batch's first sample."""

    runs: skips.Ranges
    size: int
    after: int

    @property
    def first(self) -> int:
        return self.runs[0][0]


@dataclass(frozen=True, kw_only=True)
class Deal:
    """Rank `rank` of `world_size` gets rows ⌊rS/W⌋ … ⌊(r+1)S/W⌋-1 of a global batch of S rows, as one batch or in
    micro-batches of at most `micro_batch_size` rows."""

    global_batch_size: int
    rank: int
    world_size: int
    micro_batch_size: int | None

    def n_micro_batches(self, size: int) -> int:
        """In how many micro-batches a global batch of `size` rows is served: the same number on every rank."""
        if self.micro_batch_size is None:
            return 1
        largest_part = -(-size // self.world_size)
        return -(-largest_part // self.micro_batch_size)

    def part(self, size: int, micro_batch: int) -> slice:
        """Which rows of a global batch of `size` rows the rank's micro-batch has; they differ by one row at most."""
        begin, end = (rank * size // self.world_size for rank in (self.rank, self.rank + 1))
        n = self.n_micro_batches(size)
        low, high = (begin + number * (end - begin) // n for number in (micro_batch, micro_batch + 1))
        return slice(low, high)

    def batches(self, sequence: Sequence, first: int, skipped: skips.Ranges) -> Iterator[GlobalBatch]:
        """The global batches from position `first` on: each the next `global_batch_size` positions that are not
        skipped. The last may be short where the sequence says so, else it is whole or there is none."""
        while runs := skips.take(skipped, first, self.global_batch_size, sequence.end):
            after = skips.next_served(skipped, runs[-1][1])
            batch = GlobalBatch(runs=runs, size=skips.n_positions(runs), after=after)
            if batch.size < self.global_batch_size and not sequence.short_last:
                return
            yield batch
            first = batch.after
