"""What a piece of work costs: seconds, CPU seconds, peak memory; interleaved runs of several cases and their median."""

import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """`amount` (in samples, bytes, or 1 for a thing done once) took `wall_seconds` and `cpu_seconds`, the latter of all
    threads; of these the system took `system_seconds`, as for memory touched for the first time (0 where not measured
    apart). `peak_bytes`: how far memory grew over what the process held before; 0 where not measured."""

    amount: float
    wall_seconds: float
    cpu_seconds: float
    system_seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def rate(self) -> float:
        """Amount per second of wall time."""
        return self.amount / self.wall_seconds


Case = Callable[[], Cost]  # does the work once; what is set up for it is not part of the cost


def timed(work: Callable[[], object], amount: float = 1) -> Cost:
    """The cost of one call in this process."""
    cpu, system, wall = time.process_time(), os.times().system, time.perf_counter()
    work()
    return Cost(
        amount=amount,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        system_seconds=os.times().system - system,
    )


def apart(work: Callable[[], object]) -> Cost:
    """The cost of one call in a process forked for it: nothing cached, and a peak of memory of its own."""
    return at_once([work])


def at_once(works: Sequence[Callable[[], object]], amount: float = 1) -> Cost:
    """The cost of these calls at the same time, each in a process forked for it: wall seconds from the first start to
    the last end (all wait until all are there), CPU seconds and peak memory summed over the processes."""
    context = multiprocessing.get_context("fork")
    everyone = context.Barrier(len(works))
    receivers, processes = [], []
    for work in works:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_report, args=(work, everyone, sender))
        process.start()
        sender.close()
        receivers.append(receiver)
        processes.append(process)
    try:
        spans: list[_Span] = [receiver.recv() for receiver in receivers]
    except EOFError:
        raise RuntimeError("the process that was measured ended without a result; its error stands above") from None
    finally:
        for process in processes:
            process.join()
    return Cost(
        amount=amount,
        wall_seconds=max(span.end for span in spans) - min(span.start for span in spans),
        cpu_seconds=sum(span.cpu_seconds for span in spans),
        peak_bytes=sum(span.peak_bytes for span in spans),
    )


def below(work: Callable[[], object], amount: float = 1) -> Cost:
    """The cost of one call whose work is done by processes that this one has started: their CPU seconds are counted, as
    those of Spark's JVM and its Python workers."""
    before = _tree_cpu_seconds()
    cost = timed(work, amount)
    return Cost(amount=amount, wall_seconds=cost.wall_seconds, cpu_seconds=_tree_cpu_seconds() - before)


def fresh(program: str) -> Cost:
    """The cost of a new interpreter that runs these lines, from its start to its end, in the repository's folder;
    `peak_bytes` is all that it held at most, the interpreter and its libraries included."""
    peak = 'print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))'
    command = [sys.executable, "-W", "ignore", "-c", f"{program}\n{peak}"]
    before, start = os.times(), time.perf_counter()
    ended = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    after, seconds = os.times(), time.perf_counter() - start
    children = after.children_user + after.children_system - before.children_user - before.children_system
    peak_bytes = int(ended.stdout.split()[-1]) * 1024
    return Cost(amount=1, wall_seconds=seconds, cpu_seconds=children, peak_bytes=peak_bytes)


def interleaved(cases: Mapping[str, Case], rounds: int) -> dict[str, Cost]:
    """The median cost of each case: all cases once, then all again, `rounds` times, so that a slow minute of the
    machine is everyone's; in another order each time, as what ran just before has a say. Progress goes to stderr
    where that is a terminal."""
    runs: dict[str, list[Cost]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in random.Random(number).sample(list(cases), len(cases)):
            if sys.stderr.isatty():
                print(f"\r\033[K{number + 1}/{rounds} {name}", end="", file=sys.stderr, flush=True)
            runs[name].append(cases[name]())
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return {name: median_cost(costs) for name, costs in runs.items()}


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(
        amount=costs[0].amount,
        wall_seconds=median(cost.wall_seconds for cost in costs),
        cpu_seconds=median(cost.cpu_seconds for cost in costs),
        system_seconds=median(cost.system_seconds for cost in costs),
        peak_bytes=int(median(cost.peak_bytes for cost in costs)),
    )


@dataclass(frozen=True, kw_only=True)
class _Span:
    """What one process sends back: when it started and ended by the machine's clock, and what it took."""

    start: float
    end: float
    cpu_seconds: float
    peak_bytes: int


def _report(work: Callable[[], object], everyone: Barrier, sender: Connection) -> None:
    before = _memory_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far becomes what is held now: man 5 proc_pid_clear_refs
    everyone.wait()
    start, cost = time.perf_counter(), timed(work)
    peak = max(0, _memory_bytes("VmHWM") - before)
    end = start + cost.wall_seconds
    sender.send(_Span(start=start, end=end, cpu_seconds=cost.cpu_seconds, peak_bytes=peak))


def _tree_cpu_seconds() -> float:
    """CPU seconds so far of this process and all below it, those that have ended included."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            fields = path.read_text().rsplit(")", 1)[1].split()  # from the third on: man 5 proc_pid_stat
            pid = int(path.parent.name)
            parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    mine, found = {os.getpid()}, 0
    while found < len(mine):
        found = len(mine)
        mine |= {pid for pid, parent in parents.items() if parent in mine}
    return sum(ticks[pid] for pid in mine) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(field: str) -> int:
    """VmRSS (held now) or VmHWM (at most so far) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
