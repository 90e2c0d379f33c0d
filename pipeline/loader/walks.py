"""Where the processes of a rank are: one small record that the training process and a DataLoader's workers share.

`torch.utils.data.DataLoader` says nothing to a dataset when an epoch begins: new workers are copies of the dataset as
it was made, and persistent ones just iterate again. So the first worker that begins an epoch writes down where it
begins, and the others read it; the training process reads it for a state.

The record lies in a temporary file without a name, and its lock is the kernel's (`lockf`): whatever dies, and however,
nothing is left and nobody waits.
"""

import fcntl
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import reduction
from typing import Any

from pipeline.loader.epochs import Start


@dataclass(frozen=True, kw_only=True)
class Walk:
    """An iteration as one worker of it sees it: the `count`-th of its process, whose number is `process`."""

    process: int
    count: int
    worker: int
    n_workers: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """`start` of the last iteration that was begun, or where `walk` is None of the next. `state`: the loader's, as it
    was loaded last. `done`: the workers that have handed out all of their samples."""

    start: Start
    state: dict[str, Any]
    walk: Walk | None = None
    done: list[int] = field(default_factory=list)


class Walks:
    """The record, shared with every process that inherits this object, forked or spawned."""

    def __init__(self, record: Record) -> None:
        self._descriptor = _Descriptor.new()
        self._write(record)

    def look(self) -> Record:
        """The record as it is now."""
        with self._locked() as record:
            return record

    def load(self, start: Start, state: Mapping[str, Any]) -> None:
        """The next iteration begins at `start`."""
        with self._locked():
            self._write(Record(start=start, state=dict(state)))

    def begin(self, walk: Walk, following: Callable[[Start], Start]) -> Record:
        """Join the iteration that another worker has begun, or begin it: at the start that was loaded, else where
        `following` says that the next one begins."""
        with self._locked() as record:
            if record.walk is not None and _are_one(record.walk, walk):
                return record
            start = record.start if record.walk is None else following(record.start)
            begun = Record(start=start, state=record.state, walk=walk)
            self._write(begun)
            return begun

    def end(self, walk: Walk) -> None:
        """This worker has handed out its last sample."""
        with self._locked() as record:
            if record.walk is not None and _are_one(record.walk, walk):
                self._write(replace(record, done=sorted({*record.done, walk.worker})))

    @contextmanager
    def _locked(self) -> Iterator[Record]:
        number = self._descriptor.number
        fcntl.lockf(number, fcntl.LOCK_EX)
        try:
            yield _parsed(os.pread(number, os.fstat(number).st_size, 0))
        finally:
            fcntl.lockf(number, fcntl.LOCK_UN)

    def _write(self, record: Record) -> None:
        number = self._descriptor.number
        data = json.dumps(asdict(record)).encode()
        # one call, never shorter than before: who is killed leaves the old record or the new one
        os.pwrite(number, data.ljust(os.fstat(number).st_size), 0)


class _Descriptor:
    """An open file, that is duplicated where its owner is unpickled."""

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def new(cls) -> "_Descriptor":
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)

    def __del__(self) -> None:
        os.close(self.number)


def _received(sent: Any) -> _Descriptor:
    return _Descriptor(sent.detach())


def process_number() -> int:
    """The number of this process among the children of its parent: they are counted up as they are made."""
    identity = multiprocessing.current_process()._identity
    return int(identity[-1]) if identity else 0


def _are_one(walk: Walk, other: Walk) -> bool:
    """Whether two workers belong to one iteration. Those of one DataLoader are made one after the other, so each has
    the number of the first plus its own, and those of the next DataLoader follow them. A few numbers may be missing
    where another thread makes processes at the same time. (The seed that workers are given does not tell: programs
    that seed each epoch alike give the workers of each the same.)"""
    apart = (walk.process - walk.worker) - (other.process - other.worker)
    return (walk.count, walk.n_workers) == (other.count, other.n_workers) and abs(apart) < walk.n_workers


def _parsed(data: bytes) -> Record:
    fields = json.loads(data)
    walk = fields["walk"]
    skipped = tuple((first, last) for first, last in fields["start"].pop("skipped"))
    return Record(
        start=Start(**fields["start"], skipped=skipped),
        state=fields["state"],
        walk=None if walk is None else Walk(**walk),
        done=fields["done"],
    )
