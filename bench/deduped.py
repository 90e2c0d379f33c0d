"""Deduplication: planted near-duplicates, datatrove and ours on the same text by stage, and whether cost is linear.

    python -m bench.deduped            150,000 planted pairs; 51 MB of text; up to 800,000 synthetic signatures;
                                       graphs of 1 million edges
    python -m bench.deduped --full     and 400 MB of text without datatrove; up to 20 million signatures, twice; graphs
                                       of 10 million edges
    python -m bench.deduped --quick    small sizes, at which the figures mean little: for development
    python -m bench.deduped planted    one part, or several: planted, stage, linear, components

Four parts, the first three with 14 bands of 8 rows of 5-word shingles:

* `planted`: recall of candidates against the theoretical curve by level of the true Jaccard similarity, the share of
  the candidates that become edges, and whether issue 4's bounds hold; one process, no Spark (`deduped_planted`).
* `stage`: from filtered documents to published deduped ones, by stage, CPU and memory of JVM and Python workers, and
  datatrove's four stages on the same text and as many processes, in one run (`deduped_stage`, `deduped_peer`). The text
  is that of `filtered`: documentation and docstrings. With `--full` source code too, in three sizes. The session is
  warm; *fixed* is what a source of a few documents takes then.
* `linear`: 1, 2, 4 and 8 times as many signatures, without and with a heavy bucket (`deduped_linear`): 100,000 and on
  decided by the driver, with `--full` also 2.5 million and on by joins. Those have 4 bands of 8 rows: with 14 the 20
  million would be 9 GB of signatures, written in minutes.
* `components`: random graphs, stars, cliques and paths by star rounds and by union-find, which must agree
  (`deduped_components`).

Signatures alone, with datasketch and rensa: `bench.minhash`. MB are 10⁶ bytes of UTF-8.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import SparkSession

from bench import deduped_components, deduped_linear, deduped_planted, deduped_stage, peers
from bench.deduped_linear import Linear
from bench.deduped_planted import BANDS, ROWS
from bench.deduped_stage import Prepared, StageCost
from bench.measure import Cost
from bench.planted import NGRAM
from bench.prose import gathered
from bench.table import figure, show
from pipeline import session

PARTS = ("planted", "stage", "linear", "components")
TINY_DOCUMENTS = 40
WARM_RUNS = 3  # until the JVM has compiled what takes most
FEWER = (4, 2, 1)  # the large text is given in these parts, to see what grows


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`pairs` to plant; bytes of text that both sides read, and of the large one that we do (0: none); synthetic
    signatures; `edges` of a graph, of whose paths each has `path_vertices`; `rounds` of our stage. `peer`: datatrove is
    measured."""

    pairs: int = 150_000
    text_bytes: int = 51_000_000
    large_bytes: int = 0
    linear: tuple[Linear, ...] = (Linear(documents=100_000, rounds=5),)
    edges: int = 1_000_000
    path_vertices: int = 100_000
    processes: int = os.cpu_count() or 1
    rounds: int = 3
    peer: bool = True


DEFAULT = Sizes()
FULL = Sizes(
    large_bytes=400_000_000,
    linear=(Linear(documents=100_000, rounds=5), Linear(documents=2_500_000, bands=4, joins=True)),
    edges=10_000_000,
)
QUICK = Sizes(
    pairs=15_000,
    text_bytes=2_000_000,
    linear=(Linear(documents=10_000),),
    edges=100_000,
    path_vertices=10_000,
    rounds=1,
)


def main(sizes: Sizes = DEFAULT, parts: Sequence[str] = PARTS) -> None:
    """Measure and print."""
    if "planted" in parts:
        deduped_planted.main(sizes.pairs)
    if not {"stage", "linear", "components"} & set(parts):
        return
    spark = session.start("bench", cores=sizes.processes)
    try:
        with TemporaryDirectory() as folder:
            if "stage" in parts:
                stage(spark, sizes, Path(folder))
            if "linear" in parts:
                for linear in sizes.linear:
                    deduped_linear.main(spark, linear, ROWS)
            if "components" in parts:
                deduped_components.main(spark, sizes.edges, sizes.path_vertices)
    finally:
        spark.stop()


