"""A slow reference for personal data: characters, not bytes; regular expressions and Python's `ipaddress`."""

import ipaddress
import re

from pipeline.filtered.edit_rules import PiiKind
from pipeline.filtered.pii import KINDS
from pipeline.filtered.pii.cards import NETWORKS
from pipeline.filtered.pii.phones import COUNTRY_CODES

Found = list[tuple[PiiKind, str]]

GAP = "[ \u00a0\u202f]"
JOINT = "[- .\u00a0\u202f\u2010-\u2013]"
LABEL = "[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
RESERVED = {
    "example",
    "invalid",
    "localhost",
    "test",
    "local",
    "localdomain",
    "gif",
    "jpeg",
    "jpg",
    "png",
    "svg",
    "webp",
}


def slow_emails(text: str) -> list[tuple[int, int]]:
    spans = []
    for at in (match.start() for match in re.finditer("@", text)):
        run = re.findall(r"[A-Za-z0-9._+-]*\Z", text[:at])[0]
        before = text[: at - len(run)]
        if re.search(r"[@$%)}]\Z", before):
            continue
        if before.endswith("\\"):
            run = re.sub("^[A-Za-z]", "", run)
        local = run.lstrip("._+-")
        domain = re.match(rf"{LABEL}(?:\.{LABEL})+", text[at + 1 :])
        if not re.fullmatch(r"[A-Za-z0-9._+-]{0,63}[A-Za-z0-9_+-]", local) or ".." in local or domain is None:
            continue
        if re.search(r"://[A-Za-z0-9._~%!$&'()*+,;=:-]*\Z", text[: at - len(local)]):
            continue
        labels = domain.group().lower().split(".")
        if max(map(len, labels)) > 63 or len(domain.group()) > 253 or not re.fullmatch("[a-z]{2,}", labels[-1]):
            continue
        if labels[0].isdigit() and labels[1].isdigit():
            continue
        if labels[-1] in RESERVED:
            continue
        if labels[-2] == "example" and labels[-1] in ("com", "net", "org"):
            continue
        end = at + 1 + domain.end()
        if not re.match(r"[@_(]", text[end:]):
            spans.append((at - len(local), end))
    return spans


def is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        numbers = text.split(".")
        likely = max(map(len, numbers)) == 3 and numbers[3] != "0"
        likely = likely and (numbers[0], numbers[1]) not in [("1", "2"), ("1", "3"), ("2", "5")]
        # Versions of Python differ in the few addresses of protocols in this network.
        return likely and address.is_global and not address.is_multicast and not text.startswith("192.0.0.")
    if int(address) % 2**16 == 0:  # a network
        return False
    newer = [ipaddress.IPv6Network(network) for network in ("2001::/23", "2002::/16", "3fff::/20")]
    return address.is_global and address in ipaddress.IPv6Network("2000::/3") and not any(address in n for n in newer)


def slow_ip_addresses(text: str) -> list[tuple[int, int]]:
    spans = []
    found = r"(?<![A-Za-z0-9_.~^-])(?<![A-Za-z0-9]/)(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_])(?![.-][A-Za-z0-9])"
    for match in re.finditer(found, text, re.A):
        try:
            public = is_public(match.group())
        except ValueError:
            continue
        if public:
            spans.append(match.span())
    for match in re.finditer(r"(?<![A-Za-z0-9_.:-])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]*", text):
        shown = re.sub("(?<!:):$", "", match.group())
        end = match.start() + len(shown)
        if re.match(r"[A-Za-z0-9_]|[.:-][A-Za-z0-9]|::", text[end:]):
            continue
        if len(re.findall("[^:]+", shown)) < 3:
            continue
        try:
            public = is_public(shown)
        except ValueError:
            continue
        if public:
            spans.append((match.start(), end))
    return spans


def is_north_american(digits: str) -> bool:
    valid = re.fullmatch(r"(?!555)[2-9](?!11)[0-8]\d[2-9](?!11)\d\d\d{4}", digits)
    return bool(valid) and not digits[3:].startswith("55501") and len(set(digits)) >= 3


