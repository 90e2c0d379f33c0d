"""`shardmill inspect`: the documents of a batch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.commands.arguments import many, new, position, size

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(commands, "inspect", "the documents of a batch, or of what a rank is given of it", run=run)
    parser.add_argument("target", metavar="mix", help="a finished mix, as ROOT/mixes/NAME")
    parser.add_argument(
        "--position", type=position, required=True, help="the first of the batch, as in the loader's state"
    )
    parser.add_argument("--global-batch-size", type=size, required=True, help="rows of the batch, over all ranks")
    parser.add_argument("--rank", type=position, help="show what this rank is given (default: the whole batch)")
    parser.add_argument("--world-size", type=size, help="of so many ranks")
    parser.add_argument("--most", type=many, default=8, help="how many rows are shown at most (default: 8)")
    parser.add_argument(
        "--characters", type=many, default=200, help="how many of each document's text in a row (default: 200)"
    )


def run(console: Console, given: argparse.Namespace) -> None:
    """Print the rows of the batch with their documents."""
    from pipeline.tokenized import batch_table

    if (given.rank is None) != (given.world_size is None):
        raise ValueError("--rank and --world-size belong together; give both, or neither for the whole batch")
    rank, world_size = (0, 1) if given.rank is None else (given.rank, given.world_size)
    console.print(
        batch_table.of_batch(
            given.target,
            given.position,
            given.global_batch_size,
            rank,
            world_size,
            most=given.most,
            characters=given.characters,
        )
    )
