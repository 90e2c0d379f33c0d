"""Lines against a slow reference on strings, and what a cut leaves."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.deduped.lines import cut, heavy_lines, line_hashes
from pipeline.document import normal_form
from pipeline.texts.buffers import Texts, slices
from pipeline.texts.cuts import concatenate
from pipeline.texts.edits import apply

BITS_64 = 2**64 - 1


def lines_of(text: str) -> list[str]:
    """The lines with their breaks."""
    return [line + end for line, end in re.findall(r"([^\r\n]*)(\r\n|\r|\n|$)", text) if line + end]


def normal(line: str) -> str:
    return "".join("0" if unicodedata.category(char) == "Nd" else char for char in normal_form(line))


def counts(line: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" for char in line)


def hash_of(line: str) -> int:
    value = 0
    for part in re.findall(r"[\0-\x7f]+|[^\0-\x7f]", normal(line)):
        if ord(part[0]) >= 0x80:
            words = [1 << 63 | ord(part)]
        else:
            words = [int.from_bytes(b"\1" + part[at : at + 7].encode(), "big") for at in range(0, len(part), 7)]
        for word in words:
            value = (value ^ word) * 0xBF58476D1CE4E5B9 & BITS_64
            value ^= value >> 31
    if len(re.search(r"[\0-\x7f]*$", normal(line))[0]) % 7 == 0:  # type: ignore[index]
        value = (value ^ 1) * 0xBF58476D1CE4E5B9 & BITS_64
        value ^= value >> 31
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & BITS_64
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & BITS_64
    return value ^ value >> 33


def reference(texts: Sequence[str]) -> list[tuple[int, int, int]]:
    found: dict[tuple[int, int], int] = {}
    for document, text in enumerate(texts):
        for line in filter(counts, lines_of(text)):
            key = document, hash_of(line)
            found[key] = found.get(key, 0) + len(line.encode())
    return [(*key, n_bytes) for key, n_bytes in found.items()]


def as_texts(*texts: str) -> Texts:
    (found,) = slices(pa.array(texts))
    return found


def hashed(*texts: str) -> list[tuple[int, int, int]]:
    document, hashes, n_bytes = line_hashes(as_texts(*texts))
    assert [str(array.dtype) for array in (document, hashes, n_bytes)] == ["int64", "uint64", "int64"]
    return list(zip(document.tolist(), hashes.tolist(), n_bytes.tolist(), strict=True))


def left(texts: Sequence[str], heavy: Sequence[str]) -> list[str]:
    """The texts after the lines like these are cut out."""
    array = pa.array(texts, pa.string())
    index = heavy_lines(np.array([hash_of(line) for line in heavy], np.uint64))
    cuts = concatenate([cut(part, index) for part in slices(array)])
    assert not cuts.reason.any()
    found: list[str] = apply(array, cuts, [b""]).texts.to_pylist()
    return found


def test_lines_by_hand() -> None:
    found = hashed("Menu\nHello  World\r\n MENU\t\n\n---\nMenu!", "\u3000menu", "", "hello\x0bworld\r{}\r")
    menu, hello, other = (hash_of(line) for line in ("menu", "hello world", "menu!"))
    assert found == [(0, menu, 5 + 7), (0, hello, 14), (0, other, 5), (1, menu, 7), (3, hello, 12)]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("Page 3 of 9", "PAGE 7 of 8", True),
        ("Page 3 of 9", "Page 10 of 12", False),
        ("Page ٣", "page 1", True),  # ARABIC-INDIC DIGIT THREE
        ("Fläche ½", "FLÄCHE ½", True),
        ("Fläche", "Flache", False),
        ("Read more", "Read more »", False),
        (" a\u00a0\u2003 b ", "a b", True),
        ("a b", "ab", False),
        ("\0a", "a", False),
        ("\0\0\0\0\0abc", "abc", False),
        ("ΟΔΟΣ", "οδοσ", True),
        ("İ", "i", True),
        ("ab\u0301", "áb", False),
        ("日本語 1", "日本語 2", True),
        ("𠀀", "𠀁", False),
        ("𐐀", "𐐨", True),  # DESERET CAPITAL and SMALL LETTER LONG I
    ],
)
def test_lines_that_are_the_same(left: str, right: str, same: bool) -> None:
    (_, first, _), (_, second, _) = hashed(left, right)
    assert (first == second) is same


@pytest.mark.parametrize("line", ["", " ", "---", "* * *", "}", "|---|", "\0", "…", "👍", "\u3000"])
def test_a_line_without_a_letter_or_number_is_not_counted(line: str) -> None:
    assert hashed(f"{line}\n{line}", "a") == [(1, hash_of("a"), 1)]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Menu\nText.\nmenu\nEnd", "Text.\nEnd"),
        ("Menu\r\nText.\r\nMENU", "Text.\r\n"),
        ("menu\rmenu\r\rmenu", "\r"),
        ("menu", ""),
        ("menu\n", ""),
        ("Text\n\n menu \n\nMore", "Text\n\n\nMore"),
        ("Text\nmenu.\n", "Text\nmenu.\n"),
        ("", ""),
    ],
)
def test_a_cut_by_hand(text: str, rest: str) -> None:
    assert left([text, "other", text], ["menu"]) == [rest, "other", rest]
    assert left([text], []) == [text]


PIECES = [
    *("Menu", "menu ", "MENU", "a", "A", "b", "12", "34", " ", "\t", "\u00a0", "\u3000", "\0", "-", "…", "¼"),
    *(
        "ß",
        "é",
        "É",
        "e\u0301",
        "Σ",
        "ς",
        "日本",
        "語",
        "٣",
        "𠀀",
        "👍",
        "𐐀",
        "𝟙",
        "abcdefg",
        "abcdefgh",
        "\u2028",
        "\x85",
    ),
    *("\n", "\n", "\n", "\r", "\r\n", "\n\n"),
]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=12), max_size=5)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
@example(["abcdefg\nabcdefgé\néabcdefg\n" + "x" * 14, "abcdef\n" + "x" * 13])
def test_lines_are_those_of_the_reference(texts: list[str]) -> None:
    assert (hashed(*texts) if texts else []) == reference(texts)


@settings(deadline=None, max_examples=100)
@given(TEXTS)
def test_equal_hashes_mean_equal_normal_forms(texts: list[str]) -> None:
    lines = [line for text in texts for line in lines_of(text) if counts(line)]
    forms = {normal(line) for line in lines}
    assert len({value for line in lines for _, value, _ in hashed(line)}) == len(forms)


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.randoms(use_true_random=False))
def test_a_cut_leaves_the_lines_that_are_not_heavy_in_order(texts: list[str], random: Random) -> None:
    lines = sorted({normal(line) for text in texts for line in lines_of(text)})
    heavy = random.sample(lines, random.randint(0, len(lines)))
    expected = [
        "".join(line for line in lines_of(text) if not (counts(line) and normal(line) in heavy)) for text in texts
    ]
    assert left(texts, heavy) == expected


@settings(deadline=None, max_examples=30)
@given(TEXTS.filter(bool))
def test_the_bytes_of_a_line_are_those_that_its_cut_takes(texts: list[str]) -> None:
    part = as_texts(*texts)
    for document, value, n_bytes in zip(*line_hashes(part), strict=True):
        cuts = cut(part, heavy_lines(np.array([value])))
        spans = slice(cuts.starts[document], cuts.starts[document + 1])
        assert (cuts.last[spans] - cuts.first[spans]).sum() == n_bytes


def test_many_lines_in_documents_of_many_sizes() -> None:
    random = np.random.default_rng(3)
    names = [f"row {chr(97 + n % 26)}{chr(0x4E00 + n)}\n" for n in range(4000)]
    texts = ["".join(names[n] for n in random.integers(0, 4000, size)) for size in (5000, 1, 0, 300, 2, 3000, 40)]
    assert hashed(*texts) == reference(texts)
    assert left(texts, names[2::26]) == [re.sub("row c.\n", "", text) for text in texts]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 4096])
def test_heavy_lines_are_found_among_any_number(n: int) -> None:
    random = np.random.default_rng(n)
    hashes = random.integers(0, 2**64, n, dtype=np.uint64)
    hashes[: n // 2] |= np.uint64(0xFFF << 52)  # half of them in one bucket
    index = heavy_lines(np.concatenate([hashes, hashes[::2]]))
    assert index.hashes.tolist() == sorted(set(hashes.tolist()))
    bits = (len(index.starts) - 1).bit_length() - 1
    for bucket, (first, last) in enumerate(pairwise(index.starts.tolist())):
        assert (index.hashes[first:last] >> np.uint64(64 - bits) == bucket).all()
    assert (index.starts[0], index.starts[-1]) == (0, n)


def test_the_hash_keeps_its_numbers() -> None:
    """What is counted of one file and cut out of another need not be of one run."""
    assert [value for _, value, _ in hashed("Accept all cookies", "クッキー 12")] == [
        484973767058858358,
        361118338065628252,
    ]


def test_a_slice_of_an_array_and_no_texts() -> None:
    array = pa.array(["x\ny", "menu\nText", "z"], pa.large_string())[1:2]
    (part,) = slices(array)
    assert line_hashes(part)[1].tolist() == [hash_of("menu"), hash_of("text")]
    cuts = cut(part, heavy_lines(np.array([hash_of("menu")], np.uint64)))
    assert (cuts.starts.tolist(), cuts.first.tolist(), cuts.last.tolist()) == ([0, 1], [0], [5])
    assert left([], ["menu"]) == []
