"""The n-grams of evaluation items, as sorted hashes: what `contamination` looks up, and what is broadcast to workers.

*N-gram*: `ngram` words in a row, in the normal form of `match_words`. An item of fewer words *matches as a whole*: its
one n-gram are all its words. Items with the same words are one item; items without words are left out.

*Boilerplate*: n-grams that more than `MOST_ITEMS` different items hold ("answer the following question with yes or no")
say nothing of any of them and don't count: neither as found, nor as missing. An item that has no others matches as a
whole, too.

Two different n-grams of an index with n of them have the same hash with a probability below n² / 2⁶⁵ (3 in a million
for 10⁷); a text with w words hits such an index by chance w · n / 2⁶⁴ times (once in 2 · 10¹² words for n = 10⁷).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered.match_words import hash_words, run_hashes
from pipeline.texts.buffers import slices

MOST_ITEMS = 10  # more than the choices or questions that benchmarks write for one passage, fewer than a template has
FILTER_BITS = 16  # bits of the filter for each hash, or up to twice as many: 1 of 100 others passes
SHORT_FILTER_BITS = 64  # these are looked up more often: once for each length
FILTER_PROBES = 3

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemIndex:
    """Items to look for; arrays only, so that it can be pickled. Items are numbered in the order given.

    Of each n-gram: `hashes` uint64 [n_hashes] ascending; n-gram k is held by the items
    `holders[starts[k]:starts[k + 1]]` (int32, ascending; `starts` int32 [n_hashes + 1]), by none of them if it is
    boilerplate (`boilerplate` bool [n_hashes]), except for the item that is this n-gram as a whole.
    `filter` uint64: a hash whose bits are not all set in it is not among `hashes` (see `_filter`); the first `n_short`
    words of it are for n-grams of fewer than `ngram` words, of which there are few, so that these words stay in the
    processor's cache.

    Of each item, int64 [n_items]: `given`, its place in the sequence given to `index_items` (the first one of equals);
    `n_words`; `n_ngrams`, its different n-grams without boilerplate; `spans`, how far apart they may stand (see
    `contamination`). `lengths` int64 ascending: the lengths in words of n-grams up to `ngram`, which is the last one;
    `long_lengths` int64: those of items of more than `ngram` words that match as a whole.

    Of each given item, [n_given]: `same_as` int64, the place of the first one with the same words, -1 for no words;
    `set_of` int32, the place of its set in `sets`.
    """

    ngram: int
    hashes: Hashes
    starts: npt.NDArray[np.int32]
    holders: npt.NDArray[np.int32]
    boilerplate: npt.NDArray[np.bool_]
    filter: Hashes
    n_short: int
    given: Ints
    n_words: Ints
    n_ngrams: Ints
    spans: Ints
    lengths: Ints
    long_lengths: Ints
    same_as: Ints
    sets: tuple[str, ...]
    set_of: npt.NDArray[np.int32]

    @property
    def n_items(self) -> int:
        """Different items with words."""
        return len(self.given)

    @property
    def n_without_words(self) -> int:
        """Given items that were left out."""
        return int((self.same_as < 0).sum())

    @property
    def n_repeated(self) -> int:
        """Given items that have the words of an earlier one."""
        return len(self.same_as) - self.n_without_words - self.n_items

    @property
    def n_boilerplate(self) -> int:
        """Different n-grams that do not count."""
        return int(self.boilerplate.sum())

    @property
    def n_bytes(self) -> int:
        """Memory of the arrays."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))


def index_items(items: Sequence[tuple[str, str]], *, ngram: int) -> ItemIndex:
    """Index items, given as (name of the set, text). `ValueError` if `ngram` is below 1."""
    if ngram < 1:
        raise ValueError(f"ngram is {ngram}; an n-gram has at least 1 word (13 is usual)")
    words = _words([text for _, text in items])
    given, same_as = _distinct(words)
    words = _Words(prefixes=words.prefixes, firsts=words.firsts[given], counts=words.counts[given])
    hashes, holders = _pairs(*_ngrams(words, ngram))
    counts, boilerplate = _boilerplate(hashes)
    n_ngrams = np.bincount(holders[counts], minlength=len(given))
    whole = np.flatnonzero(n_ngrams == 0)
    lengths = np.full(len(given), ngram)
    lengths[whole] = words.counts[whole]
    wholes = _whole_hashes(words)[whole]
    hashes, holders = _pairs(np.append(hashes[counts], wholes), np.append(holders[counts], whole))
    keys = np.union1d(hashes, boilerplate)
    short = np.isin(keys, wholes[lengths[whole] < ngram])
    n_short = _filter_size(short, SHORT_FILTER_BITS)
    sets = tuple(dict.fromkeys(name for name, _ in items))
    return ItemIndex(
        ngram=ngram,
        hashes=keys,
        starts=np.append(np.searchsorted(hashes, keys), len(hashes)).astype(np.int32),
        holders=holders.astype(np.int32),
        boilerplate=np.isin(keys, boilerplate),
        filter=np.concatenate(
            [_filter(keys[short], n_short), _filter(keys[~short], _filter_size(~short, FILTER_BITS))]
        ),
        n_short=n_short,
        given=given,
        n_words=words.counts,
        n_ngrams=np.maximum(n_ngrams, 1),
        spans=2 * (words.counts - lengths + 1) + 2 * ngram,
        lengths=np.unique(np.append(lengths[lengths < ngram], ngram)),
        long_lengths=np.unique(lengths[lengths > ngram]),
        same_as=same_as,
        sets=sets,
        set_of=np.array([sets.index(name) for name, _ in items], np.int32),
    )


