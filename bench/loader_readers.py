"""Each reader of the bench as a walk over batches, int64 [batch, sequence_length], in this process or by workers.

The limit is a gather by numpy from one mapped file that widens too. The peer StreamingDataset reads few samples, as it
is slow, and is given a `predownload` of all of them, without which it sleeps whenever it has caught up with its own
threads.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from bench import lightning, mosaic
from bench.fixture import SEED
from bench.loader_data import Data
from pipeline.loader import StreamingLoader
from pipeline.loader.torch_dataset import LoaderDataset

Walk = Iterator[Any]


def limit(data: Data, batch: int, workers: int) -> Walk:
    """numpy: `memmap[rows].astype(int64)`, the rows permuted; by workers, each every k-th batch."""
    gathered = Gathered(data.mapped(), batch)
    return iter(gathered) if workers == 0 else iter(DataLoader(gathered, batch_size=None, num_workers=workers))


class Gathered(IterableDataset[torch.Tensor]):
    """The batches of the limit."""

    def __init__(self, rows: npt.NDArray[np.uint16], batch: int) -> None:
        self._rows = rows
        self._batch = batch
        self._order = np.random.default_rng(SEED).permutation(len(rows))

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        number, of = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for first in range(number * self._batch, len(self._rows), of * self._batch):
            yield torch.from_numpy(self._rows[self._order[first : first + self._batch]].astype(np.int64))


def ours(data: Data, batch: int, workers: int, passes: int = 1) -> Walk:
    """A StreamingLoader newly opened, so that each granule is compared with its checksum when it is first read; the
    last of so many passes, what precedes it unseen."""
    n_batches = data.n_rows // batch
    loader = StreamingLoader(data.mix, global_batch_size=batch, rank=0, world_size=1, beyond_budget=True)
    if workers:
        walk: Walk = iter(DataLoader(LoaderDataset(loader), batch_size=None, num_workers=workers))
    else:
        walk = iter(loader)
    for _ in range((passes - 1) * n_batches):
        next(walk)
    return islice(walk, n_batches)


def litdata(data: Data, batch: int, workers: int) -> Walk:
    """An epoch of litdata."""
    return iter(
        lightning.open_loader(data.chunks, sequence_length=data.sequence_length, batch_size=batch, workers=workers)
    )


def streaming(data: Data, batch: int, workers: int, n_samples: int) -> Walk:
    """An epoch of StreamingDataset, all of it prepared ahead."""
    return _streaming(data, batch, workers, n_samples, n_samples)


def streaming_as_it_comes(data: Data, batch: int, workers: int, n_samples: int) -> Walk:
    """An epoch of StreamingDataset by its defaults."""
    return _streaming(data, batch, workers, n_samples, None)


def streaming_by_index(data: Data, batch: int, n_samples: int) -> Walk:
    """Samples of StreamingDataset by index, in a permutation made outside: no threads of its own."""
    dataset = mosaic.open_dataset(data.shards, batch_size=batch, n_samples=n_samples)
    samples = np.random.default_rng(SEED).permutation(data.n_rows)[:n_samples].tolist()
    return (mosaic.collate([dataset[sample] for sample in samples[i : i + batch]]) for i in range(0, n_samples, batch))


def _streaming(data: Data, batch: int, workers: int, n_samples: int, predownload: int | None) -> Walk:
    dataset = mosaic.open_dataset(data.shards, batch_size=batch, n_samples=n_samples, predownload=predownload)
    return iter(DataLoader(dataset, batch_size=batch, collate_fn=mosaic.collate, num_workers=workers))
