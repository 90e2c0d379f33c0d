"""Whether cost is linear: the whole flow, from raw text to shards, on 1, 2, 4 and 8 units of text, on 1 and 2 cores.

    python -m bench.scale                    units of 100 MB
    python -m bench.scale --unit 10          units of 10 MB: for development
    python -m bench.scale --cores 2          on so many cores only
    python -m bench.scale --joins            deduplication by joins, as of more than a million documents

The text: documentation and docstrings of the Python environment (`bench.prose`), multiplied in other words, so that
deduplication does not collapse it (`bench.edited`), as JSON lines; the flow is that of `bench.flow`. Each size has a
process and a session of its own (`scale_case`). What grows is what a size takes less the *fixed* part, which a mix of a
few documents takes in the same session. × linear: so much more than in proportion to the smallest size it takes.

Memory is the most that one process held (VmHWM), by stage: a Python worker, with the libraries it shares with others;
Spark's JVM, here driver and executor in one; the driver's Python, which holds signatures (1.4 KB a document) of up to a
million documents, above which joins decide.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import engines, flow_stages
from bench.edited import Edited
from bench.flow_stages import Run, Stage
from bench.measure import REPOSITORY, Cost
from bench.prose import gathered
from bench.scale_case import Case, unit_names
from bench.table import figure, show
from bench.workers import Usage
from pipeline.tables.sink import FILE_BYTES
from pipeline.tokenized.tokenizer import train

TINY_DOCUMENTS = 400  # some of which pass the rules
MOST_OVER_LINEAR = 1.15  # issue 8
MOST_WORKER_BYTES = 1_000_000_000  # of one Python worker, at every size; documents of 1 MB at most


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A unit has `unit_bytes`, in copies of at most `text_bytes` of distinct text."""

    unit_bytes: int = 100_000_000
    text_bytes: int = 51_000_000
    units: tuple[int, ...] = (1, 2, 4, 8)
    cores: tuple[int, ...] = (1, 2)
    vocab_size: int = 32_000
    joins: bool = False


