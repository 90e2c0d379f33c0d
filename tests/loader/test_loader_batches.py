from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import plan as plans
from pipeline.loader.batches import Batch, Batches, Share, tensors
from pipeline.loader.contents import Contents
from pipeline.loader.dealing import Deal
from pipeline.loader.granules import Granules
from pipeline.loader.parts import open_part
from pipeline.loader.sequence import ValidationSequence
from pipeline.manifest import DamagedDatasetError
from tests.tiny_mix import VALIDATION, make_tiny_mix, tiny_row

ALL = Share()


def validation(mix: Path, micro_batch_size: int | None = None, dtype: Any = "int64") -> Batches:
    """What rank 1 of 2 is served of the 14 held-out samples, in batches of 8."""
    plan = plans.load(str(mix))
    parts = [[open_part(str(mix), source.name, part, 32) for part in source.validation] for source in plan.sources]
    return Batches(
        sequence=ValidationSequence(plan),
        granules=Granules(parts, 16, "uint16"),
        borders=None,
        deal=Deal(global_batch_size=8, rank=1, world_size=2, micro_batch_size=micro_batch_size),
        contents=Contents(dtype=dtype, labels=False, documents=False),
    )


def test_a_batch_is_the_rows_and_where_they_are_from(tiny: Path) -> None:
    first, second = (served.batch for served in validation(tiny, dtype="int32").serve(4, (), ALL))
    assert first["position"].tolist() == [8, 9, 10, 11]
    assert first["source"].tolist() == [1, 1, 1, 1]
    assert first["sample"].tolist() == [2, 3, 4, 5]
    assert first["input_ids"].tolist() == [tiny_row(1, VALIDATION + sample) for sample in (2, 3, 4, 5)]
    assert {name: array.dtype.name for name, array in first.items()} == {
        "input_ids": "int32",
        "position": "int64",
        "source": "int16",
        "sample": "int64",
        "next_position": "int64",
    }
    assert second["position"].tolist() == [13]
    assert (first["next_position"].tolist(), second["next_position"].tolist()) == (12, 14)


def test_an_unfinished_batch_is_repeated_by_who_goes_on(tiny: Path) -> None:
    served = list(validation(tiny, micro_batch_size=2).serve(0, (), ALL))
    assert [item.batch["position"].tolist() for item in served] == [[4, 5], [6, 7], [11], [12, 13]]
    assert [(item.first, item.micro_batch, item.next_position) for item in served] == [
        (0, 0, 0),
        (0, 1, 8),
        (8, 0, 8),
        (8, 1, 14),
    ]


def test_a_batch_goes_on_behind_what_is_skipped(tiny: Path) -> None:
    first, second = validation(tiny).serve(0, ((2, 5), (10, 12)), ALL)
    assert first.batch["position"].tolist() == [7, 8, 9, 12]
    assert (first.next_position, second.batch["position"].tolist()) == (13, [13])


@pytest.mark.parametrize("n_readers", [1, 2, 3, 5, 9])
def test_readers_share_the_micro_batches(tiny: Path, n_readers: int) -> None:
    work = validation(tiny, micro_batch_size=1)
    alone = [item.batch["position"].tolist() for item in work.serve(0, ((3, 4),), ALL)]
    shares = [list(work.serve(0, ((3, 4),), Share(offset=i, every=n_readers))) for i in range(n_readers)]
    found = [shares[number % n_readers][number // n_readers].batch["position"].tolist() for number in range(len(alone))]
    assert found == alone
    assert sum(map(len, shares)) == len(alone)


@pytest.mark.parametrize("n_readers", [1, 2, 3, 5])
def test_a_reader_goes_on_after_any_of_its_micro_batches(tiny: Path, n_readers: int) -> None:
    work = validation(tiny, micro_batch_size=1)
    share = Share(offset=n_readers - 1, every=n_readers)
    whole = list(work.serve(0, (), share))
    assert whole
    for number, item in enumerate(whole):
        rest = work.serve(item.first, (), share._replace(offset=item.micro_batch + n_readers))
        expected = [later.batch["position"].tolist() for later in whole[number + 1 :]]
        assert [later.batch["position"].tolist() for later in rest] == expected


def test_an_error_tells_what_was_being_prepared(tmp_path: Path) -> None:
    work = validation(make_tiny_mix(tmp_path))
    for shard in tmp_path.rglob("*.mds"):
        shard.unlink()
    with pytest.raises(DamagedDatasetError) as caught:
        next(work.serve(4, (), ALL))
    assert caught.value.__notes__ == ["while preparing positions 4 … 11 for rank 1 of 2"]


def test_tensors_share_the_memory() -> None:
    batch: Batch = {"input_ids": np.zeros((2, 3), np.uint16), "source": np.zeros(2, np.int16), "n": np.array(5)}
    made = tensors(batch)
    made["input_ids"][1, 2] = 7
    assert batch["input_ids"][1, 2] == 7
    assert {name: tensor.dtype for name, tensor in made.items()} == {
        "input_ids": torch.uint16,
        "source": torch.int16,
        "n": torch.int64,
    }
    assert int(made["n"]) == 5
