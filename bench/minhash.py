"""MinHash signatures against datasketch and rensa, on the Python standard library's sources, one core each.

datasketch and we give the very same numbers, which is checked: 112 of the scheme affine32 from 5-word shingles, xxh64.
rensa has a scheme of its own, which does not take 112 steps a shingle, and as many numbers. The peers are given their
fastest ways, `MinHash.bulk` and a matrix of `RMinHash`. Words and shingles are made by us in compiled code, and for the
peers in Python (`text.lower().split()`), as their users do; so they are measured with that and without it. rensa runs
in the environment of `bench.peers`, before the others.
"""

import json
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import xxhash
from datasketch import MinHash

from bench import peers
from bench.measure import Case, Cost, interleaved, timed
from bench.table import figure, show
from bench.word_shingles import shingles
from pipeline.deduped.minhash import signatures

NGRAM, N_PERMUTATIONS, SEED = 5, 112, 1
WHOLE = "datasketch, words and shingles included"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of text for us and, of these, for the peers; `rensa`: it is measured, in the peers' environment."""

    text_bytes: int = 20_000_000
    peer_bytes: int = 4_000_000
    rounds: int = 5
    rensa: bool = False


FULL = Sizes(rensa=True)


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    texts = standard_library(sizes.text_bytes)
    costs = _rensa(texts, sizes) if sizes.rensa else {}
    costs = interleaved(cases(texts, sizes.peer_bytes), sizes.rounds) | costs
    show(
        f"minhash: {N_PERMUTATIONS} numbers of {NGRAM}-word shingles, {len(texts):,} Python files",
        ["", "MB", "MB/s", "CPU s/MB", "× datasketch"],
        [
            [
                name,
                figure(cost.amount / 1e6),
                figure(cost.rate / 1e6),
                figure(cost.cpu_seconds / cost.amount * 1e6),
                figure(cost.rate / costs[WHOLE].rate),
            ]
            for name, cost in costs.items()
        ],
    )


def standard_library(limit_bytes: int) -> list[str]:
    """The standard library's .py files of ASCII (of which both sides make the same words), in the order of their paths,
    up to a limit of bytes."""
    texts, n_bytes = [], 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        data = path.read_bytes()
        if "site-packages" in path.parts or not data.isascii() or not data.strip():
            continue
        n_bytes += len(data)
        if n_bytes > limit_bytes:
            break
        texts.append(data.decode())
    return texts


def cases(texts: list[str], peer_bytes: int) -> dict[str, Case]:
    """The ways to make signatures; `ValueError` if the peer's differ from ours."""
    array = pa.array(texts, pa.large_string())
    few = _few(texts, peer_bytes)
    all_bytes, few_bytes = (sum(map(len, some)) for some in (texts, few))  # ASCII
    split = [shingles(text, NGRAM) for text in few]
    _check_equal(array[: len(few)], split)  # this also compiles

    def ours() -> Cost:
        return timed(lambda: signatures(array, ngram=NGRAM, num_perm=N_PERMUTATIONS, seed=SEED), all_bytes)

    return {
        "signatures": ours,
        WHOLE: lambda: timed(lambda: _bulk([shingles(text, NGRAM) for text in few]), few_bytes),
        "datasketch, of shingles made before": lambda: timed(lambda: _bulk(split), few_bytes),
    }


def _few(texts: list[str], n_bytes: int) -> list[str]:
    """The first texts, up to so many bytes, and at least one."""
    return texts[: max(1, int(np.searchsorted(np.cumsum([len(text) for text in texts]), n_bytes)))]


def _rensa(texts: list[str], sizes: Sizes) -> dict[str, Cost]:
    with TemporaryDirectory() as folder:
        file = peers.write_texts(_few(texts, sizes.peer_bytes), Path(folder, "texts.jsonl"))
        numbers = {"--ngram": NGRAM, "--permutations": N_PERMUTATIONS, "--seed": SEED, "--rounds": sizes.rounds}
        options = [word for name, number in numbers.items() for word in (name, str(number))]
        printed = json.loads(peers.run("bench.minhash_peer", "--texts", str(file), *options))
    return {name: Cost(**cost) for name, cost in printed.items()}


def _bulk(split: list[list[bytes]]) -> list[MinHash]:
    sketches: list[MinHash] = MinHash.bulk(
        split, num_perm=N_PERMUTATIONS, seed=SEED, hashfunc=_xxh64_low, scheme="affine32"
    )
    return sketches


def _xxh64_low(data: bytes) -> int:
    return xxhash.xxh64_intdigest(data) & 0xFFFFFFFF


def _check_equal(texts: pa.Array, split: list[list[bytes]]) -> None:
    ours, _ = signatures(texts, ngram=NGRAM, num_perm=N_PERMUTATIONS, seed=SEED)
    if not np.array_equal(ours, [sketch.hashvalues for sketch in _bulk(split)]):
        raise ValueError("the signatures of datasketch differ from ours: there is nothing to compare")


if __name__ == "__main__":
    main()
