"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    Run = Callable[[Console, argparse.Namespace], None]
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


MOST = 20  # examples of a reason, and clusters of a source, that a dataset keeps


def new(commands: Commands, name: str, help: str, run: Run) -> argparse.ArgumentParser:
    """The parser of a command; `run` prints to a console."""
    parser = commands.add_parser(name, help=help, allow_abbrev=False)
    parser.set_defaults(run=run)
    return parser


def few(text: str) -> int:
    """A number from 0 to MOST."""
    if not (text.isdecimal() and len(text) < 9 and int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 0 to {MOST}")
    return int(text)


def many(text: str) -> int:
    """A number of at most 8 digits."""
    if not (text.isdecimal() and 0 < len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number of at most 8 digits")
    return int(text)


def position(text: str) -> int:
    """A position of the order, or a count of them."""
    if not (text.isdecimal() and 0 < len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a position: a number from 0, of at most 18 digits")
    return int(text)


def size(text: str) -> int:
    """A number from 1, of at most 8 digits."""
    if not (text.isdecimal() and len(text) < 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 1, of at most 8 digits")
    return int(text)


def sizes(text: str) -> tuple[int, ...]:
    """Numbers from 1, with commas between: `1,8,96`."""
    parts = text.split(",")
    if not all(part.isdecimal() and len(part) < 9 and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no list of numbers from 1, as 1,8,96")
    return tuple(int(part) for part in parts)