def slow_phone_at(text: str, at: int) -> int:
    """Where the phone number that starts at character `at` ends; -1 if none does."""
    rest = text[at:]
    closed = r"(?![A-Za-wyz0-9_]|x(?!\d)|X|-[A-Za-z0-9]|\.\d)"
    if rest[0] == "+":
        units = rf"{JOINT}?\(\d{{1,5}}\){JOINT}?\d+|{JOINT}\d+"
        chain = re.match(rf"\+(\d+)((?:{JOINT}\d+)*(?:{JOINT}?\(\d{{1,5}}\){JOINT}?\d+(?:{JOINT}\d+)*)?)", rest, re.A)
        if chain is None or re.search(r"[A-Za-z0-9_+$%~)\]-]\Z", text[:at]):
            return -1
        head, parts = chain.group(1), [match.group() for match in re.finditer(units, chain.group(2), re.A)]
        most = 11 if head[0] == "1" else 15
        if not any(head.startswith(str(code)) for code in COUNTRY_CODES):
            return -1
        for n in range(len(parts), -1, -1):
            shown = "+" + head + "".join(parts[:n])
            digits = re.sub(r"\D", "", shown, flags=re.A)
            if len(digits) <= most and (n == len(parts) or re.match(GAP, parts[n])):
                break
        else:
            return -1
        if shown.count(".") == 1 or not re.match(closed, rest[len(shown) :], re.A):
            return -1
        if most == 11 and not is_north_american(digits[1:]):
            return -1
        if len(digits) < (8 if n else 9) or len(digits) > (15 if n else 13) or len(set(digits)) < 3:
            return -1
        return at + len(shown)
    found = re.match(
        rf"(?:1(?:{JOINT}|(?=\()))?(?:\((\d{{3}})\)({JOINT}?)|(\d{{3}})({JOINT}))(\d{{3}})({JOINT})(\d{{4}}){closed}",
        rest,
        re.A,
    )
    if found is None or re.search(r"[A-Za-z0-9_+$%~.-]\Z", text[:at]):
        return -1
    kinds = ["." if mark == "." else " " if re.fullmatch(GAP, mark) else "-" for mark in found.group(6)]
    one = found.group(4) if found.group(1) is None else found.group(2)
    kinds += ["." if one == "." else " " if re.fullmatch(GAP, one) else "-" if one else ""]
    usual = kinds in (["-", "-"], [".", "."], ["-", " "]) if found.group(1) is None else kinds[0] != "." or one == "."
    if not usual or not is_north_american((found.group(1) or found.group(3)) + found.group(5) + found.group(7)):
        return -1
    return -1 if kinds[0] == " " and re.match(rf"{GAP}\d", rest[found.end() :], re.A) else at + found.end()


def slow_phones(text: str) -> list[tuple[int, int]]:
    spans, at = [], 0
    while at < len(text):
        end = slow_phone_at(text, at) if text[at] in "+(0123456789" else -1
        spans += [(at, end)] if end >= 0 else []
        at = max(at + 1, end)
    return spans


def slow_cards(text: str) -> list[tuple[int, int]]:
    spans = []
    starts = re.compile(r"(?<![A-Za-z0-9_.$%/=#@\\&+-])\d+", re.A)
    at = 0
    while (match := starts.search(text, at)) is not None:
        at, shown = match.end(), match.group()
        if len(shown) == 4 and text[at : at + 1] in (" ", "-"):
            mark = text[at]
            chain = re.match(rf"\d+(?:{mark}\d+)*", text[match.start() :], re.A)
            assert chain is not None
            shown = chain.group()
            groups = shown.split(mark)
            if [len(group) for group in groups] not in ([4] * 4, [4, 4, 4, 4, 3], [4, 6, 5], [4, 6, 4]):
                continue
            if mark == " " and re.search(r"\d \Z", text[: match.start()], re.A):
                continue
            if len(groups) == 4 and groups[0] < groups[1] < groups[2] < groups[3] and groups[0][:2] == groups[3][:2]:
                continue
        digits = re.sub("[ -]", "", shown)
        doubled = [int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(digits))]
        network = any(
            low <= len(digits) <= high and first <= int(digits[: len(str(first))]) <= last
            for first, last, low, high in NETWORKS
        )
        end = match.start() + len(shown)
        if not network or sum(value // 10 + value % 10 for value in doubled) % 10:
            continue
        if not re.match(r"[A-Za-z0-9_%]|-[A-Za-z0-9]|\.\d", text[end:], re.A):
            spans.append((match.start(), end))
            at = end
    return spans


def reference(text: str) -> Found:
    spans: list[tuple[int, int, PiiKind]] = []
    slow = (slow_emails, slow_ip_addresses, slow_phones, slow_cards)
    for kind, of_kind in zip(KINDS, slow, strict=True):
        free = [(a, b) for a, b in of_kind(text) if all(b <= first or last <= a for first, last, _ in spans)]
        spans += [(first, last, kind) for first, last in free]
    return [(kind, text[first:last]) for first, last, kind in sorted(spans)]
