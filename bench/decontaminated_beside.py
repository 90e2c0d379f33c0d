"""Looking for evaluation items as datatrove does, and as we do: the same items in the same documents and texts."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import peers
from bench.measure import Case, Cost, interleaved, timed
from bench.table import figure, show

KIND_BYTES = 1_000_000  # documents of each kind that both are given

Look = Callable[[Sequence[str]], set[int]]
"""Documents → the numbers of those that hold an item."""


def show_beside(
    items: Sequence[str], documents: Mapping[str, list[str]], texts: list[str], look: Look, rounds: int
) -> None:
    """Print how many documents of each kind, in each of which an item is hidden, both find; and how fast they look
    through texts. Ours `look`s for the same items."""
    chosen = {name: first(own, KIND_BYTES) for name, own in documents.items()}
    everyone = [text for own in chosen.values() for text in own]
    with TemporaryDirectory() as folder:
        written = {"items": list(items), "documents": everyone, "texts": texts}
        files = {name: peers.write_texts(given, Path(folder, f"{name}.jsonl")) for name, given in written.items()}
        options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
        theirs = json.loads(peers.run("bench.decontaminated_peer", *options, "--rounds", str(rounds)))
    mine, rows, before = look(everyone), [], 0
    for name, own in chosen.items():
        numbers = range(before, before + len(own))
        before += len(own)
        found = (sum(number in mine for number in numbers), sum(theirs["found"][number] for number in numbers))
        rows.append([name, f"{len(own):,}", *(f"{n / max(1, len(own)):.1%}" for n in found)])
    version = peers.version("datatrove")
    show(
        "decontaminated: documents found of those with a hidden item",
        ["", "documents", "ours", f"datatrove {version}"],
        rows,
    )
    n_bytes = sum(len(text.encode()) for text in texts)
    cases: dict[str, Case] = {"ours": lambda: timed(partial(look, texts), n_bytes)}
    costs = interleaved(cases, rounds) | {f"datatrove {version}": Cost(**theirs["cost"])}
    numbers_found = {"ours": len(look(texts)), f"datatrove {version}": theirs["n_texts"]}
    show(
        f"decontaminated: looking for {len(items):,} items in {len(texts):,} documents of source code, one core",
        ["", "MB", "MB/s", "CPU s", "of ours", "documents said to hold one"],
        [
            [
                name, figure(cost.amount / 1e6), figure(cost.amount / cost.cpu_seconds / 1e6),
                figure(cost.cpu_seconds), figure(cost.cpu_seconds / costs["ours"].cpu_seconds),
                f"{numbers_found[name]:,}",
            ]
            for name, cost in costs.items()
        ],
    )  # fmt: skip


def first(texts: list[str], n_bytes: int) -> list[str]:
    """The first of the texts, of so many bytes in all; one at least."""
    ends, total = 0, 0
    for text in texts:
        total += len(text.encode())
        if ends and total > n_bytes:
            break
        ends += 1
    return texts[:ends]
