"""The order of a mix for those who train with mosaicml-streaming's loader: Composer, LLM Foundry, and their like.

    from streaming import StreamingDataLoader
    from pipeline.loader.mosaic import OrderedStreamingDataset

    dataset = OrderedStreamingDataset("data/mixes/demo", batch_size=8)          # of one device, as StreamingDataset's
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)            # of transformers, as in LLM Foundry
    loader = StreamingDataLoader(
        dataset, batch_size=8, num_workers=2,                                   # the same batch_size
        collate_fn=lambda samples: collator([torch.from_numpy(sample["tokens"]) for sample in samples]),
    )
    loader.load_state_dict(checkpoint["loader"])                                # before the iteration
    for batch in loader:
        checkpoint["loader"] = loader.state_dict()

Each sample is `{"tokens": array}`, the column that LLM Foundry's text data reads. A DataLoader of it is what Composer's
`Trainer(train_dataloader=…)` takes; LLM Foundry's own text loader makes a dataset of its own class and cannot be given
this one. (Tested with the real StreamingDataLoader and transformers' collator, and with the calls that Composer's State
makes: `state_dict(samples_in_epoch, True)` and `load_state_dict`. Composer itself is not installed here.)

What is served. The ranks' batches of a step, one after the other, are the rows of the global batch that
`StreamingLoader` serves, in their order, for any world size and any number of workers: worker i of k reads the batches
i, i + k, … and a DataLoader takes from its workers in turn. Every row is verified against its checksum.

Epochs. Each iteration is the next epoch, as in the package, also where the last one was left in the middle: what was
left of it is not served then. (To go on with it: `loader.load_state_dict(loader.state_dict())` before the iteration.)
An epoch has the whole global batches of the mix's budget, `epoch_size` samples. The order has no end, so the second
epoch is not the first one again, but goes on behind it, with the last stage's weights. `split="validation"`: each epoch
is one pass over all held-out samples; keep drop_last=False, for the last batch is short.

Resuming. A state is good on any number of ranks, nodes and workers, and with another batch size from there on: the next
sample is exactly the next. It is the package's state, and `shardmill` beside it: the position, and what must not have
changed (a state of another plan, seed or tokenizer, or of a plain StreamingDataset, is refused). What the package's
protocol does not allow: samples are counted by what one rank has received, so states are those of whole batches; a
state loaded after `iter()` holds for the iteration after that; and the state of an epoch's last batch is that of an
epoch of which nothing is left: its iteration is empty, the one after it goes on. (A state from the beginning with no
sample received, of an epoch that was handed out, is the next epoch's: so Composer asks at an epoch's end. The package's
is that epoch's again.)
Skipping and changing the mix. `dataset.skip(first, last)` and `dataset.skip_batches(n)` leave out positions, as
StreamingLoader's do, of the iteration that is to come: after a state was loaded, before `iter()`. An epoch has as many
samples as without. With `fork=True` a state of another mix is taken up as `StreamingLoader.load_state_dict(…,
fork=True)` takes it. What cannot be is `uneven`: a DataLoader gives each rank batches of one size, so ranks must divide
the global batch.
num_canonical_nodes and shuffle_seed are in the state for those who read them: our order depends on neither.

No shared memory. The package's `__init__` registers named shared memory and file locks, which must be cleaned by hand
after a crash. It is not called: the class is a StreamingDataset by inheritance alone. What its processes must agree
upon, where an epoch begins, lies in a file without a name (`walks`). Whatever of the base class needs streams, shards
or a cache of the package has nothing to work on, and says so.

A plain StreamingDataset reads our shards, too, in its own order: `pipeline.loader.folders`.
"""

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from torch import distributed
from torch.utils.data import get_worker_info

from pipeline.loader.batches import Share
from pipeline.loader.contents import Dtype
from pipeline.loader.distributed import check_whole
from pipeline.loader.epochs import Epochs, Start
from pipeline.loader.loader import StreamingLoader
from pipeline.loader.options import Split, check_flags
from pipeline.loader.walks import Record, Walk, Walks, process_number

try:
    from streaming import StreamingDataset
    from streaming.base.world import World
