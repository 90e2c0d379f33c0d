"""`StreamingLoader`: the batches of a finished mix, rank by rank. The package's docstring is its manual."""

import os
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, SupportsIndex

from pipeline import plan as plans
from pipeline.loader import forks, options, skips
from pipeline.loader import state as states
from pipeline.loader.batches import Batch, Batches, Served, Share, tensors
from pipeline.loader.borders import Borders
from pipeline.loader.contents import Contents, Dtype, Labels
from pipeline.loader.dealing import Deal
from pipeline.loader.distributed import check_batch, check_micro_batch, resolve_rank
from pipeline.loader.fetch import DEADLINE_SECONDS
from pipeline.loader.granules import Granules
from pipeline.loader.pinned import check_pin
from pipeline.loader.prefetch import Prefetcher
from pipeline.loader.reading import borders_of, granules_of, load_plan, open_all
from pipeline.loader.remote import Remote, RemoteGranules
from pipeline.loader.sequence import TrainSequence
from pipeline.loader.served import Chains, check_last, from_state
from pipeline.loader.standing import Standing, standing_at
from pipeline.loader.stats import Stats

PREFETCH_BATCHES = 2  # ready ahead of the training loop; a third may be in the making


class StreamingLoader:
    """This rank's part of every global batch of a mix: `for batch in StreamingLoader("data/mixes/demo", …)`.

    mix: the folder (URL) of the plan, `mix.json`.
    global_batch_size: samples of a batch over all ranks; a multiple of world_size.
    micro_batch_size: rows of this rank that are served at a time, for gradient accumulation; by default all it has.
    rank, world_size: of data parallelism, both or neither; by default from `torch.distributed`, else from RANK and
        WORLD_SIZE, else 0 of 1.
    process_group: instead of these, the data-parallel group of `torch.distributed`, or a DeviceMesh of one dimension.
    uneven: world sizes that do not divide the batch: ranks' parts differ by one row, so weigh their losses by rows.
    split: "train", or "validation": one finite pass over the held-out samples, its last batch short.
    beyond_budget: go on after the budget's last whole batch, with the last stage's weights, without end.
    dtype: of `input_ids`: "int64", "int32", or the shards' own "uint16".
    labels: "shifted" or "same" for `labels`, int64; see the package's docstring.
    documents: `doc_ids`, `position_ids`, `cu_seqlens` and `max_seqlen`, for attention inside documents.
    format: "torch" or "numpy"; by default torch tensors where torch is installed.
    pin_memory: tensors in page-locked memory, for `.to("cuda", non_blocking=True)`; an error without a CUDA device.
    tokenizer: the path of a `tokenizers` JSON file, or its fingerprint; another one than the mix's is refused.

    Of mixes in an object store (`s3://…`), which is read over the network:

    storage_options: fsspec's, as {"endpoint_url": …}.
    deadline_seconds: for each range that is read, all repetitions after failures included.
    memory_bytes: what holds rows until their batch; by default what two blocks need, 2 GiB / world_size or less.
    cache_dir, cache_bytes: a disk cache for all processes of the node, and how much it may hold.

    Every mistake that can be seen at once is a `ValueError` here: a missing mix or dataset, a batch that cannot be
    dealt, another tokenizer. Damage is a `DamagedDatasetError` (a `ValueError`) where the batch would have been served.

    A loader that is pickled is opened again where it is unpickled, with the same rank, at the same position.
    """

    def __init__(
        self,
        mix: str | os.PathLike[str],
        *,
        global_batch_size: int,
        micro_batch_size: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        process_group: Any | None = None,
        uneven: bool = False,
        split: options.Split = "train",
        beyond_budget: bool = False,
        dtype: Dtype = "int64",
        labels: Labels = False,
        documents: bool = False,
        format: options.Format | None = None,
        pin_memory: bool = False,
        tokenizer: str | os.PathLike[str] | None = None,
        storage_options: Mapping[str, Any] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        memory_bytes: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        options.check_flags(uneven=uneven, documents=documents, beyond_budget=beyond_budget, pin_memory=pin_memory)
        self.rank, self.world_size = resolve_rank(rank, world_size, process_group)
        check_batch(global_batch_size, self.world_size, uneven=uneven)
        check_micro_batch(micro_batch_size, global_batch_size, self.world_size, uneven=uneven)
        self.global_batch_size = global_batch_size
        self._deal = Deal(
            global_batch_size=global_batch_size,
            rank=self.rank,
            world_size=self.world_size,
            micro_batch_size=micro_batch_size,
        )
        self._contents = Contents(dtype=dtype, labels=labels, documents=documents)
        self._format = options.checked_format(format)
        if pin_memory:
            check_pin(self._format)
        url = options.full_url(mix)
        self._stats = Stats()
        self._remote = Remote(
            options=storage_options,
            deadline_seconds=deadline_seconds,
            memory_bytes=memory_bytes,
            cache_dir=None if cache_dir is None else os.fspath(cache_dir),
            cache_bytes=cache_bytes,
        )
        self.plan = load_plan(url, self._remote, self._stats)
        options.check_dtype(dtype, self.plan)
        if tokenizer is not None:
            options.check_tokenizer(tokenizer, self.plan, storage_options)
        self._split = split
        self._sequence = options.sequence_of(self.plan, split, beyond_budget=beyond_budget)
        if split == "train" and self._sequence.end is not None and self._sequence.end < global_batch_size:
            raise ValueError(
                f"global_batch_size {global_batch_size} exceeds the {self._sequence.end} samples of the budget of "
                f"{url}: not one batch; use a smaller batch, a larger budget_tokens, or beyond_budget=True"
            )
        self._run = forks.run_of(self.plan)
        self._again: dict[str, Any] = {  # how to make this loader in another process
            "mix": url,
            "global_batch_size": global_batch_size,
            "micro_batch_size": micro_batch_size,
            "rank": self.rank,
            "world_size": self.world_size,
            "uneven": uneven,
            "split": split,
            "beyond_budget": beyond_budget,
            "dtype": dtype,
            "labels": labels,
            "documents": documents,
            "format": format,
            "pin_memory": pin_memory,
            "storage_options": storage_options,
            "deadline_seconds": deadline_seconds,
            "memory_bytes": memory_bytes,
            "cache_dir": self._remote.cache_dir,
            "cache_bytes": cache_bytes,
        }
        self._granules, self._borders = self._opened(
            [states.split_parts(source, split) for source in self.plan.sources]
        )
        self._owner = states.belonging(self.plan, split)
        self._chains = Chains(self._run)
        self._stands = Standing()
        self._closed = False
        self._walks = 0
        self._prefetcher: Prefetcher[Served] | None = None
        self._ender: weakref.finalize[..., Any] | None = None

    @property
    def position(self) -> int:
        """The position of the next batch's first sample: how many positions were received or skipped so far. In the
        middle of a global batch, of its first sample: a state repeats an unfinished batch."""
        return self._stands.position

    @property
    def skipped(self) -> skips.Ranges:
        """The positions that are left out: ranges [first, last), ascending, behind and ahead."""
        return self._stands.skipped

    @property
    def pins_memory(self) -> bool:
        """Whether batches lie in page-locked memory."""
        return bool(self._again["pin_memory"])

    @property
    def reading(self) -> tuple[int, Share]:
        """The first position of a global batch, and which micro-batches counted from it are to be served."""
        return self._stands.first, self._stands.share

    @property
    def micro_batches(self) -> int:
        """How many micro-batches a global batch has: after so many it is time for the optimizer's step."""
        return self._deal.n_micro_batches(self.global_batch_size)

    @property
    def at_batch_end(self) -> bool:
        """Whether the last global batch was received to its end: all its micro-batches."""
        return self._stands.at_batch_end

    def __len__(self) -> int:
        """What an iterator yields of the whole split, from its first position on, in batches (or micro-batches):
        floor(N / global_batch_size) batches of a budget of N samples (a validation pass: rounded up). Neither resuming
        nor skipping changes it. `TypeError` with beyond_budget=True."""
        if self._sequence.end is None:
            raise TypeError("a loader with beyond_budget=True has no last batch, so no length")
        whole, rest = divmod(self._sequence.end, self.global_batch_size)
        last = self._deal.n_micro_batches(rest) if rest and self._sequence.short_last else 0
        return whole * self.micro_batches + last

    def __iter__(self) -> Iterator[Batch]:
        """Go on where the loader stands. The iterator made before this one ends with an error."""
        self._walks += 1
        return _Walk(self, self._walks)

    def state_dict(self, after: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What `load_state_dict` needs to go on, on any number of ranks: small, JSON-able, equal on all ranks.

        It counts the batches that this loop has received, not those that were prepared ahead. Where something between
        the loader and the training loop takes batches ahead, give the batch that was trained on last: `after`.
        """
        skipped = self._stands.skipped
        position = skips.next_served(skipped, self._stands.position if after is None else _next_position(after))
        if self._split == "validation":
            return states.to_dict(self._owner, position, skipped)
        fork = forks.to_state(self._run, self.plan, position)
        return states.to_dict(self._owner, position, skipped, fork, self._chains.at(position, skipped).to_state())

    def load_state_dict(self, state: Mapping[str, Any], *, fork: bool = False) -> None:
        """Go on from a state of any rank. `ValueError`, with both values, if it belongs to another run; with `fork`, a
        changed mix is taken up from the next block's border on, as the package's docstring says."""
        position, skipped = states.from_dict(state, self._owner, fork=fork)
        if isinstance(self._sequence, TrainSequence):
            run = forks.resumed(state, self.plan, position, skipped)
            forks.warn_of_no_effect(state, run, self.plan, position, self._sequence.end)
            known = from_state(state["chain"], run.order, position)
            check_last(run, known, skipped)
            self._follow(self._sequence, run)
            self._chains = self._chains.going_on(run, known)
        if self._sequence.end is not None and position > self._sequence.end:
            warnings.warn(
                f"the state stands at position {position}, and the {self._split} split of {self.plan.name} ends at "
                f"{self._sequence.end}: no batch is left. Give the mix the budget_tokens it had, or beyond_budget=True",
                stacklevel=2,
            )
        self._go_on(standing_at(position, skipped))

    def skip(self, first: SupportsIndex, last: SupportsIndex) -> None:
        """Leave out the positions [first, last), from the current one on: a batch is then the next `global_batch_size`
        positions that are not left out. The state remembers them; their samples wait for their source's next pass."""
        self._go_on(self._stands.skip(f"skip({first}, {last})", first, last, self._sequence.end))

    def skip_batches(self, n: SupportsIndex) -> None:
        """Leave out the next `n` global batches, as `skip` does."""
        self._go_on(self._stands.skip_batches(n, self.global_batch_size, self._sequence.end))

    def go_to(self, position: int) -> None:
        """Stand at a position, as though everything before it had been received: for what serves a run in parts. (A
        training loop skips, which the state remembers.)"""
        self._go_on(standing_at(position, self._stands.skipped)._replace(share=self._stands.share))

    def copy(self, state: Mapping[str, Any] | None = None, share: Share | None = None) -> "StreamingLoader":
        """Another loader like this one, at `state` or else where this one stands; with `share`, of that part of the
        micro-batches alone."""
        copied = _restored(self._again, self.state_dict() if state is None else state)
        copied._stands = copied._stands._replace(share=share or Share())
        return copied

    def stats(self) -> dict[str, int | float]:
        """What this loader has done since it was made: `samples` and `batches` received, `samples_per_second` since the
        first was asked for, `wait_seconds` of the training loop for them, `ready` batches, `in_flight` ranges; from
        object stores `requests`, `retries`, `hedges`, `fetched_bytes`, `cache_hits` and `cache_misses` (granules),
        `cache_bytes` written; `memory_bytes`, the most that is held."""
        prefetcher = self._prefetcher
        waiting = 0.0 if prefetcher is None else prefetcher.waited_seconds
        return self._stats.shown(waiting) | {
            "ready": 0 if prefetcher is None else prefetcher.n_ready,
            "memory_bytes": self._granules.memory_bytes,
        }

    def close(self) -> None:
        """End the thread and give the shards back. The state can still be read; closing twice is harmless."""
        self._closed = True
        self._stop()
        self._granules.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._again, self.state_dict())

    def __repr__(self) -> str:
        extent = (
            "batches without end" if self._sequence.end is None else f"{-(-len(self) // self.micro_batches)} batches"
        )
        return (
            f"StreamingLoader({self.plan.name} {self._split}: {extent} of {self.global_batch_size} × "
            f"{self.plan.sequence_length} tokens, rank {self.rank} of {self.world_size}, position {self.position})"
        )

    def _next(self, walk: int) -> Batch:
        if walk != self._walks:
            raise RuntimeError("another iterator of this loader was made later; go on with that one")
        if self._closed:
            raise RuntimeError("the loader is closed; make another and give it this one's state_dict()")
        try:
            served = (self._prefetcher or self._start()).next()
            batch = tensors(served.batch) if self._format == "torch" else served.batch
            stands = self._stands.after(served)
            if self._split == "train":
                self._chains.passed(stands.position, stands.skipped)
            self._stats.add(batches=1, samples=len(served.batch["position"]))
        except (KeyboardInterrupt, SystemExit):
            self._stop()  # it may have hit the batch in the making: the next call makes it anew
            raise
        self._stands = stands  # the last thing: what is not returned was not received
        return batch

    def _start(self) -> Prefetcher[Served]:
        work = Batches(
            sequence=self._sequence,
            granules=self._granules,
            borders=self._borders,
            deal=self._deal,
            contents=self._contents,
            pin_memory=self.pins_memory,
        )
        items = work.serve(self._stands.first, self._stands.skipped, self._stands.share)
        if self._borders is not None:
            self._borders.begin()
        self._prefetcher = Prefetcher(
            items,
            PREFETCH_BATCHES,
            f"shardmill-loader-{self.rank}",
            interrupt=partial(_interrupt, self._granules, self._borders),
        )
        self._ender = weakref.finalize(self, self._prefetcher.close)  # a forgotten loader, or the program's end
        return self._prefetcher  # its thread begins when it is asked: whatever interrupts this, `_stop` finds it

    def _stop(self) -> None:
        if self._prefetcher is not None:
            self._stats.waited(self._prefetcher.waited_seconds)
            self._prefetcher.close()
        if self._ender is not None:
            self._ender.detach()
        self._prefetcher = self._ender = None

    def _follow(self, sequence: TrainSequence, run: forks.Run) -> None:
        """Serve a run, which this one's plan or an earlier mix began; shards are opened where others are needed."""
        if run == self._run:
            return
        needed = forks.needed_parts(run, self.plan)
        opened = self._opened(needed) if needed != forks.needed_parts(self._run, self.plan) else None
        self._stop()
        if opened is not None:
            self._granules.close()
            self._granules, self._borders = opened
        self._run, self._sequence = run, sequence.following(run.order)

    def _opened(self, parts: Sequence[Sequence[plans.Part]]) -> tuple[Granules | RemoteGranules, Borders | None]:
        """The rows of these parts of each source, and where documents begin in them, if that is asked for."""
        url = self._again["mix"]
        named = list(zip((source.name for source in self.plan.sources), parts, strict=True))
        parts_of_sources = open_all(url, named, self.plan, self._remote, self._stats)
        granules = granules_of(
            url, parts_of_sources, self.plan, remote=self._remote, world_size=self.world_size, stats=self._stats
        )
        if not self._contents.needs_borders:
            return granules, None
        return granules, borders_of(url, parts_of_sources, self.plan, self._remote, self._stats)

    def _go_on(self, stands: Standing) -> None:
        """Stand elsewhere; what was prepared is dropped."""
        self._stop()
        self._stands = stands


class _Walk(Iterator[Batch]):
    """One walk over a loader, known to it by number alone: so that a forgotten loader goes at once, in no cycle."""

    def __init__(self, loader: StreamingLoader, number: int) -> None:
        self._loader = loader
        self._number = number

    def __next__(self) -> Batch:
        return self._loader._next(self._number)


def _interrupt(granules: Granules | RemoteGranules, borders: Borders | None) -> None:
    """End what a loader's thread waits for."""
    granules.interrupt()
    if borders is not None:
        borders.interrupt()


def _restored(again: Mapping[str, Any], state: Mapping[str, Any]) -> StreamingLoader:
    loader = StreamingLoader(**again)
    loader.load_state_dict(state)
    return loader


def _next_position(batch: Mapping[str, Any]) -> int:
    if not isinstance(batch, Mapping) or "next_position" not in batch:
        raise ValueError('state_dict(after): give a batch as it was served, with its "next_position"')
    return int(batch["next_position"])
