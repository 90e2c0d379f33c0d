"""With the real DataLoader and StatefulDataLoader. Workers are forked where it is not said otherwise: spawned ones
import torch, which takes seconds."""

import json
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from pipeline.loader import StreamingLoader
from pipeline.loader.torch_dataset import LoaderDataset, _end_with_the_parent
from tests.tiny_mix import make_tiny_mix

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes:UserWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 with torch 2.13
]

BATCH = 24
N_BATCHES = 7


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mix(tmp_path_factory.mktemp("short"), budget_samples=BATCH * N_BATCHES + 5)


def loader_of(mix: Path, **options: Any) -> StreamingLoader:
    return StreamingLoader(mix, **{"global_batch_size": BATCH, "rank": 1, "world_size": 2, **options})


def served(batches: Any) -> list[Any]:
    return [(batch["position"].tolist(), batch["input_ids"].tolist()) for batch in batches]


def through(dataset: LoaderDataset, n_workers: int, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=None, num_workers=n_workers, **options)


@pytest.mark.parametrize("n_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"micro_batch_size": 3}, {"split": "validation", "global_batch_size": 4}])
def test_what_comes_out_is_the_loaders_sequence(mix: Path, n_workers: int, options: dict[str, Any]) -> None:
    expected = served(loader_of(mix, **options))
    dataset = LoaderDataset(loader_of(mix, **options))
    loader = through(dataset, n_workers)
    assert len(loader) == len(dataset) == len(expected)
    assert served(loader) == expected


def test_spawned_workers_serve_the_same(mix: Path) -> None:
    dataset = LoaderDataset(loader_of(mix, format="numpy"))
    assert served(through(dataset, 2, multiprocessing_context="spawn")) == served(loader_of(mix))


@pytest.mark.parametrize(("n_before", "n_after"), [(2, 3), (3, 0), (0, 2), (1, 1)])
def test_our_own_state_goes_on_with_any_number_of_workers(mix: Path, n_before: int, n_after: int) -> None:
    expected = served(loader_of(mix))
    dataset = LoaderDataset(loader_of(mix))
    for received, batch in enumerate(through(dataset, n_before), start=1):
        if received == 3:
            state = json.loads(json.dumps(dataset.state_dict(batch)))
            break
    other = LoaderDataset(loader_of(mix))
    other.load_state_dict(state)
    assert state == loader_after(mix, 3).state_dict()
    assert served(through(other, n_after)) == expected[3:]


def loader_after(mix: Path, n: int, **options: Any) -> StreamingLoader:
    loader = loader_of(mix, **options)
    for _ in zip(range(n), loader, strict=False):
        pass
    return loader


def test_our_own_state_repeats_an_unfinished_batch(mix: Path) -> None:
    dataset = LoaderDataset(loader_of(mix, micro_batch_size=4))
    positions = [dataset.state_dict(batch)["position"] for batch in through(dataset, 2)]
    assert positions[:7] == [0, 0, 24, 24, 24, 48, 48]


def test_what_is_skipped_before_is_skipped_by_the_workers(mix: Path) -> None:
    loader = loader_of(mix)
    loader.skip(30, 61)
    expected = served(loader.copy())
    batches = list(through(dataset := LoaderDataset(loader), 2))
    assert served(batches) == expected
    assert dataset.state_dict(batches[0])["skipped"] == [[30, 61]]


@pytest.mark.parametrize("n_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("received", [0, 1, 4, 7])
def test_torchdatas_state_goes_on_with_as_many_workers(mix: Path, n_workers: int, received: int) -> None:
    expected = served(loader_of(mix))
    first = StatefulDataLoader(LoaderDataset(loader_of(mix)), batch_size=None, num_workers=n_workers)
    batches = iter(first)
    assert served(next(batches) for _ in range(received)) == expected[:received]
    state = first.state_dict()
    second = StatefulDataLoader(LoaderDataset(loader_of(mix)), batch_size=None, num_workers=n_workers)
    second.load_state_dict(state)
    assert served(second) == expected[received:]


def test_torchdatas_state_goes_on_with_micro_batches_too(mix: Path) -> None:
    expected = served(loader_of(mix, micro_batch_size=4))
    first = StatefulDataLoader(LoaderDataset(loader_of(mix, micro_batch_size=4)), batch_size=None, num_workers=2)
    batches = iter(first)
    for _ in range(9):
        next(batches)
    second = StatefulDataLoader(LoaderDataset(loader_of(mix, micro_batch_size=4)), batch_size=None, num_workers=2)
    second.load_state_dict(first.state_dict())
    assert served(second) == expected[9:]


def test_torchdatas_state_on_another_number_of_workers_is_refused(mix: Path) -> None:
    first = StatefulDataLoader(LoaderDataset(loader_of(mix)), batch_size=None, num_workers=2)
    next(iter(first))
    worker = first.state_dict()["_snapshot"]["_worker_snapshots"]["worker_1"]["dataset_state"]
    with pytest.raises(ValueError, match=r"state of worker 1 of 2: .* goes on with num_workers=2 alone"):
        LoaderDataset(loader_of(mix)).load_state_dict(worker)


def test_without_a_batch_a_state_beside_workers_is_refused(mix: Path) -> None:
    dataset = LoaderDataset(loader_of(mix))
    next(iter(through(dataset, 1)))
    with pytest.raises(ValueError, match="which batch did the training loop receive last"):
        dataset.state_dict()
    with pytest.raises(ValueError, match='give a batch as it was served, with its "next_position"'):
        dataset.state_dict({"input_ids": torch.zeros(1)})


def test_a_loop_without_workers_needs_no_batch(mix: Path) -> None:
    dataset = LoaderDataset(loader_of(mix))
    next(iter(through(dataset, 0)))
    assert dataset.state_dict()["position"] == BATCH


def test_a_second_iteration_of_persistent_workers_is_refused(mix: Path) -> None:
    loader = through(LoaderDataset(loader_of(mix)), 1, persistent_workers=True)
    assert len(list(loader)) == N_BATCHES
    with pytest.raises(RuntimeError, match="a worker serves one iteration"):
        next(iter(loader))


def test_damage_reaches_the_training_loop(tmp_path: Path) -> None:
    mix = make_tiny_mix(tmp_path)
    for shard in tmp_path.rglob("*.mds"):
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"(?s)DataLoader worker process.*shard\.\d+\.mds"):
        next(iter(through(LoaderDataset(loader_of(mix)), 1)))


def a_worker_and_its_parent(pids: Any) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_end_with_the_parent)
    worker.start()
    pids.send(worker.pid)
    worker.join()


