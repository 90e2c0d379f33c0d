"""The peer litdata, of Lightning AI, in the fastest of the settings that were tried for tokens in memory-mapped chunks.

* its format for tokens, `TokensLoader` with the sequence length as block size, written by the class that its
  `optimize` writes with, in chunks of 64 MB, its default (16 MB: slower; 256 MB: alike);
* rows as numpy arrays (as tensors of uint16: a third of the speed, as torch widens them one by one);
* shuffled by its defaults: chunks, and inside a chunk blocks of 256 rows and the rows in them (whole chunks: alike);
* its own `StreamingDataLoader`, given a collation that stacks and widens in one pass (its default, torch's collation
  and then `.long()`: a quarter of the speed).

A local folder is mapped in place: no cache, nothing in the home folder, no network. Nothing is verified.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.fixture import Tokens

CHUNK_BYTES = "64MB"


def write(folder: Path, rows: Tokens) -> Path:
    """These rows in litdata's format; the folder."""
    from litdata.streaming import Cache
    from litdata.streaming.item_loader import TokensLoader

    cache = Cache(str(folder), chunk_bytes=CHUNK_BYTES, item_loader=TokensLoader())
    for number, row in enumerate(rows):
        cache[number] = row
    cache.done()
    cache.merge()
    return folder


def open_loader(folder: Path, *, sequence_length: int, batch_size: int, workers: int = 0) -> Any:
    """A `StreamingDataLoader` of all whole batches, int64 [batch_size, sequence_length], shuffled."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader

    dataset = StreamingDataset(
        str(folder), item_loader=TokensLoader(block_size=sequence_length), shuffle=True, drop_last=True
    )
    return StreamingDataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=collate)


def collate(samples: list[npt.NDArray[np.uint16]]) -> torch.Tensor:
    """Stacked and widened in one pass."""
    return torch.from_numpy(np.stack(samples, dtype=np.int64))
