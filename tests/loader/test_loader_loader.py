import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import plan as plans
from pipeline.loader import DamagedDatasetError, StreamingLoader
from pipeline.order import batch_rows
from pipeline.plan import order_of
from pipeline.tokenizer_id import tokenizer_fingerprint
from tests.tiny_mix import TINY_TOKENIZER, VALIDATION, make_tiny_mix, tiny_row, tiny_shard

BATCH = 24
WORLD_SIZES = (1, 2, 3, 4, 8)

Row = tuple[int, int, int, tuple[int, ...]]  # position, source, sample, tokens


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def rows_of(batch: dict[str, Any]) -> list[Row]:
    columns = [np.asarray(batch[name]).tolist() for name in ("position", "source", "sample", "input_ids")]
    return [(p, s, i, tuple(ids)) for p, s, i, ids in zip(*columns, strict=True)]


def expected_batch(mix: Path, number: int, size: int = BATCH) -> list[Row]:
    """From the order itself and the tokens that the tiny mix was made of; no part of the loader takes part."""
    rows = batch_rows(order_of(plans.load(str(mix))), number * size, size)
    triples = zip(rows.position.tolist(), rows.source.tolist(), rows.sample.tolist(), strict=True)
    return [(p, s, i, tuple(tiny_row(s, i))) for p, s, i in triples]


def serve(mix: Path, world_size: int, n: int | None = None, state: dict[str, Any] | None = None) -> list[list[Row]]:
    """`n` global batches (None: to the end), each put together from all ranks' parts in the order of the ranks."""
    parts = []
    for rank in range(world_size):
        with StreamingLoader(mix, global_batch_size=BATCH, rank=rank, world_size=world_size, format="numpy") as loader:
            if state is not None:
                loader.load_state_dict(state)
            batches = iter(loader)
            parts.append([rows_of(batch) for batch in (batches if n is None else (next(batches) for _ in range(n)))])
            end = loader.state_dict()
    if state is not None:
        state.clear()
        state.update(json.loads(json.dumps(end)))
    return [[row for part in batch for row in part] for batch in zip(*parts, strict=True)]


@pytest.mark.parametrize("world_size", WORLD_SIZES)
def test_the_sequence_of_global_batches_is_the_order_for_every_world_size(tiny: Path, world_size: int) -> None:
    served = serve(tiny, world_size)
    assert len(served) == 1000 // BATCH
    assert served == [expected_batch(tiny, number) for number in range(len(served))]


@given(legs=st.lists(st.tuples(st.integers(0, 6), st.sampled_from(WORLD_SIZES)), min_size=2, max_size=5))
@settings(deadline=None, max_examples=15)
def test_stopping_anywhere_and_going_on_with_other_ranks_changes_nothing(
    tiny: Path, legs: list[tuple[int, int]]
) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH, rank=0, world_size=1) as loader:
        state = loader.state_dict()
    served = [batch for n, world_size in legs for batch in serve(tiny, world_size, n, state)]
    assert served == [expected_batch(tiny, number) for number in range(len(served))]
    assert state["position"] == len(served) * BATCH


def test_another_batch_size_goes_on_at_the_same_position(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=24, format="numpy") as first:
        next(iter(first))
        state = first.state_dict()
    with StreamingLoader(tiny, global_batch_size=36, format="numpy") as second:
        second.load_state_dict(state)
        assert sorted(next(iter(second))["position"].tolist()) == list(range(24, 60))


def test_batches_are_torch_tensors_by_default(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH, rank=1, world_size=2) as loader:
        batch = next(iter(loader))
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in batch.items()} == {
        "input_ids": (torch.int64, (12, 16)),
        "position": (torch.int64, (12,)),
        "source": (torch.int16, (12,)),
        "sample": (torch.int64, (12,)),
        "next_position": (torch.int64, ()),
    }


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint16"])
def test_tokens_are_the_same_in_every_dtype(tiny: Path, dtype: Any) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH, dtype=dtype, format="numpy") as loader:
        batch = next(iter(loader))
    assert batch["input_ids"].dtype == dtype
    assert rows_of(batch) == expected_batch(tiny, 0)


