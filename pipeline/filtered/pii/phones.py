"""Phone numbers in texts.

Digits are ASCII. A *separator* is one space (also the no-break ones U+00A0 and U+202F), one dot, or one hyphen (also
U+2010 to U+2013: the hyphens of typesetting, the figure dash, which is made for phone numbers, and the en dash). Tabs
and line breaks are none: they separate the numbers of tables. Any other character beyond ASCII is a border.

*International number*: "+", groups of digits with separators between them, one group perhaps in parentheses ("+49 (0)30
1234567"); 8 to 15 digits in all (ITU-T E.164, section 6), the first of them a country code that is assigned, which the
first group holds in full. As many groups as fit are taken; where one too many follows, the number ends before a space.
With a single dot it is a decimal number; without separators it has 9 to 13 digits (dates have fewer, points in time
more). "+1" is followed by a North American number.

*North American number* (the numbering plan, https://www.nanpa.com): 3, 3 and 4 digits, as "(212) 555-2368",
"212-555-2368", "212.555.2368" or "212 555-2368", perhaps "1" and a separator before. Only after parentheses is a space
enough between the last two groups, and a dot stands there only after a dot: rows of tables are no phone numbers. Area
code and exchange start with 2 to 9 and do not end in 11; the area code's second digit is no 9, and it is not 555.
555-0100 to 555-0199 are set aside for fiction: they are nobody's.

All have at least 3 different digits ("+20 000 000" is none), and none is joined to more: before it stands no letter,
digit or any of `_-+$%~`, no dot (it may stand before "+"), and before "+" neither `)` nor `]`; behind it no letter,
digit or `_` (but an extension, "x12"), no hyphen that a letter or digit follows, no dot that a digit follows. After
"(212) 555 2368" no digits follow a space.

Numbers without separators (other than after "+") are not found, nor are those of other countries without "+": too many
numbers look so. Dolma (allenai/dolma, python/dolma/taggers/pii.py) finds any 3-3-4 digits after white space, also
without separators; datatrove and BigCode find no phone numbers.
"""

import numpy as np
from numba import njit, types

from pipeline.filtered.pii.byte_kinds import DIGITS, LETTERS, is_kind, kinds_of_bytes
from pipeline.texts.characters import TEXT_ARGUMENTS

MOST_DIGITS = 15
LEAST_DIGITS = 8
LEAST_WHOLE, MOST_WHOLE = 9, 13  # digits after "+" without separators
LEAST_DIFFERENT = 3
NORTH_AMERICA = 1
NORTH_AMERICAN_DIGITS = 11  # with the country code

# ITU-T, list of E.164 assigned country codes; of those in use, libphonenumber has the same.
COUNTRY_CODES = (
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60,
    61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 211, 212, 213, 216, 218, *range(220, 259),
    *range(260, 270), 290, 291, 297, 298, 299, *range(350, 360), *range(370, 384), 385, 386, 387, 389, 420, 421, 423,
    *range(500, 510), *range(590, 600), 670, *range(672, 684), *range(685, 693), 800, 808, 850, 852, 853, 855, 856, 870,
    878, 880, 881, 882, 883, 886, 888, *range(960, 969), *range(970, 978), 979, 992, 993, 994, 995, 996, 998,
)  # fmt: skip

_IS_COUNTRY_CODE = np.isin(np.arange(1000), COUNTRY_CODES)

_SPACE, _HYPHEN, _DOT = 1, 2, 3  # kinds of separators; 0 is none

_DIGIT, _ALNUM, _WORD, _BEFORE, _BEFORE_PLUS = 1, 2, 4, 8, 16
_KINDS = kinds_of_bytes(
    {
        _DIGIT: DIGITS,
        _ALNUM: LETTERS + DIGITS,
        _WORD: LETTERS + b"0123456789_",
        _BEFORE: LETTERS + b"0123456789_-+$%~.",
        _BEFORE_PLUS: LETTERS + b"0123456789_-+$%~)]",
    }
)


