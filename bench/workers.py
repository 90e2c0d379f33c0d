"""What Spark's processes below this one take: CPU seconds of the JVM and of the Python workers, and their memory."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DAEMONS = frozenset({"pyspark.daemon", "pipeline.spark_daemon"})
"""What forks the Python workers, which keep its command line: by itself, and in sessions on one machine."""
POLL_SECONDS = 0.25  # a worker that ends within it may have had its peak unseen


@dataclass
class Usage:
    """CPU seconds of the JVM and of all Python workers, those that have ended included. `peak_bytes`: the most memory
    (VmHWM: resident, with what workers share) that one worker held; `jvm_peak_bytes`, `driver_peak_bytes`: that the JVM
    and this process did, with all that they have kept of earlier work."""

    jvm_seconds: float = 0
    python_seconds: float = 0
    peak_bytes: int = 0
    jvm_peak_bytes: int = 0
    driver_peak_bytes: int = 0


@contextmanager
def watched() -> Iterator[Usage]:
    """The usage of the body; its numbers are there when it has ended."""
    usage = Usage()
    before = _cpu_seconds()
    for pid in (*_workers(), *_jvms(), os.getpid()):
        with suppress(OSError):  # it has ended meanwhile
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak becomes what it holds now
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(usage, stop), daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        stop.set()
        thread.join()
        usage.jvm_peak_bytes = max(map(_peak_bytes, _jvms()), default=0)
        usage.driver_peak_bytes = _peak_bytes(os.getpid())
        usage.jvm_seconds, usage.python_seconds = (now - then for now, then in zip(_cpu_seconds(), before, strict=True))


def _watch(usage: Usage, stop: threading.Event) -> None:
    last = False
    while not last:
        last = stop.wait(POLL_SECONDS)
        usage.peak_bytes = max(usage.peak_bytes, *(_peak_bytes(pid) for pid in _workers()), 0)


def _peak_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_seconds() -> tuple[float, float]:
    """CPU seconds of the JVM and of its Python processes."""
    jvm, python = [], []
    for pid, command in _below().items():
        with suppress(OSError):
            fields = (
                Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            )  # man 5 proc_pid_stat, from the 3rd
            own = sum(map(int, fields[11:15]))
            if _is_python(command):
                python.append(own)
            elif _is_jvm(command):
                jvm.append(sum(map(int, fields[11:13])))  # without its children
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(jvm) / ticks, sum(python) / ticks


def _workers() -> list[int]:
    return [pid for pid, command in _below().items() if _is_python(command)]


def _jvms() -> list[int]:
    return [pid for pid, command in _below().items() if _is_jvm(command)]


def _is_python(command: str) -> bool:
    return not DAEMONS.isdisjoint(command.split("\0"))  # as an argument: the JVM's have the module among its settings


def _is_jvm(command: str) -> bool:
    return Path(command.split("\0")[0]).name == "java"


def _below() -> dict[int, str]:
    """The processes below this one: their numbers and command lines, arguments apart by NUL."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
    found, size = {os.getpid()}, 0
    while size < len(found):
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    commands = {}
    for pid in found - {os.getpid()}:
        with suppress(OSError):
            commands[pid] = Path(f"/proc/{pid}/cmdline").read_text()
    return commands
