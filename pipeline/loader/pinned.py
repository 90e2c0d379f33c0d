"""Page-locked memory for batches, from which a GPU copies by itself while the program goes on.

Torch keeps such memory: it gives it out again when a tensor and all its slices are gone *and* the copies that were
begun from them with `non_blocking=True` have ended. So any number of batches may be held, and a batch may be forgotten
while its copy is under way. For that a tensor must be torch's own, not one around an array: torch finds the memory of a
copy by its tensor (CachingHostAllocator's `record_event`, in `aten/src/ATen/core/CachingHostAllocator.h`).
"""

from typing import Any

import numpy.typing as npt

from pipeline.loader.contents import Arrays


class PinnedBuffers:
    """As `buffers.Buffers`, page-locked. For processes that have a CUDA device."""

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new array of any contents, which is a tensor's (`tensors`)."""
        import torch  # only where a tensor is made

        kinds = {"int64": torch.int64, "int32": torch.int32, "int16": torch.int16, "uint16": torch.uint16}
        array: npt.NDArray[Any] = torch.empty(shape, dtype=kinds[str(dtype)], pin_memory=True).numpy()
        return array

    def tensors(self, arrays: Arrays) -> dict[str, Any]:
        """The arrays as page-locked tensors: those of `empty` as they are, the others copied."""
        return {name: self._tensor(array) for name, array in arrays.items()}

    def _tensor(self, array: npt.NDArray[Any]) -> Any:
        import torch  # only where a tensor is made

        if not isinstance(array.base, torch.Tensor):
            copied = self.empty(array.shape, array.dtype)
            copied[...] = array
            array = copied
        return array.base


def check_pin(format: str) -> None:
    """`ValueError` where no batch could be pinned."""
    if format != "torch":
        raise ValueError(f'pin_memory=True gives torch tensors, not format "{format}"')
    import torch  # only where a tensor is made

    if not torch.cuda.is_available():
        raise ValueError(
            "pin_memory=True: torch finds no CUDA device here, and page-locked memory serves copies to one alone; "
            "leave pin_memory out"
        )
