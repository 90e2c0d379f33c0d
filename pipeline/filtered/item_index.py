"""Evaluation items as `contamination` looks for them: their words, and a table of *seeds*, from which matches grow.

Items with the same words (in the normal form of `match_words`) are one item. A *seed* is `SEED` words in a row of an
item. What an item is looked for as (`Kind`) follows from its length, its words, of which letters of scripts without
spaces count half (a Chinese word has about two):

* fewer than `LEAST_WORDS`: `TOO_SHORT`. "Yes", "Paris", "Who wrote Hamlet?" stand everywhere and say nothing of where
  they came from; they are not looked for, and reports count them;
* fewer than `LINE_WORDS`: `LINE`, found where all its words are a line, or some lines, of a document;
* fewer than `ngram`: `WHOLE`, found where all its words stand, in a row;
* others: `PARTS`, found where enough of its words stand, in order and close together (`contamination`).

*What does not count*: seeds that more than `MOST_ITEMS` different items hold ("answer the following question with yes
or no", SHARED), and seeds that are common in the source's documents (a licence header, COMMON; see `is_common`).
Nothing grows from them. A word all of whose seeds are such is neither found nor missing. A word none of whose seeds is
such is the item's *own*, and an item looked for by parts needs own words to be told from others: half of its words, or
8. One that seeds of both kinds leave fewer is looked for as `WHOLE`, and so is one that has fewer different words; one
that COMMON ones leave fewer is `COMMON` and not looked for. Where fewer than `ngram` words count, all do if half of
them are own, otherwise the item is a `WHOLE` one. An item that is looked for as `WHOLE` or `LINE` is `COMMON` if it is
common as such.

Memory: about 25 bytes for each word of all items: 4 of the word, 2 of what counts, 12 of its seed, 4 to 8 of the
table's buckets, 2 to 4 of the filter; about 15 where it is known what is common, as a third of the seeds is looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered.match_words import BASE, hash_words, run_hashes
from pipeline.texts.buffers import slices
from pipeline.texts.unicode_tables import UNSPACED, flags_of_all

SEED = 5  # of 25 words 5 may be replaced at any places, and in all but 0.24 % of the cases 5 others stand in a row
LEAST_WORDS = 5
LINE_WORDS = 8  # the least n-gram of the decontamination of GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C)
MOST_ITEMS = 10  # more than the choices or questions that benchmarks write for one passage, fewer than a template has
MOST_PLACES = 2  # a seed that an item repeats is entered so often for it
MOST_WORDS = (1 << 31) - 1  # places are int32: about 12 GB of items, whose index takes 50 GB
ENOUGH_WORDS = 16  # of a longer item as many words must be its own as of one of this length: half of them

# Common is what more of the source's sampled documents hold than this number, and than this share of them.
COMMON_DOCUMENTS = 8
COMMON_SHARE = 0.0005

FILTER_BITS = 16  # bits of the filter for each seed, or up to twice as many: 1 of 100 others passes
FILTER_PROBES = 3

# Of items of so many words, of whose seeds no greater share is shared or common, every third seed is looked up.
LONG_WORDS, MOST_LEFT_OUT, STEP = 25, 0.25, 3

SHARED, COMMON = 1, 2  # why a seed does not count; may be both

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


class Kind(IntEnum):
    """What an item is looked for as; the last two are not looked for."""

    PARTS = 0
    WHOLE = 1
    LINE = 2
    COMMON = 3
    TOO_SHORT = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemIndex:
    """Items to look for; arrays only, so that it can be pickled. Different items are numbered in the order given.

    Item k has the words `firsts[k]` … `firsts[k + 1]`-1 (int64 [n_items + 1]) of `words` (uint32 [n_words]: the lowest
    32 bits of their hashes), of `flags` (uint8: why the seed that starts there does not count, 0 if it does) and of
    `ignored` (bool: the word does not count). By item: `kinds` uint8, `n_counting` int64: its words that count; `given`
    int64: its place in the sequence given to `index_items` (the first one of equals); `in_sets` bool [n_items, n_sets].

    Seeds in the order of their hashes: `hashes` uint64, `places` int32: the word of `words` that each starts at. Those
    whose hash has the highest bits b are `buckets[b]` … `buckets[b + 1]`-1 (int32 [2ⁿ + 1]). `filter` uint64: a hash
    whose bits are not all set in it is no seed (see `_filter`).

    Of each given item, [n_given]: `same_as` int64, the place of the first one with the same words, -1 for no words;
    `set_of` int32, the place of its set in `sets`.
    """

    ngram: int
    words: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]
    ignored: Flags
    firsts: Ints
    kinds: npt.NDArray[np.uint8]
    n_counting: Ints
    given: Ints
    in_sets: Flags
    hashes: Hashes
    places: npt.NDArray[np.int32]
    buckets: npt.NDArray[np.int32]
    filter: Hashes
    same_as: Ints
    sets: tuple[str, ...]
    set_of: npt.NDArray[np.int32]

    @property
    def n_items(self) -> int:
        """Different items with words."""
        return len(self.given)

    @property
    def n_words(self) -> Ints:
        """Words of each item."""
        return np.diff(self.firsts)

    @property
    def n_without_words(self) -> int:
        """Given items that were left out."""
        return int((self.same_as < 0).sum())

    @property
    def n_repeated(self) -> int:
        """Given items that have the words of an earlier one."""
        return len(self.same_as) - self.n_without_words - self.n_items

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
    firsts, positions = _behind_each_other(words, given)
    if len(positions) > MOST_WORDS:
        raise ValueError(f"the items have {len(positions):,} words; at most {MOST_WORDS:,} can be looked for at once")
    hashes, starts, holders = _seeds(words, firsts, positions)
    order, shared = _in_table(hashes, holders)
    flags = np.zeros(len(positions), np.uint8)
    flags[starts[shared]] = SHARED
    lengths = np.diff(firsts) - (_unspaced([items[place][1] for place in given]) + 1) // 2
    kinds = np.select(
        [lengths < LEAST_WORDS, lengths < LINE_WORDS, lengths < ngram], [Kind.TOO_SHORT, Kind.LINE, Kind.WHOLE]
    ).astype(np.uint8)
    short = kinds[holders] == Kind.TOO_SHORT
    order = order[~shared[order] & ~short[order]]
    order = _with_rarest(order, hashes, holders, kinds != Kind.TOO_SHORT)
    sets = tuple(dict.fromkeys(name for name, _ in items))
    number = {name: k for k, name in enumerate(sets)}
    set_of = np.array([number[name] for name, _ in items], np.int32)
    return _weighed(
        ItemIndex(
            ngram=ngram,
            words=(words.prefixes[positions + 1] - words.prefixes[positions] * BASE).astype(np.uint32),
            flags=flags,
            ignored=np.zeros(len(flags), np.bool_),
            firsts=firsts,
            kinds=kinds,
            n_counting=np.zeros(len(given), np.int64),
            given=given,
            in_sets=_in_sets(given, same_as, set_of, len(sets)),
            **_table(hashes[order], starts[order]),
            same_as=same_as,
            sets=sets,
            set_of=set_of,
        )
    )


def is_common(documents: Ints, n_documents: int) -> Flags:
    """What is common, given how many of `n_documents` sampled documents hold each: what few hold is not, however small
    the sample is."""
    return documents > max(COMMON_DOCUMENTS, COMMON_SHARE * n_documents)


def without_common(index: ItemIndex, seeds: Flags, items: Flags) -> ItemIndex:
    """The index for a source in whose documents some seeds (bool [n_seeds]) are common, and some items (bool [n_items];
    this only matters for those that are looked for as a whole or as a line). Of long items few of whose seeds are
    shared or common it has every third seed: where 7 words in a row are the same, one of them stands."""
    common = np.isin(index.hashes, index.hashes[seeds])
    flags, kinds = index.flags.copy(), index.kinds.copy()
    flags[index.places[common]] |= COMMON
    kinds[items & np.isin(kinds, (Kind.WHOLE, Kind.LINE))] = Kind.COMMON
    whole = np.isin(kinds, (Kind.WHOLE, Kind.LINE))
    holders = np.searchsorted(index.firsts, index.places, side="right") - 1
    thinned = (index.n_words >= LONG_WORDS) & (_sums(flags > 0, index.firsts) <= MOST_LEFT_OUT * index.n_words) & ~whole
    needed = ~thinned[holders] | ((index.places - index.firsts[holders]) % STEP == 0)
    order = _with_rarest(np.flatnonzero(~common & needed), index.hashes, holders, whole)
    table = _table(index.hashes[order], index.places[order].astype(np.int64))
    return _weighed(replace(index, flags=flags, kinds=kinds, **table))


def _weighed(index: ItemIndex) -> ItemIndex:
    """The index with the words that count counted, and items of which too few do looked for otherwise."""
    n_words, firsts = index.n_words, index.firsts
    n_own = _sums(~_in_any(index.flags > 0), firsts)
    n_rare = _sums(~_in_any((index.flags & COMMON) > 0), firsts)
    ignored = ~_in_any((index.flags == 0) & _starts_seed(firsts))
    ignored[np.repeat(n_words < SEED, n_words)] = False
    kinds, parts = index.kinds.copy(), index.kinds == Kind.PARTS
    few = parts & (_sums(~ignored, firsts) < index.ngram)
    kinds[parts & (2 * n_own < np.where(few, n_words, np.minimum(n_words, ENOUGH_WORDS)))] = Kind.WHOLE
    kinds[parts & (2 * _n_different(index.words, firsts) < np.minimum(n_words, ENOUGH_WORDS))] = Kind.WHOLE
    kinds[parts & (2 * n_rare < np.minimum(n_words, ENOUGH_WORDS))] = Kind.COMMON
    ignored[np.repeat(few | ~parts, n_words)] = False
    return replace(index, kinds=kinds, ignored=ignored, n_counting=_sums(~ignored, firsts))


def _starts_seed(firsts: Ints) -> Flags:
    """The words that a seed of their item starts at."""
    found = np.ones(int(firsts[-1]), np.bool_)
    for k in range(1, SEED):
        ends = firsts[1:] - k
        found[ends[ends >= firsts[:-1]]] = False
    return found


def _in_any(seeds: Flags) -> Flags:
    """The words that lie in one of these seeds, given by the words that they start at."""
    found = seeds.copy()
    for k in range(1, min(SEED, len(seeds))):
        found[k:] |= seeds[: len(seeds) - k]
    return found


def _n_different(words: npt.NDArray[np.uint32], firsts: Ints) -> Ints:
    """The different words of each item."""
    holders = np.repeat(np.arange(len(firsts) - 1), np.diff(firsts))
    keys = np.unique(holders.astype(np.uint64) << np.uint64(32) | words)
    return np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(firsts) - 1)


def _sums(flags: Flags, firsts: Ints) -> Ints:
    return np.diff(np.append(0, np.cumsum(flags))[firsts])


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


def _distinct(words: _Words) -> tuple[Ints, Ints]:
    """`given` and `same_as` of the index."""
    same_as = np.full(len(words.counts), -1)
    worded = np.flatnonzero(words.counts)
    whole = run_hashes(words.prefixes, words.firsts + words.counts, words.counts)[worded]
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    same_as[worded] = worded[first][group]
    return np.flatnonzero(same_as == np.arange(len(same_as))), same_as


def _behind_each_other(words: _Words, given: Ints) -> tuple[Ints, Ints]:
    """`firsts` of the index, and of each of its words the place in `words.prefixes`."""
    counts = words.counts[given]
    firsts = np.append(0, np.cumsum(counts))
    return firsts, np.arange(firsts[-1]) + np.repeat(words.firsts[given] - firsts[:-1], counts)


def _seeds(words: _Words, firsts: Ints, positions: Ints) -> tuple[Hashes, Ints, Ints]:
    """Of each seed of each item its hash, the word that it starts at, and the item."""
    n = np.maximum(np.diff(firsts) - SEED + 1, 0)
    holders = np.repeat(np.arange(len(n)), n)
    starts = np.arange(len(holders)) + np.repeat(firsts[:-1] - (np.cumsum(n) - n), n)
    return run_hashes(words.prefixes, positions[starts] + SEED, np.full(len(starts), SEED)), starts, holders


def _in_table(hashes: Hashes, holders: Ints) -> tuple[Ints, Flags]:
    """The seeds by their hashes, at most `MOST_PLACES` of a hash and item; and which ones too many items share."""
    order = np.argsort(hashes, kind="stable")
    keys, items = hashes[order], holders[order]
    new_key = np.ones(len(keys), np.bool_)
    new_key[1:] = keys[1:] != keys[:-1]
    new_item = new_key.copy()
    new_item[1:] |= items[1:] != items[:-1]
    group = np.cumsum(new_key) - 1
    shared = np.zeros(len(keys), np.bool_)
    shared[order] = (np.bincount(group[new_item], minlength=1) > MOST_ITEMS)[group]
    runs = np.flatnonzero(new_item)
    rank = np.arange(len(keys)) - np.repeat(runs, np.diff(np.append(runs, len(keys))))
    return order[rank < MOST_PLACES], shared


def _with_rarest(order: Ints, hashes: Hashes, holders: Ints, wanted: Flags) -> Ints:
    """The chosen seeds, and of each wanted item that has none of them, the one that the fewest of these items share; by
    their hashes."""
    wanted = wanted & (np.bincount(holders[order], minlength=len(wanted)) == 0)
    seeds = np.flatnonzero(wanted[holders])
    if not len(seeds):
        return order
    _, group, counts = np.unique(hashes[seeds], return_inverse=True, return_counts=True)
    by_item = seeds[np.lexsort((seeds, counts[group], holders[seeds]))]
    items = holders[by_item]
    added = by_item[np.append(True, items[1:] != items[:-1])]
    both = np.append(order, added)
    return both[np.argsort(hashes[both], kind="stable")]


def _unspaced(texts: list[str]) -> Ints:
    """How many letters of scripts without spaces each text has."""
    flags = flags_of_all()
    counts = np.zeros(len(texts), np.int64)
    for k, text in enumerate(texts):
        if not text.isascii():
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
            counts[k] = np.count_nonzero(flags[codes] & UNSPACED)
    return counts


def _in_sets(given: Ints, same_as: Ints, set_of: npt.NDArray[np.int32], n_sets: int) -> Flags:
    found = np.zeros((len(given), n_sets), np.bool_)
    worded = same_as >= 0
    found[np.searchsorted(given, same_as[worded]), set_of[worded]] = True
    return found


def _table(hashes: Hashes, starts: Ints) -> dict[str, Any]:
    """The arrays by which seeds, in the order of their hashes, are looked up. There are about as many buckets as
    seeds."""
    bits = max(1, len(hashes).bit_length())
    edges = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    return {
        "hashes": hashes,
        "places": starts.astype(np.int32),
        "buckets": np.append(np.searchsorted(hashes, edges), len(hashes)).astype(np.int32),
        "filter": _filter(hashes),
    }


def _filter(hashes: Hashes) -> Hashes:
    """A blocked Bloom filter (Putze, Sanders, Singler 2007, "Cache-, hash- and space-efficient Bloom filters"): a hash
    has its bits in one word, which its lowest bits choose, so that a look-up touches one line of the cache."""
    bits = np.zeros(len(hashes), np.uint64)
    for probe in range(FILTER_PROBES):
        bits |= np.uint64(1) << ((hashes >> np.uint64(58 - 6 * probe)) & np.uint64(63))
    words = np.zeros(1 << (len(hashes) * FILTER_BITS // 64).bit_length(), np.uint64)
    np.bitwise_or.at(words, (hashes & np.uint64(len(words) - 1)).astype(np.int64), bits)
    return words
