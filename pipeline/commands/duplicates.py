"""`shardmill duplicates`: what deduplication removed from a source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.commands.arguments import MOST, few, new

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(commands, "duplicates", "what deduplication removed from a source, its largest clusters", run=run)
    parser.add_argument("dataset", help="a deduped dataset, as ROOT/deduped/SOURCE/FINGERPRINT")
    parser.add_argument("--clusters", type=few, default=5, help=f"how many clusters, up to {MOST} (default: 5)")


def run(console: Console, given: argparse.Namespace) -> None:
    """Print the matrix of what went for which source, and the largest clusters."""
    from pipeline.commands.datasets import finished
    from pipeline.deduped import clusters_table

    dataset = finished(given.dataset, "deduped")
    console.print(clusters_table.table([dataset]))
    for panel in clusters_table.largest(dataset, given.clusters):
        console.print(panel)
