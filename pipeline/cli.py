"""`shardmill`: look at what the jobs have made. The commands are in `pipeline/commands`, one a file."""

from __future__ import annotations

import argparse
import sys

from pipeline.commands import (
    contamination,
    duplicates,
    inspect_batch,
    shuffle_report,
    take_down,
    tokenizer,
    verify_order,
    waterfall,
    where,
)

FILE_WIDTH = 160  # columns of the tables where the output is not a terminal
COMMANDS = (
    waterfall,
    duplicates,
    tokenizer,
    where,
    inspect_batch,
    contamination,
    take_down,
    verify_order,
    shuffle_report,
)


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 1 after a line that says what is wrong."""
    given = _parse(arguments)
    try:
        from rich.console import Console

        given.run(Console(width=None if sys.stdout.isatty() else FILE_WIDTH), given)
    except ModuleNotFoundError as error:
        return _fail(
            f"{error}; this needs the packages of the jobs: pip install 'shardmill[spark]'", given.trace, error
        )
    except (ValueError, OSError, ImportError) as error:  # ImportError: fsspec's "Install s3fs to access S3"
        return _fail(str(error), given.trace, error)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # object stores' clients raise anything, from missing credentials to refused requests
        return _fail(f"{type(error).__name__}: {error} (the whole story: --trace)", given.trace, error)
    return 0


def _fail(message: str, trace: bool, error: Exception) -> int:
    if trace:
        raise error
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="shardmill", description="Look at what the jobs have made.", allow_abbrev=False
    )
    parser.add_argument("--trace", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in COMMANDS:
        command.add(commands)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
