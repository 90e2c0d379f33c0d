"""With the real mosaicml-streaming. Ranks are simulated, one after the other, by the environment that it reads."""

import importlib
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.loader import DamagedDatasetError, StreamingLoader
from pipeline.loader.folders import shard_folders
from tests.loader.s3_server import s3_server, storage_options, upload
from tests.real_streaming import import_streaming
from tests.tiny_mix import TINY_SHARDS, TINY_VALIDATION, VALIDATION, make_tiny_mix, tiny_row, tiny_shard

BATCH = 12
N_BATCHES = 5
Batches = list[list[list[int]]]  # the rows' tokens


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mix(tmp_path_factory.mktemp("short"), budget_samples=BATCH * N_BATCHES + 5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Be this rank, of nodes with `local` ranks each."""

    def be(rank: int, world_size: int, local: int | None = None) -> None:
        for name, value in (("RANK", rank), ("WORLD_SIZE", world_size), ("LOCAL_WORLD_SIZE", local or world_size)):
            monkeypatch.setenv(name, str(value))

    be(0, 1)
    return be


def ordered(mix: Path | str, **options: Any) -> Any:
    from tests.real_mosaic import Ordered  # here: its import takes 5 s

    return Ordered(mix, **options if "batch_size" in options else {"global_batch_size": BATCH, **options})


def loader_of(dataset: Any, n_workers: int = 0, **options: Any) -> Any:
    return import_streaming().StreamingDataLoader(
        dataset, batch_size=dataset.batch_size, num_workers=n_workers, **options
    )


def served(loader: Iterable[Any], n: int | None = None) -> Batches:
    """The next `n` batches, or all."""
    batches = iter(loader)
    return [batch["tokens"].tolist() for batch in (batches if n is None else (next(batches) for _ in range(n)))]


def joined(ranks: list[Batches]) -> Batches:
    """The ranks' batches of each step, one after the other: global batches."""
    return [[row for part in step for row in part] for step in zip(*ranks, strict=True)]


def global_batches(mix: Path, first: int = 0, n: int | None = N_BATCHES, size: int = BATCH, **options: Any) -> Batches:
    """What StreamingLoader serves from position `first` on."""
    options = {"beyond_budget": True, **options} if options.get("split") != "validation" else options
    with StreamingLoader(mix, global_batch_size=size, rank=0, world_size=1, format="numpy", **options) as loader:
        loader.go_to(first)
        return [
            batch["input_ids"].tolist() for batch in (loader if n is None else (next(it) for it in [iter(loader)] * n))
        ]


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_ranks_batches_together_are_the_global_batches(
    mix: Path, at: Callable[..., None], world_size: int, n_workers: int
) -> None:
    ranks = []
    for rank in range(world_size):
        at(rank, world_size, local=1)
        loader = loader_of(ordered(mix), n_workers)
        assert len(loader) == N_BATCHES
        ranks.append(served(loader))
    assert joined(ranks) == global_batches(mix)


def test_the_batch_of_one_rank_says_the_same_as_that_of_all(mix: Path, at: Callable[..., None]) -> None:
    at(1, 3)
    dataset = ordered(mix, batch_size=4)
    assert [row["tokens"].tolist() for row in dataset] == [row["tokens"].tolist() for row in ordered(mix)]
    assert (dataset.batch_size, len(dataset), dataset.size, dataset.epoch_size) == (4, 4 * N_BATCHES, 65, 60)


def test_it_is_a_streaming_dataset(mix: Path, at: Callable[..., None]) -> None:
    assert isinstance(ordered(mix), import_streaming().StreamingDataset)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint16"])
def test_a_sample_is_what_llm_foundry_reads(mix: Path, at: Callable[..., None], dtype: str) -> None:
    sample = next(iter(ordered(mix, dtype=dtype)))
    assert list(sample) == ["tokens"]
    assert isinstance(sample["tokens"], np.ndarray)
    assert sample["tokens"].dtype == dtype
    assert sample["tokens"].tolist() == global_batches(mix)[0][0]


def test_the_collator_of_llm_foundry_takes_them(mix: Path, at: Callable[..., None]) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    vocabulary = {"<eos>": 0, "a": 1}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocabulary, [])), pad_token="<eos>")  # type: ignore[no-untyped-call]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)

    def collated(samples: list[dict[str, Any]]) -> Any:
        return collator([torch.from_numpy(sample["tokens"]) for sample in samples])

    loader = loader_of(ordered(mix), collate_fn=collated)
    batches = [batch["input_ids"].tolist() for batch in loader]
    assert batches == global_batches(mix)
    assert loader.state_dict()["sample_in_epoch"] == BATCH * N_BATCHES


