"""ENDS (of the environment) is how often reading is ended, 4 by default; STARTS how often it is begun and left, 6.

ENDS=60 STARTS=100 python -m pytest tests/loader/test_loader_remote_kills.py -o log_cli=true -o log_cli_level=INFO
"""

import gc
import json
import logging
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import xxhash

from pipeline.loader import StreamingLoader
from pipeline.loader.cache import SWEEP_AFTER_SECONDS
from tests.loader.remote_kills import BATCH, LAST_BATCHES, URL
from tests.loader.s3_server import s3_server, storage_options, upload
from tests.tiny_mix import make_tiny_mix

pytestmark = [
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),  # botocore, moto
    pytest.mark.filterwarnings("ignore:Boto3 will no longer support:Warning"),
]

ROOT = Path(__file__).parents[2]
ENDS = int(os.environ.get("ENDS", "4"))
STARTS = int(os.environ.get("STARTS", "6"))
SEED = int(os.environ.get("SEED", "1"))
SHARDS = {"code": [[700, 900], [1200]], "docs": [[2000]], "web": [[500, 60]]}
GROWTH_BYTES = 12 * 2**20
"""What a process may grow by in all starts but the first four. 100 starts: 5 to 9 MB, of which 6 in the first 30."""


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_mix(tmp_path_factory.mktemp("remote"), sequence_length=64, shards=SHARDS)


@pytest.fixture(scope="module")
def server(mix: Path) -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as endpoint:
        upload(endpoint, mix.parent.parent, "data")
        yield endpoint


def test_ended_at_random_moments_it_leaves_nothing_and_goes_on_right(mix: Path, server: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.loader.remote_kills", str(tmp_path), server, str(ENDS), str(SEED)]
    with (tmp_path / "errors.txt").open("w") as errors:
        run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, timeout=60 + 10 * ENDS)
    told = (tmp_path / "errors.txt").read_text()
    assert run.returncode == 0, told
    for end in json.loads(run.stdout):
        assert end["code"] == end["expected"], (end, told)
        assert end["seconds"] < 10  # a fraction of a second, when nobody else works
        mine = [name for name in end["open"] if "/dev/shm" in name or "lock" in name or "(deleted)" in name]
        assert not mine
    assert served_rightly(mix, tmp_path) >= LAST_BATCHES
    check_cache(tmp_path / "cache", server)


def served_rightly(mix: Path, folder: Path) -> int:
    """Each batch that was logged is that of its position, none is left out. Their count."""
    served = [json.loads(line) for line in (folder / "served.jsonl").read_text().splitlines()]
    first = [position for position, _ in served]
    assert sorted(set(first)) == list(range(0, max(first) + 1, BATCH))
    assert all(after - before in (0, BATCH) for before, after in pairwise(first))
    hashes = dict(served)
    with StreamingLoader(
        mix, global_batch_size=BATCH, rank=0, world_size=1, beyond_budget=True, format="numpy"
    ) as here:
        for position, batch in zip(range(0, max(first) + 1, BATCH), here, strict=False):
            assert hashes[position] == xxhash.xxh3_64_hexdigest(batch["input_ids"].tobytes())
    return len(hashes)


def check_cache(cache: Path, server: str) -> None:
    """Granules, and what killed processes had not finished, which goes when it is old."""
    names = [path.name for path in cache.rglob("*") if path.is_file()]
    unfinished = list(cache.rglob(".*.tmp"))
    assert all(re.fullmatch(r"[0-9]+|CACHEDIR\.TAG|\.[0-9a-f]{32}\.tmp", name) for name in names)
    assert len(unfinished) <= ENDS
    for path in unfinished:
        os.utime(path, (time.time() - SWEEP_AFTER_SECONDS - 1,) * 2)
    start_and_stop(server, 1, cache_dir=cache, cache_bytes=300_000)
    assert not list(cache.rglob(".*.tmp"))


def start_and_stop(server: str, n: int, **cache: Any) -> None:
    """Read n batches, and leave the loader without a word, or close it."""
    loader = StreamingLoader(
        URL, global_batch_size=BATCH, rank=0, world_size=1, storage_options=storage_options(server), **cache
    )
    for _ in zip(range(n % 4), loader, strict=False):
        pass
    if n % 2:
        loader.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def starts(server: str, folder: str, sender: Any) -> None:
    """Start and stop in this process; what remained of it: threads, files, bytes."""

    def remains() -> tuple[int, int, int]:
        gc.collect()
        time.sleep(0.1)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("shardmill")]
        return len(threads), len(list(Path("/proc/self/fd").iterdir())), resident_bytes()

    for n in range(4):
        start_and_stop(server, n)
    before = remains()
    for n in range(STARTS):
        cache: dict[str, Any] = {"cache_dir": folder, "cache_bytes": 300_000} if n % 3 == 0 else {}
        start_and_stop(server, n, **cache)
    sender.send((before, remains()))


def forked(server: str, *given: Any) -> None:
    """The same in a fork of a process that has read from the store."""
    start_and_stop(server, 1)
    process = multiprocessing.get_context("fork").Process(target=starts, args=(server, *given))
    process.start()
    process.join()
    sys.exit(process.exitcode)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_starts_and_stops_leave_no_threads_files_or_memory(server: str, tmp_path: Path, method: str) -> None:
    context = multiprocessing.get_context("spawn")  # this process has much else that a fork would copy
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=starts if method == "spawn" else forked, args=(server, str(tmp_path), sender))
    process.start()
    assert receiver.poll(60 + 5 * STARTS)
    before, after = receiver.recv()
    process.join()
    logging.getLogger(__name__).info("%s, %d starts: %s, then %s", method, STARTS, before, after)
    assert process.exitcode == 0
    assert before[0] == after[0] == 0
    assert after[1] <= before[1] + 4  # connections of the client's pool
    assert after[2] <= before[2] + GROWTH_BYTES
