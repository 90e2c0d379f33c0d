"""Reading from a store that is ended again and again: `python -m tests.loader.remote_kills FOLDER ENDPOINT ENDS SEED`.

Each round forks a process that goes on from the last checkpoint, reads batches, logs them and writes checkpoints; at a
random moment it is ended, by SIGKILL, SIGTERM (with the usual handler that exits, and without), or Ctrl-C. Rounds read
with a cache on disk or without. The last one ends by itself. What ended how, and in what time, goes to standard output
as JSON.

Rounds are forked from this process, which has imported the client and made none.
"""

import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import s3fs  # noqa: F401  (imported once, not by each round)
import xxhash

from pipeline.loader import StreamingLoader
from tests.loader.s3_server import storage_options

BATCH = 16
URL = "s3://bucket/data/mixes/tiny"
LAST_BATCHES = 10  # of the round that ends by itself
BEGIN_SECONDS = 60
ENDS: tuple[tuple[str, signal.Signals, int], ...] = (  # how, the signal, the exit code
    ("kill", signal.SIGKILL, -signal.SIGKILL),
    ("term", signal.SIGTERM, -signal.SIGTERM),
    ("handled", signal.SIGTERM, 143),
    ("interrupt", signal.SIGINT, -signal.SIGINT),
)


def rounds(folder: Path, endpoint: str, n: int, seed: int) -> list[dict[str, Any]]:
    luck = random.Random(seed)
    found = []
    for number in range(n + 1):
        how, sent, code = ENDS[number % len(ENDS)]
        cached = bool((number + number // len(ENDS)) % 2)
        pid = os.fork()
        if not pid:
            read(folder, endpoint, number, how, cached=cached, last=number == n)
            sys.exit(0)
        if number < n:
            wait_for(folder / f"began.{number}")
            time.sleep(luck.uniform(0, 0.3))
            open_files = links_of(pid)
            os.kill(pid, sent)
        else:
            open_files, code = [], 0
        begin = time.monotonic()
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        seconds = time.monotonic() - begin if number < n else 0.0
        found.append({"how": how, "code": ended, "expected": code, "seconds": seconds, "open": open_files})
    return found


def links_of(pid: int) -> list[str]:
    """What a process has open: files by path."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            links.append(str(path.readlink()))
    return [link for link in links if link.startswith("/")]


def wait_for(path: Path) -> None:
    ends = time.monotonic() + BEGIN_SECONDS
    while not path.exists():
        if time.monotonic() > ends:
            raise SystemExit(f"{path.name} did not appear in {BEGIN_SECONDS} s")
        time.sleep(0.005)


def read(folder: Path, endpoint: str, number: int, how: str, *, cached: bool, last: bool) -> None:
    if how == "handled":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cache: dict[str, Any] = {"cache_dir": folder / "cache", "cache_bytes": 300_000} if cached else {}
    loader = StreamingLoader(
        URL,
        global_batch_size=BATCH,
        rank=0,
        world_size=1,
        beyond_budget=True,
        format="numpy",
        storage_options=storage_options(endpoint),
        **cache,
    )
    checkpoint = folder / "checkpoint.json"
    if checkpoint.exists():
        loader.load_state_dict(json.loads(checkpoint.read_text()))
    begun = loader.position
    (folder / f"began.{number}").touch()
    for batch in loader:
        served = [int(batch["position"].min()), xxhash.xxh3_64_hexdigest(batch["input_ids"].tobytes())]
        with (folder / "served.jsonl").open("ab", buffering=0) as file:
            file.write((json.dumps(served) + "\n").encode())
        temporary = checkpoint.with_suffix(".new")
        temporary.write_text(json.dumps(loader.state_dict()))
        temporary.replace(checkpoint)
        if last and loader.position >= begun + LAST_BATCHES * BATCH:
            return


if __name__ == "__main__":
    told = rounds(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(told))
