"""Whether a long document takes at most linear time: one of 100 MB, ten of 10 MB and a hundred of 1 MB, the same text.

    python -m bench.filtered_long       two minutes, by itself; `bench.filtered` has it too

All rule sets, in one process that has its compiled code loaded, the three in turns. Of two texts:

* *prose*: a longer document repeats more of itself, and each n-gram that is repeated costs something;
* *prose, each MB in letters of its own* (a–z exchanged among themselves, in each MB otherwise): words of the same
  lengths, as often repeated within a MB, but of no MB in another. There the work is the same in all three.

Before each run memory is touched and given back, as in `deduped_linear`: what a virtual machine takes to get pages from
its host, at 1 to 2 ms a MB, is not counted against the one document that needs more of them.
"""

import os
import random
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

import numpy as np
import pyarrow as pa

from bench.filtered_kernel import ALL, chosen_rules, judge
from bench.measure import Case, Cost, interleaved, timed
from bench.prose import gathered
from bench.table import figure, show
from pipeline.filtered.rules import Rule

BYTES = 100_000_000
PIECES = (100, 10, 1)  # documents that the text is cut into
TOUCHED = 12  # bytes for each byte of a document
ROUNDS = 3


def main(n_bytes: int = BYTES, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    text = "\n\n".join(gathered(n_bytes, os.cpu_count() or 1).texts).encode()[:n_bytes]
    chosen = chosen_rules()[ALL]
    for name, one in (("prose", text), ("prose, each MB in letters of its own", exchanged(text, max(PIECES)))):
        cut = {n: _documents(one, n) for n in PIECES}
        judge(cut[max(PIECES)][0], chosen)  # the compiled code is loaded
        costs = interleaved({str(n): _case(documents, chosen, len(one)) for n, documents in cut.items()}, rounds)
        most = costs[str(max(PIECES))]
        show(
            f"filtered: long documents of {name}; all rule sets, one process",
            ["documents", "MB each", "MB/s", "CPU ms/MB", "× the shortest", "without the system", "× the shortest"],
            [
                [
                    f"{n}",
                    figure(len(one) / n / 1e6),
                    figure(costs[str(n)].rate / 1e6),
                    figure(costs[str(n)].cpu_seconds / len(one) * 1e9),
                    f"{costs[str(n)].cpu_seconds / most.cpu_seconds:.2f}",
                    figure(_own(costs[str(n)]) / len(one) * 1e9),
                    f"{_own(costs[str(n)]) / _own(most):.2f}",
                ]
                for n in PIECES
            ],
        )


def exchanged(text: bytes, n: int) -> bytes:
    """The text in `n` parts of one length, each with its letters a–z exchanged among themselves in a way of its own."""
    lower, upper = ascii_lowercase.encode(), ascii_uppercase.encode()
    size, parts = len(text) // n, []
    for k in range(n):
        order = random.Random(k).sample(range(26), 26)
        letters = bytes(lower[i] for i in order) + bytes(upper[i] for i in order)
        parts.append(text[k * size : (k + 1) * size].translate(bytes.maketrans(lower + upper, letters)))
    return b"".join(parts)


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

    def run() -> Cost:
        np.ones(TOUCHED * n_bytes, np.uint8)
        return timed(work, n_bytes)

    return run


if __name__ == "__main__":
    main()
