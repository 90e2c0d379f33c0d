"""Filters: datatrove's and ours on the same text and the same cores; memory; Spark; and the agreement of decisions.

    python -m bench.filtered            at least 50 MB of text, 400 MB through Spark, medians of 3
    python -m bench.filtered --quick    2 MB of text, 16 MB through Spark, each once: for development

The text: documentation files and docstrings of the Python environment, no text twice (`bench.prose`); through Spark go
copies of it, each a document of its own. Our rule sets: what a task does with its batches of documents, measuring what
the rules compare, and deciding (`filtered_kernel`). datatrove: its filter of that name; it has none for `code`. Its
`all` gives each text to all four filters, one after the other, rejected or not, so that its cache of words serves all
of them; `sum` adds up the four filters run alone; `pipeline` stops at the first filter that rejects a text, as its own
pipelines do. Ours are always all rule sets on all texts. MB are 10⁶ bytes of UTF-8.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from bench import filtered_agreement, filtered_long, peers
from bench.filtered_kernel import ALL, batches, chosen_rules, judge
from bench.measure import Case, Cost, at_once, interleaved, median_cost
from bench.prose import gathered
from bench.table import figure, show
from pipeline.filtered import changes, compression, language, signals
from pipeline.filtered.decisions import Choice
from pipeline.filtered.edit_rules import LineRules, PiiKind
from pipeline.filtered.rule_sets import RULE_SETS
from pipeline.filtered.rules import Rule

PIPELINE, SUM = "pipeline", "sum"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of distinct text; how often Spark is given it; documents whose decisions are compared; bytes of the long
    document, of which a tenth is measured too. `peer`: datatrove is measured; `spark`: Spark is."""

    text_bytes: int = 51_000_000
    spark_copies: int = 8
    agreement_documents: int = 5_000
    long_bytes: int = 100_000_000
    processes: int = os.cpu_count() or 1
    rounds: int = 3
    peer: bool = True
    spark: bool = True


FULL = Sizes()
QUICK = Sizes(text_bytes=2_000_000, agreement_documents=1_000, long_bytes=10_000_000, rounds=1)


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    prose = gathered(sizes.text_bytes, sizes.processes)
    print(
        f"\nfiltered: {len(prose.texts):,} distinct texts of {prose.n_bytes / 1e6:.1f} MB, documentation files "
        f"{prose.documentation_bytes / 1e6:.1f} MB, docstrings {prose.docstring_bytes / 1e6:.1f} MB; "
        f"{sizes.processes} processes; {f'medians of {sizes.rounds} runs' if sizes.rounds > 1 else 'one run'}; "
        f"datatrove {peers.version('datatrove')}"
    )
    with TemporaryDirectory() as folder:
        speed(prose.texts, prose.n_bytes, sizes, Path(folder))
        memory(prose.texts, sizes)
        filtered_long.main(sizes.long_bytes, sizes.rounds)
        if sizes.spark:
            through_spark(prose.texts, prose.n_bytes, sizes, Path(folder))
    if sizes.peer:
        filtered_agreement.compare(prose.texts[: sizes.agreement_documents])


def speed(texts: list[str], n_bytes: int, sizes: Sizes, folder: Path) -> None:
    """Each rule set and all together, ours and datatrove's, on all processes; what is not among them, on one."""
    parts = [pa.array(texts[number :: sizes.processes], pa.large_string()) for number in range(sizes.processes)]
    chosen = chosen_rules()
    judge(parts[0][:10], chosen[ALL])  # compiles, or loads what has been compiled
    cases: dict[str, Case] = {f"ours {name}": _ours(parts, own, n_bytes) for name, own in chosen.items()}
    if sizes.peer:
        file = peers.write_texts(texts, folder / "texts.jsonl")
        cases |= {f"peer {name}": _peer(file, n_bytes, sizes.processes, [name]) for name in peers.FILTERS}
        cases[f"peer {ALL}"] = _peer(file, n_bytes, sizes.processes, peers.FILTERS)
        cases[f"peer {PIPELINE}"] = _peer(file, n_bytes, sizes.processes, peers.FILTERS, "--pipeline")
    costs = interleaved(cases, sizes.rounds)
    if sizes.peer:
        costs[f"peer {SUM}"] = _sum([costs[f"peer {name}"] for name in peers.FILTERS])
    _show_speed(costs, sizes.processes)
    apart_costs = interleaved(apart_from_rules(pa.array(texts, pa.large_string()), n_bytes), sizes.rounds)
    show(
        "filtered: beside the rule sets, one process",
        ["", "MB/s", "CPU s/MB", "peak MB"],
        [[name, figure(cost.rate / 1e6), *_cpu_and_peak(cost, 1)] for name, cost in apart_costs.items()],
    )


