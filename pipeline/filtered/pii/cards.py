"""Numbers of payment cards in texts.

*Number*: 14 to 19 digits (ASCII) with the first digits and the length of a network (`NETWORKS`) and Luhn's check digit
(ISO/IEC 7812-1, annex B), bare, or in groups of 4-4-4-4, 4-4-4-4-3, 4-6-5 or 4-6-4 with one space or one hyphen between
them, the same everywhere.

It is not joined to more: before it stands no letter, digit or any of `_.-+$%`, nor of `/=#@\\&`, which stand before
identifiers in URLs; behind it no letter, digit, `_` or `%`, no hyphen that a letter or digit follows, no dot that a
digit follows. If spaces separate its groups, no digit stands before a space before it, or after one behind it:
rows of tables are no card numbers. Nor are numbers that count up ("5430 5431 5432 5433": each group is larger than the
one before, and the first two digits stay).

Left out are Visa's old numbers of 13 digits (nearly all such numbers are bar codes, GS1's EAN-13), its, Discover's and
JCB's of 17 to 19 digits, which are rare, and Maestro, whose first digits leave hardly a number out. Of random numbers
of 16 digits one in 43 is a card number as it is. (datatrove, Dolma and BigCode look for none.)
"""

import numpy as np
from numba import njit, types

from pipeline.filtered.pii.byte_kinds import DIGITS, LETTERS, is_in, is_kind, kinds_of_bytes
from pipeline.texts.characters import TEXT_ARGUMENTS

# First digits (from, to), and digits in all (from, to), of each network's numbers.
NETWORKS = (
    (4, 4, 16, 16),  # Visa
    (51, 55, 16, 16),  # Mastercard
    (2221, 2720, 16, 16),  # Mastercard, since 2017
    (34, 34, 15, 15),  # American Express
    (37, 37, 15, 15),  # American Express
    (300, 305, 14, 14),  # Diners Club
    (3095, 3095, 14, 14),  # Diners Club
    (36, 36, 14, 14),  # Diners Club
    (38, 39, 14, 14),  # Diners Club
    (6011, 6011, 16, 16),  # Discover
    (644, 649, 16, 16),  # Discover
    (65, 65, 16, 16),  # Discover
    (3528, 3589, 16, 16),  # JCB
    (62, 62, 16, 19),  # UnionPay
)
GROUPS = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
LEAST_DIGITS, MOST_DIGITS = 14, 19
MOST_GROUPS = 5

# With how many digits the first two of each row are written; and each sequence of groups as one number, 4 bits a group.
_NETWORKS = np.array([(len(str(row[0])), *row) for row in NETWORKS], np.int64)
_POWERS = 10 ** np.arange(MOST_DIGITS)
_GROUPS = np.array([int("".join(str(size) for size in sizes), 16) for sizes in GROUPS], np.int64)

_DIGIT, _ALNUM, _BEFORE, _BEHIND = 1, 2, 4, 8
_KINDS = kinds_of_bytes(
    {
        _DIGIT: DIGITS,
        _ALNUM: LETTERS + DIGITS,
        _BEFORE: LETTERS + b"0123456789_.-+$%/=#@\\&",
        _BEHIND: LETTERS + b"0123456789_%",
    }
)


@njit(cache=True, nogil=True)
def _goes_on(data, at, end):  # type: ignore[no-untyped-def]
    """Whether what ends before byte `at` is joined to more."""
    if at >= end:
        return False
    if _KINDS[data[at]] & _BEHIND:
        return True
    if data[at] == 0x2D:
        return is_kind(_KINDS, data, at + 1, at, end, _ALNUM)
    return data[at] == 0x2E and is_kind(_KINDS, data, at + 1, at, end, _DIGIT)


@njit(cache=True, nogil=True)
def _is_card_number(value, n):  # type: ignore[no-untyped-def]
    """Whether a number of `n` digits has the first digits and the length of a network, and the right check digit."""
    known = False
    for row in range(len(_NETWORKS)):
        prefix = value // _POWERS[n - _NETWORKS[row, 0]]
        known |= _NETWORKS[row, 1] <= prefix <= _NETWORKS[row, 2] and _NETWORKS[row, 3] <= n <= _NETWORKS[row, 4]
    total = 0
    for i in range(n):
        digit = (value % 10) * (1 + i % 2)
        total += digit - 9 if digit > 9 else digit
        value //= 10
    return known and total % 10 == 0


@njit(cache=True, nogil=True)
def _counts_up(value):  # type: ignore[no-untyped-def]
    """Whether four groups of four digits ascend and start with the same two digits."""
    one, two, three, four = value // 10**12, value // 10**8 % 10**4, value // 10**4 % 10**4, value % 10**4
    return one < two < three < four and one // 100 == four // 100


@njit(cache=True, nogil=True)
def _card(data, start, at, end):  # type: ignore[no-untyped-def]
    """Where the card number that starts at byte `at` ends, -1 if there is none."""
    value, n, sizes, n_groups, mark = np.int64(0), 0, 0, 0, np.uint8(0)
    stop = at
    while True:
        size = 0
        while n <= MOST_DIGITS and is_kind(_KINDS, data, stop, at, end, _DIGIT):
            value = 10 * value + (data[stop] & 15)
            stop, size, n = stop + 1, size + 1, n + 1
        if n > MOST_DIGITS or n_groups == MOST_GROUPS:
            return -1
        sizes, n_groups = sizes << 4 | min(size, 15), n_groups + 1
        if n_groups == 1 and stop < end and size == GROUPS[0][0] and (data[stop] == 0x20 or data[stop] == 0x2D):
            mark = data[stop]
        if mark == 0 or not (stop < end and data[stop] == mark and is_kind(_KINDS, data, stop + 1, at, end, _DIGIT)):
            break
        stop += 1
    if n < LEAST_DIGITS or (n_groups > 1 and not is_in(_GROUPS, sizes)):
        return -1
    if mark == 0x20 and is_kind(_KINDS, data, at - 2, start, end, _DIGIT) and data[at - 1] == 0x20:
        return -1
    if sizes == _GROUPS[0] and _counts_up(value):
        return -1
    return stop if _is_card_number(value, n) and not _goes_on(data, stop, end) else -1


@njit(types.int64(*TEXT_ARGUMENTS[:2], types.int64[::1], types.int64[::1]), cache=True, nogil=True)
def find_card_numbers(data, offsets, first, last):  # type: ignore[no-untyped-def]
    """Write the card numbers as bytes [first, last) of `data`, ascending, and return how many there are.

    Every one has at least 14 bytes.
    """
    n = 0
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        at = start
        while at < end:
            byte = data[at]
            if not _KINDS[byte] & _DIGIT:
                at += 1
                continue
            # No network's numbers start with 0, 1 or 7 to 9; so 19 digits fit into 63 bits.
            if (
                0x32 <= byte <= 0x36
                and is_kind(_KINDS, data, at + 3, start, end, _DIGIT)
                and not is_kind(_KINDS, data, at - 1, start, end, _BEFORE)
            ):
                stop = _card(data, start, at, end)
                if stop >= 0:
                    first[n], last[n] = at, stop
                    n += 1
                    at = stop
            while at < end and _KINDS[data[at]] & _DIGIT:
                at += 1
    return n
