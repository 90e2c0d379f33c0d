"""What the passes over bytes share: tables of the kinds that a byte is of, and looking bytes up in them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from numba import njit

DIGITS = b"0123456789"
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def kinds_of_bytes(members: Mapping[int, bytes]) -> npt.NDArray[np.uint8]:
    """For each byte the bits of the byte strings that it is in: uint8 [256]."""
    table = np.zeros(256, np.uint8)
    for bit, own in members.items():
        table[np.frombuffer(own, np.uint8)] |= bit
    return table


@njit(cache=True, nogil=True)
def is_kind(table, data, at, start, end, kinds):  # type: ignore[no-untyped-def]
    """Whether byte `at` lies in [start, end) and is of one of the kinds."""
    return start <= at < end and (table[data[at]] & kinds) != 0


@njit(cache=True, nogil=True)
def is_in(values, value):  # type: ignore[no-untyped-def]
    found = False
    for one in values:
        found |= one == value
    return found
