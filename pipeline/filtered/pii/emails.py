"""E-mail addresses in texts.

*Address*: local part, "@", domain, in ASCII. The local part (RFC 5321, section 4.5.3.1.1: at most 64 characters) is of
letters, digits and `._+-`, from the first letter or digit on: what else RFC 5322 allows (quotation marks, `/`, `=`, …)
stands before addresses far more often than in them. It has no two dots in a row and none at its end. The domain is of
at least two labels of letters, digits and inner hyphens, each at most 63 characters and all at most 253 (RFC 1035,
section 2.3.4); the last one has at least two characters, all letters. It ends before a dot or hyphen that no letter or
digit follows. Any character beyond ASCII is a border: addresses stand between Chinese letters, and Korean particles
follow them, without a space.

Not addresses, though they look so:

* what is joined to more: after `@`, or before `@` or `_`;
* templates: the local part follows a `$`, `%`, `)` or `}` ("$user@…", "%s@…", "%(name)s@…", "{first}.last@…");
* calls ("a@b.transpose(") and pictures ("logo@2x.png": endings that are no top-level domains);
* versions ("pkg@1.2.3-4.dev": the domain starts with two labels of digits);
* passwords and users in URLs ("https://user:password@host.org", RFC 3986, section 3.2.1);
* what is nobody's: domains set aside for examples and tests (RFC 2606, RFC 6761), `.local` (RFC 6762) and
  `.localdomain`.

After a backslash the first letter is taken for the rest of an escape ("\\nuser@…").

datatrove's `PIIFormatter` (formatters/pii.py) takes small letters only, all of RFC 5322's characters and all domains;
BigCode's (bigcode-dataset, pii/utils/emails_ip_addresses_detection.py) takes any characters.
"""

import numpy as np
from numba import njit, types

from pipeline.filtered.pii.byte_kinds import DIGITS, LETTERS, is_in, is_kind, kinds_of_bytes
from pipeline.texts.characters import TEXT_ARGUMENTS

MOST_LOCAL = 64
MOST_LABEL = 63
MOST_DOMAIN = 253
RESERVED_ENDINGS = ("example", "invalid", "localhost", "test", "local", "localdomain")
RESERVED_DOMAINS = ("example.com", "example.net", "example.org")
PICTURE_ENDINGS = ("gif", "jpeg", "jpg", "png", "svg", "webp")

_DIGIT, _LETTER, _LOCAL, _TEMPLATE, _BEHIND, _USERINFO = 1, 2, 4, 8, 16, 32
_ALNUM = _DIGIT | _LETTER


def _packed(label: str) -> int:
    """A number for a label of at most 12 letters: 5 bits a letter, small and capital alike."""
    value = 0
    for letter in label.encode():
        value = value << 5 | letter & 31
    return value


_MOST_PACKED = 12
_ENDINGS = np.array(sorted(_packed(label) for label in RESERVED_ENDINGS + PICTURE_ENDINGS), np.int64)
_EXAMPLE = _packed("example")
_EXAMPLE_ENDINGS = np.array([_packed(domain.split(".")[1]) for domain in RESERVED_DOMAINS], np.int64)

_KINDS = kinds_of_bytes(
    {
        _DIGIT: DIGITS,
        _LETTER: LETTERS,
        _LOCAL: LETTERS + b"0123456789._+-",
        _TEMPLATE: b"$%)}",
        _BEHIND: b"@_(",
        _USERINFO: LETTERS + b"0123456789-._~%!$&'()*+,;=:",
    }
)


@njit(cache=True, nogil=True)
def _in_url(data, start, first):  # type: ignore[no-untyped-def]
    """Whether nothing but user and password stands between "://" and byte `first`."""
    while is_kind(_KINDS, data, first - 1, start, first, _USERINFO):
        first -= 1
    return first - 3 >= start and data[first - 1] == 0x2F and data[first - 2] == 0x2F and data[first - 3] == 0x3A


@njit(cache=True, nogil=True)
def _local_part(data, start, at):  # type: ignore[no-untyped-def]
    """Where the local part before the "@" at byte `at` starts, -1 if there is none."""
    first = at
    while is_kind(_KINDS, data, first - 1, start, at, _LOCAL):
        first -= 1
    if first > start:
        before = data[first - 1]
        if before == 0x40 or _KINDS[before] & _TEMPLATE:
            return -1
        if before == 0x5C and is_kind(_KINDS, data, first, start, at, _LETTER):
            first += 1
    while first < at and not _KINDS[data[first]] & _ALNUM:
        first += 1
    if not 1 <= at - first <= MOST_LOCAL or data[at - 1] == 0x2E:
        return -1
    for i in range(first + 1, at):
        if data[i] == 0x2E and data[i - 1] == 0x2E:
            return -1
    return -1 if _in_url(data, start, first) else first


@njit(cache=True, nogil=True)
def _label(data, at, end):  # type: ignore[no-untyped-def]
    """The label that starts at byte `at`: where it ends (`at` if there is none), the kinds of its characters together
    (a hyphen has none), and its number as `_packed` makes it (0 if it is not that short or not of letters)."""
    stop, kinds, value = at, 0, np.int64(0)
    while stop < end:
        if data[stop] == 0x2D and stop > at:
            following = stop + 1
            while following < end and data[following] == 0x2D:
                following += 1
            if not is_kind(_KINDS, data, following, at, end, _ALNUM):
                break
            stop, kinds = following, kinds | 64
        elif not _KINDS[data[stop]] & _ALNUM:
            break
        kinds |= _KINDS[data[stop]] & _ALNUM
        value = value << 5 | np.int64(data[stop] & 31)
        stop += 1
    return stop, kinds, value if kinds == _LETTER and stop - at <= _MOST_PACKED else np.int64(0)


@njit(cache=True, nogil=True)
def _domain(data, first, end):  # type: ignore[no-untyped-def]
    """Where the domain that starts at byte `first` ends, -1 if there is none."""
    at, n_labels, n_numbers, before, value = first, 0, 0, np.int64(0), np.int64(0)
    while True:
        before = value
        stop, kinds, value = _label(data, at, end)
        if not 1 <= stop - at <= MOST_LABEL:
            return -1
        n_labels += 1
        n_numbers += kinds == _DIGIT and n_labels <= 2
        if not (stop < end and data[stop] == 0x2E and is_kind(_KINDS, data, stop + 1, first, end, _ALNUM)):
            break
        at = stop + 1
    if n_labels < 2 or n_numbers == 2 or kinds != _LETTER or stop - at < 2 or stop - first > MOST_DOMAIN:
        return -1
    if is_kind(_KINDS, data, stop, first, end, _BEHIND) or is_in(_ENDINGS, value):
        return -1
    return -1 if before == _EXAMPLE and is_in(_EXAMPLE_ENDINGS, value) else stop


@njit(types.int64(*TEXT_ARGUMENTS[:2], types.int64[::1], types.int64[::1]), cache=True, nogil=True)
def find_emails(data, offsets, first, last):  # type: ignore[no-untyped-def]
    """Write the addresses as bytes [first, last) of `data`, ascending, and return how many there are.

    Every address has at least 6 bytes, and one before the next.
    """
    n = 0
    for document in range(len(offsets) - 1):
        start, end = offsets[document], offsets[document + 1]
        at = start
        while at < end:
            if data[at] == 0x40:
                local = _local_part(data, start, at)
                if local >= 0:
                    stop = _domain(data, at + 1, end)
                    if stop >= 0:
                        first[n], last[n] = local, stop
                        n += 1
            at += 1
    return n
