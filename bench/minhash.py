"""MinHash signatures against datasketch, on the Python standard library's sources, one core each.

Both give the very same numbers, which is checked: 112 of the scheme affine32 from 5-word shingles, xxh64. The peer is
given its fastest way, `MinHash.bulk`. Words and shingles are made by us in compiled code, and for the peer in Python
(`text.lower().split()`), as its users do; so it is measured with that and without it.
"""

import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from datasketch import MinHash

from bench.measure import Case, Cost, interleaved, timed
from bench.table import figure, show
from pipeline.deduped.minhash import signatures

NGRAM, N_PERMUTATIONS, SEED = 5, 112, 1
WHOLE = "datasketch, words and shingles included"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of text for us and, of these, for the peer."""

    text_bytes: int = 20_000_000
    peer_bytes: int = 4_000_000
    rounds: int = 5


FULL = Sizes()


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    texts = standard_library(sizes.text_bytes)
    costs = interleaved(cases(texts, sizes.peer_bytes), sizes.rounds)
    show(
        f"minhash: {N_PERMUTATIONS} numbers of {NGRAM}-word shingles, {len(texts):,} Python files",
        ["", "MB", "MB/s", "CPU s/MB", "× the peer"],
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
    sizes = np.cumsum([len(text) for text in texts])  # ASCII
    few = texts[: max(1, int(np.searchsorted(sizes, peer_bytes)))]
    all_bytes, few_bytes = int(sizes[-1]), int(sizes[len(few) - 1])
    split = [shingles(text) for text in few]
    _check_equal(array[: len(few)], split)  # this also compiles

    def ours() -> Cost:
        return timed(lambda: signatures(array, ngram=NGRAM, num_perm=N_PERMUTATIONS, seed=SEED), all_bytes)

    return {
        "signatures": ours,
        WHOLE: lambda: timed(lambda: _bulk([shingles(text) for text in few]), few_bytes),
        "datasketch, of shingles made before": lambda: timed(lambda: _bulk(split), few_bytes),
    }


def shingles(text: str) -> list[bytes]:
    """As `pipeline.deduped` defines them, for ASCII."""
    words = text.lower().split()
    return [" ".join(words[i : i + NGRAM]).encode() for i in range(max(1, len(words) - NGRAM + 1))]


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
