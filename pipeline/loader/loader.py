"""`StreamingLoader`: the batches of a finished mix, rank by rank. The package's docstring is its manual."""

import importlib.util
import os
import re
import sys
import weakref
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from pipeline import plan as plans
from pipeline import storage
from pipeline.loader import state as states
from pipeline.loader.batches import Batch, batches, tensors
from pipeline.loader.distributed import check_batch, resolve_rank
from pipeline.loader.granules import Granules
from pipeline.loader.parts import open_part
from pipeline.loader.prefetch import Prefetcher
from pipeline.loader.sequence import Sequence, TrainSequence, ValidationSequence
from pipeline.tokenizer_id import tokenizer_fingerprint

PREFETCH_BATCHES = 2  # ready ahead of the training loop; a third may be in the making


class StreamingLoader:
    """This rank's part of every global batch of a mix: `for batch in StreamingLoader("data/mixes/demo", …)`.

    mix: the folder (URL) of the plan, `mix.json`.
    global_batch_size: samples of a batch over all ranks; a multiple of world_size.
    rank, world_size: both or neither; by default from `torch.distributed`, else from RANK and WORLD_SIZE, else 0 of 1.
    split: "train", or "validation": one finite pass over the held-out samples, its last batch short.
    beyond_budget: go on after the budget's last whole batch, with the last stage's weights, without end.
    dtype: of `input_ids`: "int64", "int32", or the shards' own "uint16".
    format: "torch" or "numpy"; by default torch tensors where torch is installed.
    tokenizer: the path of a `tokenizers` JSON file, or its fingerprint; another one than the mix's is refused.

    Every mistake that can be seen at once is a `ValueError` here: a missing mix or dataset, a batch that cannot be
    dealt, another tokenizer. Damage is a `DamagedDatasetError` (a `ValueError`) where the batch would have been served.
    """

    def __init__(
        self,
        mix: str | os.PathLike[str],
        *,
        global_batch_size: int,
        rank: int | None = None,
        world_size: int | None = None,
        split: Literal["train", "validation"] = "train",
        beyond_budget: bool = False,
        dtype: Literal["int64", "int32", "uint16"] = "int64",
        format: Literal["torch", "numpy"] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
    ) -> None:
        self.rank, self.world_size = resolve_rank(rank, world_size)
        check_batch(global_batch_size, self.world_size)
        self.global_batch_size = global_batch_size
        self._format = _checked_format(format)
        url = _full_url(mix)
        self.plan = plans.load(url)
        self._dtype = _checked_dtype(dtype, self.plan)
        if tokenizer is not None:
            _check_tokenizer(tokenizer, self.plan)
        self._split = split
        self._sequence = _sequence(self.plan, split, beyond_budget)
        if split == "train" and self._sequence.batch_samples(0, global_batch_size) == 0:
            raise ValueError(
                f"global_batch_size {global_batch_size} exceeds the {self._sequence.end} samples of the budget of "
                f"{url}: not one batch; use a smaller batch, a larger budget_tokens, or beyond_budget=True"
            )
        self._granules = Granules(
            [
                [open_part(url, source.name, part, self.plan.row_bytes) for part in states.split_parts(source, split)]
                for source in self.plan.sources
            ],
            self.plan.sequence_length,
            self.plan.dtype,
        )
        self._owner = states.belonging(self.plan, split)
        self._position = 0
        self._skipped: states.Ranges = ()
        self._closed = False
        self._walks = 0
        self._prefetcher: Prefetcher[Batch] | None = None
        self._ender: weakref.finalize[..., Any] | None = None

    @property
    def position(self) -> int:
        """The position of the next batch's first sample: how many positions were received or skipped so far."""
        return self._position

    def __len__(self) -> int:
        """Batches of the whole split, from its first position on: floor(N / global_batch_size) of a budget of N samples
        (a validation pass: rounded up). Resuming does not change it. `TypeError` with beyond_budget=True."""
        if self._sequence.end is None:
            raise TypeError("a loader with beyond_budget=True has no last batch, so no length")
        whole, rest = divmod(self._sequence.end, self.global_batch_size)
        return whole + (1 if rest and self._split == "validation" else 0)

    def __iter__(self) -> Iterator[Batch]:
        """Go on where the loader stands. The iterator made before this one ends with an error."""
        self._walks += 1
        return _Walk(self, self._walks)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on, on any number of ranks: small, JSON-able, equal on all ranks.

        It counts the batches that this loop has received, not those that were prepared ahead.
        """
        return states.to_dict(self._owner, self._position, self._skipped)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of any rank. `ValueError`, with both values, if it belongs to another run."""
        position, skipped = states.from_dict(state, self._owner)
        self._stop()
        self._position, self._skipped = position, skipped

    def skip_batches(self, n: int) -> None:
        """Leave out the next `n` global batches. The state remembers their positions."""
        if n < 1:
            raise ValueError(f"skip_batches({n}): 1 or more")
        first, last = self._position, self._position + n * self.global_batch_size
        if self._sequence.end is not None and last > self._sequence.end:
            raise ValueError(
                f"skip_batches({n}) leads from position {first} to {last}, the end is {self._sequence.end}"
            )
        self._stop()
        self._position, self._skipped = last, states.add_range(self._skipped, first, last)

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

    def __repr__(self) -> str:
        extent = "batches without end" if self._sequence.end is None else f"{len(self)} batches"
        return (
            f"StreamingLoader({self.plan.name} {self._split}: {extent} of {self.global_batch_size} × "
            f"{self.plan.sequence_length} tokens, rank {self.rank} of {self.world_size}, position {self._position})"
        )

    def _next(self, walk: int) -> Batch:
        if walk != self._walks:
            raise RuntimeError("another iterator of this loader was made later; go on with that one")
        if self._closed:
            raise RuntimeError("the loader is closed; make another and give it this one's state_dict()")
        batch = (self._prefetcher or self._start()).next()
        self._position += self._sequence.batch_samples(self._position, self.global_batch_size)
        return tensors(batch) if self._format == "torch" else batch

    def _start(self) -> Prefetcher[Batch]:
        items = batches(
            self._sequence,
            self._granules,
            first=self._position,
            global_batch_size=self.global_batch_size,
            rank=self.rank,
            world_size=self.world_size,
            dtype=self._dtype,
        )
        self._prefetcher = Prefetcher(items, PREFETCH_BATCHES, f"shardmill-loader-{self.rank}")
        self._ender = weakref.finalize(self, self._prefetcher.close)  # a forgotten loader, or the program's end
        return self._prefetcher

    def _stop(self) -> None:
        if self._ender is not None:
            self._ender()
        self._prefetcher = self._ender = None