def test_batches_are_the_callers_own(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH, format="numpy", dtype="uint16") as loader:
        for number, batch in zip(range(6), loader, strict=False):
            assert rows_of(batch) == expected_batch(tiny, number)
            for array in batch.values():
                array[...] = 1


def test_the_state_counts_what_was_received_not_what_was_prepared(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        assert loader.state_dict()["position"] == 0
        for received, _ in enumerate(loader, start=1):
            assert loader.state_dict()["position"] == received * BATCH
            assert loader.position == received * BATCH


def test_a_loop_that_was_left_goes_on(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        served = []
        for batch in loader:
            served.append(rows_of(batch))
            if len(served) == 2:
                break
        served += [rows_of(batch) for batch in loader]
    assert served == [expected_batch(tiny, number) for number in range(len(served))]
    assert len(served) == len(loader) == 41


def test_a_second_iterator_ends_the_first(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        first = iter(loader)
        next(first)
        second = iter(loader)
        assert rows_of(next(second)) == expected_batch(tiny, 1)
        with pytest.raises(RuntimeError, match="another iterator of this loader was made later"):
            next(first)
        assert rows_of(next(second)) == expected_batch(tiny, 2)


def test_loading_a_state_drops_what_was_prepared(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        state = loader.state_dict()
        batches = iter(loader)
        for _ in range(3):
            next(batches)
        loader.load_state_dict(state)
        assert rows_of(next(batches)) == expected_batch(tiny, 0)


def test_skipped_batches_are_left_out_and_remembered(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        batches = iter(loader)
        next(batches)
        loader.skip_batches(2)
        assert rows_of(next(batches)) == expected_batch(tiny, 3)
        state = loader.state_dict()
    assert (state["position"], state["skipped"]) == (96, [[24, 72]])
    with StreamingLoader(tiny, global_batch_size=BATCH, rank=2, world_size=3) as loader:
        loader.load_state_dict(state)
        loader.skip_batches(1)
        assert loader.state_dict()["skipped"] == [[24, 72], [96, 120]]


@pytest.mark.parametrize(("n", "message"), [(0, "1 or more"), (42, "to 1008, the end is 1000")])
def test_impossible_skips_are_refused(tiny: Path, n: int, message: str) -> None:
    with (
        StreamingLoader(tiny, global_batch_size=BATCH) as loader,
        pytest.raises(ValueError, match=message),
    ):
        loader.skip_batches(n)


def test_beyond_the_budget_the_order_goes_on(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH, beyond_budget=True) as loader:
        with pytest.raises(TypeError, match="no length"):
            len(loader)
        loader.skip_batches(41)
        assert rows_of(next(iter(loader))) == expected_batch(tiny, 41)


def test_a_larger_budget_goes_on_from_the_end_of_the_smaller(tiny: Path, tmp_path: Path) -> None:
    larger = make_tiny_mix(tmp_path, budget_samples=1100)
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        for _ in loader:
            pass
        state = loader.state_dict()
    with StreamingLoader(larger, global_batch_size=BATCH) as loader:
        loader.load_state_dict(state)
        assert rows_of(next(iter(loader))) == expected_batch(tiny, 41)


@pytest.mark.parametrize("world_size", [1, 3])
def test_validation_is_one_pass_with_a_short_last_batch(tiny: Path, world_size: int) -> None:
    parts = []
    for rank in range(world_size):
        with StreamingLoader(
            tiny, global_batch_size=12, rank=rank, world_size=world_size, split="validation"
        ) as loader:
            assert len(loader) == 2
            parts.append([rows_of(batch) for batch in loader])
            assert loader.state_dict()["position"] == 14
            assert list(loader) == []
    served = [row for batch in zip(*parts, strict=True) for part in batch for row in part]
    samples = [(0, i) for i in range(6)] + [(1, i) for i in range(8)]
    assert served == [(p, s, i, tuple(tiny_row(s, VALIDATION + i))) for p, (s, i) in enumerate(samples)]


def test_a_validation_pass_goes_on_where_it_was(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=4, split="validation") as loader:
        next(iter(loader))
        state = json.loads(json.dumps(loader.state_dict()))
    with StreamingLoader(tiny, global_batch_size=5, rank=0, world_size=1, split="validation") as loader:
        loader.load_state_dict(state)
        assert [batch["position"].tolist() for batch in loader] == [[4, 5, 6, 7, 8], [9, 10, 11, 12, 13]]


def test_another_plans_state_is_refused_and_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    other = make_tiny_mix(tmp_path, seed=18)
    with StreamingLoader(other, global_batch_size=BATCH) as loader:
        state = loader.state_dict() | {"position": 48}
    with StreamingLoader(tiny, global_batch_size=BATCH) as loader:
        with pytest.raises(ValueError, match="its seed is 18, here it is 17"):
            loader.load_state_dict(state)
        assert rows_of(next(iter(loader))) == expected_batch(tiny, 0)


def test_a_copied_root_is_the_same_root(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = make_tiny_mix(tmp_path / "elsewhere")
    monkeypatch.chdir(copied.parent)
    for url in ("tiny", Path("tiny"), "./tiny/../tiny", f"file://{copied}"):
        with StreamingLoader(url, global_batch_size=BATCH) as loader:
            assert rows_of(next(iter(loader))) == expected_batch(tiny, 0)
    monkeypatch.chdir(copied)
    with StreamingLoader(".", global_batch_size=BATCH) as loader:
        assert len(loader) == 41


def test_the_mixs_tokenizer_is_accepted(tiny: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(json.loads(TINY_TOKENIZER), indent=2))
    for tokenizer in (mine, str(mine), tokenizer_fingerprint(TINY_TOKENIZER)):
        StreamingLoader(tiny, global_batch_size=BATCH, tokenizer=tokenizer).close()


def test_another_tokenizer_is_refused_with_both_fingerprints(tiny: Path, tmp_path: Path) -> None:
    other = b'{"model": {"vocab": {"b": 0}}}'
    (tmp_path / "other.json").write_bytes(other)
    message = f"has the fingerprint {tokenizer_fingerprint(other)}, .*made with {tokenizer_fingerprint(TINY_TOKENIZER)}"
    for tokenizer in (tmp_path / "other.json", tokenizer_fingerprint(other)):
        with pytest.raises(ValueError, match=message):
            StreamingLoader(tiny, global_batch_size=BATCH, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0, "world_size": 5}, "world_size 5 does not divide global_batch_size 24; use a world_size of 4 or 6"),
        ({"global_batch_size": 1001}, "exceeds the 1000 samples of the budget"),
        ({"split": "test"}, 'split \'test\': "train" or "validation"'),
        ({"split": "validation", "beyond_budget": True}, "a validation pass is finite"),
        ({"dtype": "float32"}, "dtype 'float32': \"int64\""),
        ({"format": "jax"}, 'format \'jax\': "torch" or "numpy"'),
        ({"tokenizer": "nowhere.json"}, "neither a file nor a sha256"),
    ],
)
def test_mistakes_are_told_at_once(tiny: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamingLoader(tiny, **{"global_batch_size": BATCH, **options})


def test_wide_tokens_do_not_go_into_uint16(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path, dtype="uint32")
    with pytest.raises(ValueError, match='dtype "uint16" cannot hold the uint32 tokens'):
        StreamingLoader(mix, global_batch_size=BATCH, dtype="uint16")


def test_a_missing_mix_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no plan at .*/nowhere/mix\.json"):
        StreamingLoader(tmp_path / "nowhere", global_batch_size=BATCH)


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, Path]:
    """A mix whose only shard of `docs` has one flipped bit, and that shard's file."""
    mix = make_tiny_mix(tmp_path)
    shard = tiny_shard(mix, "docs")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    return mix, shard


def test_damage_is_told_where_its_batch_was_due(damaged: tuple[Path, Path]) -> None:
    mix, shard = damaged
    with StreamingLoader(mix, global_batch_size=1) as loader:
        batches = iter(loader)
        for _ in range(2):  # it is told again when asked again
            with pytest.raises(DamagedDatasetError, match=f"{shard}: granule 3 .* expected") as caught:
                for batch in batches:
                    assert rows_of(batch) == expected_batch(mix, loader.position - 1, 1)
        (_, source, sample, _) = expected_batch(mix, loader.position, 1)[0]
        assert (source, sample // 8) == (1, 3)
        assert caught.value.__notes__[0].startswith(f"while preparing positions {loader.position} …")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("shardmill-loader")]


def descriptors() -> int:
    gc.collect()  # what the tests before left in cycles
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_hundred_starts_and_stops_leave_nothing_behind(tiny: Path) -> None:
    before = descriptors()
    for number in range(100):
        loader = StreamingLoader(tiny, global_batch_size=BATCH)
        for _ in zip(range(number % 4), loader, strict=False):
            pass
        if number % 2:
            loader.close()
    del loader
    assert threads() == []
    assert descriptors() <= before


def test_a_forgotten_loader_ends_its_thread(tiny: Path) -> None:
    def walk() -> Iterator[dict[str, Any]]:
        yield from StreamingLoader(tiny, global_batch_size=BATCH)

    batches = walk()
    next(batches)
    assert threads() == ["shardmill-loader-0"]
    del batches
    assert threads() == []


def test_a_closed_loader_says_so_and_still_has_its_state(tiny: Path) -> None:
    loader = StreamingLoader(tiny, global_batch_size=BATCH)
    next(iter(loader))
    loader.close()
    loader.close()
    assert loader.state_dict()["position"] == 24
    with pytest.raises(RuntimeError, match="the loader is closed"):
        next(iter(loader))


def test_a_state_from_behind_the_end_of_a_smaller_budget_is_told(tiny: Path, tmp_path: Path) -> None:
    state: dict[str, Any] = StreamingLoader(tiny, global_batch_size=BATCH).state_dict()
    small = StreamingLoader(make_tiny_mix(tmp_path, budget_samples=100), global_batch_size=BATCH)
    small.load_state_dict(state | {"position": 100, "chain": chain_at(tiny, 100)})  # its end: no warning
    with pytest.warns(
        UserWarning, match="stands at position 101, and the train split of tiny ends at 100: no batch is"
    ):
        small.load_state_dict(state | {"position": 101, "chain": chain_at(tiny, 101)})
    assert list(small) == []
    small.close()


def chain_at(mix: Path, position: int) -> Any:
    with StreamingLoader(mix, global_batch_size=BATCH) as loader:
        loader.go_to(position)
        return loader.state_dict()["chain"]


def test_it_prints_what_it_serves(tiny: Path) -> None:
    with StreamingLoader(tiny, global_batch_size=BATCH, rank=1, world_size=2) as loader:
        assert repr(loader) == ("StreamingLoader(tiny train: 41 batches of 24 × 16 tokens, rank 1 of 2, position 0)")


def run_python(code: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RANK", "WORLD"))}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=60).stdout


def test_importing_is_quick_and_light() -> None:
    code = """
import sys, time
start = time.process_time()  # what else the machine does is not counted, and nothing is waited for
from pipeline.loader import StreamingLoader
print(time.process_time() - start)
heavy = "torch", "pyarrow", "pyspark", "numba", "pandas", "tokenizers", "pydantic"
print([name for name in heavy if name in sys.modules])
"""
    seconds, modules = zip(*[run_python(code).splitlines() for _ in range(3)], strict=True)
    assert set(modules) == {"[]"}
    assert min(map(float, seconds)) < 0.5


def test_numpy_batches_need_no_torch_and_an_open_loader_does_not_hold_up_the_exit(tiny: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None  # an import of it fails
from pipeline.loader import StreamingLoader
loader = StreamingLoader({str(tiny)!r}, global_batch_size=24, format="numpy")
print(type(next(iter(loader))["input_ids"]).__module__)
"""
    assert run_python(code) == "numpy\n"
