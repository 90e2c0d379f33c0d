"""Training that is killed and comes back: `python -m tests.loader.kills MIX FOLDER KILLS SEED`.

Each round starts some ranks (gloo), which go on from the checkpoint and train: a batch is summed over the ranks, logged
by each rank, and every few steps the first rank writes the checkpoint. At a random moment, most often after training
has begun, one rank is killed with SIGKILL, and then the others, as a launcher does. The next round has other ranks, and
reads directly, in micro-batches, or through DataLoader workers. The last round ends by itself.

Ranks are forked from this process, which has imported torch: a round takes fractions of a second.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import xxhash
from torch.utils.data import DataLoader

from pipeline.loader import StreamingLoader
from pipeline.loader.torch_dataset import LoaderDataset

BATCH = 24
STEPS_A_CHECKPOINT = 3
LAST_STEPS = 20  # of the round that is not killed
STEP_SECONDS = 0.002
ALIVE_SECONDS = 0.4  # at most, to the kill from when training begins, or in some rounds from the start
KILLED_AT_START = 0.2  # share of the rounds
BEGIN_SECONDS = 60  # in which training begins, or something is wrong
WORLD_SIZES = (1, 2, 2, 3, 4, 5)
READERS = ("direct", "direct", "micro-batches", "workers")


def rounds(mix: Path, folder: Path, kills: int, seed: int) -> None:
    luck = random.Random(seed)
    for number in range(kills + 1):
        world_size, reader = (2, "direct") if number == 0 else (luck.choice(WORLD_SIZES), luck.choice(READERS))
        ranks = [start(mix, folder, number, rank, world_size, reader, number == kills) for rank in range(world_size)]
        if number < kills:
            if luck.random() >= KILLED_AT_START:
                wait_for(began(folder, number))
            time.sleep(luck.uniform(0, ALIVE_SECONDS))
            for pid in luck.sample(ranks, world_size):
                os.kill(pid, signal.SIGKILL)
        ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks]
        expected = -signal.SIGKILL if number < kills else 0
        if set(ended) != {expected}:
            raise SystemExit(f"round {number} ({world_size} ranks, {reader}): exit codes {ended}, expected {expected}")


def began(folder: Path, number: int) -> Path:
    """The file that tells that a round has begun to train."""
    return folder / f"began.{number}"


def wait_for(path: Path) -> None:
    ends = time.monotonic() + BEGIN_SECONDS
    while not path.exists():
        if time.monotonic() > ends:
            raise SystemExit(f"{path.name} did not appear in {BEGIN_SECONDS} s")
        time.sleep(0.01)


def start(mix: Path, folder: Path, number: int, rank: int, world_size: int, reader: str, last: bool) -> int:
    """Fork a rank; its process id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store.{number}", rank=rank, world_size=world_size)
        train(mix, folder, number, reader, last)
        dist.destroy_process_group()
        code = 0
    except BaseException as error:
        sys.stderr.write(f"round {number}, rank {rank} of {world_size}, {reader}: {error!r}\n")
    finally:
        os._exit(code)


def train(mix: Path, folder: Path, number: int, reader: str, last: bool) -> None:
    loader = StreamingLoader(
        mix,
        global_batch_size=BATCH,
        beyond_budget=True,
        uneven=True,
        micro_batch_size=5 if reader == "micro-batches" else None,
    )
    checkpoint = folder / "checkpoint.json"
    step = 0
    if checkpoint.exists():
        saved = json.loads(checkpoint.read_text())
        step = saved["step"]
        loader.load_state_dict(saved["loader"])
    if loader.rank == 0:
        append(folder, {"start": step})
        began(folder, number).touch()
    dist.barrier()
    end = step + LAST_STEPS if last else None
    for parts, state in steps(loader, reader):
        step += 1
        rows = [row for part in parts for row in rows_of(part)]
        append(folder, {"step": step, "rank": loader.rank, "world_size": loader.world_size, "rows": rows})
        total = torch.tensor([len(rows)])
        dist.all_reduce(total)  # whoever is behind it knows that all ranks have trained on the step
        if int(total) != BATCH:
            raise ValueError(f"step {step} had {int(total)} rows")
        if loader.rank == 0 and (step % STEPS_A_CHECKPOINT == 0 or step == end):
            temporary = checkpoint.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps({"step": step, "loader": state}))
            temporary.replace(checkpoint)
        if step == end:
            return
        time.sleep(STEP_SECONDS)


def steps(loader: StreamingLoader, reader: str) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """What a step trains on, and the state after it."""
    if reader == "workers":
        dataset = LoaderDataset(loader)
        for batch in DataLoader(dataset, batch_size=None, num_workers=2):
            yield [batch], dataset.state_dict(batch)
    parts = []
    for part in loader:
        parts.append(part)
        if loader.at_batch_end:
            yield parts, loader.state_dict()
            parts = []


def rows_of(part: dict[str, Any]) -> list[tuple[int, str]]:
    """Each row's position and the hash of its tokens."""
    hashes = [xxhash.xxh3_64_hexdigest(row.numpy().tobytes()) for row in part["input_ids"]]
    return list(zip(part["position"].tolist(), hashes, strict=True))


def append(folder: Path, entry: dict[str, Any]) -> None:
    """One line in one write: lines of several processes do not mix, and a killed one leaves no half of one."""
    with (folder / "served.jsonl").open("ab", buffering=0) as file:
        file.write((json.dumps(entry) + "\n").encode())


def trained(folder: Path) -> tuple[list[list[list[Any]]], int]:
    """The rows [position, hash] of each step that counts, in the order of ranks and rows; and the steps done again.

    What was logged of steps after a checkpoint is void when a round begins at it.
    """
    steps: dict[int, dict[int, Any]] = {}
    n_void = 0
    for line in (folder / "served.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "start" in entry:
            void = [step for step in steps if step > entry["start"]]
            n_void += len(void)
            for step in void:
                del steps[step]
        else:
            steps.setdefault(entry["step"], {})[entry["rank"]] = entry
    rows = []
    for step in range(1, max(steps) + 1):
        entries = [steps[step][rank] for rank in sorted(steps[step])]
        if [entry["world_size"] for entry in entries] != [len(entries)] * len(entries):
            raise ValueError(f"step {step} was not trained on by all ranks: {sorted(steps[step])}")
        rows.append([row for entry in entries for row in entry["rows"]])
    return rows, n_void


if __name__ == "__main__":
    rounds(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