except ModuleNotFoundError as error:
    raise ImportError(
        f"pipeline.loader.mosaic needs mosaicml-streaming: pip install 'shardmill[mosaic]' ({error})"
    ) from error
except Exception as error:  # whatever its dependencies raise; torchvision's is a RuntimeError
    raise ImportError(
        f"`import streaming` fails here: {type(error).__name__}: {error}. Where it names torchvision, that is made for "
        "another torch (as PyPI's beside a CPU build of torch): install both from the same index, for example with "
        "`pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu`"
    ) from error

KEY = "shardmill"  # of the loader's state within the package's
READING = ("storage_options", "deadline_seconds", "memory_bytes", "cache_dir", "cache_bytes")  # of a StreamingLoader


class OrderedStreamingDataset(StreamingDataset):
    """A mix's samples for this rank and worker, in the mix's order, as a `streaming.StreamingDataset`.

    mix: the folder (URL) of the plan, `mix.json`.
    global_batch_size: samples of a batch over all ranks; or
    batch_size: those of one rank, which is the DataLoader's batch_size in any case.
    split: "train" or "validation".
    dtype: of `tokens`: "int64", "int32", or the shards' own "uint16".
    replication: how many consecutive ranks are given the same samples (tensor or sequence parallelism).
    tokenizer: the path of a `tokenizers` JSON file, or its fingerprint; another one than the mix's is refused.
    fork: take up states of another mix, whose place this one takes.
    reading: for a mix in an object store, what StreamingLoader is told of it: storage_options, deadline_seconds,
        memory_bytes, cache_dir, cache_bytes. Each worker of a DataLoader reads for itself, so give them a
        cache_dir and cache_bytes to share.

    Rank and world size are those that the package reads: RANK, WORLD_SIZE and LOCAL_WORLD_SIZE of the environment.
    `ValueError` for whatever `StreamingLoader` refuses, and for ranks that cannot be given whole batches.
    """

    def __init__(
        self,
        mix: str | os.PathLike[str],
        *,
        global_batch_size: int | None = None,
        batch_size: int | None = None,
        split: Split = "train",
        dtype: Dtype = "int64",
        replication: int | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        fork: bool = False,
        **reading: Any,
    ) -> None:
        check_flags(fork=fork)
        # the base class's is not called: the module's docstring says why
        if unknown := sorted(reading.keys() - set(READING)):
            raise TypeError(f"OrderedStreamingDataset has no argument {unknown[0]!r}; those of reading are {READING}")
        world = _detected_world()
        if replication is not None:
            world = world.replicate(replication)
        self.replication = replication
        self._fork = fork
        self.batch_size = _rank_batch(global_batch_size, batch_size, world.num_ranks)
        self._options: dict[str, Any] = {"mix": mix, "split": split, "dtype": dtype, "tokenizer": tokenizer} | reading
        self._loader = self._open(self.batch_size * world.num_ranks, world.rank, world.num_ranks)
        self._epochs = _epochs_of(self._loader, split)
        _check_last_batch(self._epochs, 0, world.num_ranks)
        self.num_samples = self._epochs.n_samples  # the base class's `size`
        self.epoch_size = self._epochs.size
        self.length = self._epochs.part(world.rank, world.num_ranks)  # the base class's `__len__`
        self.shuffle_seed = self._loader.plan.seed
        self.num_canonical_nodes = world.num_nodes
        self._first_nodes = world.num_nodes
        self._n_walks = 0
        first = Start(epoch=0, position=0, sample=0)
        self._walks = Walks(Record(start=first, state=self._loader.state_dict()))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The samples of this rank and worker in the next epoch, or in what is left of the one that was loaded."""
        info = get_worker_info()
        self._n_walks += 1
        walk = Walk(
            process=process_number(),
            count=self._n_walks,
            worker=0 if info is None else info.id,
            n_workers=1 if info is None else info.num_workers,
        )
        return self._samples(walk, self._walks.begin(walk, self._epochs.following))

    def get_item(self, sample_id: int, retry: int = 7) -> dict[str, Any]:
        """What stands at a position of the order, 0 ≤ position < size (of the validation split: that sample of it).
        For looking at samples: each opens the mix anew."""
        if not 0 <= sample_id < self.num_samples:
            raise IndexError(f"position {sample_id} of {self.num_samples}")
        with self._open(1, 0, 1) as loader:
            loader.load_state_dict(self._loader.state_dict())
            loader.go_to(int(sample_id))
            return {"tokens": next(iter(loader))["input_ids"][0]}

    def state_dict(self, num_samples: int, from_beginning: bool) -> dict[str, Any]:
        """The state after `num_samples` samples of all ranks, counted from the epoch's beginning, or from where its
        iteration was begun in this program. `ValueError` where this is no whole number of batches."""
        record = self._walks.look()
        try:
            start = self._reached(record, num_samples, from_beginning)
        except ValueError as error:
            raise ValueError(
                f"state_dict({num_samples}, {from_beginning}): {error}; does the DataLoader have the dataset's "
                f"batch_size, {self.batch_size}?"
            ) from error
        return {
            "epoch": start.epoch,
            "sample_in_epoch": start.sample,
            "num_canonical_nodes": self.num_canonical_nodes,
            "shuffle_seed": self.shuffle_seed,
            "initial_physical_nodes": self._first_nodes,
            KEY: self._loader_state(record.state, start.position),
        }

    def load_state_dict(self, obj: Mapping[str, Any]) -> None:
        """The next iteration begins where the state was taken. `ValueError` if it belongs to another run."""
        if not isinstance(obj, Mapping) or not isinstance(obj.get(KEY), Mapping):
            raise ValueError(
                f"this is no state of an OrderedStreamingDataset: it lacks {KEY!r}. A plain StreamingDataset's counts "
                "the samples of another order, so none of ours would be the next"
            )
        numbers = {name: obj.get(name) for name in ("epoch", "sample_in_epoch")}
        if not all(type(number) is int and number >= 0 for number in numbers.values()):
            raise ValueError(f"the state has {numbers}: not integers ≥ 0")
        self._loader.load_state_dict(obj[KEY], fork=self._fork)
        self.num_canonical_nodes = obj["num_canonical_nodes"]
        self._first_nodes = obj["initial_physical_nodes"]
        _check_last_batch(self._epochs, obj["sample_in_epoch"], self._loader.world_size)
        self._begin_next(obj["epoch"], obj["sample_in_epoch"])

    def skip(self, first: int, last: int) -> None:
        """Leave out the positions [first, last) of the order, from where the next iteration begins on."""
        start = self._before_iteration(f"skip({first}, {last})")
        self._loader.skip(first, last)
        self._begin_next(start.epoch, start.sample)

    def skip_batches(self, n: int) -> None:
        """Leave out the next `n` global batches, as `skip` does."""
        start = self._before_iteration(f"skip_batches({n})")
        self._loader.skip_batches(n)
        self._begin_next(start.epoch, start.sample)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"an OrderedStreamingDataset has no {name!r}: it follows a mix's plan and reads through Shardmill, without "
            "the streams, shards, cache and shared memory of a StreamingDataset"
        )

    def _open(self, global_batch_size: int, rank: int, world_size: int) -> StreamingLoader:
        """The mix as a StreamingLoader: the one place that knows how it is made."""
        return StreamingLoader(
            **self._options,
            global_batch_size=global_batch_size,
            rank=rank,
            world_size=world_size,
            beyond_budget=self._options["split"] == "train",
            format="numpy",
        )

    def _samples(self, walk: Walk, record: Record) -> Iterator[dict[str, Any]]:
        n_batches = len(range(walk.worker, self._epochs.n_batches(record.start), walk.n_workers))
        if n_batches == 0:
            return
        with self._loader.copy(record.state, Share(offset=walk.worker, every=walk.n_workers)) as loader:
            loader.go_to(record.start.position)
            for number, batch in enumerate(islice(loader, n_batches), start=1):
                rows = batch["input_ids"]
                for place in range(len(rows)):
                    if number == n_batches and place == len(rows) - 1:
                        self._walks.end(walk)  # before: who receives the sample can rely on it
                    yield {"tokens": rows[place]}

    def _before_iteration(self, what: str) -> Start:
        """Where the next iteration begins; the loader stands there."""
        record = self._walks.look()
        if self._epochs.finite:
            raise ValueError(f"{what}: a validation pass is served whole")
        if record.walk is not None:
            raise ValueError(f"{what}: an iteration has begun; load a state first, then skip, then iterate")
        self._loader.load_state_dict(record.state)
        return record.start

    def _begin_next(self, epoch: int, sample: int) -> None:
        """The next iteration begins where the loader stands."""
        start = Start(epoch=epoch, position=self._loader.position, sample=sample, skipped=self._loader.skipped)
        self._walks.load(start, self._loader.state_dict())

    def _loader_state(self, state: Mapping[str, Any], position: int) -> dict[str, Any]:
        """A loader's state at another position. It is loaded first: this process may have begun before it was."""
        self._loader.load_state_dict(state)
        return self._loader.state_dict({"next_position": position})

    def _reached(self, record: Record, num_samples: int, from_beginning: bool) -> Start:
        start, walk = record.start, record.walk
        if not from_beginning:
            # a StreamingDataLoader that has not iterated since a state was loaded still counts the iteration before
            return start if walk is None else self._epochs.after(start, num_samples)
        if num_samples > 0:
            return self._epochs.after(start, num_samples - start.sample)
        if walk is not None and len(record.done) == min(walk.n_workers, self._epochs.n_batches(start)):
            return self._epochs.following(start)  # so Composer asks at an epoch's end
        return self._epochs.beginning(start)