def main(sizes: Sizes) -> None:
    """Measure and print."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, sizes)
        for cores in sizes.cores:
            cases = {units: _measured(folder, units, cores, sizes.joins) for units in sizes.units}
            _show(cases, cores, sizes)


def write(folder: Path, sizes: Sizes) -> None:
    """Raw text and tokenizer below the folder."""
    copies = -(-sizes.unit_bytes // sizes.text_bytes)
    texts = gathered(-(-sizes.unit_bytes // copies), os.cpu_count() or 1).texts
    raw, edited = folder / "raw", Edited(texts)
    n_bytes = {"tiny": flow_stages.write_raw(raw, texts[:TINY_DOCUMENTS], "tiny")}
    for number, name in enumerate(unit_names(max(sizes.units))):
        every = (text for copy in range(copies) for text in edited.copy(number * copies + copy))
        n_bytes[name] = flow_stages.write_raw(raw, every, name)
    (raw / "sizes.json").write_text(json.dumps(n_bytes))
    tokenizer = train(texts[: engines.TRAIN_DOCUMENTS], sizes.vocab_size, bos=False)
    (folder / "tokenizer.json").write_text(tokenizer)


def _measured(folder: Path, units: int, cores: int, joins: bool) -> Case:
    if sys.stderr.isatty():
        print(f"\r\033[K{units} units, {cores} cores", end="", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "bench.scale_case", "--raw", str(folder / "raw"), "--units", str(units)]
    command += ["--cores", str(cores), "--tokenizer", str(folder / "tokenizer.json"), "--to", str(folder / "root")]
    command += ["--joins"] if joins else []
    done = subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{units} units on {cores} cores failed:\n{done.stderr[-4000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    runs = {name: _run(found[name]) for name in ("first", "fixed", "run")}
    return Case(**found | runs)


def _run(given: Mapping[str, object]) -> Run:
    stages = {
        name: Stage(cost=Cost(**stage["cost"]), usage=Usage(**stage["usage"]))
        for name, stage in dict(given["stages"]).items()  # type: ignore[call-overload]
    }
    return Run(**{**given, "stages": stages})  # type: ignore[arg-type]


def _show(cases: Mapping[int, Case], cores: int, sizes: Sizes) -> None:
    one = next(iter(cases.values()))
    print(
        f"\nscale: units of {one.run.whole.amount / 1e6 / min(cases):.0f} MB, {cores} cores"
        f"{', deduplicated by joins' if sizes.joins else ''}; fixed start: session {figure(one.start_seconds)} s, a "
        f"first mix of {one.first.documents} documents {figure(one.first.whole.wall_seconds)} s"
    )
    header = ["", *one.run.stages, "whole", "beyond fixed", "MB/s a core", "× linear", "in CPU s"]
    show("scale: seconds by stage", header, [["fixed", *_seconds(one.fixed), *[""] * 4], *_rows(cases, cores)])
    cpu = [
        [f"{units} units", *[figure(stage.cost.cpu_seconds / stage.cost.amount * 1e9) for stage in _stages(case)]]
        for units, case in cases.items()
    ]
    show("scale: CPU ms/MB by stage, the fixed part included", ["", *one.run.stages], cpu)
    for what, field in (("worker", "peak_bytes"), ("JVM", "jvm_peak_bytes"), ("driver", "driver_peak_bytes")):
        rows = [
            [f"{units} units", *[figure(getattr(stage.usage, field) / 1e6) for stage in _stages(case)]]
            for units, case in cases.items()
        ]
        show(f"scale: peak MB of a {what} by stage", ["", *one.run.stages], rows)
    _say_whether_it_holds(cases)


def _stages(case: Case) -> list[Stage]:
    return list(case.run.stages.values())


def _seconds(run: Run) -> list[str]:
    return [*[figure(stage.cost.wall_seconds) for stage in run.stages.values()], figure(run.whole.wall_seconds)]


def _rows(cases: Mapping[int, Case], cores: int) -> list[list[str]]:
    rows = []
    for (units, case), (over, over_cpu) in zip(cases.items(), over_linear(list(cases.values())), strict=True):
        beyond = _beyond(case)
        rows.append(
            [
                f"{units} units",
                *_seconds(case.run),
                figure(beyond.wall_seconds),
                figure(beyond.rate / cores / 1e6),
                f"{over:.3f}",
                f"{over_cpu:.3f}",
            ]
        )
    return rows


def over_linear(cases: Sequence[Case]) -> list[tuple[float, float]]:
    """How much more than in proportion to the first case's text each takes beyond its fixed part: seconds, and CPU
    seconds."""
    costs = [_beyond(case) for case in cases]
    one = costs[0]
    return [
        (
            _times(cost.wall_seconds, one.wall_seconds) * one.amount / cost.amount,
            _times(cost.cpu_seconds, one.cpu_seconds) * one.amount / cost.amount,
        )
        for cost in costs
    ]


def _times(seconds: float, one: float) -> float:
    """Infinite where one unit took no longer than the fixed part: it is too small, or the machine was busy."""
    return seconds / one if one > 0 else math.inf


def _beyond(case: Case) -> Cost:
    whole, fixed = case.run.whole, case.fixed.whole
    return Cost(
        amount=whole.amount,
        wall_seconds=whole.wall_seconds - fixed.wall_seconds,
        cpu_seconds=whole.cpu_seconds - fixed.cpu_seconds,
    )


def _say_whether_it_holds(cases: Mapping[int, Case]) -> None:
    over = max(times for times, _ in over_linear(list(cases.values())))
    worker = max(stage.usage.peak_bytes for case in cases.values() for stage in _stages(case))
    largest = max(case.largest_file_bytes for case in cases.values())
    goals = (
        ("time grows at most so many times linearly", MOST_OVER_LINEAR, over),
        ("MB that a worker holds at most", MOST_WORKER_BYTES / 1e6, worker / 1e6),
        ("MB of the largest file of a table, stored: a task's input", FILE_BYTES / 1e6, largest / 1e6),
    )
    for goal, most, found in goals:
        print(f"  {goal}: {figure(most)}; found {figure(found)}, {'yes' if found <= most else 'NO'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--unit", type=int, default=100, metavar="MB", help="of a unit (default: 100)")
    parser.add_argument("--units", type=int, nargs="+", default=[1, 2, 4, 8], help="sizes, in units (default: 1 2 4 8)")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="numbers of cores (default: 1 2)")
    parser.add_argument("--joins", action="store_true", help="deduplicate by joins, as more than a million documents")
    given = parser.parse_args()
    main(
        Sizes(
            unit_bytes=given.unit * 1_000_000,
            units=tuple(given.units),
            cores=tuple(given.cores),
            joins=given.joins,
        )
    )
