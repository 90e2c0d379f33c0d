"""Tokenizing: LLM Foundry's way and ours on the same prose, and what our stage makes of its engine's own speed.

    python -m bench.tokenized            20 MB for the peer, once; 400 MB through Spark, medians of 3
    python -m bench.tokenized --full     and 400 MB of source code, no text twice, through Spark
    python -m bench.tokenized --quick    2 MB and 16 MB, all once: for development

One tokenizer for all: byte-level BPE, trained on some of the prose; rows of 2,048 tokens.

* The peer: LLM Foundry's steps (`tokenized_peer`; the package is not installed) in as many processes as there are
  cores, from JSON lines to merged shards, its imports not counted.
* The stage: the job `tokenized` through Spark, from deduped documents to committed shards (`tokenized_stage`). The
  session is warm; *fixed* is what a source of a few documents takes then. The proof of the engine, which a job does
  once, is told apart.
* The engine alone: `Engine.encode` on Arrow batches of the stage's text, one thread, opened anew in each run; and
  `tokenizers` likewise, on the peer's text. Both go in turns with the stage.

Spark is given the prose several times, each copy a document of its own: more of its words have been met before than in
new text, which lets the engine run faster (and so asks more of the stage). `--full` takes text that repeats nothing.

Writer and reader alone, with `MDSWriter`, `MDSReader` and plain files: `bench.mds`; all engines: `bench.engines`. MB
are 10⁶ bytes of UTF-8.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import SparkSession

from bench import deduped_stage, engines, mosaic, tokenized_peer
from bench.measure import Cost, interleaved, timed
from bench.prose import gathered
from bench.table import figure, show
from bench.tokenized_stage import SEQUENCE_LENGTH, Prepared, StageCost
from pipeline import session
from pipeline.tokenized.engines.choice import Choice, choose
from pipeline.tokenized.engines.opening import REFERENCE
from pipeline.tokenized.tokenizer import train

TINY_DOCUMENTS = 40
WARM_RUNS = 3  # until the JVM has compiled what takes most
MIN_SHARE, MIN_TIMES = 0.4, 15  # issue 5: of the engine's speed, end to end; the engine's over that of `tokenizers`


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of distinct prose, of which the peer is given the first `peer_bytes`, and how often Spark is given it;
    bytes of source code (0: none)."""

    text_bytes: int = 51_000_000
    copies: int = 8
    peer_bytes: int = 20_000_000
    code_bytes: int = 0
    vocab_size: int = 32_000
    processes: int = os.cpu_count() or 1
    rounds: int = 3


