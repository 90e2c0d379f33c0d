import re

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deduped.shingles import SCRIPTS_WITHOUT_SPACES, jaccard, shingle_hashes, shingle_sets, xxh64
from pipeline.document import normal_form
from pipeline.texts.normal import normal_runs

ALONE = "".join(f"{chr(first)}-{chr(last)}" for first, last in SCRIPTS_WITHOUT_SPACES)
WORD = re.compile(f"[{ALONE}]|[^ {ALONE}]+")


def reference(text: str, ngram: int) -> list[str]:
    """The shingles of a text, by their definition."""
    normal = normal_form(text)
    words = [match.span() for match in WORD.finditer(normal)]
    if 0 < len(words) < ngram:
        return [normal]
    return [normal[words[i][0] : words[i + ngram - 1][1]] for i in range(len(words) - ngram + 1)]


@pytest.mark.parametrize(
    ("text", "ngram", "expected"),
    [
        ("", 2, []),
        ("  \n", 2, []),
        ("One", 2, ["one"]),
        ("One  Two", 2, ["one two"]),
        ("One  Two", 5, ["one two"]),
        ("a b\nc a b", 2, ["a b", "b c", "c a", "a b"]),
        ("我们 用GPU。", 2, ["我们", "们 用", "用gpu", "gpu。"]),
        ("한국어 문장", 1, ["한국어", "문장"]),  # Korean has spaces
        ("ภาษา", 3, ["ภาษ", "าษา"]),
        ("naïve — 𝔘😀", 1, ["naïve", "—", "𝔘😀"]),
        ("ＧＰＵ ｶﾅ ひら 〇。", 1, ["ｇｐｕ", "ｶ", "ﾅ", "ひ", "ら", "〇", "。"]),  # full width letters are letters
        ("ກຂ ཀ ကခ ក", 1, ["ກ", "ຂ", "ཀ", "က", "ခ", "ក"]),
        ("x\U00020000y", 1, ["x", "\U00020000", "y"]),
    ],
)
def test_shingles(text: str, ngram: int, expected: list[str]) -> None:
    assert reference(text, ngram) == expected
    (run,) = normal_runs(pa.array([text]))
    hashes = [xxhash.xxh64_intdigest(shingle) for shingle in expected]
    assert shingle_hashes(run, ngram).hashes.tolist() == hashes


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(alphabet="aB ,\n漢字かเ한é—😀\U00020000"), max_size=6), st.integers(1, 6))
def test_shingle_hashes_equal_the_reference(texts: list[str], ngram: int) -> None:
    expected = [[xxhash.xxh64_intdigest(shingle) for shingle in reference(text, ngram)] for text in texts]
    runs = [shingle_hashes(run, ngram) for run in normal_runs(pa.array(texts, pa.string()))]
    assert [part.tolist() for run in runs for part in np.split(run.hashes, run.offsets[1:-1])] == expected
    assert [part.tolist() for part in shingle_sets(pa.array(texts, pa.string()), ngram=ngram)] == [
        sorted(set(hashes)) for hashes in expected
    ]


def test_every_block_border_is_where_the_table_says() -> None:
    borders = {code + step for block in SCRIPTS_WITHOUT_SPACES for code in block for step in (-1, 0, 1)}
    characters = [chr(code) for code in sorted(borders) if normal_form(chr(code)) and code < 0x40001]
    texts = [character * 2 for character in characters]
    (run,) = normal_runs(pa.array(texts))
    n_words = np.diff(shingle_hashes(run, 1).offsets)
    assert n_words.tolist() == [2 if re.match(f"[{ALONE}]", character) else 1 for character in characters]


def test_xxh64_of_all_short_lengths() -> None:
    data = np.random.default_rng(1).integers(0, 256, 200, dtype=np.uint8)
    for size in range(180):
        assert int(xxh64(data, 3, 3 + size)) == xxhash.xxh64_intdigest(data[3 : 3 + size].tobytes())


@settings(deadline=None, max_examples=50)
@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_jaccard_is_that_of_sets(left: set[int], right: set[int]) -> None:
    arrays = (np.array(sorted(values), dtype=np.uint64) for values in (left, right))
    assert jaccard(*arrays) == (len(left & right) / len(left | right) if left | right else 0.0)


def test_jaccard_of_texts() -> None:
    left, right, empty, other = shingle_sets(pa.array(["a b c d", "A B C x", "", "漢"]), ngram=2)
    assert jaccard(left, left) == 1.0
    assert jaccard(left, right) == 0.5  # {a b, b c, c d} and {a b, b c, c x}
    assert jaccard(left, empty) == jaccard(empty, empty) == jaccard(left, other) == 0.0


def test_a_shingle_of_no_words_is_refused() -> None:
    with pytest.raises(ValueError, match="ngram is 0; a shingle has at least 1 word"):
        shingle_sets(pa.array(["a"]), ngram=0)
