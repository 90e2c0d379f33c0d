"""What happens to a cluster while a job runs: processes die and stall at random moments, chosen by a seed."""

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from tests.cluster.standalone import Cluster, Process

PAUSE_SECONDS = 3.0
"""The longest pause between two blows; after one, a new Python worker needs about a second, a new executor four."""
FILE_SECONDS = 15.0
"""How long a blow waits for the next file of the job."""
STALL_SECONDS = 20.0
MOST_BLOWS = 10
KINDS = {"worker": 7, "executor": 3}
"""What a kill -9 hits, with weights: a Python worker, or an executor with all that it runs."""


class Killer(threading.Thread):
    """Sends kill -9 to Python workers and executors until it is ended. The first blow and half of the others fall
    after a random pause, half at once when a file appears below `folder`: some task is between two files then.

    With `stalling`, every second blow stops (SIGSTOP) a Python worker instead, until Spark has killed it, as it does
    when a speculative copy was quicker; one that is not killed within STALL_SECONDS goes on: it may have had no task.
    `landed` counts the blows by kind; `stalls` are from when to when (seconds since 1970) a worker was stopped.
    """

    def __init__(self, cluster: Cluster, folder: Path, seed: int, *, stalling: bool) -> None:
        super().__init__(daemon=True)
        self.landed: Counter[str] = Counter()
        self.stalls: list[tuple[float, float]] = []
        self._cluster = cluster
        self._folder = folder
        self._chance = random.Random(seed)
        self._stalling = stalling
        self._ended = threading.Event()

    @property
    def kills(self) -> int:
        """How many kill -9 have hit a process."""
        return sum(self.landed[kind] for kind in KINDS)

    def run(self) -> None:
        """Wait, strike, wait again; nothing happens before the first Python worker lives."""
        while self.landed.total() < MOST_BLOWS and not self._ended.is_set():
            if self._cluster.python_workers():
                self._wait()
                self._strike()
            else:
                self._ended.wait(0.05)

    def end(self) -> None:
        """Wait until no more blow can fall; nothing is stopped any more."""
        self._ended.set()
        self.join()

    def _wait(self) -> None:
        pause = self._chance.uniform(0, PAUSE_SECONDS)
        if self._chance.random() < 0.5 or not self.landed:
            self._ended.wait(pause)
            return
        before, deadline = self._count_files(), time.monotonic() + FILE_SECONDS
        while self._count_files() == before and time.monotonic() < deadline and not self._ended.wait(0.003):
            pass

    def _strike(self) -> None:
        stall = self._stalling and self.landed.total() % 2 == 1
        kind = "stall" if stall else self._chance.choices(list(KINDS), list(KINDS.values()))[0]
        found = self._cluster.executors() if kind == "executor" else self._cluster.python_workers()
        if not found or self._ended.is_set():
            return
        victim = self._chance.choice(found)
        if self._cluster.send(victim, signal.SIGSTOP if stall else signal.SIGKILL):
            self.landed[kind] += 1
            if stall:
                self._await_kill(victim)

    def _await_kill(self, worker: Process) -> None:
        start = time.time()
        while time.time() < start + STALL_SECONDS and worker in self._cluster.python_workers():
            if self._ended.wait(0.1):
                break
        self.stalls.append((start, time.time()))
        self._cluster.send(worker, signal.SIGCONT)

    def _count_files(self) -> int:
        return sum(len(files) for _, _, files in os.walk(self._folder))
