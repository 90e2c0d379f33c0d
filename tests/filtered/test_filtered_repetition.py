"""Repetition is counted on numbers: here each letter stands for a word (or a line) of one character."""

import time

import numpy as np
import pytest

from pipeline.filtered.lines import Parts
from pipeline.filtered.repetition import duplicates, ngram_characters
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


def test_duplicates_are_what_equals_an_earlier_part_of_the_same_document() -> None:
    parts = Parts(
        starts=np.array([0, 5, 5, 7]),
        hashes=np.array([1, 2, 1, 1, 3, 1, 1], np.uint64),
        lengths=np.array([10, 20, 10, 10, 30, 7, 7]),
    )
    found = duplicates(parts)
    assert found.n.tolist() == [2, 0, 1]
    assert found.characters.tolist() == [20, 0, 7]


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


def test_time_is_linear_in_the_words() -> None:
    def seconds(n: int) -> float:
        sample = words("ab" * (n // 2))  # each n-gram repeats to the end: the most work there is
        start = time.process_time()
        ngram_characters(sample)
        return time.process_time() - start

    seconds(1000)
    small = min(seconds(100_000) for _ in range(3))
    assert seconds(1_600_000) < 16 * 6 * small
