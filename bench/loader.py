"""The loader against mosaicml-streaming's StreamingDataset and the limit, a numpy gather: one process, warm files.

All give batches of int64 [batch, sequence_length], shuffled, from the very same shards (the gather: from one plain file
of the same rows). The peer is read in three ways: as it comes; with `predownload` of the whole epoch, without which it
sleeps whenever it has caught up with its own threads; and by index, in a permutation made outside.
"""

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from bench import loader_starts, mosaic
from bench.fixture import SEED, make_mix, token_rows
from bench.measure import Case, Cost, interleaved, timed
from bench.table import figure, show
from pipeline.loader import StreamingLoader

LIMIT = "numpy: memmap[rows].astype(int64)"
PEER = "StreamingDataset, predownload of an epoch"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`peer_samples` of the rows are read by the peer, which is slower; both are multiples of the batches. `rounds`
    of the reading and the imports; first batches are short and have two more."""

    n_rows: int = 51_200  # 210 MB
    sequence_length: int = 2048
    n_shards: int = 16
    peer_samples: int = 7_680
    batches: tuple[int, ...] = (64, 256)
    rounds: int = 3
    imports: bool = True


FULL = Sizes()


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, mosaic.contained(Path(name)):
        rows = token_rows(sizes.n_rows, sizes.sequence_length)
        mix, shards = make_mix(Path(name), rows, sizes.n_shards)
        plain = Path(name, "rows.bin")
        rows.tofile(plain)
        limit = np.memmap(plain, np.uint16, "r", shape=rows.shape)
        del rows
        # first of all: whatever this process knows of the order later, the processes forked from it would know too
        loader_starts.show_first_batch(mix, shards, sizes.batches[-1], sizes.n_rows, sizes.rounds + 2)
        for batch in sizes.batches:
            _show(batch, sizes, interleaved(reading(mix, shards, limit, batch, sizes), sizes.rounds))
        if sizes.imports:
            loader_starts.show_imports(sizes.rounds)


def reading(mix: Path, shards: Path, limit: npt.NDArray[np.uint16], batch: int, sizes: Sizes) -> dict[str, Case]:
    """All ways to read, in batches of `batch`."""
    random = np.random.default_rng(SEED)
    order = random.permutation(sizes.n_rows)
    few = order[: sizes.peer_samples].tolist()
    whole, n = sizes.peer_samples, sizes.peer_samples
    return {
        LIMIT: lambda: _drained(
            (limit[order[i : i + batch]].astype(np.int64) for i in range(0, sizes.n_rows, batch)), sizes.n_rows
        ),
        "StreamingLoader, numpy": lambda: _ours(mix, batch, "numpy", sizes.n_rows),
        "StreamingLoader, torch": lambda: _ours(mix, batch, "torch", sizes.n_rows),
        "StreamingLoader, torch, second pass": lambda: _ours(mix, batch, "torch", sizes.n_rows, before=sizes.n_rows),
        "StreamingDataset, its defaults": lambda: _peer(shards, batch, n, predownload=None),
        PEER: lambda: _peer(shards, batch, n, predownload=whole),
        "StreamingDataset, by index": lambda: _peer_by_index(shards, batch, few),
    }


def _ours(mix: Path, batch: int, format: Literal["numpy", "torch"], n_rows: int, before: int = 0) -> Cost:
    """`n_rows` positions after `before` and a first batch: the start is not counted, first touches and checksums are
    (those of a first pass)."""
    with StreamingLoader(
        mix, global_batch_size=batch, rank=0, world_size=1, beyond_budget=True, format=format
    ) as loader:
        walk = iter(loader)
        for _ in range(1 + before // batch):
            next(walk)
        return _drained((next(walk) for _ in range(n_rows // batch - 1)), n_rows - batch)


def _peer(shards: Path, batch: int, n_samples: int, predownload: int | None) -> Cost:
    """An epoch through torch's DataLoader in this process, the start not counted."""
    dataset = mosaic.open_dataset(shards, batch_size=batch, n_samples=n_samples, predownload=predownload)
    walk = iter(DataLoader(dataset, batch_size=batch, collate_fn=mosaic.collate))
    next(walk)
    return _drained(walk, n_samples - batch)


def _peer_by_index(shards: Path, batch: int, samples: list[int]) -> Cost:
    dataset = mosaic.open_dataset(shards, batch_size=batch, n_samples=len(samples))
    batches: Iterator[torch.Tensor] = (
        mosaic.collate([dataset[sample] for sample in samples[i : i + batch]]) for i in range(0, len(samples), batch)
    )
    return _drained(batches, len(samples))


def _drained(batches: Iterable[object], amount: float) -> Cost:
    """The cost of taking all batches, none kept."""
    return timed(lambda: deque(batches, maxlen=0), amount)


def _show(batch: int, sizes: Sizes, costs: dict[str, Cost]) -> None:
    show(
        f"loader: {sizes.n_rows:,} rows of {sizes.sequence_length:,} uint16 in {sizes.n_shards} shards, batches of "
        f"{batch} as int64; the peer reads {sizes.peer_samples:,} of them",
        ["", "samples/s", "CPU µs/sample", "of the limit", "× the peer"],
        [
            [
                name,
                figure(cost.rate),
                figure(cost.cpu_seconds / cost.amount * 1e6),
                figure(cost.rate / costs[LIMIT].rate),
                figure(cost.rate / costs[PEER].rate),
            ]
            for name, cost in costs.items()
        ],
    )


if __name__ == "__main__":
    main()
