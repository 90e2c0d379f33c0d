"""Whether a long document takes at most linear time: one of 12.5, 25, 50 and 100 MB; and one of 100 MB, ten of 10 MB
and a hundred of 1 MB, the same text.

    python -m bench.filtered_long       six minutes, by itself; `bench.filtered` has it too

All rule sets, in one process that has its compiled code loaded, those that are compared in turns. Of two texts:

* *prose*: a longer document repeats more of itself, and each n-gram that is repeated costs something;
* *prose, each MB in letters of its own* (a–z exchanged among themselves, in each MB otherwise): words of the same
  lengths, as often repeated within a MB, but of no MB in another. There the work is the same at all lengths.

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
SHARES = (8, 4, 2, 1)  # of the text one document has the first 8th, …
TOUCHED = 12  # bytes for each byte of a document
ROUNDS = 3


def main(n_bytes: int = BYTES, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    text = "\n\n".join(gathered(n_bytes, os.cpu_count() or 1).texts).encode()[:n_bytes]
    chosen = chosen_rules()[ALL]
    judge(_documents(text, max(PIECES))[0], chosen)  # the compiled code is loaded
    for name, one in (("prose", text), ("prose, each MB in letters of its own", exchanged(text, max(PIECES)))):
        _grown(name, one, chosen, rounds)
        cut = {n: _documents(one, n) for n in PIECES}
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


def _grown(name: str, text: bytes, chosen: Sequence[Rule], rounds: int) -> None:
    """One document, the text's first part, by its length."""
    sizes = [len(text) // share for share in SHARES]
    cases = {str(size): _case(_documents(text[:size], 1), chosen, size) for size in sizes}
    costs = interleaved(cases, rounds)
    first = costs[str(sizes[0])]
    show(
        f"filtered: one document of {name}, longer and longer; all rule sets, one process",
        ["MB", "seconds", "MB/s", "× linear", "CPU s", "× linear"],
        [
            [
                figure(size / 1e6),
                figure(cost.wall_seconds),
                figure(cost.rate / 1e6),
                f"{first.rate / cost.rate:.2f}",
                figure(cost.cpu_seconds),
                f"{cost.cpu_seconds / first.cpu_seconds * sizes[0] / size:.2f}",
            ]
            for size in sizes
            for cost in [costs[str(size)]]
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
