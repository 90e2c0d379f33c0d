"""datatrove's half of the bench `decontaminated`, run by the Python of the peers' environment, on one core.

    .venv/peers/bin/python -m bench.decontaminated_peer --items items.jsonl --documents documents.jsonl \
        --texts texts.jsonl --rounds 3

A line of each file is a JSON string. Items are given as labels, by datatrove's defaults (n-grams of 12 words, one of
which is enough). Printed is a JSON object: `found`, which of the documents it rejects; `n_texts`, how many of the
texts; `cost`, of looking through the texts (`bench.measure.Cost`), spaCy's start, imports, reading and the index apart.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import NGramsDecontFilter, NGramsDecontIndexer

from bench.measure import median_cost, timed


class Indexer(NGramsDecontIndexer):  # type: ignore[misc]  # datatrove is in the peers' environment only
    """Without lighteval, which is needed for the tasks that it knows by name, not for texts."""

    def __new__(cls, *_: object) -> "Indexer":
        return object.__new__(cls)  # its own asks for lighteval


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    for name in ("items", "documents", "texts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    given = parser.parse_args()
    items, documents, texts = (read(path) for path in (given.items, given.documents, given.texts))
    with TemporaryDirectory() as folder:
        index(items, Path(folder))
        one = NGramsDecontFilter(folder)
        one.load_index_hashes()
        rejects(one, "The start of spaCy is not measured.")
        n_bytes = sum(len(text.encode()) for text in texts)
        n_found: list[int] = []

        def look() -> None:
            n_found.append(sum(rejects(one, text) for text in texts))

        costs = [timed(look, n_bytes) for _ in range(given.rounds)]
        found = [rejects(one, text) for text in documents]
    print(json.dumps({"found": found, "n_texts": n_found[0], "cost": asdict(median_cost(costs))}))


def read(path: Path) -> list[str]:
    """The texts of a file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def index(items: list[str], folder: Path) -> None:
    """Hash the items' n-grams, and write them as the filter reads them."""
    indexer = Indexer(str(folder))
    hashes = {found for item in items for found in indexer.compute_hashes(item)}
    np.array(list(hashes), dtype=indexer.config.hash_config.np_descr).tofile(folder / "made.index.hashes")


def rejects(one: NGramsDecontFilter, text: str) -> bool:
    """Whether a document is said to be contaminated."""
    return one.filter(Document(text=text, id="0")) is not True


if __name__ == "__main__":
    main()
