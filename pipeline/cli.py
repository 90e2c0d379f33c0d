"""`shardmill`: look at what the jobs have made."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.manifest import Dataset

FILE_WIDTH = 160  # columns of the tables where the output is not a terminal


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 1 after a line that says what is wrong."""
    given = _parse(arguments)
    try:
        from rich.console import Console

        given.run(Console(width=None if sys.stdout.isatty() else FILE_WIDTH), given)
    except ImportError as error:
        sys.stderr.write(f"error: {error}; this needs the packages of the jobs: pip install 'shardmill[spark]'\n")
        return 1
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shardmill", description="Look at what the jobs have made.")
    commands = parser.add_subparsers(required=True, metavar="command")
    waterfall = commands.add_parser(
        "waterfall", help="what each rule did to a source: hits, overlaps, moved limits, examples"
    )
    waterfall.add_argument("dataset", help="a filtered dataset, as ROOT/filtered/SOURCE/FINGERPRINT")
    waterfall.add_argument("--rule", help="show the examples of this reason only, as gopher_quality.min_words")
    waterfall.add_argument("--examples", type=int, default=3, help="how many of each reason, up to 20 (default: 3)")
    waterfall.set_defaults(run=_waterfall)
    duplicates = commands.add_parser(
        "duplicates", help="what deduplication removed from a source, its largest clusters"
    )
    duplicates.add_argument("dataset", help="a deduped dataset, as ROOT/deduped/SOURCE/FINGERPRINT")
    duplicates.add_argument("--clusters", type=int, default=5, help="how many clusters, up to 20 (default: 5)")
    duplicates.set_defaults(run=_duplicates)
    return parser.parse_args(arguments)


def _waterfall(console: Console, given: argparse.Namespace) -> None:
    from pipeline.filtered import waterfall_table

    dataset = _dataset(given.dataset, "filtered")
    if given.rule is None:
        console.print(waterfall_table.table(dataset))
        console.print(waterfall_table.overlap(dataset))
    for panel in waterfall_table.shown(dataset, given.rule, given.examples):
        console.print(panel)


def _duplicates(console: Console, given: argparse.Namespace) -> None:
    from pipeline.deduped import clusters_table

    dataset = _dataset(given.dataset, "deduped")
    console.print(clusters_table.table([dataset]))
    for panel in clusters_table.largest(dataset, given.clusters):
        console.print(panel)


def _dataset(url: str, stage: str) -> Dataset:
    from pipeline import manifest

    dataset = manifest.load(url)
    if dataset.manifest.stage != stage:
        raise ValueError(f"{url} is a dataset of stage {dataset.manifest.stage}, not {stage}")
    return dataset


if __name__ == "__main__":
    sys.exit(main())
