"""Memory for batches, taken again as soon as nobody refers to it: fresh memory costs more than the copies into it.

On the machine of the benches a fresh 16 KiB row costs a microsecond of page faults, the copy into it 0.7.
"""

import math
import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT = 6  # free buffers: two batches ready, one in the making, one with the training loop, and two that it keeps


class Buffers:
    """`empty` gives arrays like `np.empty`; memory comes back when the array and all its views (slices, torch tensors)
    are gone. What somebody still holds is never given again, so a batch is its receiver's own for good."""

    def __init__(self) -> None:
        self._free: deque[memoryview] = deque(maxlen=KEPT)
        self._given: dict[int, weakref.ref[npt.NDArray[Any]]] = {}  # by id of its memory

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A new array of any contents."""
        wanted = np.dtype(dtype)
        n_bytes = math.prod(shape) * wanted.itemsize
        memory = self._take(n_bytes)
        # views of views refer to `whole`, numpy's owner of memory that is not its own: its end is that of the last one
        whole = np.frombuffer(memory, wanted, n_bytes // wanted.itemsize)

        def ended(_: object) -> None:
            if (pool := pool_reference()) is not None:
                del pool._given[id(memory)]
                pool._free.append(memory)

        pool_reference = weakref.ref(self)  # a strong one would be a cycle, and keep all buffers until gc finds it
        self._given[id(memory)] = weakref.ref(whole, ended)
        return whole.reshape(shape)

    def _take(self, n_bytes: int) -> memoryview:
        while self._free:
            memory = self._free.pop()
            if memory.nbytes == n_bytes:
                return memory
        return np.empty(n_bytes, np.uint8).data
