import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pipeline.loader.buffers import KEPT, Buffers

SHAPE = (8, 512)


def address(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_comes_back_when_nobody_refers_to_it() -> None:
    buffers = Buffers()
    first = buffers.empty(SHAPE, np.int64)
    place = address(first)
    del first
    assert address(buffers.empty(SHAPE, np.int64)) == place


KEEPERS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "slice": lambda array: array[3:, ::2][1:],
    "reshaped": lambda array: array.reshape(-1)[5:].view(np.uint16)[::4],
    "tensor": lambda array: torch.from_numpy(array),
    "tensor_view": lambda array: torch.from_numpy(array)[2:].t(),
    "numpy_of_tensor": lambda array: torch.from_numpy(array)[2:].numpy()[1:],
}


@pytest.mark.parametrize("keep", KEEPERS)
def test_memory_that_is_still_referred_to_is_never_given_again(keep: str) -> None:
    buffers = Buffers()
    kept = KEEPERS[keep](sevens(buffers))
    for _ in range(20):
        buffers.empty(SHAPE, np.int64)[...] = 9
    assert set(np.asarray(kept).ravel().tolist()) == {7}
    del kept
    assert len(buffers._given) <= 1


def sevens(buffers: Buffers) -> npt.NDArray[Any]:
    array = buffers.empty(SHAPE, np.int64)
    array[...] = 7
    return array


def test_few_free_buffers_are_kept_and_other_sizes_are_new() -> None:
    buffers = Buffers()
    held = [buffers.empty(SHAPE, np.int64) for _ in range(3 * KEPT)]
    del held
    assert len(buffers._free) == KEPT
    assert buffers.empty((3, 512), np.int64).shape == (3, 512)
    assert buffers.empty((0, 512), np.int64).shape == (0, 512)


def test_a_forgotten_pool_holds_nothing() -> None:
    gc.disable()
    try:
        buffers = Buffers()
        array = buffers.empty(SHAPE, np.int64)
        assert array.base is not None
        whole = weakref.ref(array.base)
        del buffers
        array[...] = 1
        del array
        assert whole() is None
    finally:
        gc.enable()
