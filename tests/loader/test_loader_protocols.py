"""Stand-ins for trainers that keep the state of a loader: they call what their sources call, not the packages."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytest
import torch

from pipeline.loader import StreamingLoader

BATCH = 24


@runtime_checkable
class Stateful(Protocol):
    """Lightning and torchdata look for objects of this kind, Accelerate's register_for_checkpointing for its names."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


def loader_of(mix: Path) -> StreamingLoader:
    return StreamingLoader(mix, global_batch_size=BATCH, rank=0, world_size=1)


def fitted(loader: Any, steps: int) -> Iterator[list[int]]:
    """As a trainer's loop: it asks for the length, makes an iterator, and takes batches."""
    assert len(loader) == 41
    for _, batch in zip(range(steps), iter(loader), strict=False):
        yield batch["position"].tolist()


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_trainer_saves_and_restores_the_loader_by_its_protocol(tiny: Path, weights_only: bool) -> None:
    expected = list(fitted(loader_of(tiny), 7))
    loader = loader_of(tiny)
    assert isinstance(loader, Stateful)
    assert list(fitted(loader, 3)) == expected[:3]
    file = io.BytesIO()
    torch.save({"loaders": [loader.state_dict()]}, file)
    file.seek(0)
    restored = loader_of(tiny)
    restored.load_state_dict(torch.load(file, weights_only=weights_only)["loaders"][0])
    assert list(fitted(restored, 4)) == expected[3:]


def test_a_trainer_that_takes_a_batch_ahead_saves_the_state_of_the_one_before(tiny: Path) -> None:
    expected = list(fitted(loader_of(tiny), 7))
    batches = iter(loader := loader_of(tiny))
    ahead = next(batches)
    for _ in range(3):
        trained, ahead = ahead, next(batches)
    assert ahead["position"].tolist() == expected[3]
    restored = loader_of(tiny)
    restored.load_state_dict(loader.state_dict(trained))
    assert list(fitted(restored, 4)) == expected[3:]
