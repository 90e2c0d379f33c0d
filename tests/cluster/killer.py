"""What happens to a cluster while a job runs: processes die, stall and can write no file, at random moments, chosen by
a seed."""

import random
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.cluster.standalone import Cluster, Process

PAUSE_SECONDS = 6.0
"""The longest pause between two blows; after one, a new Python worker needs about a second, a new executor four."""
FILE_SECONDS = 15.0
"""How long a blow waits for the next file of the job."""
STALL_SECONDS = 20.0
MOST_STALLS = 3
MOST_BLOWS = 3
"""In one stage, so that each has its share, however slow the machine is."""
KINDS = {"python": 6, "executor": 3, "worker": 2}
"""What a kill -9 hits, with weights: a Python worker, an executor with all that it runs, or the Worker that started the
executor, which ends with it; another Worker comes in its place."""
FILE_BYTES = 1024
"""What a process may write to one file whose disk is full: RLIMIT_FSIZE."""


class Killer(threading.Thread):
    """Sends kill -9 until it is ended. The first blow and half of the others fall after a random pause, half at once
    when a file is written: some task is between two files then. `written` tells the stages of all files that the job
    has written so far, the last one's last.

    With `stalling`, every second blow, up to MOST_STALLS, stops (SIGSTOP) a Python worker instead, until Spark has
    killed it, as it does when a speculative copy was quicker; one that is not killed within STALL_SECONDS goes on: it
    may have had no task.
    With `full_from`, an executor and its Python workers can write no file from the first file of that stage on (later,
    it might have none to write), and no other executor or worker is killed.
    `landed` counts the blows by kind and stage; `stalls` are from when to when (seconds since 1970) a worker was
    stopped.
    """

    def __init__(
        self,
        cluster: Cluster,
        written: Callable[[], Sequence[str]],
        seed: int,
        *,
        stalling: bool = False,
        full_from: str | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.landed: Counter[tuple[str, str]] = Counter()
        self.stalls: list[tuple[float, float]] = []
        self._cluster = cluster
        self._written = written
        self._chance = random.Random(seed)
        self._stalling = stalling
        self._full_from = full_from
        self._ended = threading.Event()

    @property
    def kills(self) -> int:
        """How many kill -9 have hit a process."""
        return sum(n for (kind, _), n in self.landed.items() if kind in KINDS)

    def run(self) -> None:
        """Wait, strike, wait again; nothing happens before the first Python worker lives."""
        while not self._ended.is_set():
            if self._may_strike() and self._cluster.python_workers():
                self._wait()
                self._strike()
            else:
                self._ended.wait(0.05)

    def end(self) -> None:
        """Wait until no more blow can fall; nothing is stopped any more, and all workers live."""
        self._ended.set()
        self.join()
        self._cluster.revive()

    def _stage(self) -> str:
        return ["documents", *self._written()][-1]

    def _may_strike(self) -> bool:
        stage = self._stage()
        return sum(n for (_, struck), n in self.landed.items() if struck == stage) < MOST_BLOWS

    def _wait(self) -> None:
        now, pause, before = time.monotonic(), self._chance.uniform(0, PAUSE_SECONDS), len(self._written())
        for_file = self._chance.random() < 0.5 and bool(self.landed)
        deadline = now + (FILE_SECONDS if for_file else pause)
        while time.monotonic() < deadline and not self._ended.wait(0.003):
            if self._full_is_due() or (for_file and len(self._written()) > before):
                break

    def _strike(self) -> None:
        kind = self._kind()
        found = {"executor": self._cluster.executors, "full": self._cluster.executors, "worker": self._cluster.workers}
        victims = found.get(kind, self._cluster.python_workers)()
        if not victims or self._ended.is_set():
            return
        victim, stage = self._chance.choice(victims), self._stage()
        if kind == "full":
            self._full_from = None
            landed = self._fill(victim)
        else:
            landed = self._cluster.send(victim, signal.SIGSTOP if kind == "stall" else signal.SIGKILL)
        if landed:
            self.landed[kind, stage] += 1
        if landed and kind == "stall":
            self._await_kill(victim)
        if landed and kind == "worker":
            self._ended.wait(self._chance.uniform(0, PAUSE_SECONDS))
            self._cluster.revive()

    def _kind(self) -> str:
        if self._full_from is not None:
            return "full" if self._full_is_due() else "python"
        if any(kind == "full" for kind, _ in self.landed):
            return "python"
        if self._stalling and self.landed.total() % 2 == 1 and len(self.stalls) < MOST_STALLS:
            return "stall"
        return self._chance.choices(list(KINDS), list(KINDS.values()))[0]

    def _full_is_due(self) -> bool:
        return self._full_from is not None and self._full_from in self._written()

    def _fill(self, executor: Process) -> bool:
        """What an executor's disk that has no room left does to it, to the workers it has, and to those to come: a
        process has the limit of the one that started it, which may have done so a moment before its own was set."""
        waiting, limited = {executor}, set[Process]()
        while waiting:
            for process in waiting:
                try:
                    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FILE_BYTES, hard))
                except ProcessLookupError:
                    if process == executor:
                        return False
            limited |= waiting
            waiting = {*self._cluster.python_processes(executor)} - limited
        return True

    def _await_kill(self, worker: Process) -> None:
        start = time.time()
        while time.time() < start + STALL_SECONDS and worker in self._cluster.python_workers():
            if self._ended.wait(0.1):
                break
        self.stalls.append((start, time.time()))
        self._cluster.send(worker, signal.SIGCONT)