@pytest.mark.parametrize(
    ("before", "after"), [((1, 0), (3, 2)), ((2, 2), (1, 0)), ((3, 2), (2, 1)), ((1, 2), (1, 3)), ((2, 0), (2, 0))]
)
@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes:UserWarning")
def test_resuming_goes_on_with_the_next_sample(
    mix: Path, at: Callable[..., None], before: tuple[int, int], after: tuple[int, int]
) -> None:
    at(0, before[0])
    loader = loader_of(ordered(mix), before[1])
    for received, _ in enumerate(loader, start=1):
        if received == 2:
            state = json.loads(json.dumps(loader.state_dict()))
            break
    names = ["epoch", "initial_physical_nodes", "num_canonical_nodes", "sample_in_epoch", "shardmill", "shuffle_seed"]
    assert sorted(state) == names
    assert (state["epoch"], state["sample_in_epoch"]) == (0, 2 * BATCH)
    ranks = []
    for rank in range(after[0]):
        at(rank, after[0])
        resumed = loader_of(ordered(mix), after[1])
        resumed.load_state_dict(state)
        ranks.append(served(resumed))
        assert resumed.state_dict()["sample_in_epoch"] == N_BATCHES * BATCH
    assert joined(ranks) == global_batches(mix, 2 * BATCH, N_BATCHES - 2)


def test_resuming_with_another_batch_size(mix: Path, at: Callable[..., None]) -> None:
    loader = loader_of(ordered(mix))
    served(loader, 2)
    resumed = loader_of(ordered(mix, batch_size=16))
    resumed.load_state_dict(loader.state_dict())
    assert served(resumed) == global_batches(mix, 24, 2, size=16)  # 24 + 2 · 16 ≤ 65
    assert served(resumed, 1) == global_batches(mix, 56, 1, size=16)
    assert resumed.state_dict()["epoch"] == 1


@pytest.mark.parametrize("options", [{"n_workers": 0}, {"n_workers": 2}, {"n_workers": 2, "persistent_workers": True}])
def test_the_next_epoch_goes_on_behind(mix: Path, at: Callable[..., None], options: dict[str, Any]) -> None:
    loader = loader_of(ordered(mix), **options)
    for epoch in range(3):
        torch.manual_seed(0)  # the workers of each epoch have the same seeds
        assert served(loader) == global_batches(mix, epoch * BATCH * N_BATCHES)
        assert loader.state_dict()["epoch"] == epoch


@pytest.mark.parametrize("options", [{"n_workers": 0}, {"n_workers": 2}, {"n_workers": 2, "persistent_workers": True}])
def test_an_epoch_that_was_left_is_over_unless_its_state_is_loaded(
    mix: Path, at: Callable[..., None], options: dict[str, Any]
) -> None:
    loader = loader_of(ordered(mix), **options)
    left(loader, 2)
    assert left(loader, 3) == global_batches(mix, BATCH * N_BATCHES, 3)
    loader.load_state_dict(loader.state_dict())
    assert loader.state_dict()["sample_in_epoch"] == 3 * BATCH  # though it still counts the three
    assert left(loader, 1) == global_batches(mix, BATCH * (N_BATCHES + 3), 1)


def left(loader: Iterable[Any], n: int) -> Batches:
    batches = []
    for batch in loader:
        batches.append(batch["tokens"].tolist())
        if len(batches) == n:
            break
    return batches


def test_the_state_of_the_last_batch_is_that_of_an_empty_epoch(mix: Path, at: Callable[..., None]) -> None:
    loader = loader_of(ordered(mix))
    served(loader)
    resumed = loader_of(ordered(mix), 2)
    resumed.load_state_dict(loader.state_dict())
    assert served(resumed) == []
    assert served(resumed) == global_batches(mix, BATCH * N_BATCHES)


