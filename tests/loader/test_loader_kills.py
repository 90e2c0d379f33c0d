"""KILLS (of the environment) is the number of kills, 5 by default; SEED the killer's. The long run:

KILLS=50 python -m pytest tests/loader/test_loader_kills.py -o log_cli=true -o log_cli_level=INFO --timeout 1000
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import xxhash

from pipeline import plan as plans
from pipeline.order import batch_rows
from pipeline.plan import order_of
from tests.loader.kills import BATCH, trained
from tests.tiny_mix import make_tiny_mix, tiny_row

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "5"))
SEED = int(os.environ.get("SEED", "1"))


def check_kills(folder: Path) -> tuple[int, int, int]:
    """Kill a training so often; the count of its steps, of those done again, and of the starts that came to train.

    What it was trained on must be the order itself, without a gap and without a repetition.
    """
    mix = make_tiny_mix(folder / "data")
    command = [sys.executable, "-m", "tests.loader.kills", str(mix), str(folder), str(KILLS), str(SEED)]
    environment = {name: text for name, text in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    with (folder / "errors.txt").open("w") as errors:  # no pipe: workers of killed ranks hold it for a second longer
        run = subprocess.run(command, cwd=ROOT, env=environment, stderr=errors, timeout=60 + 10 * KILLS)
    assert run.returncode == 0, (folder / "errors.txt").read_text()
    served, n_void = trained(folder)
    order = order_of(plans.load(str(mix)))
    for number, rows in enumerate(served):
        expected = batch_rows(order, number * BATCH, BATCH)
        tokens = [tiny_row(s, i) for s, i in zip(expected.source.tolist(), expected.sample.tolist(), strict=True)]
        hashes = [xxhash.xxh3_64_hexdigest(np.array(row, np.int64).tobytes()) for row in tokens]
        assert rows == [list(row) for row in zip(expected.position.tolist(), hashes, strict=True)], f"step {number + 1}"
    starts = (folder / "served.jsonl").read_text().count('"start"')
    return len(served), n_void, starts


def test_killed_at_random_moments_it_is_trained_on_the_order_all_the_same(tmp_path: Path) -> None:
    n_steps, n_void, n_starts = check_kills(tmp_path)
    logging.getLogger(__name__).info(
        "%d kills: %d starts came to train, %d steps count, %d were done again", KILLS, n_starts, n_steps, n_void
    )
    assert n_steps >= 20
    assert n_starts > KILLS // 2
