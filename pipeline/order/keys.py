"""Keyed hashes: all that looks random in the order is one of these, in explicit 64-bit integer arithmetic.

No random generator of a library is used: its stream may change with its version, the order must not.
"""

import hashlib

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

ORDER_VERSION = 2  # goes up with every change that moves a sample; the golden tests notice

# SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figures 10 and 17.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTOR_1 = np.uint64(0xBF58476D1CE4E5B9)
_FACTOR_2 = np.uint64(0x94D049BB133111EB)


def derive_key(seed: int, *purpose: str) -> int:
    """A 64-bit key for one purpose, as ("source", "c4"): the BLAKE2b of order version, seed and purpose."""
    text = "\0".join(["shardmill order", str(ORDER_VERSION), str(seed), *purpose])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(words: Words) -> Words:
    """The finaliser of SplitMix64, a bijection of the 64-bit words in which each input bit moves every output bit."""
    words = (words ^ (words >> np.uint64(30))) * _FACTOR_1
    words = (words ^ (words >> np.uint64(27))) * _FACTOR_2
    return words ^ (words >> np.uint64(31))


def stream(keys: int | Words, index: Ints) -> Words:
    """Outputs number `index` (0-based) of the SplitMix64 generators seeded with `keys`; shapes broadcast, `index` has
    at least one dimension."""
    seeds = np.uint64(keys) if isinstance(keys, int) else keys
    return mix(seeds + (index.astype(np.uint64) + np.uint64(1)) * GOLDEN)
