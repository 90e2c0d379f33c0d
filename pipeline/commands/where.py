"""`shardmill where`: the documents of a sample, the samples of a document, and the positions at which they are
served."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from pipeline.commands.arguments import many, new, size

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.commands.arguments import Commands


def add(commands: Commands) -> None:
    """The command's arguments."""
    parser = new(
        commands, "where", "the documents of a sample, or the samples of a document, and when they are served", run=run
    )
    parser.add_argument("target", metavar="mix", help="a finished mix, as ROOT/mixes/NAME, or a tokenized dataset")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--sample", help="as SOURCE:NUMBER, or SOURCE:validation:NUMBER")
    asked.add_argument("--doc", help="a doc_id in hexadecimal digits, or SOURCE:DOC_ID")
    parser.add_argument("--most", type=many, default=50, help="how many pieces are shown at most (default: 50)")
    parser.add_argument("--passes", type=size, help="tell the positions of so many passes over the source (default: 1)")


def run(console: Console, given: argparse.Namespace) -> None:
    """Print the pieces."""
    from pipeline.tokenized import where_table

    if given.sample is not None:
        console.print(where_table.of_sample(given.target, given.sample, given.most, given.passes))
    else:
        console.print(where_table.of_document(given.target, given.doc, given.most, given.passes))