def stage(spark: SparkSession, sizes: Sizes, folder: Path) -> None:
    """Ours and datatrove's on the same text, then ours on the large one."""
    prose = gathered(sizes.text_bytes, sizes.processes)
    tiny = Prepared(spark, folder / "tiny", prose.texts[:TINY_DOCUMENTS])
    fixed = [tiny.run() for _ in range(WARM_RUNS)][-1]
    prepared = Prepared(spark, folder / "prose", prose.texts)
    runs = sorted((prepared.run() for _ in range(sizes.rounds)), key=lambda run: run.whole.wall_seconds)
    ours = runs[len(runs) // 2]
    _show_ours(
        f"{len(prose.texts):,} texts of documentation and docstrings; {sizes.processes} cores; the median of "
        f"{sizes.rounds}",
        {"a few documents: fixed": fixed, f"{prose.n_bytes / 1e6:.1f} MB": ours},
        sizes.processes,
    )
    if sizes.peer:
        costs, kept = peer(prose.texts, prose.n_bytes, folder, sizes.processes)
        _show_sides(ours, fixed, costs, kept)
    if sizes.large_bytes:
        large(spark, fixed, sizes, folder)


def peer(texts: Sequence[str], n_bytes: int, folder: Path, processes: int) -> tuple[dict[str, Cost], int]:
    """datatrove's costs by stage, and how many documents it kept."""
    read, to = folder / "peer-texts", folder / "peer"
    read.mkdir()
    for number in range(processes):
        lines = (json.dumps({"text": text, "id": ""}) + "\n" for text in texts[number::processes])
        (read / f"{number:02d}.jsonl").write_text("".join(lines))
    numbers = {"--processes": processes, "--ngram": NGRAM, "--bands": BANDS, "--rows": ROWS}
    options = [word for name, number in numbers.items() for word in (name, str(number))]
    printed = json.loads(peers.run("bench.deduped_peer", "--texts", str(read), "--to", str(to), *options))
    return {name: Cost(**cost | {"amount": n_bytes}) for name, cost in printed["costs"].items()}, printed["kept"]


def large(spark: SparkSession, fixed: StageCost, sizes: Sizes, folder: Path) -> None:
    """A quarter, half and all of the large text: speed and the workers' memory."""
    texts = deduped_stage.source_code(sizes.large_bytes)
    runs = {"a few documents: fixed": fixed}
    for part in FEWER:
        run = Prepared(spark, folder / f"code-{part}", texts[: len(texts) // part]).run()
        runs[f"{run.whole.amount / 1e6:.1f} MB"] = run
    _show_ours(f"{len(texts):,} Python files; {sizes.processes} cores; one run", runs, sizes.processes)


def _show_ours(title: str, runs: Mapping[str, StageCost], cores: int) -> None:
    fixed = next(iter(runs.values()))
    rows = []
    for name, run in runs.items():
        beyond = run.whole.wall_seconds - fixed.whole.wall_seconds
        rows.append(
            [
                name,
                f"{run.documents:,}",
                f"{run.kept:,}",
                figure(run.signatures.wall_seconds),
                figure(run.rest.wall_seconds),
                figure(run.signatures.rate / cores / 1e6),
                figure(run.whole.rate / 1e6),
                figure(run.whole.amount / beyond / 1e6) if beyond > 0 else "",
                figure(run.usage.jvm_seconds),
                figure(run.usage.python_seconds),
                figure(run.usage.peak_bytes / 1e6),
            ]
        )
    header = ["", "documents", "kept", "signatures, s", "rest, s", "signatures, MB/s a core", "whole, MB/s"]
    header += ["beyond fixed", "CPU s, JVM", "Python", "worker MB"]
    show(f"deduped: the stage through Spark, {title}", header, rows)


def _show_sides(ours: StageCost, fixed: StageCost, peer_costs: Mapping[str, Cost], kept: int) -> None:
    whole = _sum(list(peer_costs.values()))
    beyond = ours.whole.wall_seconds - fixed.whole.wall_seconds
    sides = {f"datatrove, {name}": cost for name, cost in peer_costs.items()}
    sides |= {"datatrove, whole": whole, "ours, signatures": ours.signatures, "ours, rest": ours.rest}
    sides |= {"ours, whole": ours.whole}
    rows = [
        [
            name,
            figure(cost.wall_seconds),
            figure(cost.cpu_seconds),
            figure(cost.rate / 1e6),
            figure(cost.rate / whole.rate) if name.endswith("whole") else "",
        ]
        for name, cost in sides.items()
    ]
    if beyond > 0:
        rate = ours.whole.amount / beyond
        rows.append(["ours, beyond fixed", figure(beyond), "", figure(rate / 1e6), figure(rate / whole.rate)])
    show(
        f"deduped: datatrove {peers.version('datatrove')} and ours, the same text; datatrove keeps {kept:,} documents, "
        f"ours {ours.kept:,}",
        ["", "seconds", "CPU s", "MB/s", "× datatrove"],
        rows,
    )


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        amount=costs[0].amount,
        wall_seconds=sum(cost.wall_seconds for cost in costs),
        cpu_seconds=sum(cost.cpu_seconds for cost in costs),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.deduped", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"which parts: {', '.join(PARTS)}; none: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes: for development")
    size.add_argument("--full", action="store_true", help="and 400 MB of text, 20 million signatures, 10 million edges")
    given = parser.parse_args()
    if unknown := sorted(set(given.parts) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    main(QUICK if given.quick else FULL if given.full else DEFAULT, given.parts or PARTS)
