"""LLM Foundry's way to tokens in MDS shards, step by step; the package itself is not installed.

What its `convert_dataset_json` does with each document (`llmfoundry.data.ConcatTokensDataset`): a fast tokenizer of
`transformers` makes a list of ids, which is added to a list with EOS behind; from 2,048 ids on, the first of them
become a row of int32 for `MDSWriter`. That script has one process; its `convert_text_to_mds` gives each process a
group of the files and a folder, and then moves all shards to one folder and joins the indexes: so do we. Left out are
Hugging Face's `datasets`, which reads the JSON there (here: `json`), and its progress bar.
"""

import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from bench.measure import Cost, at_once, timed
from pipeline.mds.writer import INDEX
from pipeline.tokenized.tokenizer import TRAINED_EOS
from tests.real_streaming import import_streaming


def cost(texts: Sequence[str], json_text: str, sequence_length: int, processes: int, folder: Path) -> tuple[Cost, int]:
    """What it costs to tokenize the texts into a new folder, by so many processes, and the number of rows. Imports are
    done before."""
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json_text)
    for number in range(processes):
        lines = (json.dumps({"text": text}) + "\n" for text in texts[number::processes])
        (folder / f"{number}.jsonl").write_text("".join(lines))
    out = folder / "out"
    import_streaming()
    works = [
        partial(convert, folder / f"{number}.jsonl", folder / "tokenizer.json", sequence_length, out / str(number))
        for number in range(processes)
    ]
    converted, merged = at_once(works), timed(lambda: merge(out))
    whole = Cost(
        amount=sum(len(text.encode()) for text in texts),
        wall_seconds=converted.wall_seconds + merged.wall_seconds,
        cpu_seconds=converted.cpu_seconds + merged.cpu_seconds,
        peak_bytes=converted.peak_bytes,
    )
    return whole, sum(entry["samples"] for entry in json.loads((out / INDEX).read_text())["shards"])


def convert(texts: Path, tokenizer_file: Path, sequence_length: int, out: Path) -> None:
    """One process: a file of JSON lines into shards with an index."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as ConcatTokensDataset does
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file))  # type: ignore[no-untyped-call]
    tokenizer.model_max_length = int(1e30)
    with import_streaming().MDSWriter(columns={"tokens": "ndarray:int32"}, out=str(out), compression=None) as writer:
        for row in _rows(texts, tokenizer, sequence_length):
            writer.write({"tokens": np.asarray(row, dtype=np.int32)})


def merge(root: Path) -> None:
    """The shards of all folders below `root` in one, under one index."""
    infos: list[dict[str, Any]] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for info in json.loads((folder / INDEX).read_text())["shards"]:
            old, new = info["raw_data"]["basename"], f"shard.{len(infos):05}.mds"
            (folder / old).rename(root / new)
            info["raw_data"]["basename"] = new
            infos.append(info)
        (folder / INDEX).unlink()
        folder.rmdir()
    (root / INDEX).write_text(json.dumps({"version": 2, "shards": infos}, sort_keys=True))


def _rows(texts: Path, tokenizer: PreTrainedTokenizerFast, sequence_length: int) -> Iterator[list[int]]:
    eos = tokenizer(TRAINED_EOS, truncation=False, padding=False, add_special_tokens=False)["input_ids"]
    waiting: list[int] = []
    with texts.open(encoding="utf-8") as lines:
        for line in lines:
            ids = tokenizer(json.loads(line)["text"], truncation=False, padding=False)["input_ids"]
            waiting = waiting + ids + eos
            while len(waiting) >= sequence_length:
                row, waiting = waiting[:sequence_length], waiting[sequence_length:]
                yield row
