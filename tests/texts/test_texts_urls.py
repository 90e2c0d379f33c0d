"""The canonical form of URLs: a literal for each rule, and what must hold for any text."""

import re

import pyarrow as pa
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.texts.urls import TRACKING, canonical, hashes


@pytest.mark.parametrize(
    ("url", "form"),
    [
        # already canonical
        ("https://example.com/", "https://example.com/"),
        ("https://example.com/Some/Page.html?b=2&c#!x", "https://example.com/Some/Page.html?b=2&c#!x"),
        # white space around it
        (" \n\thttps://example.com/a\u00a0", "https://example.com/a"),
        # scheme
        ("http://example.com/a", "https://example.com/a"),
        ("HtTpS://example.com/a", "https://example.com/a"),
        # host
        ("https://EXAMPLE.Com./a", "https://example.com/a"),
        ("https://www.example.com/a", "https://example.com/a"),
        ("https://WWW.WWW.Example.com/a", "https://example.com/a"),
        ("https://www2.example.com/a", "https://www2.example.com/a"),
        ("https://www.com/a", "https://www.com/a"),
        ("https://www.www.com./a", "https://www.com/a"),
        ("https://wwwexample.com/a", "https://wwwexample.com/a"),
        ("https://my_host/", "https://my_host/"),
        ("https://[2001:DB8::1]:80/a", "https://[2001:db8::1]/a"),
        ("https://127.0.0.1/a", "https://127.0.0.1/a"),
        ("https://Straße.DE/a", "https://xn--strae-oqa.de/a"),
        ("https://XN--Strae-oqa.de/a", "https://xn--strae-oqa.de/a"),
        ("https://bu\u0308cher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("https://\uff37\uff37\uff37.例え\u3002テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://ΟΔΟΣ.gr/", "https://xn--pxavbq.gr/"),  # not of ο, δ, ο and the σ at a word's end
        # port
        ("http://example.com:80/a", "https://example.com/a"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("https://example.com:/a", "https://example.com/a"),
        ("https://example.com:00080", "https://example.com/"),
        ("https://example.com:08080", "https://example.com:8080/"),
        # percent-encoding
        ("https://example.com/%7euser/%41%2d%5F", "https://example.com/~user/A-_"),
        ("https://example.com/a%2fb%3f", "https://example.com/a%2Fb%3F"),
        ("https://example.com/(a)%28b%29", "https://example.com/(a)%28b%29"),
        ("https://example.com/caf\u00e9 <au>\t", "https://example.com/caf%C3%A9%20%3Cau%3E"),
        ("https://example.com/caf%c3%a9", "https://example.com/caf%C3%A9"),
        ("https://example.com/caf%e9", "https://example.com/caf%E9"),
        ("https://example.com/100%/%2%35/%%41", "https://example.com/100%25/%2525/%25A"),
        ("https://example.com/a\\b\nc", "https://example.com/a%5Cb%0Ac"),
        ("https://example.com/?q=a+b%20c&z=é[]", "https://example.com/?q=a+b%20c&z=%C3%A9%5B%5D"),
        # path
        ("https://example.com", "https://example.com/"),
        ("https://example.com?a=1", "https://example.com/?a=1"),
        ("https://example.com/a/", "https://example.com/a"),
        ("https://example.com/a//?x=/", "https://example.com/a?x=/"),
        ("https://example.com//a//b", "https://example.com//a//b"),
        ("https://example.com/a/./b/../c/%2e%2E/d", "https://example.com/a/d"),
        ("https://example.com/../a/.", "https://example.com/a"),
        ("https://example.com/a/..", "https://example.com/"),
        ("https://example.com/a..b/.c/...", "https://example.com/a..b/.c/..."),
        ("https://example.com/a;jsessionid=0F1/b;v=1;JSESSIONID=2?x=1", "https://example.com/a/b;v=1?x=1"),
        ("https://example.com/index.html", "https://example.com/index.html"),
        # query
        ("https://example.com/?", "https://example.com/"),
        ("https://example.com/?c=3&b=5&b=2&a=50", "https://example.com/?a=50&b=5&b=2&c=3"),
        ("https://example.com/?b=1&a", "https://example.com/?b=1&a"),
        ("https://example.com/?12&7", "https://example.com/?12&7"),
        ("https://example.com/?&b=&&=&a=&", "https://example.com/?a=&b="),
        ("https://example.com/?b=1;a=2", "https://example.com/?b=1;a=2"),
        ("https://example.com/?b=1&utm%5FSource=x&FBCLID=y&utm_x&a=2", "https://example.com/?a=2&b=1"),
        ("https://example.com/?gclid=1", "https://example.com/"),
        ("https://example.com/?ref=1&source=2&xutm_a=3", "https://example.com/?ref=1&source=2&xutm_a=3"),
        ("https://example.com/?url=https://x.org/?a", "https://example.com/?url=https://x.org/?a"),
        # fragment
        ("https://example.com/a#top", "https://example.com/a"),
        ("https://example.com#!/mail box", "https://example.com/#!/mail%20box"),
        ("https://example.com/a#!", "https://example.com/a"),
        ("https://example.com/a#b#!c", "https://example.com/a"),
    ],
)
def test_each_rule(url: str, form: str) -> None:
    assert canonical(url) == form
    assert canonical(form) == form


@pytest.mark.parametrize(
    "url",
    [
        "",
        "Example.com/A/",
        "//Example.com/A/",
        "ftp://Example.com/A/",
        "mailto:A@Example.com",
        "urn:isbn:0451450523",
        "https:/Example.com",
        "https://",
        "https:///A",
        "https://User@Example.com/A",
        "https://Example..com/A",
        "https://.Example.com/A",
        "https://Exa mple.com/A",
        "https://Ex%61mple.com/A",
        "https://Example.com\\A",
        "https://\u2100.com/A",  # ℀ is a/c
        "https://Example.com:123456/",
        "https://Example.com:8x/",
        "https://[::1/A",
        "https://Example.com/\ud800",
        "not a URL",
    ],
)
def test_what_is_no_web_address_stays(url: str) -> None:
    assert canonical(url) == url
    assert canonical(f"\t{url} ") == url


def test_every_tracking_parameter_goes() -> None:
    assert len(TRACKING) == 31
    for name in TRACKING:
        assert name == name.lower()
        assert canonical(f"https://example.com/?{name}=1&a=2&{name.upper()}=3") == "https://example.com/?a=2"


PIECES = [
    *(
        "http://",
        "HTTPS://",
        "www.",
        "WWW.",
        "example",
        "Example.com",
        ".",
        "..",
        "/",
        "//",
        "/./",
        "/../",
        ":80",
        ":8",
    ),
    *(
        "%",
        "%2",
        "%2e",
        "%41",
        "%7E",
        "%e9",
        "é",
        "ß",
        "Σ",
        "İ",
        "\u2100",
        "\uff37",
        "。",
        " ",
        "\n",
        "\\",
        "@",
        "[",
        "]",
    ),
    *("?", "&", "=", "a=1", "b", "utm_x=1", "fbclid", ";", ";jsessionid=", "#", "#!", "!", "+", "\ud800", "xn--", "\0"),
]
URLS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@settings(deadline=None, max_examples=300)
@given(URLS | URLS.map("https://example.com/".__add__) | st.text(max_size=20).map("http://x.org/".__add__) | st.text())
@example("https://a/;jses;jsessionid=1sionid=/..")
def test_a_canonical_form_is_its_own(url: str) -> None:
    form = canonical(url)
    assert canonical(form) == form
    assert form == url.strip() or re.fullmatch(r"https://[a-z0-9._:\[\]-]+/[!#$%&'()*+,./0-9:;=?@A-Z_a-z~-]*", form)


@settings(deadline=None, max_examples=100)
@given(st.permutations(["a=1", "a=2", "b=", "=3", "utm_source=x"]))
def test_the_order_of_parameters_means_nothing_but_within_a_name(parameters: list[str]) -> None:
    of_a = "&".join(one for one in parameters if one[0] == "a")
    assert canonical("http://example.com/?" + "&".join(parameters)) == f"https://example.com/?=3&{of_a}&b="


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_hashes_are_those_of_the_forms_and_null_without_a_url(kind: pa.DataType) -> None:
    urls = pa.array(["http://www.example.com/a/", None, "", " \n", "https://example.com/a", "n/a"], kind)
    page = xxhash.xxh3_128_digest(b"https://example.com/a")
    assert hashes(urls).equals(pa.array([page, None, None, None, page, xxhash.xxh3_128_digest(b"n/a")], pa.binary()))
    assert hashes(urls[:0]).equals(pa.array([], pa.binary()))
