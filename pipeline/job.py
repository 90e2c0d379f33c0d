"""What every job is: arguments → the flow up to one stage → an exit code, and errors that a person can read."""

import argparse
import os
import sys
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from rich.console import Console

from pipeline import recipe, report, storage
from pipeline.flow import STAGES, Flow
from pipeline.recipe import RecipeError

RECIPES = Path("mixes")
MAX_CORES = 1024  # of one machine
ELSEWHERE = ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE")  # set where spark-submit or Spark Connect gives the session
FILE_WIDTH = 140  # columns of the tables where the output is not a terminal


def run(stage: str, arguments: list[str] | None = None) -> int:
    """Make the stage's datasets from those of the stages before, or, for `mix`, whatever is missing of all stages.

    Returns the exit code: 0, or 1 after a paragraph that says what is wrong.
    """
    given = _parse(stage, arguments)
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
    flow = None
    try:
        mix = recipe.load(_recipe_path(given.mix))
        _check_root(given.root)
        makes = STAGES if stage == "mix" else (stage,)
        flow = Flow(mix, given.root, console=console, makes=makes, cores=given.cores)
        if stage in ("mix", "mixed"):
            report.show(console, flow.mixed)
        else:
            getattr(flow, stage)
    except (ValueError, OSError, ImportError) as error:  # ImportError: fsspec's "Install s3fs to access S3"
        return _fail(str(error), given.trace, error)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run it again, it goes on with what is missing\n")
        return 130
    except (PySparkException, Py4JError) as error:
        return _fail(f"Spark could not go on: {_cause(str(error))} (the whole story: --trace)", given.trace, error)
    except Exception as error:  # object stores' clients raise anything, from missing credentials to refused requests
        return _fail(f"{type(error).__name__}: {error} (the whole story: --trace)", given.trace, error)
    finally:
        if flow is not None:
            flow.stop()
    return 0


def _parse(stage: str, arguments: list[str] | None) -> argparse.Namespace:
    description = f"Shardmill: {'all stages' if stage == 'mix' else stage} of a mix."
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--mix", required=True, help="a recipe: path or URL of a YAML file, or a name in mixes/")
    parser.add_argument("--root", default="data", help="where datasets lie: a folder or an fsspec URL (default: data)")
    parser.add_argument(
        "--cores", type=_cores, help="cores of this machine to use (default: all; not for spark-submit)"
    )
    parser.add_argument("--trace", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(arguments)
    if given.cores is not None and any(name in os.environ for name in ELSEWHERE):
        parser.error("argument --cores: says nothing to spark-submit and Spark Connect; give --master to spark-submit")
    return given


def _cores(text: str) -> int:
    if not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_CORES):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number of cores; give 1 to {MAX_CORES}")
    return int(text)


def _recipe_path(mix: str) -> str | Path:
    """A URL, a file of that path, else `mixes/<mix>.yaml`; `RecipeError` that lists the names there."""
    if not storage.is_local(mix):
        return mix
    named = RECIPES / f"{mix}.yaml"
    if named.is_file() and not Path(mix).is_file():
        return named
    if not Path(mix).exists():
        known = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml"))) or "none here"
        raise RecipeError(
            f"there is no recipe at {mix}; give the path of a YAML file, or a name in {RECIPES}/ ({known})"
        )
    return Path(mix)


def _check_root(root: str) -> None:
    """`ValueError` where no dataset can lie, before a recipe's files are read."""
    try:
        storage.list_folders(root)
    except Exception as error:  # fsspec's back ends raise anything
        raise ValueError(
            f"--root {root!r} cannot be used: {error}; give a folder, or a URL that fsspec opens"
        ) from error
    if storage.is_local(root) and storage.local_path(root).is_file():
        raise ValueError(f"--root {root!r} is a file; give a folder, there or to be made")


def _cause(text: str) -> str:
    """What Spark's message says of the cause, on one line: a worker's exception, else the message's first line."""
    _, traceback, story = text.rpartition("Traceback (most recent call last):\n")
    if not traceback:
        return next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    lines = story.partition("\n\n")[0].splitlines()
    return " ".join(line.strip() for line in lines if not line.startswith((" ", "\t", "JVM stacktrace")))


def _fail(message: str, trace: bool, error: Exception) -> int:
    if trace:
        raise error
    sys.stderr.write(f"error: {message}\n")
    return 1
