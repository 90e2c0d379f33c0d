"""datatrove's half of the bench `deduped`, run by the Python of the peers' environment.

    .venv/peers/bin/python -m bench.deduped_peer --texts texts/ --to work/ --processes 2

`texts/` holds .jsonl files, one a process, so that every process has one task and loads spaCy's words once a stage;
files are neither read nor written compressed. Workers are forked, with everything imported. All this favours the peer.
Printed is a JSON object: `costs`, by stage (`bench.measure.Cost`), and how many documents were `kept`.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import load_word_tokenizer

from bench.measure import below

Stages = dict[str, Callable[[], object]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--ngram", type=int, default=5)
    parser.add_argument("--bands", type=int, default=14)
    parser.add_argument("--rows", type=int, default=8)
    given = parser.parse_args()
    config = MinhashConfig(
        n_grams=given.ngram,
        num_buckets=given.bands,
        hashes_per_bucket=given.rows,
        hash_config=HashConfig(precision=64, hash_fc="xxhash"),
    )
    load_word_tokenizer("eng").word_tokenize("The import of spaCy is not measured.")
    reader = JsonlReader(str(given.texts), compression=None)
    writer = JsonlWriter(str(given.to / "kept"), output_filename="${rank}.jsonl", compression=None)
    works = stages(reader, writer, given.to, given.processes, config)
    costs = {name: asdict(below(work)) for name, work in works.items()}
    kept = sum(len(path.read_bytes().splitlines()) for path in (given.to / "kept").iterdir())
    print(json.dumps({"costs": costs, "kept": kept}))


def stages(reader: PipelineStep, last: PipelineStep, to: Path, processes: int, config: MinhashConfig) -> Stages:
    """datatrove's four stages, in their order; `last` is given the documents that stay."""
    signatures, buckets, clusters = (str(to / name) for name in ("signatures", "buckets", "clusters"))
    sign = MinhashDedupSignature(signatures, config=config)
    pair = MinhashDedupBuckets(signatures, buckets, config=config)
    cluster = MinhashDedupCluster(buckets, clusters, config=config)
    return {
        "signatures": executor("signatures", to, processes, processes, reader, sign),
        "buckets": executor("buckets", to, processes, config.num_buckets, pair),
        "cluster": executor("cluster", to, processes, 1, cluster),
        "filter": executor("filter", to, processes, processes, reader, MinhashDedupFilter(clusters), last),
    }


def executor(name: str, to: Path, processes: int, tasks: int, *pipeline: PipelineStep) -> Callable[[], object]:
    """What runs a pipeline in so many tasks, on as many processes or fewer; logs go below `to`."""
    workers, logs = min(tasks, processes), str(to / "logs" / name)
    one = LocalPipelineExecutor(list(pipeline), tasks=tasks, workers=workers, logging_dir=logs, start_method="fork")
    return lambda: one.run()


if __name__ == "__main__":
    main()
