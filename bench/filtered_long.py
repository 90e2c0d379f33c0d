"""Whether a long document takes at most linear time: one of 100 MB, ten of 10 MB and a hundred of 1 MB, the same text.

    python -m bench.filtered_long       a minute, by itself; `bench.filtered` has it too

All rule sets, in one process that has its compiled code loaded, the three in turns. The text repeats nothing but what
prose repeats; a longer document repeats more of itself, which is looked at too.
"""

import os
from collections.abc import Sequence

import pyarrow as pa

from bench.filtered_kernel import ALL, chosen_rules, judge
from bench.measure import Case, Cost, interleaved, timed
from bench.prose import gathered
from bench.table import figure, show
from pipeline.filtered.rules import Rule

BYTES = 100_000_000
PIECES = (100, 10, 1)  # documents that the text is cut into
ROUNDS = 3


def main(n_bytes: int = BYTES, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    text = "\n\n".join(gathered(n_bytes, os.cpu_count() or 1).texts).encode()[:n_bytes]
    chosen = chosen_rules()[ALL]
    cut = {n: _documents(text, n) for n in PIECES}
    judge(cut[max(PIECES)][0], chosen)  # the compiled code is loaded
    costs = interleaved({str(n): _case(documents, chosen, len(text)) for n, documents in cut.items()}, rounds)
    most = costs[str(max(PIECES))]
    show(
        "filtered: long documents, all rule sets, one process",
        ["documents", "MB each", "MB/s", "CPU ms/MB", "× the shortest", "without the system", "× the shortest"],
        [
            [
                f"{n}",
                figure(len(text) / n / 1e6),
                figure(costs[str(n)].rate / 1e6),
                figure(costs[str(n)].cpu_seconds / len(text) * 1e9),
                f"{costs[str(n)].cpu_seconds / most.cpu_seconds:.2f}",
                figure(_own(costs[str(n)]) / len(text) * 1e9),
                f"{_own(costs[str(n)]) / _own(most):.2f}",
            ]
            for n in PIECES
        ],
    )


def _own(cost: Cost) -> float:
    """CPU seconds without the system's: it hands out, cleared, the memory that only a long document needs."""
    return cost.cpu_seconds - cost.system_seconds


def _documents(text: bytes, n: int) -> list[pa.Array]:
    """The text as n documents of one length, each a batch of its own."""
    size = len(text) // n
    pieces = (text[k * size : (k + 1) * size].decode(errors="ignore") for k in range(n))
    return [pa.array([piece], pa.large_string()) for piece in pieces]


def _case(documents: Sequence[pa.Array], chosen: Sequence[Rule], n_bytes: int) -> Case:
    def work() -> None:
        for document in documents:
            judge(document, chosen)

    return lambda: timed(work, n_bytes)


if __name__ == "__main__":
    main()