class _Walk(Iterator[Batch]):
    """One walk over a loader, known to it by number alone: so that a forgotten loader goes at once, in no cycle."""

    def __init__(self, loader: StreamingLoader, number: int) -> None:
        self._loader = loader
        self._number = number

    def __next__(self) -> Batch:
        return self._loader._next(self._number)


def _sequence(plan: plans.Plan, split: str, beyond_budget: bool) -> Sequence:
    if split == "train":
        return TrainSequence(plan, beyond_budget=beyond_budget)
    if split != "validation":
        raise ValueError(f'split {split!r}: "train" or "validation"')
    if beyond_budget:
        raise ValueError("beyond_budget=True is for the train split; a validation pass is finite")
    return ValidationSequence(plan)


def _checked_format(format: str | None) -> str:
    installed = "torch" in sys.modules or importlib.util.find_spec("torch") is not None
    if format is None:
        return "torch" if installed else "numpy"
    if format not in ("torch", "numpy"):
        raise ValueError(f'format {format!r}: "torch" or "numpy"')
    if format == "torch" and not installed:
        raise ValueError('format "torch": torch is not installed; install it, or use format="numpy"')
    return format


def _checked_dtype(dtype: str, plan: plans.Plan) -> str:
    if dtype not in ("int64", "int32", "uint16"):
        raise ValueError(f'dtype {dtype!r}: "int64", "int32" or "uint16"')
    if dtype == "uint16" and plan.dtype != "uint16":
        raise ValueError(f'dtype "uint16" cannot hold the {plan.dtype} tokens of the mix {plan.name}; use "int32"')
    return dtype


def _check_tokenizer(tokenizer: str | os.PathLike[str], plan: plans.Plan) -> None:
    given = os.fspath(tokenizer)
    if not re.fullmatch("[0-9a-f]{64}", given):
        try:
            given = tokenizer_fingerprint(storage.read(_full_url(given)))
        except FileNotFoundError as error:
            raise ValueError(f"tokenizer {given!r} is neither a file nor a sha256 of 64 hexadecimal digits") from error
    if given != plan.tokenizer.fingerprint:
        raise ValueError(
            f"the tokenizer {os.fspath(tokenizer)} has the fingerprint {given}, the mix {plan.name} was made with "
            f"{plan.tokenizer.fingerprint}: its ids would mean other texts. Train with the mix's tokenizer "
            f"({plan.tokenizer.path}, from the mix's folder) or make the mix with this one"
        )


def _full_url(url: str | os.PathLike[str]) -> str:
    text = os.fspath(url)
    return str(storage.local_path(text).resolve()) if storage.is_local(text) else text
