"""`shardmill contamination`: which items of evaluation sets stand in a finished mix, and when a run is served them."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from pipeline.commands.arguments import MOST, few, many, new, position, size

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(
        commands,
        "contamination",
        "which items of evaluation sets stand in a finished mix (exit code 1), or that none does (0)",
        run=run,
    )
    parser.add_argument("mix", help="a finished mix, as ROOT/mixes/NAME")
    parser.add_argument(
        "--sets", metavar="FILE", required=True, help="a YAML file with a recipe's `decontaminate: …`, or a recipe"
    )
    parser.add_argument("--to", metavar="FOLDER", help="leave the report and all matches there, as JSON and Parquet")
    parser.add_argument("--positions", action="store_true", help="tell at which positions of a run they are served")
    parser.add_argument(
        "--until-position",
        type=position,
        help="with --positions: where the run ends (default: the mix's budget); 2¹⁸ of them take up to 0.1 s",
    )
    parser.add_argument(
        "--global-batch-size", type=size, help="with --positions: rows of a batch, over all ranks; tells each step"
    )
    parser.add_argument(
        "--examples",
        type=few,
        default=3,
        help=f"how many of each set's strongest and weakest matches are shown, up to {MOST} (default: 3)",
    )
    parser.add_argument("--most", type=many, default=50, help="how many items and positions are shown (default: 50)")
    parser.add_argument("--workers", type=size, default=os.cpu_count(), help="processes (default: one a core)")


def run(console: Console, given: argparse.Namespace) -> None:
    """Print what was found; `ValueError` where a run may be served an item."""
    if not given.positions and (given.until_position is not None or given.global_batch_size is not None):
        raise ValueError("--until-position and --global-batch-size tell of which positions; give --positions, too")
    from pipeline import plan
    from pipeline.contamination_check import asked, files, table
    from pipeline.contamination_check.check import check
    from pipeline.contamination_check.positions import positions
    from pipeline.evaluation_sets import read_items
    from pipeline.filtered.evaluation_items import evaluation_items

    budget = plan.load(given.mix).budget_samples
    wanted = asked.load(given.sets)
    if given.to is not None:
        files.check_free(given.to)
    items = evaluation_items(read_items(wanted.sets), wanted.ngram)
    found = check(given.mix, items, wanted.min_overlap, given.workers)
    before = budget if given.until_position is None else given.until_position
    served = positions(found.plan, found.matches, before, given.global_batch_size) if given.positions else None
    for line in table.about(found):
        console.print(line, markup=False, soft_wrap=True)
    console.print(table.sets(found))
    for panel in table.passages(found, given.examples):
        console.print(panel)
    if len(found.matches):
        console.print(table.items(found, given.most))
    if served is not None:
        console.print(table.positions(served, found, before, given.most))
    if given.to is not None:
        files.write(given.to, found, served)
        console.print(f"all of it: {given.to}", markup=False, soft_wrap=True)
    if found.n_contaminated:
        raise ValueError(
            f"{given.mix} is contaminated: training may be served {found.n_contaminated:,} documents that hold items "
            "of these sets"
        )
    console.print("clean: training is served none of the items that were looked for")
