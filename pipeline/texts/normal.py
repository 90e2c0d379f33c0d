"""The normal form of texts (`pipeline.document`) for whole Arrow columns, compiled, and the exact hashes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from numba import njit

from pipeline.document import folded

RUN_BYTES = 2**20  # texts are taken in runs of this size: they stay in the processor's cache, and memory stays flat
FOLDED_CODES = 0x1E944  # the last script with cases (Adlam) ends below; code points from here on stay as they are
SPACE = 0x20


@dataclass(frozen=True, kw_only=True)
class NormalTexts:
    """Normal forms back to back: text i is data[offsets[i]:offsets[i + 1]]. `data` uint8, `offsets` int64 [n + 1]."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def normal_runs(texts: pa.Array, run_bytes: int = RUN_BYTES) -> Iterator[NormalTexts]:
    """The normal forms of a string (or large_string) array without nulls, in runs of consecutive texts: as many as
    fit in `run_bytes`, at least one. `ValueError` for nulls, other types and bytes that are not UTF-8."""
    data, offsets = string_buffers(texts)
    table = _fold_table()
    first, n = 0, len(offsets) - 1
    while first < n:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + run_bytes, side="right")) - 1)
        # Lower case takes up to half as many bytes more: the two bytes of Ⱥ and Ⱦ become three.
        out = np.empty((offsets[last] - offsets[first]) * 3 // 2, dtype=np.uint8)
        ends = np.zeros(last - first + 1, dtype=np.int64)
        _fold(data, offsets[first : last + 1], table, out, ends)
        yield NormalTexts(data=out[: ends[-1]], offsets=ends)
        first = last


def exact_hashes(texts: pa.Array) -> list[bytes]:
    """The xxh3-128 (16 bytes, big-endian) of each text's normal form, in UTF-8: equal for exact duplicates."""
    hashes: list[bytes] = []
    for run in normal_runs(texts):
        view, ends = run.data.data, run.offsets.tolist()
        hashes += [xxhash.xxh3_128_digest(view[start:end]) for start, end in pairwise(ends)]
    return hashes


def string_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 bytes (uint8) and the offsets into them (int64 [n + 1]) behind an Arrow string array, not copied."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise ValueError(f"texts are of type {texts.type}; cast them to string or large_string")
    if texts.null_count:
        raise ValueError(f"{texts.null_count} of {len(texts)} texts are null; leave these rows out")
    try:
        texts.validate(full=True)  # the kernels trust the lead byte of each character
    except pa.ArrowInvalid as error:
        raise ValueError(f"texts are not valid UTF-8: {error}; quarantine such records") from error
    _, places, values = texts.buffers()
    width = np.int32 if pa.types.is_string(texts.type) else np.int64
    if places is None or not len(texts):
        return np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    offsets = np.frombuffer(places, dtype=width)[texts.offset : texts.offset + len(texts) + 1]
    data = np.empty(0, dtype=np.uint8) if values is None else np.frombuffer(values, dtype=np.uint8)
    return data, offsets.astype(np.int64)


@lru_cache(maxsize=1)
def _fold_table() -> npt.NDArray[np.int32]:
    """What each code point below FOLDED_CODES becomes: int32 [FOLDED_CODES]."""
    return np.array([ord(folded(chr(code))) for code in range(FOLDED_CODES)], dtype=np.int32)


@njit(cache=True, nogil=True)
def _fold(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    table: npt.NDArray[np.int32],
    out: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
) -> None:
    """Write the normal forms of the UTF-8 texts into `out`, one after the other, and their ends into `ends`[1:]."""
    at = 0
    for text in range(len(offsets) - 1):
        start = at
        spaced = False
        i, end = offsets[text], offsets[text + 1]
        while i < end:
            code, size = _decode(data, i)
            i += size
            if code < len(table):
                code = table[code]
            if code == SPACE:
                spaced = at > start
                continue
            if spaced:
                out[at] = SPACE
                at += 1
                spaced = False
            at += _encode(code, out, at)
        ends[text + 1] = at


@njit(cache=True, nogil=True)
def _decode(data: npt.NDArray[np.uint8], i: int) -> tuple[np.int64, int]:
    """The code point of the character whose UTF-8 begins at `i`, and its size in bytes."""
    lead = np.int64(data[i])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | (data[i + 1] & 0x3F), 2
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | (data[i + 1] & 0x3F) << 6 | (data[i + 2] & 0x3F), 3
    return (lead & 0x07) << 18 | (data[i + 1] & 0x3F) << 12 | (data[i + 2] & 0x3F) << 6 | (data[i + 3] & 0x3F), 4


@njit(cache=True, nogil=True)
def _encode(code: np.int64, out: npt.NDArray[np.uint8], at: int) -> int:
    """Write the UTF-8 of a code point at `at`; its size in bytes."""
    if code < 0x80:
        out[at] = code
        return 1
    if code < 0x800:
        out[at], out[at + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
        return 2
    if code < 0x10000:
        out[at], out[at + 1], out[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
        return 3
    out[at], out[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
    out[at + 2], out[at + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
    return 4
