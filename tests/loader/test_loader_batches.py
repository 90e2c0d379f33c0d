from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import plan as plans
from pipeline.loader.batches import Batch, batches, tensors
from pipeline.loader.granules import Granules
from pipeline.loader.parts import DamagedDatasetError, open_part
from pipeline.loader.sequence import ValidationSequence
from tests.tiny_mix import VALIDATION, make_tiny_mix, tiny_row


def opened(mix: Path) -> tuple[ValidationSequence, Granules]:
    plan = plans.load(str(mix))
    parts = [[open_part(str(mix), source.name, part, 32) for part in source.validation] for source in plan.sources]
    return ValidationSequence(plan), Granules(parts, 16, "uint16")


def test_a_batch_is_the_rows_and_where_they_are_from(tiny: Path) -> None:
    sequence, granules = opened(tiny)
    first, second = batches(sequence, granules, first=4, global_batch_size=8, rank=1, world_size=2, dtype="int32")
    assert first["position"].tolist() == [8, 9, 10, 11]
    assert first["source"].tolist() == [1, 1, 1, 1]
    assert first["sample"].tolist() == [2, 3, 4, 5]
    assert first["input_ids"].tolist() == [tiny_row(1, VALIDATION + sample) for sample in (2, 3, 4, 5)]
    assert {name: array.dtype.name for name, array in first.items()} == {
        "input_ids": "int32",
        "position": "int64",
        "source": "int16",
        "sample": "int64",
    }
    assert second["position"].tolist() == [13]


def test_an_error_tells_what_was_being_prepared(tmp_path: Path) -> None:
    sequence, granules = opened(make_tiny_mix(tmp_path))
    for shard in tmp_path.rglob("*.mds"):
        shard.unlink()
    with pytest.raises(DamagedDatasetError) as caught:
        next(batches(sequence, granules, first=4, global_batch_size=8, rank=1, world_size=2, dtype="int64"))
    assert caught.value.__notes__ == ["while preparing positions 4 … 11 for rank 1 of 2"]


def test_tensors_share_the_memory() -> None:
    batch: Batch = {"input_ids": np.zeros((2, 3), np.int64), "source": np.zeros(2, np.int16)}
    made = tensors(batch)
    made["input_ids"][1, 2] = 7
    assert batch["input_ids"][1, 2] == 7
    assert made["source"].dtype == torch.int16
