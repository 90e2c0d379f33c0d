"""Page-locked batches. Machines without a GPU have no such memory, so all but one test give torch a stand-in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipeline.loader import StreamingLoader
from pipeline.loader.pinned import PinnedBuffers
from pipeline.loader.torch_dataset import LoaderDataset

GIVEN: dict[str, Any] = {"global_batch_size": 32, "rank": 0, "world_size": 2, "labels": "shifted", "documents": True}
empty: Callable[..., Any] = torch.empty


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """The tensors that were asked for with pin_memory=True, by address of their memory."""
    made: dict[int, Any] = {}

    def fake(*shape: Any, pin_memory: bool = False, **options: Any) -> Any:
        tensor = empty(*shape, **options)
        if pin_memory:
            made[tensor.data_ptr()] = tensor
        return tensor

    monkeypatch.setattr(torch, "empty", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return made


def memory_of(tensor: Any) -> int:
    """What torch knows the memory of a tensor and its slices by; a tensor around an array has another."""
    return int(tensor.untyped_storage()._cdata)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint16"])
def test_all_tensors_of_a_batch_are_torchs_own_page_locked_ones(tiny: Path, pinned: dict[int, Any], dtype: Any) -> None:
    """Not tensors around arrays: torch would not know which memory a copy is under way from."""
    with (
        StreamingLoader(tiny, **GIVEN, dtype=dtype, pin_memory=True) as loader,
        StreamingLoader(tiny, **GIVEN, dtype=dtype) as plain,
    ):
        kept = []
        for batch, expected in zip(loader, plain, strict=True):
            assert batch.keys() == expected.keys()
            assert all(batch[name].dtype == expected[name].dtype for name in batch)
            for tensor in batch.values():
                assert memory_of(tensor) == memory_of(pinned[tensor.data_ptr()])
            kept.append((batch, expected))
        assert len(kept) == 31
        for batch, expected in kept:  # none was written over
            assert all(torch.equal(batch[name], expected[name]) for name in batch)


def test_rows_are_gathered_into_it_at_once(tiny: Path, pinned: dict[int, Any]) -> None:
    buffers = PinnedBuffers()
    ids, position = buffers.empty((4, 16), "int64"), np.arange(4)
    tensors = buffers.tensors({"input_ids": ids, "position": position})
    assert tensors["input_ids"].data_ptr() == ids.__array_interface__["data"][0]
    assert tensors["position"].data_ptr() != position.__array_interface__["data"][0]
    assert tensors["position"].tolist() == [0, 1, 2, 3]


def test_a_pickled_loader_and_a_copy_pin_too(tiny: Path, pinned: dict[int, Any]) -> None:
    with StreamingLoader(tiny, **GIVEN, pin_memory=True) as loader, loader.copy() as copied:
        assert copied.pins_memory
        assert next(iter(copied))["input_ids"].data_ptr() in pinned


def test_workers_refuse(tiny: Path, pinned: dict[int, Any]) -> None:
    dataset = LoaderDataset(StreamingLoader(tiny, **GIVEN, pin_memory=True))
    with pytest.raises(RuntimeError, match="give pin_memory=True to the DataLoader"):
        next(iter(DataLoader(dataset, batch_size=None, num_workers=1)))


def test_where_it_serves_nothing_it_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="pin_memory=True: torch finds no CUDA device here"):
        StreamingLoader(tiny, **GIVEN, pin_memory=True)
    with pytest.raises(ValueError, match='pin_memory=True gives torch tensors, not format "numpy"'):
        StreamingLoader(tiny, **GIVEN, pin_memory=True, format="numpy")
    wrong: Any = "yes"
    with pytest.raises(ValueError, match="pin_memory is 'yes', a str; give True or False"):
        StreamingLoader(tiny, **GIVEN, pin_memory=wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_with_a_gpu_batches_that_are_forgotten_while_they_are_copied_arrive_whole(tiny: Path) -> None:
    with StreamingLoader(tiny, **GIVEN, pin_memory=True) as loader, StreamingLoader(tiny, **GIVEN) as plain:
        moved = []
        for batch in loader:
            assert all(tensor.is_pinned() for tensor in batch.values() if tensor.numel())
            moved.append({name: tensor.to("cuda", non_blocking=True) for name, tensor in batch.items()})
        for batch, expected in zip(moved, plain, strict=True):
            assert all(torch.equal(batch[name].cpu(), expected[name]) for name in batch)
