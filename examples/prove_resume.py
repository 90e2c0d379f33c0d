"""Prove on a mix that a training goes on exactly: stop on 2 ranks, resume on 1, compare with an uninterrupted run.

    python examples/prove_resume.py --mix data/mixes/demo

`examples/train.py` trains on 2 gloo ranks, ends, and is resumed from its checkpoint on 1 rank; both log what they were
served. An uninterrupted run's batches are those of a fresh loader, alone, in numpy. Exit code 0 if all global batches
are equal (order of rows, positions, sources, samples and tokens), 1 where they are not, naming the first that differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import xxhash

from pipeline.loader import StreamingLoader

TRAIN = Path(__file__).with_name("train.py")

Row = tuple[int, int, int, str]  # position, source, sample, xxh3 of the tokens as int64


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="shardmill-resume-") as folder:
        log = Path(folder) / "served.jsonl"
        common = ["--mix", options.mix, "--checkpoint", folder, "--served", str(log)]
        common += ["--global-batch-size", str(options.global_batch_size)]
        first, last = options.steps, options.steps + options.resumed_steps
        print(f"train on 2 ranks up to step {first}, and stop", flush=True)
        run(2, [*common, "--steps", str(first)])
        print(f"resume from the checkpoint on 1 rank, up to step {last}", flush=True)
        run(1, [*common, "--steps", str(last), "--resume"])
        served = read_served(log.read_text().splitlines())
    expected = uninterrupted(options.mix, options.global_batch_size, last)
    if difference := first_difference(served, expected):
        raise SystemExit(f"FAILED: the resumed training was not served the uninterrupted sequence: {difference}")
    n_rows = sum(map(len, expected))
    print(
        f"PROVEN: steps 1 … {first} on 2 ranks and {first + 1} … {last} on 1 rank were served exactly the global\n"
        f"batches of an uninterrupted run: {n_rows:,} rows equal in order, position, source, sample and tokens"
    )


def run(n_ranks: int, arguments: list[str]) -> None:
    """Run the training on `n_ranks` gloo processes of one thread each that meet on the loopback device."""
    environment = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **os.environ}
    launcher = [sys.executable]
    if n_ranks > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
        launcher += ["--nproc-per-node", str(n_ranks)]
    done = subprocess.run([*launcher, str(TRAIN), *arguments], env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"FAILED: the training ended with exit code {done.returncode}")


def read_served(lines: Iterable[str]) -> list[list[Row]]:
    """The global batches that were trained on, step by step, put together from all ranks' lines of the log.

    A start after step s makes void what was logged of later steps. `SystemExit` where a step's or rank's line is
    missing.
    """
    steps: dict[int, dict[int, list[Row]]] = {}
    world_sizes: dict[int, int] = {}
    for line in lines:
        entry = json.loads(line)
        if "start" in entry:
            steps = {step: ranks for step, ranks in steps.items() if step <= entry["start"]}
            continue
        rows = zip(entry["position"], entry["source"], entry["sample"], entry["xxh3"], strict=True)
        steps.setdefault(entry["step"], {})[entry["rank"]] = list(rows)
        world_sizes[entry["step"]] = entry["world_size"]
    for number, step in enumerate(sorted(steps), start=1):
        if step != number or sorted(steps[step]) != list(range(world_sizes[step])):
            raise SystemExit(f"FAILED: the log lacks lines of step {number}")
    return [[row for rank in sorted(steps[step]) for row in steps[step][rank]] for step in sorted(steps)]


def uninterrupted(mix: str, global_batch_size: int, n_steps: int) -> list[list[Row]]:
    """The first `n_steps` global batches of the mix, from a loader that is alone and never stops."""
    batches = []
    with StreamingLoader(
        mix, global_batch_size=global_batch_size, rank=0, world_size=1, format="numpy", beyond_budget=True
    ) as loader:
        for _, batch in zip(range(n_steps), loader, strict=False):
            columns = [batch[name].tolist() for name in ("position", "source", "sample")]
            hashes = [xxhash.xxh3_64_hexdigest(row.tobytes()) for row in batch["input_ids"]]
            batches.append(list(zip(*columns, hashes, strict=True)))
    return batches


def first_difference(served: list[list[Row]], expected: list[list[Row]]) -> str | None:
    """Where two sequences of global batches part first, for a person to read; None where they are equal."""
    for step, (left, right) in enumerate(zip(served, expected, strict=False), start=1):
        if len(left) != len(right):
            return f"step {step} had {len(left)} rows, not {len(right)}"
        for place, (row, wanted) in enumerate(zip(left, right, strict=True)):
            if row != wanted:
                return f"step {step}, row {place} was (position, source, sample, xxh3) {row}, not {wanted}"
    if len(served) != len(expected):
        return f"{len(served)} steps were served, not {len(expected)}"
    return None


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prove on a mix that a resumed training goes on exactly.")
    parser.add_argument("--mix", required=True, help="the folder of mix.json")
    parser.add_argument("--steps", type=int, default=24, help="on 2 ranks")
    parser.add_argument("--resumed-steps", type=int, default=12, help="after that, on 1 rank")
    parser.add_argument("--global-batch-size", type=int, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
