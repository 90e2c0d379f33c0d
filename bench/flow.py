"""The whole flow, from raw text to shards: datatrove's and ours on the same text and the same cores.

    python -m bench.flow            400 MB or more for us, the median of 3; 51 MB of it for datatrove, once
    python -m bench.flow --quick    8 MB and 2 MB, once: for development

The text: documentation and docstrings of the Python environment (`bench.prose`), as JSON lines, and copies of it in
other words, so that deduplication does not collapse them (`bench.edited`). Both sides read it, filter by Gopher's
quality and repetition rules, deduplicate with MinHash (14 bands of 8 rows, 5-word shingles) and tokenize with the same
byte-level BPE. Datatrove (`flow_peer`) is given the real texts, copy 0, and us all copies, in a session that has made a
mix before; a mix of a few documents then takes the *fixed* part. What the first mix of a new session takes is printed.

Datatrove's filters, whose words are other ones, pass few of these texts, so that little is left for its later stages.
`the same work` gives these stages the texts that our rules pass. We also measure what it does not: every signal of
every document, verified pairs, each removed document's reason, checksums, borders and provenance of rows. MB are 10⁶
bytes of UTF-8.
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import engines, flow_stages, peers
from bench.edited import Edited
from bench.flow_stages import Run
from bench.measure import Cost
from bench.prose import Prose, gathered
from bench.table import figure, show
from pipeline import session
from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches
from pipeline.tokenized.tokenizer import TRAINED_EOS, train

TINY_DOCUMENTS = 400  # some of which pass the rules
WARM_RUNS = 3  # until the JVM has compiled what takes most
MIN_TIMES = 30  # issue 8: of datatrove's MB/s


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of distinct text, all of which datatrove reads, and in how many copies we do. `peer`: datatrove is
    measured."""

    text_bytes: int = 51_000_000
    copies: int = 8
    vocab_size: int = 32_000
    processes: int = os.cpu_count() or 1
    rounds: int = 3
    peer: bool = True


FULL = Sizes()
QUICK = Sizes(text_bytes=2_000_000, copies=4, vocab_size=8_000, rounds=1)


@dataclass(frozen=True, kw_only=True)
class Ours:
    """Our flow: `first` and `fixed` on a few documents, in a new session (`start_seconds`) and in a warm one; `same` on
    what datatrove is given, of which `passed` has what our rules keep; `whole` on all copies, the median of the
    rounds."""

    start_seconds: float
    first: Run
    fixed: Run
    same: Run
    passed: Path
    whole: Run

    def beyond(self, run: Run) -> Cost:
        """A run without its fixed part."""
        return Cost(
            amount=run.whole.amount,
            wall_seconds=run.whole.wall_seconds - self.fixed.whole.wall_seconds,
            cpu_seconds=run.whole.cpu_seconds - self.fixed.whole.cpu_seconds,
        )


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    prose = gathered(sizes.text_bytes, sizes.processes)
    with TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = folder / "tokenizer.json"
        tokenizer.write_text(train(prose.texts[: engines.TRAIN_DOCUMENTS], sizes.vocab_size, bos=False))
        ours = measure(folder, prose, tokenizer, sizes)
        _show_ours(ours, prose, sizes)
        if sizes.peer:
            found = peer(folder, prose, tokenizer, ours.passed, sizes.processes)
            _show_sides(ours, found, prose.n_bytes, sizes.processes)


