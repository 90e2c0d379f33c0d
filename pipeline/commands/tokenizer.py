"""`shardmill tokenizer`: how a mix's tokenizer treats each source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.commands.arguments import MOST, few, new

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(
        commands,
        "tokenizer",
        "how a mix's tokenizer treats each source: tokens a byte, unknown ones, what does not come back",
        run=run,
    )
    parser.add_argument("mix", help="a finished mix, as ROOT/mixes/NAME")
    parser.add_argument("--source", help="show the examples of this source only")
    parser.add_argument(
        "--examples",
        type=few,
        default=3,
        help=f"how many texts of each source that do not come back from their ids, up to {MOST} (default: 3)",
    )


def run(console: Console, given: argparse.Namespace) -> None:
    """Print the figures of each source, and examples of texts that do not come back."""
    from pipeline.tokenized import mix_quality, quality_table

    found = mix_quality.report(given.mix)
    console.print(quality_table.table(found))
    for panel in quality_table.shown(found, given.source, given.examples):
        console.print(panel)
