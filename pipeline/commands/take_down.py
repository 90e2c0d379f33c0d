"""`shardmill take-down`: a mix like a finished one, without some documents, and where a run was served them."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING

from pipeline.commands.arguments import new, size

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(commands, "take-down", "make a mix without some documents, and tell where they were served", run=run)
    parser.add_argument("mix", help="a finished mix, as ROOT/mixes/NAME")
    parser.add_argument(
        "--list", required=True, metavar="FILE", help="a doc_id, a URL or content:HASH a line; # begins a remark"
    )
    parser.add_argument("--name", help="of the new mix (default: that of the old one, -without- and a digest)")
    parser.add_argument(
        "--positions-to", metavar="FILE", help="write where they were served there, too (.jsonl or .parquet)"
    )
    parser.add_argument(
        "--max-passes", type=_passes, metavar="N", help="serve a source so often at most (default: as the recipe says)"
    )
    parser.add_argument(
        "--rename-sources",
        action="store_true",
        help="give the sources that change new names, so that a run can take the mix up by load_state_dict(fork=True)",
    )
    parser.add_argument("--processes", type=size, help="that rewrite at once (default: one for each core)")


def run(console: Console, given: argparse.Namespace) -> None:
    """Make the mix, print what was taken."""
    from pipeline import storage, take_down
    from pipeline.taken_down import outcome_table
    from pipeline.taken_down.take import Asked, table_bytes
    from pipeline.taken_down.take import take_down as take

    if given.positions_to is not None and not given.positions_to.endswith((".jsonl", ".parquet")):
        raise ValueError(f"--positions-to {given.positions_to}: the name must end in .jsonl or .parquet")
    asked = Asked(
        mix_url=given.mix,
        listed=take_down.read(given.list),
        name=given.name,
        max_passes=given.max_passes,
        rename_sources=given.rename_sources,
        processes=given.processes or os.cpu_count() or 1,
    )
    outcome = take(asked, lambda line: console.print(line, style="dim", markup=False, soft_wrap=True))
    for line in outcome_table.lines(outcome):
        console.print(line, soft_wrap=isinstance(line, str))
    if given.positions_to is not None:
        storage.write(given.positions_to, table_bytes(outcome.positions, given.positions_to))


def _passes(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number of passes above 0")
    return number