def measure(folder: Path, prose: Prose, tokenizer: Path, sizes: Sizes) -> Ours:
    """Our flow on all sizes of the text, in one session."""
    raw = folder / "raw"
    copies = Edited(prose.texts)
    tiny_bytes = flow_stages.write_raw(raw, prose.texts[:TINY_DOCUMENTS], "tiny")
    n_bytes = sum(flow_stages.write_raw(raw, copies.copy(k), f"copy-{k:03d}") for k in range(sizes.copies))

    def run(files: str, n_bytes: int) -> tuple[Run, Mapping[str, Dataset]]:
        shutil.rmtree(folder / "root", ignore_errors=True)
        return flow_stages.run(spark, raw, [files], n_bytes, folder / "root", tokenizer)

    started = time.perf_counter()
    spark = session.start("bench", cores=sizes.processes)
    start_seconds = time.perf_counter() - started
    try:
        first, *_, fixed = [run("tiny-*.jsonl", tiny_bytes)[0] for _ in range(1 + WARM_RUNS)]
        same, datasets = run("copy-000-*.jsonl", prose.n_bytes)
        passed = folder / "passed"
        flow_stages.write_raw(passed, _texts(datasets["filtered"]), "passed")
        runs = [run("copy-*.jsonl", n_bytes)[0] for _ in range(sizes.rounds)]
    finally:
        spark.stop()
    runs.sort(key=lambda run: run.whole.wall_seconds)
    return Ours(
        start_seconds=start_seconds, first=first, fixed=fixed, same=same, passed=passed, whole=runs[len(runs) // 2]
    )


def peer(folder: Path, prose: Prose, tokenizer: Path, passed: Path, processes: int) -> dict[str, Any]:
    """What `flow_peer` prints."""
    texts = folder / "peer-texts"
    texts.mkdir()
    _deal([json.dumps({"text": text, "id": ""}) + "\n" for text in prose.texts], texts, processes)
    ours = folder / "peer-passed"
    ours.mkdir()
    lines = [line.decode() for path in sorted(passed.iterdir()) for line in path.read_bytes().splitlines(keepends=True)]
    _deal(lines, ours, processes)
    options = {"--texts": texts, "--passed": ours, "--tokenizer": tokenizer, "--eos": TRAINED_EOS}
    options |= {"--to": folder / "peer", "--processes": processes}
    words = [str(word) for option in options.items() for word in option]
    found: dict[str, Any] = json.loads(peers.run("bench.flow_peer", *words))
    return found


def _deal(lines: list[str], folder: Path, processes: int) -> None:
    """A file for each process."""
    for number in range(processes):
        (folder / f"{number:02d}.jsonl").write_text("".join(lines[number::processes]), encoding="utf-8")


def _texts(dataset: Dataset) -> list[str]:
    batches = [batch for url in dataset.urls("filtered") for batch in read_batches(url, ["text"])]
    return [text for batch in batches for text in batch.column("text").to_pylist()]


def _show_ours(ours: Ours, prose: Prose, sizes: Sizes) -> None:
    print(
        f"\nflow: {len(prose.texts):,} texts of documentation and docstrings in {sizes.copies} copies; "
        f"{sizes.processes} cores; the median of {sizes.rounds}"
        f"\n  fixed start: session {figure(ours.start_seconds)} s, a first mix of {ours.first.documents} documents "
        f"{figure(ours.first.whole.wall_seconds)} s; in a warm session {figure(ours.fixed.whole.wall_seconds)} s"
    )
    columns = {
        f"{ours.fixed.documents} documents: fixed": ours.fixed,
        f"{figure(ours.same.whole.amount / 1e6)} MB": ours.same,
        f"{figure(ours.whole.whole.amount / 1e6)} MB": ours.whole,
    }
    rows = [
        [name, *[figure(value) for run in columns.values() for value in _figures(run, name)]]
        for name in (*ours.whole.stages, "whole")
    ]
    header = [cell for name in columns for cell in (f"{name}, s", "CPU s")]
    show("flow: ours by stage", ["", *header], rows)
    kept = [[name, f"{run.documents:,}", f"{run.passed:,}", f"{run.kept:,}", f"{run.tokens:,}"]
            for name, run in columns.items()]  # fmt: skip
    show("flow: what is left, ours", ["", "documents", "passed", "kept", "tokens in rows"], kept)


def _figures(run: Run, name: str) -> tuple[float, float]:
    cost = run.whole if name == "whole" else run.stages[name].cost
    return cost.wall_seconds, cost.cpu_seconds


def _show_sides(ours: Ours, found: Mapping[str, Any], n_bytes: int, processes: int) -> None:
    own, same = (_costs(found[name], n_bytes) for name in ("own", "same work"))
    rows = [[f"datatrove, {name}", *_cells(cost)] for name, cost in own.items()]
    rows += [
        [f"the same work, {name}", *_cells(cost)] for name, cost in same.items() if name not in own or cost != own[name]
    ]
    sides = {
        "datatrove": _sum(own),
        "datatrove, the same work": _sum(same),
        "ours, with the fixed part": ours.whole.whole,
        "ours, the same text": ours.beyond(ours.same),
        "ours": ours.beyond(ours.whole),
    }
    for name, cost in sides.items():
        times = [figure(cost.rate / sides[other].rate) for other in ("datatrove", "datatrove, the same work")]
        rows.append([name, *_cells(cost), *times])
    counts = [found[name] for name in ("own", "same work")]
    left = " / ".join(
        f"{count['passed']:,} passed, {count['kept']:,} kept, {count['tokens']:,} tokens" for count in counts
    )
    show(
        f"flow: datatrove {peers.version('datatrove')} (and the same work: {left}) and ours, {processes} cores",
        ["", "MB", "seconds", "CPU s", "MB/s", "× datatrove", "× the same work"],
        [row + [""] * (7 - len(row)) for row in rows],
    )
    faster = sides["ours"].rate / sides["datatrove"].rate
    print(
        f"  at least {MIN_TIMES} × datatrove, after the fixed start: {figure(faster)}, {_verdict(faster >= MIN_TIMES)}"
    )


def _costs(found: Mapping[str, Any], n_bytes: int) -> dict[str, Cost]:
    return {name: Cost(**cost | {"amount": n_bytes}) for name, cost in found["costs"].items()}


def _cells(cost: Cost) -> list[str]:
    numbers = (cost.amount / 1e6, cost.wall_seconds, cost.cpu_seconds, cost.rate / 1e6)
    return [figure(number) for number in numbers]


def _sum(costs: Mapping[str, Cost]) -> Cost:
    return Cost(
        amount=next(iter(costs.values())).amount,
        wall_seconds=sum(cost.wall_seconds for cost in costs.values()),
        cpu_seconds=sum(cost.cpu_seconds for cost in costs.values()),
    )


def _verdict(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.flow", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 MB and 2 MB of text, once: for development")
    main(QUICK if parser.parse_args().quick else FULL)
