"""Public addresses of the Internet Protocol in texts.

*IPv4*: four decimal numbers of 0 to 255 without leading zeros, with dots between them. At least one has three digits:
2.3 % of all addresses have no such number (100⁴ / 256⁴), and nearly all versions and section numbers have none. The
first two are not 1.2, 1.3 or 2.5, as in object identifiers (ITU-T X.660).
*IPv6* (RFC 4291, section 2.2): eight groups of 1 to 4 hexadecimal digits with colons between them, or "::" once for a
run of zeros, and then at least three groups, so that neither times nor C++ names are addresses. The last number is not
0, nor the end "::": these name networks, not machines.

Neither is joined to more: before it stands no letter, digit or any of `_.-` (nor `:` before IPv6; before IPv4 no `~` or
`^`, which stand before versions, and no `/` after a letter or digit: "Chrome/4.0.249.78"); behind it no letter, digit
or `_`, and no dot or hyphen (or colon, for IPv6) that a letter or digit follows. A port, "/24" and "%eth0" may follow;
they are not part. Any character beyond ASCII is a border.

*Public*: reached from everywhere, so it can be someone's. Not public is what the IANA's special-purpose registries
(https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry) call not globally reachable,
and multicast; of IPv6 only 2000::/3 has been given out. Coarser than the registries: 192.0.0.0/24 and 2001::/23 are
not public as a whole, with the few addresses of protocols in them; nor is 2002::/16 (addresses of 6to4).

datatrove's `PIIFormatter` (formatters/pii.py) masks IPv4 addresses where `ipaddress` calls them global, also inside
longer numbers; BigCode (bigcode-dataset, pii/utils/emails_ip_addresses_detection.py) takes IPv4 and IPv6, and leaves
out those of four single digits, which are versions.
"""

import numpy as np
from numba import njit, types

from pipeline.filtered.pii.byte_kinds import is_in
from pipeline.texts.characters import TEXT_ARGUMENTS

# First address and bits of each network that is not public.
NOT_PUBLIC_IPV4 = (
    ("0.0.0.0", 8),  # this network (RFC 791)
    ("10.0.0.0", 8),  # private (RFC 1918)
    ("100.64.0.0", 10),  # shared by the customers of a carrier (RFC 6598)
    ("127.0.0.0", 8),  # loopback (RFC 1122)
    ("169.254.0.0", 16),  # link-local (RFC 3927)
    ("172.16.0.0", 12),  # private (RFC 1918)
    ("192.0.0.0", 24),  # protocol assignments (RFC 6890)
    ("192.0.2.0", 24),  # documentation (RFC 5737)
    ("192.168.0.0", 16),  # private (RFC 1918)
    ("198.18.0.0", 15),  # benchmarking (RFC 2544)
    ("198.51.100.0", 24),  # documentation (RFC 5737)
    ("203.0.113.0", 24),  # documentation (RFC 5737)
    ("224.0.0.0", 4),  # multicast (RFC 5771)
    ("240.0.0.0", 4),  # reserved (RFC 1112), broadcast (RFC 919)
)
# The first two groups, as one number of 32 bits, and how many bits of it count.
NOT_PUBLIC_IPV6 = (
    (0x2001_0000, 23),  # protocol assignments (RFC 2928), Teredo, benchmarking, ORCHID among them
    (0x2001_0DB8, 32),  # documentation (RFC 3849)
    (0x2002_0000, 16),  # 6to4 (RFC 3056)
    (0x3FFF_0000, 20),  # documentation (RFC 9637)
)
OID_STARTS = ((1, 2), (1, 3), (2, 5))
LEAST_GROUPS = 3  # of an IPv6 address with "::"


def _bits(address: str) -> int:
    """The 32 bits of a dotted IPv4 address."""
    return int.from_bytes(bytes(int(number) for number in address.split(".")), "big")


# The bits above the network's own, and how far to shift an address to have no more than these.
_IPV4 = np.array([(_bits(first) >> 32 - bits, 32 - bits) for first, bits in NOT_PUBLIC_IPV4], np.int64)
_IPV6 = np.array([(first >> 32 - bits, 32 - bits) for first, bits in NOT_PUBLIC_IPV6], np.int64)