@njit(cache=True, nogil=True)
def _separator(data, at, end):  # type: ignore[no-untyped-def]
    """The kind of the separator that starts at byte `at`, and where it ends (`at` if there is none)."""
    if at >= end:
        return 0, at
    byte = data[at]
    if byte == 0x20:
        return _SPACE, at + 1
    if byte == 0x2D:
        return _HYPHEN, at + 1
    if byte == 0x2E:
        return _DOT, at + 1
    if byte == 0xC2 and at + 1 < end and data[at + 1] == 0xA0:
        return _SPACE, at + 2
    if byte == 0xE2 and at + 2 < end and data[at + 1] == 0x80:
        if data[at + 2] == 0xAF:
            return _SPACE, at + 3
        if 0x90 <= data[at + 2] <= 0x93:
            return _HYPHEN, at + 3
    return 0, at


@njit(cache=True, nogil=True)
def _digits(data, at, end, most):  # type: ignore[no-untyped-def]
    """How many digits stand from byte `at` on, at most `most`."""
    n = 0
    while n < most and at + n < end and _KINDS[data[at + n]] & _DIGIT:
        n += 1
    return n


@njit(cache=True, nogil=True)
def _append(value, data, at, n):  # type: ignore[no-untyped-def]
    """`value` with the `n` digits from byte `at` on behind it."""
    for i in range(at, at + n):
        value = 10 * value + (data[i] & 15)
    return value


@njit(cache=True, nogil=True)
def _goes_on(data, at, end):  # type: ignore[no-untyped-def]
    """Whether what ends before byte `at` is joined to more."""
    if at >= end:
        return False
    kinds = _KINDS[data[at + 1]] if at + 1 < end else np.uint8(0)
    if data[at] == 0x78 and kinds & _DIGIT:
        return False
    if _KINDS[data[at]] & _WORD or (data[at] == 0x2D and kinds & _ALNUM):
        return True
    return data[at] == 0x2E and (kinds & _DIGIT) != 0


@njit(cache=True, nogil=True)
def _are_different(value):  # type: ignore[no-untyped-def]
    """Whether the number has enough different digits for a phone number."""
    seen, n = 0, 0
    while value > 0:
        bit = 1 << (value % 10)
        n += (seen & bit) == 0
        seen |= bit
        value //= 10
    return n >= LEAST_DIFFERENT


@njit(cache=True, nogil=True)
def _is_north_american(value):  # type: ignore[no-untyped-def]
    """Whether a number of ten digits can be someone's in North America."""
    area, exchange, line = value // 10_000_000, value // 10_000 % 1000, value % 10_000
    if area < 200 or area // 10 % 10 == 9 or area % 100 == 11 or area == 555 or exchange < 200 or exchange % 100 == 11:
        return False
    return not (exchange == 555 and 100 <= line < 200) and _are_different(value)


@njit(cache=True, nogil=True)
def _national(data, at, end):  # type: ignore[no-untyped-def]
    """Where the North American phone number that starts at byte `at` ends, -1 if there is none."""
    if data[at] == 0x31:
        kind, at = _separator(data, at + 1, end)
        if kind == 0 and not (at < end and data[at] == 0x28):
            return -1
    enclosed = at < end and data[at] == 0x28
    area = at + enclosed
    at = area + 3
    if _digits(data, area, end, 4) != 3 or (enclosed and not (at < end and data[at] == 0x29)):
        return -1
    one, exchange = _separator(data, at + enclosed, end)
    if _digits(data, exchange, end, 4) != 3 or (one == 0 and not enclosed):
        return -1
    two, line = _separator(data, exchange + 3, end)
    if two == 0 or _digits(data, line, end, 5) != 4:
        return -1
    usual = two == _HYPHEN if one == _SPACE else one == two
    if enclosed:
        usual = two != _DOT or one == _DOT
    value = _append(_append(_append(np.int64(0), data, area, 3), data, exchange, 3), data, line, 4)
    stop = line + 4
    if not usual or not _is_north_american(value) or _goes_on(data, stop, end):
        return -1
    kind, following = _separator(data, stop, end)
    return -1 if two == _SPACE and kind == _SPACE and _digits(data, following, end, 1) else stop


@njit(cache=True, nogil=True)
def _country_code(data, at, n):  # type: ignore[no-untyped-def]
    """The country code that the `n` digits from byte `at` on start with, 0 if none."""
    code = 0
    if n > 0 and data[at] == 0x30:
        return 0
    for i in range(at, at + min(n, 3)):
        code = 10 * code + (data[i] & 15)
        if _IS_COUNTRY_CODE[code]:
            return code
    return 0