def _detected_world() -> World:
    """The package's view of rank and world, as its StreamingDataLoader counts with it."""
    world = World.detect()
    given = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    if world.num_ranks != int(given["WORLD_SIZE"] or 1):
        raise ValueError(f"the environment has {given}: WORLD_SIZE must be a multiple of LOCAL_WORLD_SIZE")
    if distributed.is_available() and distributed.is_initialized():
        found = distributed.get_rank(), distributed.get_world_size()
        if found != (world.rank, world.num_ranks):
            raise ValueError(
                f"torch.distributed has rank {found[0]} of {found[1]}, the environment says {given}, and mosaicml-"
                "streaming goes by that: start the program with torchrun or composer, or set these variables"
            )
    return world


def _rank_batch(global_batch_size: int | None, batch_size: int | None, world_size: int) -> int:
    """A rank's rows of a global batch."""
    if (global_batch_size is None) == (batch_size is None):
        raise ValueError(
            f"global_batch_size {global_batch_size} and batch_size {batch_size}: give one of them, that of all ranks "
            "or that of one"
        )
    if global_batch_size is None:
        check_whole("batch_size", batch_size)
        return int(batch_size or 0)
    check_whole("global_batch_size", global_batch_size)
    below, rest = divmod(global_batch_size, world_size)
    if rest:
        usable = [f"{part * world_size}" for part in (below, below + 1) if part]
        raise ValueError(
            f"{world_size} ranks (replicas counted once) do not divide global_batch_size {global_batch_size}; use "
            f"{' or '.join(usable)}"
        )
    return below


def _epochs_of(loader: StreamingLoader, split: Split) -> Epochs:
    plan, size = loader.plan, loader.global_batch_size
    if split == "validation":
        n_samples = sum(part.n_samples for source in plan.sources for part in source.validation)
        return Epochs(n_samples=n_samples, global_batch_size=size, finite=True)
    if plan.budget_samples < size:
        raise ValueError(
            f"a global batch of {size} exceeds the {plan.budget_samples} samples of the budget of the mix {plan.name}: "
            "not one batch; use a smaller batch or a larger budget_tokens"
        )
    return Epochs(n_samples=plan.budget_samples, global_batch_size=size, finite=False)


def _check_last_batch(epochs: Epochs, sample: int, world_size: int) -> None:
    """`ValueError` where some rank has no sample of the last batch: it would be a batch ahead of the others, which
    wait for it."""
    rest = (epochs.n_samples - sample) % epochs.global_batch_size
    if epochs.finite and 0 < rest < world_size:
        raise ValueError(
            f"of the {epochs.n_samples - sample} validation samples {rest} are left for the last of the batches of "
            f"{epochs.global_batch_size}, fewer than the {world_size} ranks, so some ranks would have a batch less; "
            "use another batch size"
        )
