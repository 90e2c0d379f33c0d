"""The peer mosaicml-streaming, used as its documentation shows."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.real_streaming import import_streaming


@contextmanager
def contained(folder: Path) -> Iterator[None]:
    """Its locks lie in `folder`, and its warnings (it divides by zero, and numpy says so) are not shown. Its shared
    memory goes at the end of the process."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tempfile.tempdir = before


def open_dataset(shards: Path, *, batch_size: int, n_samples: int, predownload: int | None = None) -> Any:
    """A `StreamingDataset` of `n_samples` samples an epoch, shuffled by its default, py1e; `predownload` is how many it
    prepares ahead (None: its default, 8 batches)."""
    return import_streaming().StreamingDataset(
        local=str(shards),
        shuffle=True,
        shuffle_algo="py1e",
        batch_size=batch_size,
        num_canonical_nodes=1,
        epoch_size=n_samples,
        predownload=predownload,
    )


def collate(samples: list[dict[str, Any]]) -> torch.Tensor:
    """Stacked and widened in one pass: faster than torch's own collation."""
    return torch.from_numpy(np.stack([sample["tokens"] for sample in samples], dtype=np.int64))