class Composer:
    """What Composer's State does with the dataset of the DataLoader: it counts the samples of all ranks itself."""

    def __init__(self, loader: Any, received: int = 0) -> None:
        self.loader = loader
        self.sample_in_epoch = received

    def fit(self, n: int | None = None) -> Batches:
        batches = served(self.loader, n)
        self.sample_in_epoch += len(batches) * BATCH
        return batches

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = self.loader.dataset.state_dict(self.sample_in_epoch, True)
        return state


@pytest.mark.parametrize("n_workers", [0, 2])
def test_composers_states(mix: Path, at: Callable[..., None], n_workers: int) -> None:
    at(1, 2)
    run = Composer(loader_of(ordered(mix), n_workers))
    assert run.state_dict()["shardmill"]["position"] == 0
    run.fit(2)
    resumed = Composer(loader_of(ordered(mix), n_workers), received=2 * BATCH)
    resumed.loader.dataset.load_state_dict(run.state_dict())
    assert resumed.state_dict() == run.state_dict()
    assert resumed.fit() == [batch[6:] for batch in global_batches(mix, 2 * BATCH, N_BATCHES - 2)]
    assert resumed.state_dict()["sample_in_epoch"] == N_BATCHES * BATCH


@pytest.mark.parametrize("n_workers", [0, 2])
def test_composers_state_at_an_epochs_end_is_the_beginning_of_the_next(
    mix: Path, at: Callable[..., None], n_workers: int
) -> None:
    run = Composer(loader_of(ordered(mix), n_workers))
    run.fit(N_BATCHES)  # it asks for no more than the DataLoader's length
    run.sample_in_epoch = 0
    state = run.state_dict()
    assert (state["epoch"], state["sample_in_epoch"], state["shardmill"]["position"]) == (1, 0, BATCH * N_BATCHES)
    resumed = loader_of(ordered(mix), n_workers)
    resumed.load_state_dict(state)
    assert served(resumed) == global_batches(mix, BATCH * N_BATCHES)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_each_epoch_of_the_validation_split_is_one_pass(mix: Path, at: Callable[..., None], n_workers: int) -> None:
    options: dict[str, Any] = {"split": "validation", "global_batch_size": 6}
    expected = global_batches(mix, 0, None, 6, split="validation")
    assert [len(batch) for batch in expected] == [6, 6, 2]
    ranks: list[list[Batches]] = [[], []]
    for rank in range(2):
        at(rank, 2)
        loader = loader_of(ordered(mix, **options), n_workers)
        assert len(loader) == 3
        assert len(loader.dataset) == 7
        left(loader, 1)  # Composer does so before it trains
        ranks[rank] = [served(loader) for _ in range(2)]
    for once in zip(*ranks, strict=True):
        assert joined(list(once)) == expected


def test_a_validation_pass_resumes(mix: Path, at: Callable[..., None]) -> None:
    options: dict[str, Any] = {"split": "validation", "global_batch_size": 6}
    loader = loader_of(ordered(mix, **options))
    for received, _ in enumerate(loader, start=1):
        resumed = loader_of(ordered(mix, **options))
        resumed.load_state_dict(loader.state_dict())
        assert served(resumed) == global_batches(mix, 0, None, 6, split="validation")[received:]


def test_a_validation_batch_without_a_sample_for_each_rank_is_refused(mix: Path, at: Callable[..., None]) -> None:
    at(0, 3)
    with pytest.raises(ValueError, match="of the 14 validation samples 2 are left for the last of the batches of 6"):
        ordered(mix, split="validation", global_batch_size=6)
    assert len(ordered(mix, split="validation", global_batch_size=9)) == 3 + 1


