"""Engines of `pipeline.tokenized.engines` against `tokenizers`, one thread each, on the same prose and tokenizers.

Each run opens the engine anew (not counted), so what it remembers of words fills up within the run. Rates are by wall
time and by CPU second; documents with other ids than those of `tokenizers` are counted. Memory: how far one long
document, opened and encoded in a process of its own, lifts the peak.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tokenizers import Regex, Tokenizer, pre_tokenizers, trainers

from bench import prose
from bench.measure import Case, Cost, apart, interleaved, timed
from bench.table import figure, show
from pipeline.tokenized.engines.choice import choose
from pipeline.tokenized.engines.opening import FAST, REFERENCE, open_engine
from pipeline.tokenized.tokenizer import train

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TRAIN_DOCUMENTS = 4_000
VOCAB_SIZE = 32_000
BATCH_DOCUMENTS = 4_096  # what Spark gives a task at once: pipeline.session


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`tokenizers` is given the first `peer_bytes` of the text."""

    text_bytes: int = 64_000_000
    peer_bytes: int = 8_000_000
    document_bytes: int = 50_000_000
    rounds: int = 3


FULL = Sizes()
QUICK = Sizes(text_bytes=8_000_000, peer_bytes=1_000_000, document_bytes=4_000_000, rounds=1)


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    texts = prose.gathered(sizes.text_bytes, 2).texts
    few = _first(texts, sizes.peer_bytes)
    gpt_2 = train(texts[:TRAIN_DOCUMENTS], VOCAB_SIZE, bos=False)
    kinds = {
        "GPT-2's pattern": gpt_2,
        "Llama 3's pattern": llama_3(texts[:TRAIN_DOCUMENTS]),
        "single digits": digits(gpt_2),
    }
    document = _document(texts, sizes.document_bytes)
    for kind, json_text in kinds.items():
        choice = choose(json_text)
        refused = [refusal.name for refusal in choice.refused]
        engines = [name for name in FAST if name not in refused]
        peaks = {name: _peak(name, json_text, document) for name in (REFERENCE, *engines)}
        cases = {name: _case(name, json_text, few if name == REFERENCE else texts) for name in peaks}
        costs = interleaved(cases, sizes.rounds)
        differing = {name: _differing(name, json_text, few) for name in engines}
        title = f"engines: {kind}, vocabulary of {VOCAB_SIZE:,}; refused: {', '.join(refused) or 'none'}"
        _show(f"{title}; peak of a document of {len(document) / 1e6:.0f} MB", costs, peaks, differing)


def llama_3(texts: Sequence[str]) -> str:
    """A byte-level BPE with Llama 3's pattern, trained on the texts."""
    tokenizer = Tokenizer.from_str(train([], 257, bos=False))
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA_3), "isolated"), plain])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str())


def digits(json_text: str) -> str:
    """The same tokenizer, but each digit apart, as StarCoder's and SmolLM's."""
    tokenizer = Tokenizer.from_str(json_text)
    own = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), own])
    return str(tokenizer.to_str())


def encode(name: str, json_text: str, texts: Sequence[str]) -> Cost:
    """The cost of the texts in an engine opened anew, batch by batch; nothing is kept."""
    engine = open_engine(name, json_text)
    batches = [pa.array(texts[k : k + BATCH_DOCUMENTS], pa.string()) for k in range(0, len(texts), BATCH_DOCUMENTS)]
    n_bytes = sum(len(text.encode()) for text in texts)
    return timed(lambda: [len(engine.encode(batch).tokens) for batch in batches], n_bytes)


def _case(name: str, json_text: str, texts: Sequence[str]) -> Case:
    return lambda: encode(name, json_text, texts)


def _peak(name: str, json_text: str, document: str) -> int:
    return apart(lambda: open_engine(name, json_text).encode([document])).peak_bytes


def _differing(name: str, json_text: str, texts: Sequence[str]) -> str:
    ours, right = (open_engine(one, json_text).encode(texts).documents() for one in (name, REFERENCE))
    n = sum(not np.array_equal(mine, theirs) for mine, theirs in zip(ours, right, strict=True))
    return f"{n} of {len(texts):,}"


def _first(texts: Sequence[str], n_bytes: int) -> Sequence[str]:
    ends = np.cumsum([len(text.encode()) for text in texts])
    return texts[: int(np.searchsorted(ends, n_bytes)) + 1]


def _document(texts: Sequence[str], n_bytes: int) -> str:
    joined = "\n\n".join(texts).encode()
    return (joined * (n_bytes // len(joined) + 1))[:n_bytes].decode(errors="ignore")


def _show(title: str, costs: dict[str, Cost], peaks: dict[str, int], differing: dict[str, str]) -> None:
    slow = costs[REFERENCE]
    rows = [
        (
            name,
            figure(cost.rate / 1e6),
            figure(cost.amount / cost.cpu_seconds / 1e6),
            figure(cost.amount / cost.cpu_seconds / (slow.amount / slow.cpu_seconds)),
            differing.get(name, ""),
            figure(peaks[name] / 1e6),
        )
        for name, cost in costs.items()
    ]
    show(title, ("", "MB/s", "MB/CPU s", "times", "documents that differ", "peak MB"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description="Engines against tokenizers.")
    parser.add_argument("--quick", action="store_true", help="little text, one round")
    main(QUICK if parser.parse_args().quick else FULL)
