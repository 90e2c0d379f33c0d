"""datatrove's half of the bench `flow`, run by the Python of the peers' environment.

    .venv/peers/bin/python -m bench.flow_peer --texts texts/ --passed ours/ --tokenizer tokenizer.json --eos '<eos>' \\
        --to work/ --processes 2

Its own steps: JSON lines → Gopher's quality, then repetition filter → JSON lines → MinHash in four stages, the last of
which hands the documents that stay to the tokenizer → shuffled token files. As in `deduped_peer`, all that is left to
choose favours the peer: a file of texts for each process, nothing compressed, workers forked with everything imported;
and its joining of the token files of several tasks is left out. Then MinHash and what follows once more, on the texts
of `ours/` in place of those that passed its filters. Printed is a JSON object, `own` and `same work`, of each: `costs`,
by stage (`bench.measure.Cost`), how many documents `passed` the filters and were `kept` in the end, and their `tokens`.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import load_word_tokenizer

from bench.deduped_peer import executor, stages
from bench.measure import below

TOKEN_BYTES = 2  # of a vocabulary of at most 65,536
END_BYTES = 8  # an .index file holds where each document ends, as uint64


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--passed", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--eos", required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--processes", type=int, required=True)
    given = parser.parse_args()
    load_word_tokenizer("eng").word_tokenize("The import of spaCy is not measured.")
    passed = given.to / "passed"
    reader = JsonlReader(str(given.texts), compression=None)
    writer = JsonlWriter(str(passed), output_filename="${rank}.jsonl", compression=None)
    filters = (GopherQualityFilter(), GopherRepetitionFilter())
    filtered = below(executor("filters", given.to, given.processes, given.processes, reader, *filters, writer))
    found = {"own": rest(passed, given.to / "own", given), "same work": rest(given.passed, given.to / "same", given)}
    for one in found.values():
        one["costs"] = {"filters": asdict(filtered)} | one["costs"]
    print(json.dumps(found))


def rest(passed: Path, to: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What follows the filters, on the texts of `passed`."""
    config = MinhashConfig(
        n_grams=5, num_buckets=14, hashes_per_bucket=8, hash_config=HashConfig(precision=64, hash_fc="xxhash")
    )
    tokens = to / "tokens"
    encode = DocumentTokenizer(str(tokens), str(given.tokenizer), eos_token=given.eos, seed=1)
    works = stages(JsonlReader(str(passed), compression=None), encode, to, given.processes, config)
    works["filter and tokens"] = works.pop("filter")
    return {
        "costs": {name: asdict(below(work)) for name, work in works.items()},
        "passed": sum(len(path.read_bytes().splitlines()) for path in passed.iterdir()),
        "kept": sum(path.stat().st_size // END_BYTES for path in tokens.glob("*.ds.index")),
        "tokens": sum(path.stat().st_size // TOKEN_BYTES for path in tokens.glob("*.ds")),
    }


if __name__ == "__main__":
    main()