def test_states_of_other_runs_are_refused(mix: Path, tmp_path: Path, at: Callable[..., None]) -> None:
    dataset = ordered(mix)
    state = dataset.state_dict(0, True)
    other = make_tiny_mix(tmp_path, seed=18)
    with pytest.raises(ValueError, match="its seed is 17, here it is 18"):
        ordered(other).load_state_dict(state)
    with pytest.raises(ValueError, match="its split is 'train', here it is 'validation'"):
        ordered(mix, split="validation").load_state_dict(state)
    with pytest.raises(ValueError, match="belongs to another run: its tokenizer is"):
        dataset.load_state_dict(state | {"shardmill": state["shardmill"] | {"tokenizer": "0" * 64}})
    plain = {"epoch": 0, "sample_in_epoch": 24, "shuffle_seed": 9176, "num_canonical_nodes": 1}
    with pytest.raises(ValueError, match="no state of an OrderedStreamingDataset: it lacks 'shardmill'"):
        dataset.load_state_dict(plain)
    with pytest.raises(ValueError, match=r"\{'epoch': 0, 'sample_in_epoch': -1\}: not integers"):
        dataset.load_state_dict(state | {"sample_in_epoch": -1})
    assert served(loader_of(dataset)) == global_batches(mix)


def test_persistent_workers_follow_a_fork_that_was_loaded(tmp_path: Path, at: Callable[..., None]) -> None:
    old = make_tiny_mix(tmp_path, budget_samples=200)
    with StreamingLoader(old, global_batch_size=BATCH, rank=0, world_size=1) as before:
        state = before.state_dict({"next_position": 8 * BATCH})
    changed = make_tiny_mix(tmp_path, budget_samples=200, weights={"code": "1/10", "docs": "1/10", "web": "4/5"})
    with StreamingLoader(changed, global_batch_size=BATCH, rank=0, world_size=1, format="numpy") as forked:
        forked.load_state_dict(state, fork=True)
        taken_up = forked.state_dict()
        expected = [batch["input_ids"].tolist() for batch in forked]
    loader = loader_of(ordered(changed), 2, persistent_workers=True)
    assert served(loader)[8:] != expected
    loader.load_state_dict(loader.dataset.state_dict(8 * BATCH, True) | {"shardmill": taken_up})
    assert served(loader) == expected


def test_a_dataset_takes_up_a_changed_mix_where_it_is_told_to(tmp_path: Path, at: Callable[..., None]) -> None:
    old = make_tiny_mix(tmp_path, budget_samples=200)
    before = loader_of(ordered(old))
    served(before, 8)
    state = before.state_dict()
    changed = make_tiny_mix(tmp_path, budget_samples=200, weights={"code": "1/10", "docs": "1/10", "web": "4/5"})
    with pytest.raises(ValueError, match="the state belongs to another mix: its stages are"):
        loader_of(ordered(changed)).load_state_dict(state)
    with StreamingLoader(changed, global_batch_size=BATCH, rank=0, world_size=1, format="numpy") as forked:
        forked.load_state_dict(state["shardmill"], fork=True)
        expected = [batch["input_ids"].tolist() for batch in forked]
    for n_workers in (0, 2):
        loader = loader_of(ordered(changed, fork=True), n_workers)
        loader.load_state_dict(state)
        assert served(loader, 3) == expected[:3]
        again = loader_of(ordered(changed))  # its states are those of the new mix
        again.load_state_dict(loader.state_dict())
        assert served(again) == expected[3:]


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2])
def test_skipped_positions_are_left_out(mix: Path, at: Callable[..., None], world_size: int, n_workers: int) -> None:
    """After a batch the second is left out and 5 positions of the fourth; the epoch has as many samples, and the next
    one begins behind them."""
    with StreamingLoader(
        mix, global_batch_size=BATCH, rank=0, world_size=1, beyond_budget=True, format="numpy"
    ) as loader:
        loader.load_state_dict(loader.state_dict() | {"position": BATCH})
        loader.skip_batches(1)
        loader.skip(3 * BATCH + 2, 3 * BATCH + 7)
        expected = [batch["input_ids"].tolist() for _, batch in zip(range(2 * N_BATCHES - 1), loader, strict=False)]
    ranks = []
    for rank in range(world_size):
        at(rank, world_size)
        begun = loader_of(ordered(mix), n_workers)
        served(begun, 1)
        state = begun.state_dict()
        loader = loader_of(ordered(mix), n_workers)
        loader.load_state_dict(state)
        loader.dataset.skip_batches(1)
        loader.dataset.skip(3 * BATCH + 2, 3 * BATCH + 7)
        first = served(loader, 2)
        with pytest.raises(ValueError, match=r"skip\(90, 91\): an iteration has begun; load a state first"):
            loader.dataset.skip(90, 91)
        loader.load_state_dict(loader.state_dict())
        ranks.append(first + served(loader) + served(loader))
    assert joined(ranks) == expected


