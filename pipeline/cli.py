"""`shardmill`: look at what the jobs have made."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.manifest import Dataset

FILE_WIDTH = 160  # columns of the tables where the output is not a terminal
MOST = 20  # examples of a reason, and clusters of a source, that a dataset keeps
COMMANDS = {"filtered": "waterfall", "deduped": "duplicates"}


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
    waterfall = commands.add_parser(
        "waterfall", help="what each rule did to a source: hits, overlaps, moved limits, examples", allow_abbrev=False
    )
    waterfall.add_argument("dataset", help="a filtered dataset, as ROOT/filtered/SOURCE/FINGERPRINT")
    waterfall.add_argument("--rule", help="show the examples of this reason only, as gopher_quality.min_words")
    waterfall.add_argument(
        "--examples", type=_few, default=3, help=f"how many of each reason, up to {MOST} (default: 3)"
    )
    waterfall.set_defaults(run=_waterfall)
    duplicates = commands.add_parser(
        "duplicates", help="what deduplication removed from a source, its largest clusters", allow_abbrev=False
    )
    duplicates.add_argument("dataset", help="a deduped dataset, as ROOT/deduped/SOURCE/FINGERPRINT")
    duplicates.add_argument("--clusters", type=_few, default=5, help=f"how many clusters, up to {MOST} (default: 5)")
    duplicates.set_defaults(run=_duplicates)
    tokenizer = commands.add_parser(
        "tokenizer",
        help="how a mix's tokenizer treats each source: tokens a byte, unknown ones, what does not come back",
        allow_abbrev=False,
    )
    tokenizer.add_argument("mix", help="a finished mix, as ROOT/mixes/NAME")
    tokenizer.add_argument("--source", help="show the examples of this source only")
    tokenizer.add_argument(
        "--examples",
        type=_few,
        default=3,
        help=f"how many texts of each source that do not come back from their ids, up to {MOST} (default: 3)",
    )
    tokenizer.set_defaults(run=_tokenizer)
    where = commands.add_parser(
        "where", help="the documents of a sample, or the samples of a document", allow_abbrev=False
    )
    where.add_argument("target", metavar="mix", help="a finished mix, as ROOT/mixes/NAME, or a tokenized dataset")
    asked = where.add_mutually_exclusive_group(required=True)
    asked.add_argument("--sample", help="as SOURCE:NUMBER, or SOURCE:validation:NUMBER")
    asked.add_argument("--doc", help="a doc_id in hexadecimal digits, or SOURCE:DOC_ID")
    where.add_argument("--most", type=_many, default=50, help="how many pieces are shown at most (default: 50)")
    where.set_defaults(run=_where)
    return parser.parse_args(arguments)


def _few(text: str) -> int:
    if not (text.isdecimal() and len(text) < 9 and int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 0 to {MOST}")
    return int(text)


def _many(text: str) -> int:
    if not (text.isdecimal() and 0 < len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number of at most 8 digits")
    return int(text)


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


def _tokenizer(console: Console, given: argparse.Namespace) -> None:
    from pipeline.tokenized import mix_quality, quality_table

    found = mix_quality.report(given.mix)
    console.print(quality_table.table(found))
    for panel in quality_table.shown(found, given.source, given.examples):
        console.print(panel)


def _where(console: Console, given: argparse.Namespace) -> None:
    from pipeline.tokenized import where_table

    if given.sample is not None:
        console.print(where_table.of_sample(given.target, given.sample, given.most))
    else:
        console.print(where_table.of_document(given.target, given.doc, given.most))


def _dataset(url: str, stage: str) -> Dataset:
    """The finished dataset of that stage at `url`; `ValueError` that tells what is there instead."""
    from pipeline import manifest, storage

    wanted = f"give a finished one, as ROOT/{stage}/SOURCE/FINGERPRINT"
    try:
        dataset = manifest.find(url)
    except NotADirectoryError as error:
        raise ValueError(f"{url} is a file, not the folder of a dataset; {wanted}") from error
    if dataset is None:
        below = [name for name in storage.list_folders(url) if not name.startswith((".", "attempt-"))]
        there = f" (below it: {', '.join(below[:MOST])})" if below else ""
        raise ValueError(f"{url} holds no finished dataset, no {manifest.MANIFEST}; {wanted}{there}")
    found = dataset.manifest.stage
    if found != stage:
        hint = f"look at it by shardmill {COMMANDS[found]}, or {wanted}" if found in COMMANDS else wanted
        raise ValueError(f"{url} is a dataset of stage {found}, not {stage}; {hint}")
    return dataset


if __name__ == "__main__":
    sys.exit(main())
