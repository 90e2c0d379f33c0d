"""Where what has a 64-bit key occurs first: a table for kernels, that grows with what is in it.

Lookups are made in blocks: the slots are read before anything is decided, so the waits for memory overlap."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

BLOCK = 256  # lookups made together
LEAST_BITS = 6
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplicative hashing


class Table(NamedTuple):
    """From keys to first occurrences, open addressing, and the lookups that wait to be made together.

    Only the first 2^bits slots are used, at most half of them, so that what a document needs stays in the processor's
    caches as far as it fits."""

    slots: npt.NDArray[np.uint64]  # a place plus one (0: a free slot) and its key, alternating
    moved: npt.NDArray[np.uint64]  # room for the entries while the slots double
    state: npt.NDArray[np.int64]  # bits, entries, lookups waiting
    keys: npt.NDArray[np.uint64]  # [BLOCK] of the lookups waiting
    into: npt.NDArray[np.int32]  # [BLOCK] where to put their answers
    heads: npt.NDArray[np.uint64]  # [BLOCK]


@njit(cache=True, nogil=True)
def table_for(most):  # type: ignore[no-untyped-def]
    """A table for at most `most` keys."""
    return Table(
        np.empty(8 * (most + BLOCK), np.uint64),
        np.empty(4 * (most + BLOCK), np.uint64),
        np.zeros(3, np.int64),
        np.empty(BLOCK, np.uint64),
        np.empty(BLOCK, np.int32),
        np.empty(BLOCK, np.uint64),
    )


@njit(cache=True, nogil=True)
def slot_of(key, bits):  # type: ignore[no-untyped-def]
    return np.int64(((key ^ (key >> np.uint64(29))) * MIX) >> np.uint64(64 - bits))


@njit(cache=True, nogil=True)
def clear(table, bits):  # type: ignore[no-untyped-def]
    table.state[0], table.state[1], table.state[2] = max(LEAST_BITS, bits), 0, 0
    table.slots[: 2 << table.state[0]] = 0


@njit(cache=True, nogil=True)
def _double(table):  # type: ignore[no-untyped-def]
    """Spread the entries over twice as many slots, walking both in the order of the slots: no jumps in memory."""
    n = 0
    for slot in range(1 << table.state[0]):
        if table.slots[2 * slot]:
            table.moved[2 * n], table.moved[2 * n + 1] = table.slots[2 * slot], table.slots[2 * slot + 1]
            n += 1
    clear(table, table.state[0] + 1)
    bits, mask = table.state[0], (1 << table.state[0]) - 1
    for entry in range(n):
        slot = slot_of(table.moved[2 * entry + 1], bits)
        while table.slots[2 * slot]:
            slot = (slot + 1) & mask
        table.slots[2 * slot], table.slots[2 * slot + 1] = table.moved[2 * entry], table.moved[2 * entry + 1]
    table.state[1] = n


@njit(cache=True, nogil=True)
def look_up(table, positions, firsts):  # type: ignore[no-untyped-def]
    """Answer the lookups that wait, in their order: firsts[into] is the first of the positions with that key."""
    n = table.state[2]
    while 2 * (table.state[1] + n) > (1 << table.state[0]):
        waiting = table.state[2]
        _double(table)
        table.state[2] = waiting
    bits, mask = table.state[0], (1 << table.state[0]) - 1
    for k in range(n):  # the slots are read before anything is decided: the waits for memory overlap
        table.heads[k] = table.slots[2 * slot_of(table.keys[k], bits)]
    for k in range(n):
        key, place = table.keys[k], table.into[k]
        slot = slot_of(key, bits)
        while table.slots[2 * slot] and table.slots[2 * slot + 1] != key:
            slot = (slot + 1) & mask
        if table.slots[2 * slot]:
            firsts[place] = np.int64(table.slots[2 * slot]) - 1
        else:
            firsts[place] = positions[place]
            table.slots[2 * slot], table.slots[2 * slot + 1] = np.uint64(positions[place] + 1), key
            table.state[1] += 1
    table.state[2] = 0


@njit(cache=True, nogil=True)
def look_up_all(table, keys, positions, firsts, n):  # type: ignore[no-untyped-def]
    """`firsts[k]`: the first of the n `positions` (ascending) with the key of positions[k], `keys[positions[k]]`."""
    clear(table, 0)
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        for k in range(size):
            table.keys[k], table.into[k] = keys[positions[begin + k]], begin + k
        table.state[2] = size
        look_up(table, positions, firsts)
