"""A rank's part of the global batches, one after the other: the work that the loader's thread does."""

from collections.abc import Iterator
from typing import Any

from pipeline.loader.granules import Granules
from pipeline.loader.sequence import Sequence

Batch = dict[str, Any]  # input_ids [n, sequence_length]; position, source, sample [n]: numpy arrays or torch tensors


def batches(
    sequence: Sequence,
    granules: Granules,
    *,
    first: int,
    global_batch_size: int,
    rank: int,
    world_size: int,
    dtype: str,
) -> Iterator[Batch]:
    """The parts of rank `rank` from position `first` on, as new numpy arrays: `input_ids` of `dtype`, `position` int64,
    `source` int16, `sample` int64. An exception tells in a note which positions were being prepared."""
    while size := sequence.batch_samples(first, global_batch_size):
        try:
            rows = sequence.rows(first, size, rank, world_size)
            ids = granules.gather(rows.source, rows.sample)
        except Exception as error:
            error.add_note(f"while preparing positions {first} … {first + size - 1} for rank {rank} of {world_size}")
            raise
        yield {
            "input_ids": ids.astype(dtype, copy=False),
            "position": rows.position,
            "source": rows.source,
            "sample": rows.sample,
        }
        first += size


def tensors(batch: Batch) -> Batch:
    """The batch as torch tensors that share the arrays' memory."""
    import torch  # only where a tensor is made: importing the loader must not cost its import

    return {name: torch.from_numpy(array) for name, array in batch.items()}