@njit(cache=True, nogil=True)
def _group(data, at, end, enclosed):  # type: ignore[no-untyped-def]
    """The next group of an international number, with the separator before it, from byte `at` on: where the digits in
    parentheses start and how many these are (0: no parentheses), the same for those without, and the kinds of the
    separators before and between. No digits without parentheses: no group. `enclosed`: whether there may be some in."""
    before, first = _separator(data, at, end)
    if not (first < end and data[first] == 0x28):
        return first, 0, first, _digits(data, first, end, MOST_DIGITS + 1) if before else 0, before, 0
    first += 1
    n = _digits(data, first, end, 6)
    if not enclosed or not 1 <= n <= 5 or not (first + n < end and data[first + n] == 0x29):
        return first, 0, first, 0, before, 0
    between, second = _separator(data, first + n + 1, end)
    return first, n, second, _digits(data, second, end, MOST_DIGITS + 1), before, between


@njit(cache=True, nogil=True)
def _international(data, at, end):  # type: ignore[no-untyped-def]
    """Where the international phone number whose "+" is byte `at` ends, -1 if there is none."""
    at += 1
    n = _digits(data, at, end, MOST_DIGITS + 1)
    code = _country_code(data, at, n)
    most = NORTH_AMERICAN_DIGITS if code == NORTH_AMERICA else MOST_DIGITS
    if code == 0 or n > most:
        return -1
    whole = LEAST_WHOLE <= n <= MOST_WHOLE
    value, at, dots, enclosed = _append(np.int64(0), data, at, n), at + n, 0, True
    first_end = at
    last, last_n, last_value, last_dots = np.int64(-1), 0, value, 0  # as it was before the last space
    while True:
        first, n_first, second, n_second, before, between = _group(data, at, end, enclosed)
        if n_second == 0:
            break
        if before == _SPACE:
            last, last_n, last_value, last_dots = at, n, value, dots
        if n + n_first + n_second > most:
            at, n, value, dots = last, last_n, last_value, last_dots
            break
        value = _append(_append(value, data, first, n_first), data, second, n_second)
        n, at, enclosed = n + n_first + n_second, second + n_second, enclosed and n_first == 0
        dots += (before == _DOT) + (between == _DOT)
    if at < 0 or dots == 1 or (at == first_end and not whole) or _goes_on(data, at, end):
        return -1
    if code == NORTH_AMERICA:
        return at if n == NORTH_AMERICAN_DIGITS and _is_north_american(value % 10**10) else -1
    return at if n >= LEAST_DIGITS and _are_different(value) else -1


@njit(cache=True, nogil=True)
def _phone_number(data, start, at, end):  # type: ignore[no-untyped-def]
    """Where the phone number with the first digit at byte `at` starts and ends, -1 if there is none."""
    if at > start and data[at - 1] == 0x2B:
        joined = is_kind(_KINDS, data, at - 2, start, end, _BEFORE_PLUS)
        return at - 1, -1 if joined else _international(data, at - 1, end)
    if at > start and data[at - 1] == 0x28 and not is_kind(_KINDS, data, at - 2, start, end, _BEFORE):
        stop = _national(data, at - 1, end)
        if stop >= 0:
            return at - 1, stop
    return at, -1 if is_kind(_KINDS, data, at - 1, start, end, _BEFORE) else _national(data, at, end)


@njit(types.int64(*TEXT_ARGUMENTS[:2], types.int64[::1], types.int64[::1]), cache=True, nogil=True)
def find_phone_numbers(data, offsets, first, last):  # type: ignore[no-untyped-def]
    """Write the phone numbers as bytes [first, last) of `data`, ascending, and return how many there are.

    Every one has at least 10 bytes.
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
            # A quick look rules nearly all numbers out: those in phone numbers have one digit, a one, or three, or a
            # plus before them.
            if at + 9 <= end and (
                not _KINDS[data[at + (1 if byte == 0x31 else 3)]] & _DIGIT or (at > start and data[at - 1] == 0x2B)
            ):
                begin, stop = _phone_number(data, start, at, end)
                if stop >= 0:
                    first[n], last[n] = begin, stop
                    n += 1
                    at = stop
            while at < end and _KINDS[data[at]] & _DIGIT:
                at += 1
    return n
