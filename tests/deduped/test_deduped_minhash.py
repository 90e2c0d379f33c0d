import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.deduped.bands import candidate_probability
from pipeline.deduped.minhash import EMPTY, band_hashes, estimate, permutations, signatures
from pipeline.deduped.pairs import candidate_pairs
from pipeline.document import normal_form

BANDS, ROWS = 14, 8


def datasketch_signature(text: str, *, ngram: int, num_perm: int, seed: int) -> npt.NDArray[np.uint32]:
    """The signature of a text of a script with spaces, by datasketch."""
    words = normal_form(text).split()
    shingles = [" ".join(words[i : i + ngram]) for i in range(max(1, len(words) - ngram + 1))] if words else []
    sketch = MinHash(num_perm, seed, hashfunc=lambda b: xxhash.xxh64_intdigest(b) & 0xFFFFFFFF, scheme="affine32")
    sketch.update_batch([shingle.encode() for shingle in shingles])
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(alphabet="abÄ \n,.é—😀"), max_size=4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_signatures_are_those_of_datasketch(texts: list[str], ngram: int, seed: int) -> None:
    values, n_shingles = signatures(pa.array(texts, pa.string()), ngram=ngram, num_perm=20, seed=seed)
    assert values.shape == (len(texts), 20)
    for text, row, n in zip(texts, values, n_shingles, strict=True):
        np.testing.assert_array_equal(row, datasketch_signature(text, ngram=ngram, num_perm=20, seed=seed))
        n_words = len(text.split())
        assert n == (max(1, n_words - ngram + 1) if n_words else 0)


def test_long_texts_have_the_signatures_of_datasketch() -> None:
    random = np.random.default_rng(5)
    texts = [" ".join(map(str, random.integers(0, 10**6, n))) for n in (1000, 1, 5000, 3)]
    values, n_shingles = signatures(pa.array(texts, pa.large_string()), ngram=5, num_perm=112, seed=1)
    assert n_shingles.tolist() == [996, 1, 4996, 1]
    for text, row in zip(texts, values, strict=True):
        np.testing.assert_array_equal(row, datasketch_signature(text, ngram=5, num_perm=112, seed=1))


def test_signatures_keep_their_bytes() -> None:
    values, _ = signatures(pa.array(["To be, or not to be: that is the question."]), ngram=5, num_perm=4, seed=17)
    assert values.tolist() == [[572230074, 632768370, 77974723, 888354012]]
    assert band_hashes(values, bands=2, rows=2).tolist() == [[8343228830809138706, 10956385563133077152]]


def test_empty_texts_have_no_shingles() -> None:
    values, n_shingles = signatures(pa.array(["", " \n\t", "word"]), ngram=5, num_perm=8, seed=1)
    assert n_shingles.tolist() == [0, 0, 1]
    assert (values[:2] == EMPTY).all()
    assert (values[2] != EMPTY).any()


def test_no_texts() -> None:
    values, n_shingles = signatures(pa.array([], pa.string()), ngram=5, num_perm=8, seed=1)
    assert values.shape == (0, 8)
    assert n_shingles.shape == (0,)
    assert band_hashes(values, bands=2, rows=4).shape == (0, 2)


def test_texts_of_fewer_words_than_a_shingle_are_alike_only_as_a_whole() -> None:
    texts = pa.array(["one two", "One\nTWO", "two one", "one two three"])
    values, _ = signatures(texts, ngram=5, num_perm=112, seed=1)
    assert estimate(values[[0, 0, 0]], values[[1, 2, 3]]).tolist() == [1.0, 0.0, 0.0]


def test_signatures_depend_on_the_seed() -> None:
    texts = pa.array(["a b c d e f g"])
    first, second = (signatures(texts, ngram=2, num_perm=64, seed=seed)[0] for seed in (1, 2))
    assert estimate(first, second)[0] < 0.1


def test_bands_hold_their_rows_and_no_bucket_is_shared_between_bands() -> None:
    values = np.array([[1, 2, 1, 2], [1, 2, 3, 4], [9, 2, 1, 2]], dtype=np.uint32)
    hashes = band_hashes(values, bands=2, rows=2)
    same = hashes[:, None, :] == hashes[None, :, :]
    assert same[:, :, 0].tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert same[:, :, 1].tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert not set(hashes[:, 0].tolist()) & set(hashes[:, 1].tolist())


@pytest.mark.parametrize("shared", [50, 70, 80, 90])
def test_recall_on_planted_pairs_follows_the_theory(shared: int) -> None:
    """600 pairs of texts of words: `shared` ones in common of 100 in both, so their Jaccard is shared / 100."""
    n_pairs = 600
    texts = []
    for pair in range(n_pairs):
        common = [f"{pair}x{word}" for word in range(shared)]
        own = [f"{pair}y{word}" for word in range(100 - shared)]
        texts += [" ".join(common + own[0::2]), " ".join(common + own[1::2])]
    values, _ = signatures(pa.array(texts), ngram=1, num_perm=BANDS * ROWS, seed=shared)
    hashes = band_hashes(values, bands=BANDS, rows=ROWS)
    documents = np.repeat(np.arange(len(texts)), BANDS)
    found = candidate_pairs(hashes.ravel(), documents, np.roll(hashes, -1, axis=1).ravel())
    assert (found[:, 1] == found[:, 0] + 1).all()  # strangers share nothing
    assert (found[:, 0] % 2 == 0).all()
    expected = float(candidate_probability(shared / 100, bands=BANDS, rows=ROWS))
    deviation = np.sqrt(expected * (1 - expected) / n_pairs)
    assert abs(len(found) / n_pairs - expected) < 4 * deviation + 1 / n_pairs

    similarity = estimate(values[0::2], values[1::2])
    error = np.sqrt(shared / 100 * (1 - shared / 100) / (BANDS * ROWS * n_pairs))
    assert abs(similarity.mean() - shared / 100) < 4 * error


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("14 bands of 8 rows are 112 numbers; the signatures have 100")):
        band_hashes(np.zeros((1, 100), dtype=np.uint32), bands=14, rows=8)
    with pytest.raises(ValueError, match="num_perm is 0"):
        permutations(0, 1)
    with pytest.raises(ValueError, match=re.escape("seed is -1; MinHash takes seeds from 0 to 2**32 - 1")):
        permutations(8, -1)
    with pytest.raises(ValueError, match="are not pairs of one kind"):
        estimate(np.zeros((1, 8), dtype=np.uint32), np.zeros((2, 8), dtype=np.uint32))
