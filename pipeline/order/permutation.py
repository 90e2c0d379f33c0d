"""Keyed permutations of 0 … n-1 for any n, element by element, in memory that does not grow with n.

Up to `ARGSORT_LIMIT` elements a permutation is the argsort of keyed hashes: every order equally likely. Above, it is a
Feistel network (Luby and Rackoff 1988) on the smallest power of two that holds n, with cycle walking (Black and
Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, section 3): values that fall outside go round again,
less than once on average.

Every element has a key of its own in the arguments, so that one call serves many permutations.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.order.keys import Ints, Words, mix, stream

ARGSORT_LIMIT = 4096
ROUNDS = 12  # 4 make it pseudorandom (Luby and Rackoff); the rest is margin for domains as small as 13 bits
_ELEMENT = np.uint64(ARGSORT_LIMIT - 1)  # the bits of a word that hold an element
_TABLE_CELLS = 2**18  # of the argsort's tables, at 8 bytes, made at a time


def permute(index: Ints, n: int, keys: Words) -> Ints:
    """Element index[i] of the permutation of 0 … n-1 that belongs to keys[i]. All arrays are of shape [m]."""
    return _by_argsort(index, n, keys, inverse=False) if n <= ARGSORT_LIMIT else _walk(index, n, keys, range(ROUNDS))


def invert(value: Ints, n: int, keys: Words) -> Ints:
    """Where value[i] stands in the permutation that belongs to keys[i]: the inverse of `permute`."""
    if n <= ARGSORT_LIMIT:
        return _by_argsort(value, n, keys, inverse=True)
    return _walk(value, n, keys, range(ROUNDS - 1, -1, -1))


def _by_argsort(index: Ints, n: int, keys: Words, *, inverse: bool) -> Ints:
    if n == 1:
        return np.zeros_like(index)
    result = np.empty_like(index)
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))  # of the runs of equal keys
    ends = np.append(starts[1:], len(keys))
    step = max(1, _TABLE_CELLS // n)
    for first in range(0, len(starts), step):
        rows = slice(first, min(first + step, len(starts)))
        table = _orders(keys[starts[rows]], n)
        if inverse:
            order, table = table, np.empty_like(table)
            np.put_along_axis(table, order, np.arange(n, dtype=np.int64)[None, :], axis=1)
        items = slice(starts[rows.start], ends[rows.stop - 1])
        row = np.repeat(np.arange(rows.stop - rows.start, dtype=np.int64), (ends - starts)[rows])
        result[items] = table[row, index[items]]
    return result


def _orders(keys: Words, n: int) -> Ints:
    """The whole permutation of 0 … n-1 for each key, int64[len(keys), n]: the elements by the high 52 bits of their
    hashes. The low 12 hold the element: the sorted words are the argsort, nothing ties, and sorting is three times
    faster than argsort (measured at n = 3,907)."""
    elements = np.arange(n, dtype=np.int64)[None, :]
    words = stream(keys[:, None], elements) & ~_ELEMENT | elements.astype(np.uint64)
    words.sort(axis=1)
    return (words & _ELEMENT).astype(np.int64)


def _walk(values: Ints, n: int, keys: Words, rounds: Sequence[int]) -> Ints:
    bits = (n - 1).bit_length()
    found = _feistel(values.astype(np.uint64), bits, keys, rounds)
    outside = np.flatnonzero(found >= np.uint64(n))
    while outside.size:
        again = _feistel(found[outside], bits, keys[outside], rounds)
        found[outside] = again
        outside = outside[again >= np.uint64(n)]
    return found.astype(np.int64)


def _feistel(values: Words, bits: int, keys: Words, rounds: Sequence[int]) -> Words:
    """The network on `bits` ≥ 2 bits, its halves of bits - bits//2 and bits//2; even rounds change the high half, odd
    ones the low. The rounds backwards are the inverse."""
    low_bits = np.uint64(bits // 2)
    high_shift, low_shift = np.uint64(64 - (bits - bits // 2)), np.uint64(64 - bits // 2)
    high, low = values >> low_bits, values & ((np.uint64(1) << low_bits) - np.uint64(1))
    for number in rounds:
        round_keys = stream(keys, np.array([number], dtype=np.int64))
        if number % 2 == 0:
            high = high ^ (mix(low + round_keys) >> high_shift)
        else:
            low = low ^ (mix(high + round_keys) >> low_shift)
    return (high << low_bits) | low