_OIDS = np.array([first << 8 | second for first, second in OID_STARTS], np.int64)
_NOT_HEXADECIMAL = 16
_DIGITS = np.full(256, _NOT_HEXADECIMAL, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_DIGITS[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_ALNUM = np.array([byte < 0x80 and chr(byte).isalnum() for byte in range(256)])


@njit(cache=True, nogil=True)
def _is_public(networks, bits):  # type: ignore[no-untyped-def]
    public = True
    for network in range(len(networks)):
        public &= bits >> networks[network, 1] != networks[network, 0]
    return public


@njit(cache=True, nogil=True)
def _goes_on(data, at, end, mark):  # type: ignore[no-untyped-def]
    """Whether what ends before byte `at` is joined to more: by a letter, digit or `_`, or by a dot, hyphen or `mark`
    with a letter or digit behind it."""
    if at >= end:
        return False
    byte = data[at]
    if _ALNUM[byte] or byte == 0x5F:
        return True
    return (byte == 0x2E or byte == 0x2D or byte == mark) and at + 1 < end and _ALNUM[data[at + 1]]


@njit(cache=True, nogil=True)
def _ipv4(data, at, end):  # type: ignore[no-untyped-def]
    """Where the public address that starts at byte `at` ends, -1 if there is none."""
    bits, most = np.int64(0), 0
    for number in range(4):
        if number > 0:
            if not (at < end and data[at] == 0x2E):
                return -1
            at += 1
        value, n = np.int64(0), 0
        while n < 4 and at + n < end and _DIGITS[data[at + n]] < 10:
            value = 10 * value + _DIGITS[data[at + n]]
            n += 1
        if not 1 <= n <= 3 or value > 255 or (n > 1 and data[at] == 0x30):
            return -1
        bits, most, at = bits << 8 | value, max(most, n), at + n
    if most < 3 or bits & 255 == 0 or is_in(_OIDS, bits >> 16):
        return -1
    return at if _is_public(_IPV4, bits) and not _goes_on(data, at, end, 0x2E) else -1


@njit(cache=True, nogil=True)
def _ipv6(data, at, end):  # type: ignore[no-untyped-def]
    """Where the public address that starts at byte `at` ends, -1 if there is none."""
    bits, n_groups, gap = np.int64(0), 0, False
    while True:
        value, n = np.int64(0), 0
        while n < 5 and at < end and _DIGITS[data[at]] < _NOT_HEXADECIMAL:
            value = value << 4 | _DIGITS[data[at]]
            at, n = at + 1, n + 1
        if n == 0 or n > 4 or (n_groups == 0 and n < 4) or n_groups == 8:
            return -1
        if n_groups < 2 and not (gap and n_groups == 1):
            bits |= value << 16 * (1 - n_groups)
        n_groups += 1
        if not (at + 1 < end and data[at] == 0x3A):
            break
        if data[at + 1] == 0x3A:
            if gap:
                return -1
            at, gap = at + 2, True
        elif _DIGITS[data[at + 1]] < _NOT_HEXADECIMAL:
            at += 1
        else:
            break
    whole = LEAST_GROUPS <= n_groups < 8 if gap else n_groups == 8
    if not whole or value == 0 or _goes_on(data, at, end, 0x3A) or bits >> 29 != 1 or not _is_public(_IPV6, bits):
        return -1
    return at


@njit(cache=True, nogil=True)
def _address(data, start, at, end):  # type: ignore[no-untyped-def]
    """Where the public address that starts with the digit at byte `at` ends, -1 if there is none."""
    before = data[at - 1] if at > start else np.uint8(0x20)
    if before == 0x2E or before == 0x2D or before == 0x5F or _ALNUM[before]:
        return -1
    if at + 4 < end and data[at + 4] == 0x3A:
        return -1 if before == 0x3A else _ipv6(data, at, end)
    if before == 0x7E or before == 0x5E or (before == 0x2F and at - 1 > start and _ALNUM[data[at - 2]]):
        return -1
    return _ipv4(data, at, end)


@njit(cache=True, nogil=True)
def _may_start(data, at, end):  # type: ignore[no-untyped-def]
    """Whether a dot or colon follows the digit at byte `at` as in an address (a quick look)."""
    if at + 7 > end:
        return False
    return data[at + 1] == 0x2E or data[at + 2] == 0x2E or data[at + 3] == 0x2E or data[at + 4] == 0x3A


@njit(types.int64(*TEXT_ARGUMENTS[:2], types.int64[::1], types.int64[::1]), cache=True, nogil=True)
def find_ip_addresses(data, offsets, first, last):  # type: ignore[no-untyped-def]
    """Write the addresses as bytes [first, last) of `data`, ascending, and return how many there are.

    Every address has at least 9 bytes.
    """
    n = 0
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        at = start
        while at < end:
            if _DIGITS[data[at]] >= 10:
                at += 1
                continue
            if _may_start(data, at, end):
                stop = _address(data, start, at, end)
                if stop >= 0:
                    first[n], last[n] = at, stop
                    n += 1
                    at = stop
            while at < end and _DIGITS[data[at]] < 10:
                at += 1
    return n