def test_a_worker_ends_with_a_parent_that_is_killed() -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    parent = context.Process(target=a_worker_and_its_parent, args=(there,))
    parent.start()
    worker = here.recv()
    parent.kill()
    parent.join()
    ends = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and "State:\tZ" not in Path(f"/proc/{worker}/status").read_text():
        assert time.monotonic() < ends
        time.sleep(0.05)


def composer_saves(loader: DataLoader[Any], samples: int) -> dict[str, Any]:
    """What Composer's State does with the dataset of a DataLoader: it asks with the samples of the epoch so far."""
    state: dict[str, Any] = loader.dataset.state_dict(samples, True)  # type: ignore[attr-defined]
    return state


@pytest.mark.parametrize("skipped", [None, (0, 10), (20, 30), (100, 110)])
def test_composers_protocol_counts_samples(mix: Path, skipped: tuple[int, int] | None) -> None:
    def fresh() -> StreamingLoader:
        loader = loader_of(mix)
        if skipped:
            loader.skip(*skipped)
        return loader

    expected = served(fresh())
    state = composer_saves(through(LoaderDataset(fresh()), 2), 3 * BATCH)
    dataset = LoaderDataset(loader_of(mix))
    dataset.load_state_dict(state)
    assert served(through(dataset, 2)) == expected[3:]
    assert dataset.state_dict(2 * BATCH, False) == composer_saves(through(dataset, 0), 5 * BATCH)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_samples_counted_since_the_loop_began_are_not_counted_twice_in_its_own_process(mix: Path) -> None:
    dataset = LoaderDataset(loader_of(mix))
    assert len([batch for _, batch in zip(range(2), through(dataset, 0), strict=False)]) == 2
    assert dataset.state_dict(2 * BATCH, False)["position"] == 2 * BATCH
    dataset.load_state_dict(dataset.state_dict())
    assert dataset.state_dict(BATCH, False)["position"] == 3 * BATCH
