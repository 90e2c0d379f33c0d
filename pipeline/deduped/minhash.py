"""MinHash signatures of texts, the bands they are compared by, and the similarity that two of them show.

A signature is, number for number, that of `datasketch.MinHash(num_perm, seed, hashfunc, scheme="affine32")` (datasketch
2.0, `datasketch/minhash.py`) updated with the text's shingles, where `hashfunc` takes the low 32 bits of the xxh64 of
the shingle's bytes: a hash is mixed by MurmurHash3's 32-bit finaliser and permuted by a · h + b mod 2³², a odd, and
each permutation keeps its smallest value.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipeline.deduped.shingles import shingle_hashes
from pipeline.texts.normal import normal_runs

EMPTY = 0xFFFFFFFF  # each number of the signature of a text without words, as datasketch's


def signatures(
    texts: pa.Array, *, ngram: int, num_perm: int, seed: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """The signatures (uint32 [n, num_perm]) of texts, and how many shingles each text has (int64 [n], repeated ones
    counted).

    `texts`: a string or large_string array without nulls. A text of fewer than `ngram` words has one shingle, all its
    words. A text without words has none, and a signature of EMPTY: as all these are equal, leave texts of 0 shingles
    out before comparing.
    """
    multipliers, offsets = permutations(num_perm, seed)
    values = np.full((len(texts), num_perm), EMPTY, dtype=np.uint32)
    n_shingles = np.zeros(len(texts), dtype=np.int64)
    first = 0
    for run in normal_runs(texts):
        last = first + len(run)
        shingles = shingle_hashes(run, ngram)
        _minimise(shingles.hashes, shingles.offsets, multipliers, offsets, values[first:last])
        n_shingles[first:last] = np.diff(shingles.offsets)
        first = last
    return values, n_shingles


def permutations(num_perm: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers (odd) and offsets of the permutations: uint32 [num_perm] each, drawn as datasketch draws them, from
    NumPy's legacy Mersenne Twister, whose stream is frozen (NEP 19)."""
    if num_perm < 1:
        raise ValueError(f"num_perm is {num_perm}; a signature has at least 1 number (bands times rows)")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed}; MinHash takes seeds from 0 to 2**32 - 1")
    random = np.random.RandomState(seed)
    halves = random.randint(0, 2**31, num_perm, dtype=np.uint32)
    return halves * np.uint32(2) + np.uint32(1), random.randint(0, 2**32, num_perm, dtype=np.uint32)


def band_hashes(signatures: npt.NDArray[np.uint32], *, bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """A hash of each band of signatures: uint64 [n, bands]. Texts that agree in a band's `rows` numbers share it.

    Band i holds numbers [i · rows, (i + 1) · rows). Its hash begins with (i + 1) · 2³², so that bands never share a
    bucket, and takes each number by exclusive or and MurmurHash3's 64-bit finaliser.
    """
    n, num_perm = signatures.shape
    if bands * rows != num_perm:
        raise ValueError(f"{bands} bands of {rows} rows are {bands * rows} numbers; the signatures have {num_perm}")
    hashes = np.empty((n, bands), np.uint64)
    _band_hashes(np.ascontiguousarray(signatures), bands, rows, hashes)
    return hashes


def estimate(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """The Jaccard similarity that pairs of signatures (uint32 [n, num_perm] each) show: the share of equal numbers,
    float64 [n]; 1 for two texts without words. Its standard error is √(s(1 - s) / num_perm), 0.04 for s = 0.8 and 112
    numbers."""
    if left.shape != right.shape:
        raise ValueError(f"signatures of shape {left.shape} and {right.shape} are not pairs of one kind")
    return np.asarray((left == right).mean(axis=1))


@njit(cache=True, nogil=True)
def _band_hashes(signatures: npt.NDArray[np.uint32], bands: int, rows: int, out: npt.NDArray[np.uint64]) -> None:
    for text in range(len(signatures)):
        for band in range(bands):
            value = np.uint64(band + 1) << np.uint64(32)
            for row in range(band * rows, (band + 1) * rows):  # MurmurHash3's 64-bit finaliser
                value ^= np.uint64(signatures[text, row])
                value = (value ^ value >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
                value = (value ^ value >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
                value ^= value >> np.uint64(33)
            out[text, band] = value


@njit(cache=True, nogil=True)
def _minimise(
    hashes: npt.NDArray[np.uint64],
    ends: npt.NDArray[np.int64],
    multipliers: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint32],
) -> None:
    """Lower each row of `out` to the smallest permuted values of its text's hashes[ends[i]:ends[i + 1]]."""
    for text in range(len(ends) - 1):
        row = out[text]
        for j in range(ends[text], ends[text + 1]):
            h = np.uint32(hashes[j])  # MurmurHash3's 32-bit finaliser; the casts keep the arithmetic modulo 2³²
            h = np.uint32((h ^ h >> np.uint32(16)) * np.uint32(0x85EBCA6B))
            h = np.uint32((h ^ h >> np.uint32(13)) * np.uint32(0xC2B2AE35))
            h = np.uint32(h ^ h >> np.uint32(16))
            for k in range(len(multipliers)):
                row[k] = min(row[k], np.uint32(multipliers[k] * h + offsets[k]))
