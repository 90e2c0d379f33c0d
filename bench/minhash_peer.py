"""rensa's half of the bench `minhash`, run by the Python of the peers' environment, on one core.

    .venv/peers/bin/python -m bench.minhash_peer --texts texts.jsonl --ngram 5 --permutations 112 --seed 1 --rounds 5

A line of `texts.jsonl` is a JSON string. Printed are the median costs (`bench.measure.Cost`) by name. The way is its
fastest that looks at every shingle, `RMinHash.digest_matrix_from_token_sets`; "rho" looks at samples of them.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rensa import RMinHash  # type: ignore[import-not-found]  # it is in the peers' environment only

from bench.measure import interleaved, timed
from bench.word_shingles import shingles


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=Path, required=True)
    for name in ("ngram", "permutations", "seed", "rounds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # read when rensa first starts its threads
    with given.texts.open(encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    n_bytes = sum(len(text) for text in texts)  # ASCII
    split = [shingles(text, given.ngram) for text in texts]
    works: dict[str, Callable[[], object]] = {
        "rensa, words and shingles included": lambda: RMinHash.digest_matrix_from_token_sets(
            [shingles(text, given.ngram) for text in texts], given.permutations, given.seed
        ),
        "rensa, of shingles made before": lambda: RMinHash.digest_matrix_from_token_sets(
            split, given.permutations, given.seed
        ),
    }
    works["rensa, of shingles made before"]()  # its permutations are made once
    costs = interleaved({name: partial(timed, work, n_bytes) for name, work in works.items()}, given.rounds)
    print(json.dumps({name: asdict(cost) for name, cost in costs.items()}))


if __name__ == "__main__":
    main()
