"""What a loader is asked for beyond plain batches: micro-batches, uneven parts, skips, labels, documents."""

import inspect
import json
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from pipeline import plan as plans
from pipeline.loader import StreamingLoader
from pipeline.order import samples
from pipeline.plan import order_of
from tests.tiny_mix import VALIDATION, make_tiny_mix, tiny_ends, tiny_row

BATCH = 24


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mix(tmp_path_factory.mktemp("padded"), padded=True)


def loader_of(mix: Path, **options: Any) -> StreamingLoader:
    asked: dict[str, Any] = {"global_batch_size": BATCH, "rank": 0, "world_size": 1, "format": "numpy", **options}
    return StreamingLoader(mix, **asked)


def positions(batches: Any) -> list[list[int]]:
    return [batch["position"].tolist() for batch in batches]


def joined(parts: Iterable[list[int]]) -> list[int]:
    return [position for part in parts for position in part]


# micro-batches


@pytest.mark.parametrize("micro_batch_size", [1, 4, 12])
def test_micro_batches_are_the_ranks_part_cut(tiny: Path, micro_batch_size: int) -> None:
    whole = positions(loader_of(tiny, rank=1, world_size=2))
    with loader_of(tiny, rank=1, world_size=2, micro_batch_size=micro_batch_size) as loader:
        cut = positions(loader)
        assert len(cut) == len(loader) == 41 * loader.micro_batches == 41 * 12 // micro_batch_size
    assert {len(part) for part in cut} == {micro_batch_size}
    assert joined(cut) == joined(whole)


def test_the_state_moves_at_batch_ends_alone(tiny: Path) -> None:
    with loader_of(tiny, micro_batch_size=8) as loader:

        def stands() -> tuple[int, int, bool]:
            return loader.state_dict()["position"], loader.position, loader.at_batch_end

        seen = [stands(), *(stands() for _ in zip(range(4), loader, strict=False))]
    assert seen == [(0, 0, True), (0, 0, False), (0, 0, False), (24, 24, True), (24, 24, False)]


def test_an_unfinished_batch_is_repeated_after_a_resume_and_goes_on_without(tiny: Path) -> None:
    expected = positions(loader_of(tiny, micro_batch_size=8))
    with loader_of(tiny, micro_batch_size=8) as loader:
        first = positions(batch for _, batch in zip(range(4), loader, strict=False))
        state = loader.state_dict()
        assert first + positions(loader) == expected
    with loader_of(tiny, micro_batch_size=8) as loader:
        loader.load_state_dict(state)
        assert positions(loader) == expected[3:]


