"""A loader inside `torch.utils.data.DataLoader` or torchdata's `StatefulDataLoader`, with any number of workers.

    loader = StreamingLoader("data/mixes/demo", global_batch_size=64)
    dataset = LoaderDataset(loader)
    for batch in DataLoader(dataset, batch_size=None, num_workers=4):
        ...
        checkpoint["loader"] = dataset.state_dict(batch)      # before: dataset.load_state_dict(checkpoint["loader"])

Worker i of k serves the batches (or micro-batches) i, i + k, i + 2k, … from the loader's position on. A DataLoader
takes from its workers in turn, so what comes out is the loader's very sequence.

Which state. Workers run ahead, so this process does not know what the training loop has received; the batch does.
`dataset.state_dict(batch)` is the state after that batch: a StreamingLoader's own, good on any number of workers and
ranks. The state of a `StatefulDataLoader` holds one of each worker, and goes on with the same number of workers alone,
on the same rank of the same world size; with a micro_batch_size take it at the end of a global batch. One that was
taken after the last batch says that the iteration was over, so with workers the next one begins at the loader's
position in this process: save `dataset.state_dict(batch)` at the end of a run that a larger budget may lengthen.

Each `iter(DataLoader(…))` with workers begins at the loader's position in this process, which does not move while
workers serve: after a loop that was left, load the state of its last batch first. What is skipped must be skipped
before, too. `persistent_workers=True` serves one iteration.

The threads of the loader itself do what workers are for; they are only needed where other code wants a DataLoader.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import IterableDataset, get_worker_info

from pipeline.loader import skips
from pipeline.loader.batches import Batch, Share
from pipeline.loader.loader import StreamingLoader

PARENT_CHECK_SECONDS = 1.0
AGAIN = (
    "a worker serves one iteration: leave persistent_workers=True out, and load the state of the last batch, "
    "dataset.load_state_dict(dataset.state_dict(batch)), before the next"
)


class LoaderDataset(IterableDataset[Batch]):
    """The batches of `loader` for a DataLoader, which must be given `batch_size=None`: they are batches already."""

    def __init__(self, loader: StreamingLoader) -> None:
        self._loader = loader
        self._served_here = False
        self._first: int | None = None  # where the loop in this process began
        self._reader: StreamingLoader | None = None  # of a worker; in the process of the training loop there is none
        self._resumed: tuple[dict[str, Any], Share] | None = None

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        if worker is None:
            self._served_here = True
            self._first = self._loader.position if self._first is None else self._first
            return iter(self._loader)
        if self._loader.pins_memory:
            return _refused("a worker's batches are sent to another process: give pin_memory=True to the DataLoader")
        if self._reader is not None:
            return _refused(AGAIN)
        state, share = self._resumed or (self._loader.state_dict(), Share(offset=worker.id, every=worker.num_workers))
        self._reader = self._loader.copy(state, share)
        threading.Thread(target=_end_with_the_parent, name="shardmill-parent", daemon=True).start()
        return iter(self._reader)

    def state_dict(
        self, received: Mapping[str, Any] | int | None = None, from_beginning: bool = True
    ) -> dict[str, Any]:
        """The state after `received`: the last batch that the training loop has received, or, as Composer asks, how
        many samples all ranks have, since the beginning of the run or since the state that was loaded.

        Without it: in a worker the state of that worker, for `StatefulDataLoader`; in a loop without workers the
        loader's own (this process does not see workers begin: where both were used, give the batch).
        """
        if (worker := get_worker_info()) is not None:
            return self._worker_state([worker.id, worker.num_workers])
        if isinstance(received, int):
            return self._loader.state_dict({"next_position": self._behind(received, from_beginning)})
        if received is None and not self._served_here:
            raise ValueError(
                "which batch did the training loop receive last? Workers run ahead, so only a batch can tell: "
                "dataset.state_dict(batch). Before the first batch it is the loader's state_dict()"
            )
        return self._loader.state_dict(received)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a loader's state, or in a worker from that worker's."""
        worker = get_worker_info()
        self._first = None
        if "worker" not in state:
            self._loader.load_state_dict(state)
            return
        now = None if worker is None else [worker.id, worker.num_workers]
        if list(state["worker"]) != now:
            number, of = state["worker"]
            raise ValueError(
                f"this is the state of worker {number} of {of}: a StatefulDataLoader's state goes on with num_workers="
                f"{of} alone. Use that, or save dataset.state_dict(batch), which goes on with any"
            )
        share = Share(offset=state["offset"], every=worker.num_workers if worker else 1)
        self._resumed = dict(state["loader"]), share

    def _worker_state(self, worker: list[int]) -> dict[str, Any]:
        if self._reader is None:
            raise RuntimeError("a worker has a state while it serves; iterate over the dataset first")
        first, share = self._reader.reading
        return {"worker": worker, "offset": share.offset, "loader": self._reader.state_dict({"next_position": first})}

    def _behind(self, n_samples: int, from_beginning: bool) -> int:
        """The position behind `n_samples` that were not skipped."""
        here = self._loader.position if self._first is None else self._first
        first = 0 if from_beginning else here
        taken = skips.take(self._loader.skipped, first, n_samples, None)
        return taken[-1][1] if taken else first


def _refused(message: str) -> Iterator[Batch]:
    """An error that reaches the training loop: an exception of `iter` would end the worker without a word."""
    raise RuntimeError(message)
    yield {}


def _end_with_the_parent() -> None:
    """End this worker when the training process is gone, however it ended. A worker of torch looks for its parent too,
    but only from its first batch on: killed before, it would leave workers that wait forever (torch 2.13)."""
    if (parent := multiprocessing.parent_process()) is None:
        return
    while os.getppid() == parent.pid:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
