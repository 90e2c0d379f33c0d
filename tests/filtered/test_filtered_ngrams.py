"""Repetition is counted on numbers: here each letter stands for a word of one character."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.filtered.ngrams import ngram_characters
from pipeline.filtered.words import Words


def words(*documents: str, gap: int = 1) -> Words:
    letters = "".join(documents)
    starts = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    none = np.zeros(len(documents), np.int64)
    return Words(
        n=np.diff(starts),
        symbols=none,
        length=none,
        alpha=none,
        stop=none,
        starts=starts,
        hashes=np.array([ord(letter) for letter in letters], np.uint64),
        lengths=np.ones(len(letters), np.int32),
        gaps=np.full(len(letters), gap, np.uint8),
    )


@pytest.mark.parametrize(
    ("letters", "n", "characters"),
    [
        ("abcabxab", 2, 3 * 3),  # "a b", three times
        ("abcd", 2, 3),  # nothing repeats: the first one, once
        ("xyabab", 2, 2 * 3),  # not the first one, but the most frequent
        ("abxyab", 3, 5),
        ("aaaa", 2, 3 * 3),  # overlapping occurrences count
        ("a", 2, 0),
        ("abcdeabcde", 5, 5),
        ("abcdeabcdeabcde", 5, 10),
        ("aaaaaaaaaa", 5, 5),  # a⁵ is remembered at 0, repeats at 1; free again at 6, where only four are left
        ("aaaaaaaaaaa", 5, 10),
        ("abcdexabcdeabcde", 6, 0),  # "abcdex", "abcdea" … : no six in a row repeat
        ("abcdefghijabcdefghij", 10, 10),
        ("abcdefghiabcdefghi", 10, 0),
    ],
)
def test_ngrams_by_hand(letters: str, n: int, characters: int) -> None:
    assert ngram_characters(words(letters))[n].tolist() == [characters]


def test_words_without_space_between_them_add_no_space() -> None:
    assert ngram_characters(words("abab", gap=0))[2].tolist() == [4]


def test_documents_do_not_see_each_other() -> None:
    found = ngram_characters(words("abcdef", "", "abcdef", "aabcdeabcdef"))
    assert found[5].tolist() == [0, 0, 0, 5]
    assert found[2].tolist() == [3, 0, 3, 6]


# Documents of numbers that stand for words, against dictionaries of tuples: long enough that the kernel's table doubles
# many times, and of lengths around its blocks of 256 lookups.
LENGTHS = (0, 5000, 1, 255, 256, 257, 0, 513, 9, 10, 3000, 2, 0)
VOCABULARIES = (2, 3, 30, 700, 20_000, 10**9)  # few words: n-grams repeat by chance; many: only where they are copied


def document(rng: np.random.Generator, n_words: int, vocabulary: int, n_copies: int) -> npt.NDArray[np.int64]:
    """Words drawn at random, then passages of up to 300 words that are copied over others."""
    found = rng.integers(0, vocabulary, n_words)
    for _ in range(n_copies if n_words > 20 else 0):
        length = int(rng.integers(2, min(300, n_words // 2)))
        source, target = rng.integers(0, n_words - length, 2)
        found[target : target + length] = found[source : source + length].copy()
    return found


def top_characters(numbers: Sequence[int], lengths: Sequence[int], gaps: Sequence[int], n: int) -> int:
    ngrams = [tuple(numbers[at : at + n]) for at in range(len(numbers) - n + 1)]
    if not ngrams:
        return 0
    ngram, times = Counter(ngrams).most_common(1)[0]  # of equal counts the one that was met first
    at = ngrams.index(ngram)
    return (sum(lengths[at : at + n]) + sum(gaps[at + 1 : at + n])) * times


def duplicate_characters(numbers: Sequence[int], lengths: Sequence[int], n: int) -> int:
    taken: set[tuple[int, ...]] = set()
    characters = at = 0
    while at + n <= len(numbers):
        ngram = tuple(numbers[at : at + n])
        if ngram in taken:
            characters += sum(lengths[at : at + n])
            at += n
        else:
            taken.add(ngram)
            at += 1
    return characters


def assert_as_counted(documents: Sequence[npt.NDArray[np.int64]], rng: np.random.Generator) -> None:
    numbers = np.concatenate(documents)
    n_words = [len(one) for one in documents]
    sample = replace(
        words("x" * len(numbers)),
        n=np.array(n_words),
        starts=np.cumsum([0, *n_words]).astype(np.int64),
        hashes=numbers.astype(np.uint64) * np.uint64(0x9FB21C651E98DF25),  # 0 is a hash like any other
        lengths=(numbers % 11 + 1).astype(np.int32),
        gaps=rng.integers(0, 2, len(numbers)).astype(np.uint8),  # of an n-gram those of its first occurrence count
    )
    found = ngram_characters(sample)
    assert list(found) == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    for row, (start, stop) in enumerate(pairwise(sample.starts.tolist())):
        own, lengths, gaps = (part[start:stop].tolist() for part in (numbers, sample.lengths, sample.gaps))
        for n in (2, 3, 4):
            assert found[n][row] == top_characters(own, lengths, gaps, n), f"top {n}-gram of document {row}"
        for n in (5, 6, 7, 8, 9, 10):
            assert found[n][row] == duplicate_characters(own, lengths, n), f"duplicate {n}-grams of document {row}"


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("n_copies", [0, 12])
def test_ngrams_of_long_documents_equal_a_dictionary_of_tuples(vocabulary: int, n_copies: int) -> None:
    rng = np.random.default_rng([vocabulary, n_copies])
    assert_as_counted([document(rng, n_words, vocabulary, n_copies) for n_words in LENGTHS], rng)


@pytest.mark.parametrize(
    ("n_words", "vocabulary", "n_copies"),
    [
        (70_000, 8, 12),  # four parts of 5-grams, nearly all of which have an equal by chance
        (300_000, 10**9, 1),  # more than buckets: the fullest one has many that occur once, the top occurs twice
        (300_000, 10**9, 0),  # none repeats, though many share a bucket
    ],
)
def test_ngrams_of_documents_beyond_a_cache_equal_a_dictionary_of_tuples(
    n_words: int, vocabulary: int, n_copies: int
) -> None:
    rng = np.random.default_rng(n_words + n_copies)
    assert_as_counted([np.arange(5), document(rng, n_words, vocabulary, n_copies), np.arange(7)], rng)


def test_hashes_that_are_small_or_multiples_of_the_mixing_constant_do_not_meet() -> None:
    numbers = document(np.random.default_rng(5), 20_000, 3, 500).astype(np.uint64)
    found = []
    for factor in (1, 0x9E3779B97F4A7C15, 0xFF51AFD7ED558CCD, 1 << 44):
        sample = words("x" * len(numbers))
        found.append(ngram_characters(replace(sample, hashes=numbers * np.uint64(factor))))
    assert all(one == found[0] for one in found[1:])


def test_time_is_linear_in_the_words() -> None:
    def seconds(n: int) -> float:
        sample = words("ab" * (n // 2))  # each n-gram repeats to the end: the most work there is
        start = time.process_time()
        ngram_characters(sample)
        return time.process_time() - start

    seconds(1000)
    small = min(seconds(100_000) for _ in range(3))
    assert seconds(1_600_000) < 16 * 6 * small