def apart_from_rules(texts: pa.Array, n_bytes: int) -> dict[str, Case]:
    """What is measured only where a recipe asks for it, and what changes texts."""
    works: dict[str, Callable[[pa.Array], object]] = {
        "language": language.identify,
        "compression ratio": compression.measure,
        "all signals": signals.measure,
        "lines of c4 cut": lambda batch: changes.change(batch, Choice(lines=LineRules())),
        "personal data masked": lambda batch: changes.change(batch, Choice(masks=tuple(PiiKind))),
    }
    for work in works.values():
        work(texts[:10])

    def case(name: str) -> Case:
        return lambda: at_once([lambda: [works[name](batch) for batch in batches(texts)]], n_bytes)

    return {name: case(name) for name in works}


def memory(texts: list[str], sizes: Sizes) -> None:
    """All rule sets on one process, its start with it: 4 times the documents; a document 10 and 100 times as long."""
    chosen = chosen_rules()[ALL]
    few = pa.array(texts[: len(texts) // 4], pa.large_string())
    many = pa.array(texts, pa.large_string())
    page = "\n\n".join(texts).encode()
    page *= -(-sizes.long_bytes // (2 * len(page)))
    twice = {n: page[: n // 2].decode(errors="ignore") * 2 for n in (sizes.long_bytes // k for k in (100, 10, 1))}
    named = {
        f"{len(few):,} documents": few,
        f"{len(many):,} documents": many,
        **{f"one document of {n / 1e6:g} MB": pa.array([text], pa.large_string()) for n, text in twice.items()},
    }

    def case(array: pa.Array) -> Case:
        n_bytes = pc.sum(pc.binary_length(array)).as_py()
        return lambda: at_once([partial(judge, array, chosen)], n_bytes)

    costs = interleaved({name: case(array) for name, array in named.items()}, sizes.rounds)
    show(
        "filtered: memory, all rule sets, a new process (0.5 s of it its start)",
        ["", "MB", "MB/s", "CPU s/MB", "peak MB"],
        [
            [name, figure(cost.amount / 1e6), figure(cost.rate / 1e6), *_cpu_and_peak(cost, 1)]
            for name, cost in costs.items()
        ],
    )


def through_spark(texts: list[str], n_bytes: int, sizes: Sizes, folder: Path) -> None:
    """The job `filtered` with all rule sets, from documents to published datasets."""
    from bench import filtered_spark  # a JVM is started

    costs = filtered_spark.measure(
        folder, texts, n_bytes, sizes.spark_copies, list(RULE_SETS), sizes.processes, sizes.rounds
    )
    cost = median_cost(costs)
    show(
        f"filtered: through Spark, all rule sets, the text {sizes.spark_copies} times, after the fixed start",
        ["", "MB", "seconds", "MB/s a core", "CPU s/MB"],
        [
            [
                f"job `filtered`, {sizes.processes} cores",
                figure(cost.amount / 1e6),
                figure(cost.wall_seconds),
                figure(cost.rate / sizes.processes / 1e6),
                figure(cost.cpu_seconds / cost.amount * 1e6),
            ]
        ],
    )


def _ours(parts: Sequence[pa.Array], chosen: Sequence[Rule], n_bytes: int) -> Case:
    return lambda: at_once([partial(judge, part, chosen) for part in parts], n_bytes)


def _peer(file: Path, n_bytes: int, processes: int, filters: Sequence[str], *options: str) -> Case:
    return lambda: peers.cost(file, n_bytes, processes, filters, *options)


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        amount=costs[0].amount,
        wall_seconds=sum(cost.wall_seconds for cost in costs),
        cpu_seconds=sum(cost.cpu_seconds for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
    )


def _cpu_and_peak(cost: Cost, processes: int) -> list[str]:
    return [figure(cost.cpu_seconds / cost.amount * 1e6), figure(cost.peak_bytes / processes / 1e6)]


def _show_speed(costs: Mapping[str, Cost], processes: int) -> None:
    rows = []
    for name in (*RULE_SETS, ALL, SUM, PIPELINE):
        ours = costs.get(f"ours {name}", costs[f"ours {ALL}"])
        peer = costs.get(f"peer {name}")
        if peer is None and f"ours {name}" not in costs:
            continue
        found = [name]
        for cost in (ours, peer):
            found += [figure(cost.rate / processes / 1e6), *_cpu_and_peak(cost, processes)] if cost else ["", "", ""]
        by_cpu = peer.cpu_seconds / ours.cpu_seconds if peer else 0
        rows.append([*found, *([figure(ours.rate / peer.rate), figure(by_cpu)] if peer else ["", ""])])
    header = ["MB/s a core", "CPU s/MB", "peak MB"]
    show(
        f"filtered: ours, then datatrove's, {processes} processes; peak memory of one, beyond the text",
        ["", *header, *header, "ours × datatrove", "by CPU s"],
        rows,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.filtered", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 MB of text, once: for development")
    main(QUICK if parser.parse_args().quick else FULL)