def test_what_cannot_be_skipped_is_refused(mix: Path, at: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match=r"skip_batches\(1\): a validation pass is served whole"):
        ordered(mix, split="validation").skip_batches(1)
    with pytest.raises(ValueError, match="fork is 1, a int; give True or False"):
        ordered(mix, fork=1)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")  # botocore, moto
@pytest.mark.filterwarnings("ignore:Boto3 will no longer support:Warning")
def test_a_mix_in_an_object_store(mix: Path, at: Callable[..., None], tmp_path: Path) -> None:
    with s3_server() as endpoint:
        upload(endpoint, mix.parent.parent, "data")
        reading = {"storage_options": storage_options(endpoint), "cache_dir": tmp_path / "cache", "cache_bytes": 2**24}
        dataset = ordered("s3://bucket/data/mixes/tiny", **reading)
        assert served(loader_of(dataset, 2)) == global_batches(mix)
    assert any((tmp_path / "cache").rglob("*"))


def test_another_tokenizer_is_refused(mix: Path, at: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="has the fingerprint 1111"):
        ordered(mix, tokenizer="1" * 64)
    ordered(mix, tokenizer=mix / "tokenizer.json")


def test_another_batch_size_of_the_dataloader_is_noticed_by_the_state(mix: Path, at: Callable[..., None]) -> None:
    loader = import_streaming().StreamingDataLoader(ordered(mix), batch_size=5)
    left(loader, 1)
    with pytest.raises(ValueError, match=r"state_dict\(5, False\): 5 samples .* the dataset's batch_size, 12\?"):
        loader.state_dict()


@pytest.mark.parametrize(
    ("rank", "options", "message"),
    [
        ((0, 1), {}, "global_batch_size None and batch_size None: give one of them"),
        ((0, 1), {"batch_size": 3, "global_batch_size": 3}, "global_batch_size 3 and batch_size 3: give one"),
        ((0, 3), {"global_batch_size": 16}, "3 ranks .* do not divide global_batch_size 16; use 15 or 18"),
        ((0, 3), {"global_batch_size": 2}, "3 ranks .* do not divide global_batch_size 2; use 3"),
        ((0, 1), {"batch_size": 0}, "global_batch_size 0: at least 1"),
        ((0, 1), {"batch_size": "3"}, "batch_size is '3', a str; give an int"),
        ((0, 1), {"global_batch_size": 3.0}, "global_batch_size is 3.0, a float; give an int"),
        ((0, 1), {"batch_size": 66}, "a global batch of 66 exceeds the 65 samples of the budget"),
        ((3, 3), {"batch_size": 1}, "rank 3 of world_size 3"),
        ((0, 3, 2), {"batch_size": 1}, "WORLD_SIZE must be a multiple of LOCAL_WORLD_SIZE"),
        ((0, 3), {"batch_size": 1, "replication": 2}, "must be divisible by your replication factor"),
    ],
)
def test_mistakes_are_told(
    mix: Path, at: Callable[..., None], rank: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    from tests.real_mosaic import Ordered

    at(*rank)
    with pytest.raises(ValueError, match=message):
        Ordered(mix, **options)


def test_unknown_arguments_are_refused(mix: Path, at: Callable[..., None]) -> None:
    with pytest.raises(TypeError, match=r"has no argument 'shuffle'; those of reading are \('storage_options', "):
        ordered(mix, shuffle=True)


def test_a_process_group_that_the_environment_does_not_know_is_refused(
    mix: Path, at: Callable[..., None], tmp_path: Path
) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        assert len(ordered(mix)) == 60
        at(0, 2)
        with pytest.raises(ValueError, match=r"torch\.distributed has rank 0 of 1, the environment says .*'2'"):
            ordered(mix)
    finally:
        torch.distributed.destroy_process_group()


def test_replicas_are_given_the_same_samples(mix: Path, at: Callable[..., None]) -> None:
    ranks = []
    for rank in range(4):
        at(rank, 4, local=2)
        loader = loader_of(ordered(mix, replication=2))
        ranks.append(served(loader, 2))
        assert loader.state_dict()["sample_in_epoch"] == 2 * BATCH
    assert ranks[0] == ranks[1]
    assert ranks[2] == ranks[3]
    assert joined(ranks[::2]) == global_batches(mix, 0, 2)


def test_positions_can_be_looked_at(mix: Path, at: Callable[..., None]) -> None:
    dataset = ordered(mix)
    found = sorted(dataset[position]["tokens"].tolist() for position in range(BATCH))
    assert found == sorted(global_batches(mix)[0])
    assert dataset[-1]["tokens"].tolist() == dataset[64]["tokens"].tolist()
    with pytest.raises(IndexError, match="position 65 of 65"):
        dataset[65]


def test_damage_reaches_the_training_loop(tmp_path: Path, at: Callable[..., None]) -> None:
    mix = make_tiny_mix(tmp_path)
    for source in TINY_SHARDS:
        shard = tiny_shard(mix, source)
        shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DamagedDatasetError, match=r"(?s)shard\.\d+\.mds: granule \d+ .* is damaged"):
        served(loader_of(ordered(mix)))


