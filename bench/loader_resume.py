"""What it takes a new process to be given its first batch of a mix of 10⁶ and of 10⁹ samples, at the start and resumed
in the middle. The mixes are made up (`zero_mix`): rows of 16 tokens in shards that are holes, all else as it would be.
What the peer's order takes for as many samples is `bench.order`'s to measure.
"""

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.loader_sizes import Sizes
from bench.measure import Case, fresh, interleaved
from bench.memory import most_held
from bench.table import figure, show
from bench.zero_mix import make_zero_mix
from pipeline.loader import StreamingLoader
from pipeline.order.blocks import block

SEQUENCE_LENGTH = 16
GLOBAL_BATCH, WORLD_SIZE, RANK = 4096, 8, 3
ALONE = "import pipeline.loader"
PROGRAM = """
import json
from pipeline.loader import StreamingLoader
with StreamingLoader(
    {mix!r}, global_batch_size={batch}, rank={rank}, world_size={world_size}, format="numpy"
) as loader:
    loader.load_state_dict(json.loads({state!r}))
    first = next(iter(loader))
    if len(first["position"]) != {rows} or not {position} <= first["position"].min() < {position} + {batch}:
        raise ValueError(f"not the batch that was asked for: {{first['position']}}")
"""


def show_resume(root: Path, sizes: Sizes) -> None:
    """Make the mixes one after the other, measure and print."""
    rows = []
    for number, (n_samples, n_shards) in enumerate(sizes.resumed):
        folder = root / f"zeros{number}"
        mix = make_zero_mix(folder, n_samples, n_shards, SEQUENCE_LENGTH)
        states = _states(mix)
        cases: dict[str, Case] = {ALONE: partial(fresh, ALONE)}
        cases |= {at: partial(fresh, _program(mix, state)) for at, state in states.items()}
        costs = interleaved(cases, sizes.start_rounds)
        for at, state in states.items():
            cost, alone, held = costs[at], costs[ALONE], most_held(partial(first_batch, mix, state), imported)
            figures = (
                cost.wall_seconds,
                cost.wall_seconds - alone.wall_seconds,
                cost.cpu_seconds,
                cost.peak_bytes / 1e6,
                held.own_bytes / 1e6,
                held.mapped_bytes / 1e6,
            )
            rows.append([f"{n_samples:,} {at}", f"{n_shards:,}", *map(figure, figures)])
        shutil.rmtree(folder)
    show(
        f"first batch in a new process, of a plan of so many samples: rank {RANK} of {WORLD_SIZE}, global batch "
        f"{GLOBAL_BATCH:,}, ten sources (goal: under 1 s beside the interpreter and the import)",
        ["samples at", "shards", "seconds", "beside import", "CPU seconds", "peak MB", "loader's own", "mapped"],
        rows,
    )


def _states(mix: Path) -> dict[str, dict[str, Any]]:
    with StreamingLoader(mix, global_batch_size=GLOBAL_BATCH, rank=RANK, world_size=WORLD_SIZE) as loader:
        middle = loader.plan.budget_samples // 2 // GLOBAL_BATCH * GLOBAL_BATCH
        start = loader.state_dict()
        if (first := middle - 2 * loader.plan.block_samples) > 0:
            loader.skip(0, first)  # else all blocks would be hashed here; the last one is
        states = {"start": start, "middle": loader.state_dict({"next_position": middle})}
    block.cache_clear()  # opening the mix has made its first block, and forked processes would know it
    return states


def _program(mix: Path, state: dict[str, Any]) -> str:
    return PROGRAM.format(
        mix=str(mix),
        batch=GLOBAL_BATCH,
        rank=RANK,
        world_size=WORLD_SIZE,
        state=json.dumps(state),
        position=state["position"],
        rows=GLOBAL_BATCH // WORLD_SIZE,
    )


def first_batch(mix: Path, state: dict[str, Any]) -> Iterator[Any]:
    """The batch where a state stands."""
    with StreamingLoader(
        mix, global_batch_size=GLOBAL_BATCH, rank=RANK, world_size=WORLD_SIZE, format="numpy"
    ) as loader:
        loader.load_state_dict(state)
        yield next(iter(loader))


def imported() -> None:
    """Nothing beyond what this file imports."""
