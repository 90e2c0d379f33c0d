"""`shardmill waterfall`: what each rule did to a source."""

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
        commands, "waterfall", "what each rule did to a source: hits, overlaps, moved limits, examples", run=run
    )
    parser.add_argument("dataset", help="a filtered dataset, as ROOT/filtered/SOURCE/FINGERPRINT")
    parser.add_argument("--rule", help="show the examples of this reason only, as gopher_quality.min_words")
    parser.add_argument("--examples", type=few, default=3, help=f"how many of each reason, up to {MOST} (default: 3)")


def run(console: Console, given: argparse.Namespace) -> None:
    """Print the waterfall, the overlap of its rules, and examples."""
    from pipeline.commands.datasets import finished
    from pipeline.filtered import waterfall_table

    dataset = finished(given.dataset, "filtered")
    if given.rule is None:
        console.print(waterfall_table.table(dataset))
        console.print(waterfall_table.overlap(dataset))
    for panel in waterfall_table.shown(dataset, given.rule, given.examples):
        console.print(panel)