def test_nothing_of_the_packages_machinery_is_left_or_there(
    mix: Path, at: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(Path("/dev/shm").iterdir())
    dataset = ordered(mix)
    left(loader_of(dataset), 1)
    assert set(Path("/dev/shm").iterdir()) - before == set()
    assert list(tmp_path.iterdir()) == []
    for name in ("streams", "next_epoch", "cache_usage"):
        assert not hasattr(dataset, name)
    with pytest.raises(AttributeError, match="has no '_cache_filelock_path': it follows a mix's plan"):
        dataset.evict_coldest_shard()


def test_spawned_workers_serve_the_same(mix: Path, at: Callable[..., None]) -> None:
    loader = loader_of(ordered(mix), 1, multiprocessing_context="spawn", persistent_workers=True)
    assert served(loader) == global_batches(mix)
    loader.load_state_dict(loader.dataset.state_dict(2 * BATCH, True))
    assert served(loader) == global_batches(mix, 2 * BATCH, N_BATCHES - 2)


def test_the_loader_does_not_import_it() -> None:
    code = "import sys, pipeline.loader; sys.exit('streaming' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("raise ModuleNotFoundError(\"No module named 'streaming'\")", r"needs mosaicml-streaming: pip install"),
        ("raise RuntimeError('operator torchvision::nms does not exist')", r"RuntimeError: operator .* same index"),
    ],
)
def test_what_is_missing_is_told_on_import(
    module: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "streaming.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "streaming"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pipeline.loader.mosaic", raising=False)
    with pytest.raises(ImportError, match=message):
        importlib.import_module("pipeline.loader.mosaic")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_plain_streaming_dataset_reads_all_parts_of_all_sources(
    mix: Path, at: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: Any
) -> None:
    streaming = import_streaming()
    folders = shard_folders(mix, split)
    assert list(folders) == list(TINY_SHARDS)
    assert [len(parts) for parts in folders.values()] == ([2, 1, 1] if split == "train" else [1, 1, 0])
    before = listing(mix)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # its locks lie there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package divides by zero, and numpy says so
        streams = [streaming.Stream(local=folder) for parts in folders.values() for folder in parts]
        dataset = streaming.StreamingDataset(streams=streams, batch_size=4, shuffle=True)
        found = sorted(sample["tokens"].tolist() for sample in dataset)
    shards, first = (TINY_SHARDS, 0) if split == "train" else (TINY_VALIDATION, VALIDATION)
    counts = [sum(map(sum, shards[name])) for name in TINY_SHARDS]
    assert found == sorted(tiny_row(source, first + i) for source, count in enumerate(counts) for i in range(count))
    assert listing(mix) == before


def listing(mix: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in mix.parent.parent.rglob("*"))
