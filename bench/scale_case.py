"""One size of the bench `scale`, in a process with a session of its own, so that its peaks of memory are its own.

    python -m bench.scale_case --raw raw/ --units 4 --cores 2 --tokenizer tokenizer.json --to work/

`raw/` holds `tiny-….jsonl` and `unit-000-….jsonl`, `unit-001-….jsonl` and so on. One unit is made first, for the JVM to
compile what takes most; then the mix of a few documents, which takes the *fixed* part, and that of so many units.
Printed is a JSON object, see `Case`.
"""

import argparse
import json
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from unittest import mock

from bench import flow_stages
from bench.flow_stages import Run
from pipeline import session
from pipeline.deduped import spark as deduped


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a size took, after the session's start (`start_seconds`) and its `first` mix, of a few documents, and
    beside what these take later (`fixed`). `largest_file_bytes`: of the tables that stages leave to each other, stored;
    a task reads one of them at a time."""

    start_seconds: float
    first: Run
    fixed: Run
    run: Run
    largest_file_bytes: int


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--joins", action="store_true", help="deduplicate by joins, as more than a million documents")
    given = parser.parse_args()
    print(json.dumps(asdict(measure(given.raw, given.units, given.cores, given.tokenizer, given.to, given.joins))))


def measure(raw: Path, units: int, cores: int, tokenizer: Path, to: Path, joins: bool) -> Case:
    """Make the mixes below `to`, which is left empty."""
    sizes: dict[str, int] = json.loads((raw / "sizes.json").read_text())
    started = time.perf_counter()
    spark = session.start("bench", cores=cores)
    start_seconds = time.perf_counter() - started
    largest = 0

    def run(names: list[str]) -> Run:
        nonlocal largest
        shutil.rmtree(to, ignore_errors=True)
        n_bytes = sum(sizes[name] for name in names)
        found, datasets = flow_stages.run(spark, raw, [f"{name}-*.jsonl" for name in names], n_bytes, to, tokenizer)
        tables = [file.bytes for name, dataset in datasets.items() for file in dataset.files(name)]
        largest = max(tables)
        return found

    every = list(unit_names(units))
    build = partial(deduped.build, max_documents=0, max_edges=0) if joins else deduped.build
    try:
        with mock.patch.object(deduped, "build", build):
            first = run(["tiny"])
            run(every[:1])
            fixed, whole = run(["tiny"]), run(every)
    finally:
        spark.stop()
    shutil.rmtree(to)
    return Case(start_seconds=start_seconds, first=first, fixed=fixed, run=whole, largest_file_bytes=largest)


def unit_names(n: int) -> list[str]:
    """The names with which the files of the first `n` units begin."""
    return [f"unit-{number:03d}" for number in range(n)]


if __name__ == "__main__":
    main()
