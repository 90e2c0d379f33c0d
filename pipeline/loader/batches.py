"""A rank's batches, one after the other: the work that the loader's thread does."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.loader import skips
from pipeline.loader.borders import Borders
from pipeline.loader.buffers import Buffers
from pipeline.loader.contents import Arrays, Contents
from pipeline.loader.dealing import Deal, GlobalBatch
from pipeline.loader.granules import Granules
from pipeline.loader.pinned import PinnedBuffers
from pipeline.loader.remote import RemoteGranules
from pipeline.loader.sequence import Sequence
from pipeline.order import Rows

Batch = dict[str, Any]  # as the package's docstring has it: numpy arrays or torch tensors


class Share(NamedTuple):
    """What one of several readers serves: of the micro-batches, counted from where all begin, number `offset` and every
    `every`-th after it."""

    offset: int = 0
    every: int = 1


class Served(NamedTuple):
    """A micro-batch and its place: number `micro_batch` of the global batch at position `first`. Going on after it
    begins at `next_position`: behind its global batch with the last micro-batch of it, before that at `first` again."""

    batch: Batch
    first: int
    micro_batch: int
    next_position: int


class _Micro(NamedTuple):
    """Micro-batch `number` of a global batch, and whether it is its last one."""

    whole: GlobalBatch
    number: int
    last: bool


@dataclass(frozen=True, kw_only=True)
class Batches:
    """What a rank is served of a sequence; `borders` are there where `contents` needs them. `pin_memory`: as tensors in
    page-locked memory, else as arrays."""

    sequence: Sequence
    granules: Granules | RemoteGranules
    borders: Borders | None
    deal: Deal
    contents: Contents
    pin_memory: bool = False

    def serve(self, first: int, skipped: skips.Ranges, share: Share) -> Iterator[Served]:
        """The share's micro-batches from position `first` on. An exception tells in a note which positions were being
        prepared."""
        buffers = PinnedBuffers() if self.pin_memory else Buffers()
        for rows, micro, held in self.granules.follow(self._coming(first, skipped, share)):
            try:
                arrays = self._arrays(rows, held, buffers)
            except Exception as error:
                error.add_note(self._says(micro.whole))
                raise
            resume = micro.whole.after if micro.last else micro.whole.first
            arrays["next_position"] = np.array(resume, np.int64)
            batch = buffers.tensors(arrays) if isinstance(buffers, PinnedBuffers) else arrays
            yield Served(batch, micro.whole.first, micro.number, resume)

    def _coming(self, first: int, skipped: skips.Ranges, share: Share) -> Iterator[tuple[Rows, _Micro]]:
        """The rows of the share's micro-batches, known long before they are served."""
        ahead = share.offset  # micro-batches before the next one of the share
        for whole in self.deal.batches(self.sequence, first, skipped):
            n = self.deal.n_micro_batches(whole.size)
            mine = range(ahead, n, share.every)
            ahead += len(mine) * share.every - n
            if not mine:
                continue  # all of it is served by others: its order is not needed
            rows = self._rows(whole)
            for number in mine:
                micro = _part(rows, self.deal.part(whole.size, number))
                if self.borders is not None:
                    self.borders.expect(micro.source, micro.sample)
                yield micro, _Micro(whole, number, number == n - 1)

    def _rows(self, whole: GlobalBatch) -> Rows:
        """The global batch: the rows of its runs of positions, one run after the other."""
        runs = [self.sequence.rows(first, last) for first, last in whole.runs]
        if len(runs) == 1:
            return runs[0]
        return Rows(
            position=np.concatenate([run.position for run in runs]),
            source=np.concatenate([run.source for run in runs]),
            sample=np.concatenate([run.sample for run in runs]),
        )

    def _arrays(self, rows: Rows, held: Any, buffers: Buffers | PinnedBuffers) -> Arrays:
        ids = buffers.empty((len(rows), self.granules.sequence_length), self.contents.dtype)
        self.granules.copy(held, ids)
        borders = None if self.borders is None else self.borders.of(rows.source, rows.sample)
        places: Arrays = {"position": rows.position, "source": rows.source, "sample": rows.sample}
        return self.contents.of(ids, borders) | places

    def _says(self, whole: GlobalBatch) -> str:
        last = whole.runs[-1][1] - 1
        return f"while preparing positions {whole.first} … {last} for rank {self.deal.rank} of {self.deal.world_size}"


def tensors(batch: Batch) -> Batch:
    """The batch as torch tensors that share the arrays' memory; those that it has already stay as they are."""
    import torch  # only where a tensor is made: importing the loader must not cost its import

    return {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in batch.items()}


def _part(rows: Rows, part: slice) -> Rows:
    return Rows(position=rows.position[part], source=rows.source[part], sample=rows.sample[part])
