"""The canonical form of URLs, by which documents of one page are found: equal forms, one page.

It follows RFC 3986, section 6.2, where that says that two URLs mean the same, and goes on only where two pages of one
form are all but unheard of. (datatrove compares URLs as they are; the keys of web archives, SURT, also fold the case of
paths and the order of all parameters.) Of a URL with the scheme http or https

* white space around it goes; the rest of this list follows in its order;
* the scheme becomes https;
* the host becomes lower case, without a dot at its end and without "www." at its beginning (as in SURT, but not www2;
  it stays where nothing but a top level domain would be left). One that is not ASCII is normalised (NFKC) and encoded
  by label with Punycode, "straße.de" as xn--strae-oqa.de: as UTS #46 does it, but for what that refuses or ignores;
* the ports 80, 443 and none go, other ones lose zeros at their beginning;
* what is percent-encoded although it need not be (letters, digits, - . _ ~) is decoded, what stands raw although it may
  not (white space, quotes, all but ASCII, a % that begins no code) is encoded as UTF-8, hex digits become upper case.
  So "(" and "%28" stay different, and "+" and "%20", which mean the same in forms only;
* in the path `;jsessionid=…` goes, dot segments are resolved, slashes at the end go; an empty path becomes "/". Empty
  segments within it and its case stay, and names like index.html;
* parameters of the query (between &) without a name and a value go, and those of `TRACKING`; if each of the others has
  a "=", they are sorted by name, those of one name in their order: "?12&7" stays. An empty query goes;
* the fragment goes, but one that begins with "!" (and goes on) stays: such names a page of its own.

What is no such URL stays as it is, without the white space around it: other schemes, none, hosts that DNS cannot have
(letters, digits, "-" and "_" in labels, or an IPv6 address in brackets), user names, ports above five digits.
"""

import re
import unicodedata

import pyarrow as pa
import xxhash

# Parameters that say how a reader came to the page or who that is, not which page it is. Any case; and those that
# begin with `TRACKING_PREFIXES`. Of Firefox's strip list (its source docs, "Query Parameter Stripping"): mc_eid,
# oly_anon_id, oly_enc_id, __s, vero_id, _hsenc, mkt_tok, fbclid. The rest are named by who sets them: clicks on
# advertisements of Google, Facebook, Microsoft, X, TikTok, LinkedIn, Yandex, Instagram; Google Analytics' linker;
# Mailchimp, HubSpot, Openstat; sessions of PHP and Java. Not "ref", "source", "id": these can choose a page.
TRACKING = frozenset(
    [
        *("gclid", "gclsrc", "dclid", "gbraid", "wbraid", "fbclid", "msclkid", "twclid", "ttclid", "li_fat_id"),
        *("yclid", "igshid", "igsh", "_ga", "_gl", "mc_cid", "mc_eid", "_hsenc", "_hsmi", "__hstc", "__hssc"),
        *("__hsfp", "hsctatracking", "_openstat", "mkt_tok", "oly_anon_id", "oly_enc_id", "vero_id", "__s"),
        *("phpsessid", "jsessionid"),
    ]
)
TRACKING_PREFIXES = ("utm_", "aspsessionid")

_URL = re.compile(r"https?://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]@:]+)(?::([0-9]{0,5}))?")
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_WWW = re.compile(r"(?:www\.)+(?=[^.]+\.)")
_PLAIN_HOST = re.compile(r"(?!www\.)[a-z0-9-]+(?:\.[a-z0-9-]+)*")
_DOTS = re.compile(r"/\.\.?(?:/|$)")
_SESSION = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
# What need not be touched in each part: unreserved characters, sub-delims, ":", "@" (RFC 3986, section 3.3 and 3.4).
_PLAIN = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?]*")
_ENCODED_OR_RAW = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_FULL_STOP = re.compile("[\u3002\uff0e\uff61]")


def canonical(url: str) -> str:
    """The canonical form of a URL; what is none stays as it is, without white space around it. Never raises.

    The canonical form of a canonical form is itself.
    """
    url = url.strip()
    parts = _URL.fullmatch(url)
    if parts is None:
        return url
    authority, path, query, fragment = parts.groups()
    try:
        host = authority if _PLAIN_HOST.fullmatch(authority) else _host(authority)
        if not host:
            return url
        page = f"https://{host}{_path(path)}"
        if query and (query := _query(query)):
            page += "?" + query
        if fragment and len(fragment) > 1 and fragment[0] == "!":
            page += "#" + _encoded(fragment)
    except UnicodeError:  # lone surrogates, which UTF-8 has not
        return url
    return page


def hashes(urls: pa.Array) -> pa.Array:
    """The xxh3-128 (16 bytes, big-endian) of each URL's canonical form in UTF-8, binary; null for URLs that are null,
    empty or white space. `urls`: string or large_string."""
    forms = (canonical(url) if url else "" for url in urls.to_pylist())
    return pa.array([xxhash.xxh3_128_digest(form.encode()) if form else None for form in forms], pa.binary())


def _host(authority: str) -> str:
    """The host, with its port if it has one of its own; "" if there is none."""
    found = _AUTHORITY.fullmatch(authority.lower() if authority.isascii() else authority)
    if found is None:
        return ""
    host, port = found[1], found[2]
    if host[0] != "[":
        host = host if host.isascii() else _ascii(host)
        host = _WWW.sub("", host.removesuffix("."), count=1) if host.startswith("www.") else host.removesuffix(".")
        if _HOST.fullmatch(host) is None:
            return ""
    number = int(port or 0)
    return host if number in (0, 80, 443) else f"{host}:{number}"


def _ascii(host: str) -> str:
    """A host with other letters in Punycode (RFC 3492)."""
    # Character by character: at a word's end str.lower makes another letter of a capital sigma, hosts do not.
    lower = "".join(char.lower() for char in unicodedata.normalize("NFKC", _FULL_STOP.sub(".", host)))
    labels = unicodedata.normalize("NFKC", lower).split(".")
    return ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels)


def _path(path: str) -> str:
    path = _encoded(path)
    if ";" in path:
        path = _SESSION.sub("", path)
    if "/." in path and _DOTS.search(path):
        path = _without_dots(path)
    return path.rstrip("/") or "/"


def _without_dots(path: str) -> str:
    """The path with its dot segments resolved (RFC 3986, section 5.2.4), but for a slash at the end."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    parameters = [(*one.partition("=")[:2], one) for one in _encoded(query).split("&") if one not in ("", "=")]
    kept = [(name, sign, one) for name, sign, one in parameters if not _is_tracking(name.lower())]
    if all(sign for _, sign, _ in kept):
        kept.sort(key=lambda parameter: parameter[0])
    return "&".join([one for _, _, one in kept])


def _is_tracking(name: str) -> bool:
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


def _encoded(part: str) -> str:
    """A path, query or fragment with just those characters percent-encoded that must be."""
    return part if _PLAIN.fullmatch(part) else _ENCODED_OR_RAW.sub(_recoded, part)


def _recoded(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 1:
        return "".join(f"%{byte:02X}" for byte in text.encode())
    byte = int(text[1:], 16)
    return chr(byte) if byte in _UNRESERVED else text.upper()
