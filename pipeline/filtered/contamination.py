"""Which documents contain evaluation items, and where: every item of every document, with the passage that holds it.

*Growing a match.* Where a seed of an item (5 words in a row, see `item_index`) stands in a document, and one of the 5
words before or behind it is the same, too, item and document are compared word by word to both sides. A word that is
the same counts; where they differ, up to `matching.MOST_SKIPPED` words of either are passed over: to the next word that
is the same if as many are passed over in both, otherwise to the next two in a row (one, at the item's end); fewer words
before more, as many in both before others. So words that were replaced, left out or put in cost just these words. The
*piece* ends where nothing is the same that near.

*Overlap* of an item in a document: the words of its pieces there / the words of the item, in both only those that count
(`item_index`). Pieces add up if they stand in the item's order, and from the first to the last within 2 · (the item's
words + `ngram`) words: parts of an item may stand apart by up to about its own length, but what lies scattered over a
long document does not add up. Words of the item that two pieces hold count once. The item is *contained* if the overlap
≥ `min_overlap`. An item that is looked for as a whole has overlap 1 where all its words stand in a row, and one that is
looked for as a line where no other words stand in these lines.

*Passage*: from the first to the last word of the pieces. Passages of one item that overlap are one, with the greatest
of their overlaps; an item that stands in a document several times has several.

What this cannot find: items that share no seed with the document (paraphrases, translations, and a few of the items of
which many words are replaced: 1 of 400 of 25 words with 5 others; more by the seeds that a source's index leaves out),
and parts in another order than the item's.

Time is linear in the text. Memory is that of the index (`item_index`), 8 bytes an item, 20 bytes a word
of a slice of text (`buffers.SLICE_BYTES`) or of a longer document, and 72 bytes for each piece in a document.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered import matching
from pipeline.filtered.item_index import ItemIndex, Kind, index_items
from pipeline.filtered.match_words import hash_words, word_places
from pipeline.texts.buffers import Texts, slices

__all__ = ["VERSION", "ItemIndex", "Matches", "count_seeds", "find", "index_items", "sketches"]

# Goes up when the same texts and items give other matches. What also decides: `unicode_tables.UNICODE_VERSION`.
VERSION = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """Passages that hold items, by document and item. [n]: `document` int64; `item` int64, its number in the index;
    `overlap` float64, from `min_overlap` to 1; `first` and `last` int64: bytes of the document's text, `last`
    exclusive."""

    document: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    overlap: npt.NDArray[np.float64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]


def find(texts: pa.Array | pa.ChunkedArray, index: ItemIndex, *, min_overlap: float) -> Matches:
    """Look for the items in each document.

    `texts` are string or large_string without nulls. `ValueError` for other texts, and if `min_overlap` is not in
    (0, 1].
    """
    if not 0 < min_overlap <= 1:
        raise ValueError(f"min_overlap is {min_overlap}; it is a share above 0 and at most 1 (0.8 is usual)")
    arrays, latest, before = matching.arrays(index), np.full(index.n_items, -1), 0
    found: list[tuple[int, int, int, int, float]] = []
    for part in slices(texts):
        words = hash_words(part)
        numbers, overlaps = matching.find(words.prefixes, words.starts, arrays, min_overlap, latest)
        found += _passages(part, before, numbers, overlaps, index)
        before += part.n_documents
    document, item, first, last, overlap = zip(*sorted(found), strict=True) if found else ((),) * 5
    return Matches(
        document=np.array(document, np.int64),
        item=np.array(item, np.int64),
        overlap=np.array(overlap, np.float64),
        first=np.array(first, np.int64),
        last=np.array(last, np.int64),
    )


def count_seeds(texts: pa.Array | pa.ChunkedArray, index: ItemIndex) -> npt.NDArray[np.int32]:
    """How many of these documents hold each seed: int32 [n_seeds], 0 for all but the first of seeds of one hash."""
    counts, latest, before = np.zeros(len(index.hashes), np.int32), np.full(len(index.hashes), -1, np.int32), 0
    arrays = matching.arrays(index)
    for part in slices(texts):
        words = hash_words(part)
        matching.count_seeds(words.prefixes, words.starts, arrays, before, latest, counts)
        before += part.n_documents
    return counts


def sketches(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """A number of each document that is the same for two of them with a probability of about the square of their
    Jaccard similarity: made of the smallest and the largest hash of 5 words in a row (MinHash with two functions).
    uint64 [n]; those of documents of fewer words are different."""
    found, before = [np.empty(0, np.uint64)], 0
    for part in slices(texts):
        words = hash_words(part)
        found.append(matching.sketches(words.prefixes, words.starts, before))
        before += part.n_documents
    return np.concatenate(found)


def _passages(
    part: Texts, before: int, numbers: npt.NDArray[np.int64], overlaps: npt.NDArray[np.float64], index: ItemIndex
) -> Iterator[tuple[int, int, int, int, float]]:
    """What was found in a run of documents: document, item, first and last byte, overlap; items that are looked for as
    lines only where they are."""
    here, text, places = -1, b"", np.empty((0, 2), np.int64)
    for (document, item, first, last), overlap in zip(numbers.tolist(), overlaps.tolist(), strict=True):
        if document != here:
            here = document
            text = part.data[part.offsets[document] : part.offsets[document + 1]].tobytes()
            places = word_places(text)
        start, stop = int(places[first, 0]), int(places[last - 1, 1])
        if index.kinds[item] == Kind.LINE:
            lead = text[places[first - 1, 1] if first else 0 : start]
            tail = text[stop : places[last, 0] if last < len(places) else len(text)]
            if not ((first == 0 or _breaks(lead)) and (last == len(places) or _breaks(tail))):
                continue
        yield before + document, item, start, stop, overlap


def _breaks(between: bytes) -> bool:
    return b"\n" in between or b"\r" in between