def test_each_batch_says_where_a_state_after_it_goes_on(tiny: Path) -> None:
    with loader_of(tiny, micro_batch_size=8) as loader:
        batches = [batch for _, batch in zip(range(7), loader, strict=False)]
        ahead = loader.state_dict()
        assert [int(batch["next_position"]) for batch in batches] == [0, 0, 24, 24, 24, 48, 48]
        assert loader.state_dict(batches[2]) == ahead | {"position": 24}
        with pytest.raises(ValueError, match='give a batch as it was served, with its "next_position"'):
            loader.state_dict({"input_ids": batches[0]["input_ids"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"micro_batch_size": 0}, "micro_batch_size 0: at least 1 row"),
        ({"micro_batch_size": 5}, "5 does not divide the 12 rows that each of 2 ranks .* batch of 24; use 4 or 6$"),
        ({"micro_batch_size": 24}, "24 does not divide the 12 rows .*; use 12$"),
    ],
)
def test_micro_batches_that_do_not_fit_are_refused(tiny: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader_of(tiny, rank=0, world_size=2, **options)


# world sizes that do not divide the batch


@pytest.mark.parametrize("world_size", [5, 7, 23])
@pytest.mark.parametrize("micro_batch_size", [None, 2])
def test_uneven_parts_make_the_same_global_batches(tiny: Path, world_size: int, micro_batch_size: int | None) -> None:
    whole = positions(batch for _, batch in zip(range(2), loader_of(tiny), strict=False))
    parts = []
    for rank in range(world_size):
        with loader_of(
            tiny, rank=rank, world_size=world_size, uneven=True, micro_batch_size=micro_batch_size
        ) as loader:
            n = loader.micro_batches
            assert n == (1 if micro_batch_size is None else -(-(24 // world_size + 1) // 2))
            served = positions(batch for _, batch in zip(range(2 * n), loader, strict=False))
        parts.append([joined(served[:n]), joined(served[n:])])
        assert {len(part) for part in parts[-1]} <= {24 // world_size, 24 // world_size + 1}
    assert [joined(batch) for batch in zip(*parts, strict=True)] == whole


def test_more_ranks_than_rows_are_refused(tiny: Path) -> None:
    with pytest.raises(ValueError, match=r"has no row for some of the 25 ranks, .*; use at least 25"):
        loader_of(tiny, rank=0, world_size=25, uneven=True)


@pytest.mark.parametrize("world_size", [1, 2, 3, 12])
@pytest.mark.parametrize("micro_batch_size", [None, 1])
def test_all_ranks_take_as_many_validation_batches(tiny: Path, world_size: int, micro_batch_size: int | None) -> None:
    parts, numbers = [], set()
    for rank in range(world_size):
        with loader_of(
            tiny,
            global_batch_size=12,
            rank=rank,
            world_size=world_size,
            split="validation",
            micro_batch_size=micro_batch_size,
        ) as loader:
            batches = list(loader)
            numbers.add(len(batches))
            assert len(batches) == len(loader)
            assert {batch["input_ids"].shape[1] for batch in batches} == {16}
        parts.append(positions(batches))
    assert len(numbers) == 1
    assert sorted(position for part in parts for batch in part for position in batch) == list(range(14))
    if world_size == 12:  # the last batch has two rows for twelve ranks
        assert sorted(len(part[-1]) for part in parts) == [0] * 10 + [1] * 2


def test_an_empty_part_has_empty_arrays(tiny: Path) -> None:
    with loader_of(
        tiny, global_batch_size=12, rank=0, world_size=12, split="validation", labels="shifted", documents=True
    ) as loader:
        *_, last = loader
    assert {name: array.shape for name, array in last.items()} == {
        "input_ids": (0, 16),
        "labels": (0, 16),
        "doc_ids": (0, 16),
        "position_ids": (0, 16),
        "cu_seqlens": (1,),
        "max_seqlen": (),
        "position": (0,),
        "source": (0,),
        "sample": (0,),
        "next_position": (),
    }


# who reads


@pytest.fixture
def eight_ranks() -> Iterator[None]:
    """This process as rank 5 of 8."""
    dist.init_process_group("fake", rank=5, world_size=8, store=FakeStore())
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("eight_ranks")
def test_a_device_mesh_says_the_data_parallel_rank(tiny: Path) -> None:
    mesh = init_device_mesh("cpu", (4, 2), mesh_dim_names=("dp", "tp"))
    with loader_of(tiny, rank=None, world_size=None, process_group=mesh["dp"]) as loader:
        assert (loader.rank, loader.world_size) == (2, 4)
    with loader_of(tiny, rank=None, world_size=None, process_group=mesh["dp"].get_group()) as loader:
        assert (loader.rank, loader.world_size) == (2, 4)
    with pytest.raises(ValueError, match=r"of 2 dimensions \('dp', 'tp'\); give that of data parallelism"):
        loader_of(tiny, rank=None, world_size=None, process_group=mesh)


@pytest.mark.usefixtures("eight_ranks")
def test_a_process_group_says_the_data_parallel_rank(tiny: Path) -> None:
    with loader_of(tiny, rank=None, world_size=None, process_group=dist.new_group([1, 3, 5])) as loader:
        assert (loader.rank, loader.world_size) == (2, 3)
    with pytest.raises(ValueError, match=r"process_group is a int: give a ProcessGroup .* of which this process is a"):
        loader_of(tiny, rank=None, world_size=None, process_group=dist.new_group([1, 3]))


@pytest.mark.usefixtures("eight_ranks")
def test_a_process_group_and_a_rank_are_one_too_many(tiny: Path) -> None:
    with pytest.raises(ValueError, match="process_group, and rank or world_size"):
        loader_of(tiny, process_group=dist.group.WORLD)


# skipping


def walked(first: int, size: int, n: int, left_out: set[int]) -> list[set[int]]:
    """The positions of `n` global batches from `first` on, one position after the other."""
    batches: list[set[int]] = []
    while len(batches) < n:
        batch: set[int] = set()
        while len(batch) < size:
            if first not in left_out:
                batch.add(first)
            first += 1
        batches.append(batch)
    return batches


LEGS = st.lists(
    st.tuples(
        st.sampled_from([6, 12, 24, 30]),  # the batch, divided by each of
        st.sampled_from([1, 2, 3]),  # these world sizes
        st.integers(0, 3),  # batches served
        st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=3),  # skipped: from here on, so many
    ),
    min_size=1,
    max_size=4,
)


@given(legs=LEGS)
@settings(deadline=None, max_examples=25)
def test_batches_are_the_next_positions_not_skipped_for_any_world_size(
    tiny: Path, legs: list[tuple[int, int, int, list[tuple[int, int]]]]
) -> None:
    rows = samples(order_of(plans.load(str(tiny))), 0, 800)
    state = loader_of(tiny).state_dict()
    left_out: set[int] = set()
    for size, world_size, n, pairs in legs:
        first = state["position"]
        parts, ends = [], []
        for rank in range(world_size):
            with loader_of(tiny, global_batch_size=size, rank=rank, world_size=world_size) as loader:
                loader.load_state_dict(state)
                for ahead, length in pairs:
                    if loader.position <= first + ahead:
                        loader.skip(first + ahead, first + ahead + length)
                parts.append([batch for _, batch in zip(range(n), loader, strict=False)])
                ends.append(json.loads(json.dumps(loader.state_dict())))
        state = ends[0]
        assert all(end == state for end in ends)
        left_out = {position for low, high in state["skipped"] for position in range(low, high)}
        served = [
            {
                (p, s, i, tuple(ids))
                for part in batch
                for p, s, i, ids in zip(
                    *(part[name].tolist() for name in ("position", "source", "sample", "input_ids")), strict=True
                )
            }
            for batch in zip(*parts, strict=True)
        ]
        assert served == [
            {
                (p, int(rows.source[p]), int(rows.sample[p]), tuple(tiny_row(rows.source[p], rows.sample[p])))
                for p in own
            }
            for own in walked(first, size, n, left_out)
        ]


def test_what_is_ahead_is_left_out_when_it_comes(tiny: Path) -> None:
    with loader_of(tiny) as loader:
        loader.skip(30, 50)
        loader.skip(45, 60)
        assert loader.state_dict()["position"] == 0
        batches = iter(loader)
        assert sorted(positions([next(batches)])[0]) == list(range(24))
        assert sorted(positions([next(batches)])[0]) == [*range(24, 30), *range(60, 78)]
        assert loader.state_dict()["skipped"] == [[30, 60]]
        loader.skip(loader.position, 100)
        assert (loader.position, loader.state_dict()["skipped"]) == (100, [[30, 60], [78, 100]])


def test_skipped_batches_are_counted_without_what_is_skipped(tiny: Path) -> None:
    with loader_of(tiny) as loader:
        loader.skip(10, 20)
        loader.skip_batches(2)
        assert loader.state_dict() == loader.state_dict() | {"position": 58, "skipped": [[0, 58]]}


def test_skipping_ends_the_run_earlier_and_keeps_its_length(tiny: Path) -> None:
    with loader_of(tiny) as loader:
        loader.skip(40, 900)
        assert len(positions(loader)) == 140 // BATCH
        assert len(loader) == 1000 // BATCH


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (0, 30, r"skip\(0, 30\): give a range .* from the current one, 24, on"),
        (30, 30, "give a range"),
        (30, 1001, "leads from position 30 to 1001, the end is 1000"),
    ],
)
def test_impossible_ranges_are_refused(tiny: Path, first: int, last: int, message: str) -> None:
    with loader_of(tiny) as loader:
        next(iter(loader))
        with pytest.raises(ValueError, match=message):
            loader.skip(first, last)


def test_nothing_is_skipped_in_the_middle_of_a_batch(tiny: Path) -> None:
    with loader_of(tiny, micro_batch_size=12) as loader:
        next(iter(loader))
        with pytest.raises(
            ValueError, match=r"skip\(100, 110\) in the middle of the global batch at 0: skip when it is"
        ):
            loader.skip(100, 110)
        with pytest.raises(ValueError, match=r"skip_batches\(1\) in the middle of the global batch at 0"):
            loader.skip_batches(1)


def test_a_position_is_no_multiple_of_a_new_batch_size(tiny: Path) -> None:
    with loader_of(tiny) as loader:
        next(iter(loader))
        state = loader.state_dict()
    with loader_of(tiny, global_batch_size=35) as loader:
        loader.load_state_dict(state)
        batches = iter(loader)
        assert sorted(positions([next(batches)])[0]) == list(range(24, 59))
        assert len(positions(batches)) == (1000 - 59) // 35


# labels and documents


def test_labels_and_documents_follow_the_borders_not_the_ids(padded: Path) -> None:
    with loader_of(padded, labels="shifted", documents=True, rank=1, world_size=2) as loader:
        batch = next(iter(loader))
    cuts = [0]
    for row, (source, sample) in enumerate(zip(batch["source"].tolist(), batch["sample"].tolist(), strict=True)):
        ids, ends = tiny_row(source, sample, padded=True), tiny_ends(source, sample, padded=True)
        begins = [0, *ends]
        doc = [next((d for d, end in enumerate(ends) if i < end), -1) for i in range(16)]
        assert batch["input_ids"][row].tolist() == ids
        assert batch["doc_ids"][row].tolist() == doc
        assert batch["position_ids"][row].tolist() == [i - begins[doc[i]] for i in range(16)]
        assert batch["labels"][row].tolist() == [
            ids[i + 1] if i < 15 and doc[i] == doc[i + 1] >= 0 else -100 for i in range(16)
        ]
        cuts += [16 * row + end for end in ends] + ([16 * (row + 1)] if ends[-1] < 16 else [])
    assert -1 in batch["doc_ids"]
    assert batch["cu_seqlens"].tolist() == cuts
    assert int(batch["max_seqlen"]) == max(np.diff(cuts))


def test_without_documents_a_documents_first_token_is_learnt(tiny: Path) -> None:
    with loader_of(tiny, labels="shifted") as loader:
        batch = next(iter(loader))
    assert batch["labels"][:, :-1].tolist() == batch["input_ids"][:, 1:].tolist()
    assert set(batch["labels"][:, -1].tolist()) == {-100}
    assert "doc_ids" not in batch


def test_held_out_rows_have_borders_of_their_own(padded: Path) -> None:
    with loader_of(padded, split="validation", global_batch_size=14, documents=True) as loader:
        (batch,) = loader
    numbers = [(source, VALIDATION + sample) for source, n in ((0, 6), (1, 8)) for sample in range(n)]
    ends = [tiny_ends(source, number, padded=True) for source, number in numbers]
    found = [(np.flatnonzero(np.diff(row, append=-2)) + 1).tolist() for row in batch["doc_ids"]]
    assert found == [own if own[-1] == 16 else [*own, 16] for own in ends]


def test_micro_batches_have_segments_of_their_own(tiny: Path) -> None:
    with loader_of(tiny, documents=True, micro_batch_size=8) as loader:
        for _, batch in zip(range(6), loader, strict=False):
            assert (batch["cu_seqlens"][0], batch["cu_seqlens"][-1]) == (0, 8 * 16)


# once more, elsewhere


def test_a_pickled_loader_goes_on_where_it_was(tiny: Path) -> None:
    with loader_of(tiny, rank=1, world_size=2, micro_batch_size=4, labels="same", dtype="int32") as loader:
        loader.skip(200, 210)
        for _ in zip(range(3), loader, strict=False):
            pass
        again = pickle.loads(pickle.dumps(loader))
        expected = [{name: array.tolist() for name, array in batch.items()} for batch in loader]
    with again:
        assert [{name: array.tolist() for name, array in batch.items()} for batch in again] == expected


def test_a_copy_is_made_with_every_option(tiny: Path) -> None:
    taken = {"tokenizer", "process_group", "self"}  # checked, and resolved, when the first was made
    with loader_of(tiny) as loader:
        assert set(loader._again) == set(inspect.signature(StreamingLoader.__init__).parameters) - taken


def test_a_state_has_the_fields_that_checkpoints_keep(tiny: Path) -> None:
    with loader_of(tiny) as loader:
        loader.skip(100, 200)
        state = loader.state_dict()
        assert json.loads(json.dumps(state)) == state
        assert all(type(value) in (int, str, list, dict, type(None)) for value in state.values())


def test_a_budget_of_whole_batches_is_served_whole(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path, budget_samples=2 * BATCH)
    with loader_of(mix) as loader:
        assert len(loader) == 2
        assert sorted(joined(positions(loader))) == list(range(2 * BATCH))
    plan = plans.load(str(mix))
    assert replace(plan, budget_tokens=0).identity == plan.identity


@pytest.mark.parametrize("whole", [np.int64, np.uint16, torch.tensor])
def test_any_whole_numbers_are_ranges_to_skip(tiny: Path, whole: Callable[[int], Any]) -> None:
    with loader_of(tiny) as loader:
        loader.skip(whole(30), whole(50))
        loader.skip_batches(whole(1))
        state = json.loads(json.dumps(loader.state_dict()))
        assert (state["position"], state["skipped"]) == (24, [[0, 24], [30, 50]])
        loader.load_state_dict(state)


@pytest.mark.parametrize("value", [16.0, "16", True, None, [16]])
def test_what_is_no_whole_number_is_no_range_to_skip(tiny: Path, value: Any) -> None:
    with loader_of(tiny) as loader:
        skips: list[Callable[[], None]] = [
            lambda: loader.skip(value, 50),
            lambda: loader.skip(0, value),
            lambda: loader.skip_batches(value),
        ]
        for skip in skips:
            with pytest.raises(ValueError, match=rf"skip.*: {re.escape(repr(value))} is a .*; give whole numbers"):
                skip()
        assert loader.skipped == ()
