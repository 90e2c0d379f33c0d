"""What a walk over batches holds: memory of its own, and pages of mapped files, which are the page cache's.

Peaks of both together (VmHWM) say little of a reader of mapped files: all that it has touched counts, and goes where
another needs the memory.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

OWN = ("RssAnon:", "RssShmem:")  # man 5 proc_pid_status
MAPPED = ("RssFile:",)


@dataclass(frozen=True, kw_only=True)
class Held:
    """Bytes of a process."""

    own_bytes: int
    mapped_bytes: int


def most_held(opened: Callable[[], Iterator[Any]], prepare: Callable[[], object]) -> Held:
    """The most of each that a walk holds beyond what there was before it was opened, looked at when a batch has come,
    in a new interpreter that has called `prepare`, for what it imports. Both must be such as can be pickled."""
    context = multiprocessing.get_context("spawn")  # not fork: at its end a peer gives its shared memory back
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(opened, prepare, sender))
    process.start()
    sender.close()
    try:
        held: Held = receiver.recv()
    except EOFError:
        raise RuntimeError("the process that was measured ended without a result; its error stands above") from None
    finally:
        process.join()
    return held


def _report(opened: Callable[[], Iterator[Any]], prepare: Callable[[], object], sender: Connection) -> None:
    prepare()
    before = [_bytes(fields) for fields in (OWN, MAPPED)]
    most = before
    for _ in opened():
        most = [max(known, _bytes(fields)) for known, fields in zip(most, (OWN, MAPPED), strict=True)]
    own, mapped = (most[i] - before[i] for i in range(2))
    sender.send(Held(own_bytes=own, mapped_bytes=mapped))


def _bytes(fields: tuple[str, ...]) -> int:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words and words[0] in fields)
