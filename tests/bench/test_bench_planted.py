"""The generator's truth, against the pipeline's own Jaccard and against sets of words in plain Python."""

import numpy as np
import pytest

from bench import planted
from pipeline.deduped import shingles


def pairs(seed: int, n_pairs: int, lowest: float = 0.3, highest: float = 1.0) -> planted.Pairs:
    return planted.uniform(np.random.default_rng(seed), n_pairs, lowest, highest)


def test_the_similarity_is_that_of_the_shingle_sets() -> None:
    made = pairs(1, 600)
    sets = shingles.shingle_sets(made.texts, ngram=planted.NGRAM)
    assert [shingles.jaccard(sets[2 * i], sets[2 * i + 1]) for i in range(600)] == made.similarity.tolist()
    texts = made.texts.to_pylist()
    for i in range(0, 600, 29):
        left, right = (
            {tuple(words[k : k + 5]) for k in range(len(words) - 4)}
            for words in (texts[2 * i].split(), texts[2 * i + 1].split())
        )
        assert made.similarity[i] == len(left & right) / len(left | right)


def test_texts_that_are_no_pair_share_no_shingle() -> None:
    sets = shingles.shingle_sets(pairs(2, 300).texts, ngram=planted.NGRAM)
    every = np.concatenate([np.union1d(sets[2 * i], sets[2 * i + 1]) for i in range(300)])
    assert len(np.unique(every)) == len(every)


def test_similarities_are_uniform() -> None:
    similarity = pairs(3, 20_000).similarity
    counts, _ = np.histogram(similarity, np.linspace(0.3, 1.0, 8))
    assert np.abs(counts - 20_000 / 7).max() < 5 * np.sqrt(20_000 / 7)
    assert similarity.min() >= 0.3 - 1 / 56  # rounded to whole shingles, of which the shortest text has 56


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert pairs(4, 300).texts == pairs(4, 300).texts
    assert pairs(4, 300).texts != pairs(5, 300).texts
    assert len(pairs(4, 0)) == len(pairs(4, 0).texts) == 0


@pytest.mark.parametrize("n_words", [60, 61, 64, 300])
def test_as_many_shingles_change_as_are_asked_for(n_words: int) -> None:
    n_shingles = n_words - 4
    n_changed = np.arange(n_shingles + 1)
    chance = np.random.default_rng(n_words)
    words = chance.integers(planted.N_WORDS, size=(len(n_changed), n_words))
    before = planted.shingle_numbers(words)
    after = planted.shingle_numbers(planted.edited(chance, words, n_changed))
    assert ((before != after).sum(axis=1) == n_changed).all()
    expected = (n_shingles - n_changed) / (n_shingles + n_changed)
    assert planted.jaccard(before, after).tolist() == expected.tolist()


def test_words_are_replaced_at_the_end_and_one_by_one() -> None:
    chance = np.random.default_rng(6)
    words = chance.integers(planted.N_WORDS, size=(200, 104))
    changed = planted.edited(chance, words, np.full(200, 20)) != words
    n_replaced = changed.sum(axis=1)
    assert set(n_replaced.tolist()) == {20, 16, 12, 8, 4}  # 5 shingles change with a word, or with the last 5 words
    last = changed[n_replaced == 20]
    assert last[:, -20:].all() and not last[:, :-20].any()
    alone = changed[n_replaced == 4]
    assert alone[:, :100].any(axis=0).sum() > 15  # of the 20 places that words are replaced at one by one


def test_repeated_shingles_count_once() -> None:
    left, right = np.array([[1, 1, 2], [1, 1, 1]]), np.array([[1, 3, 3], [1, 1, 1]])
    assert planted.jaccard(left, right).tolist() == [1 / 3, 1.0]


def test_the_words_are_distinct_and_as_normal_forms_have_them() -> None:
    text = planted.written(np.arange(planted.N_WORDS)[None])[0].as_py()
    words = text.split()
    assert len(set(words)) == planted.N_WORDS
    assert " ".join(words) + "\n" == text == text.lower()