DEFAULT = Sizes()
FULL = Sizes(code_bytes=400_000_000)
QUICK = Sizes(text_bytes=2_000_000, peer_bytes=2_000_000, vocab_size=8_000, rounds=1)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The stage on some text beside the engines alone, one thread each."""

    stage: StageCost
    engine: Cost
    reference: Cost


def main(sizes: Sizes = DEFAULT) -> None:
    """Measure and print."""
    texts = gathered(sizes.text_bytes, sizes.processes).texts
    few = _first(texts, sizes.peer_bytes)
    json_text = train(texts[: engines.TRAIN_DOCUMENTS], sizes.vocab_size, bos=False)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with mosaic.contained(folder):
            peer, peer_rows = tokenized_peer.cost(few, json_text, SEQUENCE_LENGTH, sizes.processes, folder / "peer")
        found: list[Choice] = []
        proof = timed(lambda: found.append(choose(json_text)))
        [choice] = found
        print(f"\ntokenized: {choice}, proven in {figure(proof.wall_seconds)} s; vocabulary of {sizes.vocab_size:,}")
        spark = session.start("bench", cores=sizes.processes)
        try:
            fixed = _fixed(spark, folder / "tiny", texts, json_text, choice)
            prose = measure(spark, folder / "prose", texts, sizes.copies, few, json_text, choice, sizes.rounds)
            _show_sides(peer, peer_rows, fixed, prose, sizes.processes)
            _show_stage(f"prose, {sizes.copies} times", fixed, prose, sizes)
            if sizes.code_bytes:
                code = deduped_stage.source_code(sizes.code_bytes)
                own = train(code[: engines.TRAIN_DOCUMENTS], sizes.vocab_size, bos=False)
                some = _first(code, sizes.peer_bytes)
                found_in_code = measure(spark, folder / "code", code, 1, some, own, choose(own), sizes.rounds)
                _show_stage("source code, no text twice", fixed, found_in_code, sizes)
        finally:
            spark.stop()


def measure(
    spark: SparkSession,
    folder: Path,
    texts: Sequence[str],
    copies: int,
    few: Sequence[str],
    json_text: str,
    choice: Choice,
    rounds: int,
) -> Measured:
    """The stage and the engine on `copies` times the texts, `tokenizers` on a `few` texts, in turns."""
    prepared = Prepared(spark, folder, texts, copies, json_text, choice)
    runs: list[StageCost] = []

    def stage() -> Cost:
        runs.append(prepared.run())
        return runs[-1].whole

    cases = {
        "stage": stage,
        "engine": lambda: engines.encode(choice.name, json_text, list(texts) * copies),
        "reference": lambda: engines.encode(REFERENCE, json_text, few),
    }
    costs = interleaved(cases, rounds)
    runs.sort(key=lambda run: run.whole.wall_seconds)
    return Measured(stage=runs[len(runs) // 2], engine=costs["engine"], reference=costs["reference"])


def _fixed(spark: SparkSession, folder: Path, texts: Sequence[str], json_text: str, choice: Choice) -> StageCost:
    tiny = Prepared(spark, folder, texts[:TINY_DOCUMENTS], 1, json_text, choice)
    return [tiny.run() for _ in range(WARM_RUNS)][-1]


def _first(texts: Sequence[str], n_bytes: int) -> Sequence[str]:
    """The first texts, `n_bytes` of them or all there are."""
    ends = accumulate(len(text.encode()) for text in texts)
    return texts[: next((number for number, end in enumerate(ends, 1) if end >= n_bytes), len(texts))]


def _beyond(stage: StageCost, fixed: StageCost) -> Cost:
    """The stage without its fixed start."""
    return Cost(
        amount=stage.whole.amount,
        wall_seconds=stage.whole.wall_seconds - fixed.whole.wall_seconds,
        cpu_seconds=stage.whole.cpu_seconds - fixed.whole.cpu_seconds,
    )


def _show_sides(peer: Cost, peer_rows: int, fixed: StageCost, ours: Measured, cores: int) -> None:
    sides = {
        f"LLM Foundry's way, {cores} processes": (peer, peer_rows),
        "ours, whole": (ours.stage.whole, ours.stage.samples),
        "ours, beyond fixed": (_beyond(ours.stage, fixed), ours.stage.samples),
    }
    rows = [
        [
            name,
            figure(cost.amount / 1e6),
            f"{samples:,}",
            figure(cost.wall_seconds),
            figure(cost.rate / cores / 1e6),
            figure(cost.cpu_seconds / cost.amount * 1e6),
            figure(cost.rate / peer.rate),
            figure(cost.amount / cost.cpu_seconds / (peer.amount / peer.cpu_seconds)),
        ]
        for name, (cost, samples) in sides.items()
    ]
    header = ["", "MB", "rows", "seconds", "MB/s a core", "CPU s/MB", "× the peer", "by CPU"]
    show(f"tokenized: documents to shards on {cores} cores; fixed: {figure(fixed.whole.wall_seconds)} s", header, rows)


def _show_stage(what: str, fixed: StageCost, found: Measured, sizes: Sizes) -> None:
    beyond, engine = _beyond(found.stage, fixed), found.engine
    a_core = beyond.rate / sizes.processes
    lines = {
        REFERENCE: (found.reference, found.reference.rate),
        "the engine alone": (engine, engine.rate),
        "the stage, beyond fixed": (beyond, a_core),
    }
    show(
        f"tokenized: {what}; medians of {sizes.rounds}",
        ["", "MB", "seconds", "MB/s a core", "CPU ms/MB", "of the engine", f"× {REFERENCE}"],
        [
            [
                name,
                figure(cost.amount / 1e6),
                figure(cost.wall_seconds),
                figure(rate / 1e6),
                figure(cost.cpu_seconds / cost.amount * 1e9),
                figure(rate / engine.rate),
                figure(rate / found.reference.rate),
            ]
            for name, (cost, rate) in lines.items()
        ],
    )
    usage, n_bytes = found.stage.usage, found.stage.whole.amount
    print(
        f"  CPU ms/MB: JVM {figure(usage.jvm_seconds / n_bytes * 1e9)}, Python workers "
        f"{figure(usage.python_seconds / n_bytes * 1e9)}; a worker held {figure(usage.peak_bytes / 1e6)} MB at most"
    )
    share, times = a_core / engine.rate, engine.rate / found.reference.rate
    print(f"  at least {MIN_SHARE:.0%} of the engine's speed, end to end: {share:.0%}, {_verdict(share >= MIN_SHARE)}")
    print(f"  engine at least {MIN_TIMES} × {REFERENCE}: {figure(times)}, {_verdict(times >= MIN_TIMES)}")


def _verdict(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.tokenized", description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes: for development")
    size.add_argument("--full", action="store_true", help="and 400 MB of source code")
    given = parser.parse_args()
    main(QUICK if given.quick else FULL if given.full else DEFAULT)