@dataclass(frozen=True, kw_only=True)
class _Words:
    """Texts as words: text t has `counts[t]` words, its prefixes start at `prefixes[firsts[t]]`."""

    prefixes: Hashes
    firsts: Ints
    counts: Ints


def _words(texts: list[str]) -> _Words:
    parts = [hash_words(part) for part in slices(pa.array(texts, pa.large_string()))]
    bases = np.cumsum([0, *(len(part.prefixes) for part in parts)])[:-1]
    none = np.empty(0, np.int64)
    return _Words(
        prefixes=np.concatenate([np.empty(0, np.uint64), *(part.prefixes for part in parts)]),
        firsts=np.concatenate([none, *(part.starts[:-1] + base for part, base in zip(parts, bases, strict=True))]),
        counts=np.concatenate([none, *(np.diff(part.starts) for part in parts)]),
    )


def _whole_hashes(words: _Words) -> Hashes:
    return run_hashes(words.prefixes, words.firsts + words.counts, words.counts)


def _distinct(words: _Words) -> tuple[Ints, Ints]:
    """`given` and `same_as` of the index."""
    same_as = np.full(len(words.counts), -1)
    worded = np.flatnonzero(words.counts)
    _, first, group = np.unique(_whole_hashes(words)[worded], return_index=True, return_inverse=True)
    same_as[worded] = worded[first][group]
    return np.flatnonzero(same_as == np.arange(len(same_as))), same_as


def _ngrams(words: _Words, ngram: int) -> tuple[Hashes, Ints]:
    """The hashes of all n-grams of all texts, and the text of each."""
    n = np.maximum(words.counts - ngram + 1, 0)
    holders = np.repeat(np.arange(len(n)), n)
    within = np.arange(len(holders)) - np.repeat(np.cumsum(n) - n, n)
    ends = words.firsts[holders] + within + ngram
    return run_hashes(words.prefixes, ends, np.full(len(ends), ngram)), holders


def _pairs(hashes: Hashes, holders: Ints) -> tuple[Hashes, Ints]:
    """The pairs of hash and holder in ascending order, each once."""
    order = np.lexsort((holders, hashes))
    hashes, holders = hashes[order], holders[order]
    new = np.ones(len(hashes), np.bool_)
    new[1:] = (hashes[1:] != hashes[:-1]) | (holders[1:] != holders[:-1])
    return hashes[new], holders[new]


def _boilerplate(hashes: Hashes) -> tuple[npt.NDArray[np.bool_], Hashes]:
    """Of each (hash, holder) whether it counts, given the hashes in ascending order; the hashes that don't."""
    keys, group, n_holders = np.unique(hashes, return_inverse=True, return_counts=True)
    return (n_holders <= MOST_ITEMS)[group], keys[n_holders > MOST_ITEMS]


def _filter_size(among: npt.NDArray[np.bool_], bits: int) -> int:
    """Words of a filter for as many hashes: a power of two, so that the lowest bits of a hash choose its word."""
    return 1 << (int(among.sum()) * bits // 64).bit_length()


def _filter(hashes: Hashes, n_words: int) -> Hashes:
    """A blocked Bloom filter (Putze, Sanders, Singler 2007, "Cache-, hash- and space-efficient Bloom filters"): a hash
    has its bits in one word, so that a look-up touches one line of the cache."""
    bits = np.zeros(len(hashes), np.uint64)
    for probe in range(FILTER_PROBES):
        bits |= np.uint64(1) << ((hashes >> np.uint64(58 - 6 * probe)) & np.uint64(63))
    words = np.zeros(n_words, np.uint64)
    np.bitwise_or.at(words, (hashes & np.uint64(n_words - 1)).astype(np.int64), bits)
    return words
