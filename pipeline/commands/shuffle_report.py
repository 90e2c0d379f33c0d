"""`shardmill shuffle-report`: how well a mix is shuffled, and what reading it in that order costs."""

from __future__ import annotations

import argparse
import importlib.util
from typing import TYPE_CHECKING

from pipeline.commands.arguments import new, size, sizes

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands

WORLD_SIZES = (8, 48, 64, 512)


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(commands, "shuffle-report", "how well a mix is shuffled, and what reading it so costs", run=run)
    parser.add_argument("mix", help="a finished mix, as ROOT/mixes/NAME")
    parser.add_argument("--global-batch-size", type=size, required=True, help="samples in a batch, over all ranks")
    parser.add_argument(
        "--world-sizes",
        type=sizes,
        default=WORLD_SIZES,
        help=f"numbers of ranks to predict the reads of (default: {','.join(map(str, WORLD_SIZES))})",
    )
    parser.add_argument("--png", metavar="FILE", help="draw it there, too; needs shardmill[plot]")


def run(console: Console, given: argparse.Namespace) -> None:
    """Print the tables, write the picture."""
    if given.png is not None and importlib.util.find_spec("matplotlib") is None:
        raise ValueError("--png needs matplotlib: pip install 'shardmill[plot]', or leave --png out")
    from pipeline import plan, storage
    from pipeline.manifest import MissingDatasetError
    from pipeline.shuffle_quality import table
    from pipeline.shuffle_quality.datasets import SourceData
    from pipeline.shuffle_quality.measured import measure

    mix = plan.load(given.mix)
    try:
        data = [SourceData(given.mix, source) for source in mix.sources]
    except MissingDatasetError as error:
        console.print(
            f"without the datasets, shards and documents are not known: {error}", markup=False, soft_wrap=True
        )
        data = None
    figures = measure(mix, data, given.global_batch_size, given.world_sizes)
    console.print(table.report(figures))
    if given.png is not None:
        from pipeline.shuffle_quality import plot

        storage.write(given.png, plot.png(figures))
        console.print(f"\npicture: {given.png}", markup=False, soft_wrap=True)
