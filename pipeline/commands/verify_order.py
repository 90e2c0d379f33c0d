"""`shardmill verify-order`: is the order of a mix the same for all numbers of ranks, and the one that was planned?"""

from __future__ import annotations

import argparse
import json
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.arguments import new, position, size, sizes

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands
    from pipeline.order import Order
    from pipeline.order.verification import Asked, Verdict
    from pipeline.plan import Plan

SHOWN_HASHES = 8


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(commands, "verify-order", "recompute a mix's order from every rank's view, and compare", run=run)
    parser.add_argument("mix", help="a finished mix, as ROOT/mixes/NAME")
    parser.add_argument("--world-sizes", type=sizes, required=True, help="numbers of ranks to compare, as 1,8,96")
    parser.add_argument("--global-batch-size", type=size, required=True, help="samples in a batch, over all ranks")
    parser.add_argument("--from-position", type=position, default=0, help="where the first batch begins (default: 0)")
    parser.add_argument("--batches", type=size, help="how many (default: as many as hold a whole block)")
    parser.add_argument(
        "--state", help="a JSON file of a loader's state_dict(): make the chain that it holds again, too"
    )


def run(console: Console, given: argparse.Namespace) -> None:
    """Print what is proven; `ValueError` where something differs."""
    from pipeline import plan
    from pipeline.order import ORDER_VERSION, rank_rows
    from pipeline.order.verification import Asked, batches_to_border, verify

    mix = plan.load(given.mix)
    if mix.order_version != ORDER_VERSION:
        raise ValueError(
            f"{given.mix} was made for version {mix.order_version} of the order, this code has {ORDER_VERSION}; "
            "verify it with the code that made it"
        )
    order = plan.order_of(mix)
    asked = Asked(
        first=given.from_position,
        batch_size=given.global_batch_size,
        n_batches=given.batches or batches_to_border(order, given.from_position, given.global_batch_size),
        world_sizes=given.world_sizes,
        fingerprints=mix.fingerprints,
        block_hashes=mix.block_hashes,
    )
    verdict = verify(order, asked, partial(rank_rows, order))
    if verdict.problems:
        for problem in verdict.problems:
            console.print(f"differs: {problem}", markup=False, soft_wrap=True)
        raise ValueError(f"the order of {given.mix} is not proven: {len(verdict.problems)} of the comparisons differ")
    chained = [_chained(mix, given.state)] if given.state else []
    for line in (*_proven(mix, order, asked, verdict), *chained):
        console.print(line, markup=False, soft_wrap=True)


def _proven(mix: Plan, order: Order, asked: Asked, verdict: Verdict) -> list[str]:
    """What was found, a line each."""
    from pipeline.order import CHAIN_START, chain
    from pipeline.order.verification import BORDER_BOUND, PREFIX_BOUND

    worlds = ", ".join(map(str, asked.world_sizes))
    uneven = [str(world) for world in asked.world_sizes if asked.batch_size % world]
    beyond = f" (the budget ends at {mix.budget_samples:,})" if asked.last > mix.budget_samples else ""
    lines = [
        f"order of {mix.name}, plan {mix.identity}, version {mix.order_version}: {asked.n_batches:,} batches of "
        f"{asked.batch_size:,}, positions [{asked.first:,}, {asked.last:,}){beyond}",
        f"proven: in worlds of {worlds} the ranks' parts are the same global batches, row by row, each position once"
        + (f" (in worlds of {', '.join(uneven)} the parts differ by one row)" if uneven else ""),
    ]
    planned = [number for number in verdict.hashes if number < len(asked.block_hashes)]
    own = [number for number in verdict.hashes if number >= len(asked.block_hashes)]
    if planned:
        lines.append(f"proven: the ranks' rows give the hashes that the plan holds of {_blocks(planned)}")
    if own:
        lines.append(f"proven: the ranks' rows give the order's own hashes of {_blocks(own)}; the plan holds none")
    if not verdict.hashes:
        needed = f"{order.block_samples:,} positions from a border on"
        lines.append(f"not compared: the hash of a block; no block lies in these positions whole (it has {needed})")
    lines += [
        "proven: each sample is served at most once a pass",
        f"proven: a source's count is off weight × positions by {verdict.border_deviation:.2f} at most at the borders "
        f"of blocks (bound: {BORDER_BOUND}), by {verdict.prefix_deviation:.2f} anywhere (bound: {PREFIX_BOUND})",
    ]
    lines += [f"hash of block {number}: {served}" for number, served in list(verdict.hashes.items())[:SHOWN_HASHES]]
    if 0 in verdict.hashes:
        lines.append(f"chain of {_blocks(list(verdict.hashes))}: {reduce(chain, verdict.hashes.values(), CHAIN_START)}")
    return lines


def _chained(mix: Plan, path: str) -> str:
    """What is proven of the blocks that a state's run has served; `ValueError` where they were others."""
    from pipeline.loader import served
    from pipeline.loader import state as states
    from pipeline.loader.forks import resumed
    from pipeline.order import first_block

    try:
        state = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"--state {path} is no JSON file with a loader's state_dict(): {error}") from error
    position, skipped = states.from_dict(state, states.belonging(mix, "train"))
    run = resumed(state, mix, position, skipped)
    found = served.from_state(state["chain"], run.order, position)
    served.check_last(run, found, skipped)
    if first := first_block(run.order):
        return f"not compared: the chain of {path}; its run was forked, and the mixes before block {first} made it, too"
    computed = served.Chains(run).at(position, skipped)
    if computed != found:
        raise ValueError(
            f"the state {path} says that the blocks before position {position:,} have the chain {found.value}, here "
            f"it is {computed.value}: the run was served other samples than this mix has"
        )
    if not found.n_blocks:
        return f"not compared: the chain of {path}; no block ends before its position {position:,}"
    blocks = _blocks(list(range(found.n_blocks)))
    return f"proven: the chain of {path} is that of {blocks}, whose samples its run was served: {found.value}"


def _blocks(numbers: list[int]) -> str:
    return f"block {numbers[0]}" if len(numbers) == 1 else f"the blocks {numbers[0]} to {numbers[-1]}"
