"""C4's rule that drops pages with a bad word (Raffel et al. 2020, arXiv 1910.10683, section 2.2). The list is a file
that the user names: one word or phrase a line.

The code that made C4 (`get_badwords_filter_fn` in `c4_utils.py` of tensorflow/datasets; datatrove's `C4BadWordsFilter`
is the same) looks for an entry in the lower-cased text, with a character that is not of a word or an end of the text on
both sides; in Japanese, Thai and Chinese anywhere. Here the script decides, not the language:

*Same characters*: entry and text are compared character by character after case folding. A character that would become
several keeps its lower case, or itself ("ß" is not "ss"; "ς" is "σ"), and none becomes ASCII ("ſ" is not "s"). An
entry is looked for as it is, composed (NFC) and decomposed (NFD). White space in it stands for any run of white space.

*Borders*: beside an entry stands no letter, number, mark (categories L, N, M; not variation selectors) or underscore,
which would make it part of a longer word. Letters and marks of scripts written without spaces
(`unicode_tables.UNSPACED_BLOCKS`) are words of their own: they may stand beside any entry, and an entry that begins or
ends with one needs no border there.

Where this differs from that code: marks belong to words (to Python's `\\W` they do not, so that a Hindi entry is found
at the beginning of longer words), the case of the list does not matter, a Latin entry may touch Chinese letters in any
list, and is not found within Latin words in a Chinese list either (which is why datatrove drops "sm" from the Japanese
list).

The search walks a trie of all entries from each place where one may begin; how many there are hardly matters. (RE2 with
an alternative for each entry falls to 6 MB/s at 2,000 entries: it runs out of room for its automaton.)
"""

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import takewhile

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit, types

from pipeline.manifest import digest
from pipeline.texts.buffers import Texts, slices
from pipeline.texts.characters import character_at
from pipeline.texts.unicode_tables import UNSPACED_BLOCKS

MOST_CHARACTERS = 200  # of an entry: more than any phrase has, fewer than a line of prose or of a table
SHOWN_CHARACTERS = 60

# An entry of the table of characters: the folded code point in 21 bits, and what it is.
_CODE = (1 << 21) - 1
_WORD, _ALONE, _SPACE = 1 << 21, 1 << 22, 1 << 23

# What ends at a node of the trie: nothing, an entry that takes a border behind it, one that does not.
_BORDERED, _FREE = 1, 2

_NONE = _CODE  # no character
_PAIRS = 1 << 17
_NO_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio as a 64-bit fraction (multiplicative hashing)


@dataclass(frozen=True, kw_only=True)
class BadWords:
    """The entries, folded, each once, in ascending order; white space within is one space."""

    words: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The list in fingerprints: the same for lists that find the same in any order, case and spacing."""
        return digest(list(self.words))


def parse(data: bytes, where: str) -> BadWords:
    """The list in a file: UTF-8, an entry a line; blank lines and lines that begin with # are left out. `ValueError`
    naming `where` for what is not such a list."""
    words = set()
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            word = " ".join(line.decode().split())
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{where}, line {number}: byte {error.start + 1} is not UTF-8; save the list as UTF-8"
            ) from error
        if not word or word.startswith("#"):
            continue
        if len(word) > MOST_CHARACTERS:
            raise ValueError(
                f"{where}, line {number}: {word[:SHOWN_CHARACTERS]!r}… has {len(word)} characters, an entry at most "
                f"{MOST_CHARACTERS}; a list of bad words has one word or phrase a line"
            )
        words.add("".join(map(_folded, word)))
    if not words:
        raise ValueError(f"{where}: no words; give one word or phrase a line, or leave the list out of the recipe")
    return BadWords(words=tuple(sorted(words)))


def found(texts: pa.Array | pa.ChunkedArray, words: BadWords) -> npt.NDArray[np.bool_]:
    """Which texts (string or large_string, without nulls) hold an entry: bool [n]."""
    parts = [_first_spans(part, words)[:, 0] >= 0 for part in slices(texts)]
    return np.concatenate([np.empty(0, np.bool_), *parts])


def first_match(text: str, words: BadWords) -> tuple[int, int] | None:
    """The characters [first, last) of the entry that begins first in the text, the longest of those that begin there;
    None if `found` finds none."""
    (part,) = slices(pa.array([text], pa.large_string()))
    first, last = _first_spans(part, words)[0].tolist()
    if first < 0:
        return None
    raw = text.encode()
    return len(raw[:first].decode()), len(raw[:last].decode())


def _first_spans(texts: Texts, words: BadWords) -> npt.NDArray[np.int64]:
    """The bytes (of the text) of the first entry in each text, int64 [n, 2], (-1, -1) where there is none."""
    trie = _trie(words.words)
    spans = np.full((texts.n_documents, 2), -1, np.int64)
    filters = (trie.fours, trie.pairs)
    _search(texts.data, texts.offsets, _characters(), *filters, trie.keys, trie.nodes, trie.ends, spans)
    return spans


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trie:
    """Node 0 is the root. The edge from a node along a folded character has the key node << 21 | code point; it stands
    in `keys` (uint64, a power of two, open addressing) with the node it leads to in `nodes` (int64). `ends` uint8
    [n_nodes] is what ends at a node.

    Most places need no walk. Where bytes a, b, c, d stand, a of ASCII, an entry may begin only if bit d & 31 of
    `fours[(a & 31) << 10 | (b & 31) << 5 | c & 31]` (uint32 [2¹⁵]) is set: 5 bits of each, which are the same for both
    cases of a letter. Where folded characters a, b stand, one may begin only if `pairs` (bool [2¹⁷]) is True at
    `_pair(a, b)`, or at `_pair(a, _NONE)` as for entries of one character."""

    fours: npt.NDArray[np.uint32]
    pairs: npt.NDArray[np.bool_]
    keys: npt.NDArray[np.uint64]
    nodes: npt.NDArray[np.int64]
    ends: npt.NDArray[np.uint8]


@lru_cache(maxsize=4)
def _trie(words: tuple[str, ...]) -> _Trie:
    """The trie of the words in both normal forms, made once in a process (0.1 s for 5,000 words)."""
    characters, edges, ends = _characters(), dict[int, int](), [0]
    fours, begins = np.zeros((32, 32, 32, 32), np.bool_), set()
    for word in words:
        for form in {word, unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)}:
            codes = [ord(_folded(character)) for character in form]
            node = 0
            for code in codes:
                node = edges.setdefault(node << 21 | code, len(ends))
                if node == len(ends):
                    ends.append(0)
            ends[node] |= _FREE if characters[codes[-1]] & _ALONE else _BORDERED
            begins.add((codes[0], codes[1] if len(codes) > 1 else _NONE))
            ascii_begin = list(takewhile(lambda code: 0x20 < code < 0x80, codes[:4]))
            if ascii_begin:  # what follows it may be anything
                fours[tuple(code & 31 for code in ascii_begin)] = True
    size = 1 << (2 * len(edges)).bit_length()
    keys, nodes = np.full(size, _NO_KEY, np.uint64), np.zeros(size, np.int64)
    _store(np.array(list(edges), np.uint64), np.array(list(edges.values()), np.int64), keys, nodes)
    pairs = np.zeros(_PAIRS, np.bool_)
    _mark(np.array(list(begins), np.int64), pairs)
    bits = np.packbits(fours, axis=3, bitorder="little").view(np.uint32).ravel()
    return _Trie(fours=bits, pairs=pairs, keys=keys, nodes=nodes, ends=np.array(ends, np.uint8))


@cache
def _characters() -> npt.NDArray[np.uint32]:
    """The table of characters, uint32 [2²¹] (any 21-bit number may be looked up), made once in a process (0.5 s)."""
    table = np.arange(1 << 21, dtype=np.uint32)
    characters = [chr(code) for code in range(0x110000)]
    kinds = np.array([ord(unicodedata.category(character)[0]) for character in characters])
    letter_or_mark = (kinds == ord("L")) | (kinds == ord("M"))
    is_word = letter_or_mark | (kinds == ord("N"))
    is_word[ord("_")] = True
    is_word[0xFE00:0xFE10] = is_word[0xE0100:0xE01F0] = False  # variation selectors: emoji have them, too
    alone = np.zeros(len(kinds), np.bool_)
    for first, last in UNSPACED_BLOCKS:
        alone[first : last + 1] = letter_or_mark[first : last + 1]
    space = np.array([character.isspace() for character in characters])
    table[: len(kinds)] = [ord(_folded(character)) for character in characters]
    table[: len(kinds)] |= (is_word * _WORD | alone * _ALONE | space * _SPACE).astype(np.uint32)
    return table


def _folded(character: str) -> str:
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1 and folded.isascii() == character.isascii():
            return folded
    return character


@njit(cache=True, nogil=True)
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a key stands, or would stand."""
    last = len(keys) - 1
    slot = np.int64((key * _FACTOR) >> np.uint64(32)) & last
    while keys[slot] != key and keys[slot] != _NO_KEY:
        slot = (slot + 1) & last
    return slot


@njit(types.void(types.uint64[::1], types.int64[::1], types.uint64[::1], types.int64[::1]), cache=True, nogil=True)
def _store(new_keys, new_nodes, keys, nodes):  # type: ignore[no-untyped-def]
    for i in range(len(new_keys)):
        slot = _slot(keys, new_keys[i])
        keys[slot], nodes[slot] = new_keys[i], new_nodes[i]


@njit(cache=True, nogil=True)
def _pair(first, second):  # type: ignore[no-untyped-def]
    return ((first * 0x9E3779B1) ^ (second * 0x85EBCA77)) >> 15 & (_PAIRS - 1)


@njit(types.void(types.int64[:, ::1], types.boolean[::1]), cache=True, nogil=True)
def _mark(begins, pairs):  # type: ignore[no-untyped-def]
    for i in range(len(begins)):
        pairs[_pair(begins[i, 0], begins[i, 1])] = True


@njit(cache=True, nogil=True)
def _character(data, at, end, table):  # type: ignore[no-untyped-def]
    """The character at byte `at`, folded and with white space as one space; its entry in the table; where the next one
    starts. At the end it is white space."""
    if at >= end:
        return np.int64(0x20), np.int64(_SPACE), end
    code, following = character_at(data, at, end)
    entry = np.int64(table[code])
    return np.int64(0x20) if entry & _SPACE else entry & _CODE, entry, following


@njit(cache=True, nogil=True)
def _walk(data, at, end, table, keys, nodes, ends):  # type: ignore[no-untyped-def]
    """Where the longest entry that begins at byte `at` ends (exclusive), or -1."""
    node, longest = np.uint64(0), -1
    folded, entry, following = _character(data, at, end, table)
    while at < end:
        slot = _slot(keys, (node << np.uint64(21)) | np.uint64(folded))
        if keys[slot] == _NO_KEY:
            break
        node, at, space = np.uint64(nodes[slot]), following, entry & _SPACE
        folded, entry, following = _character(data, at, end, table)
        while space and entry & _SPACE and at < end:
            at = following
            folded, entry, following = _character(data, at, end, table)
        if ends[node] & _FREE or (ends[node] and entry & (_WORD | _ALONE) != _WORD):
            longest = at
    return longest


@njit(cache=True, nogil=True)
def _skip(data, at, end, within, table, fours):  # type: ignore[no-untyped-def]
    """The next place from `at` on where an entry may begin or that is not ASCII or 3 bytes before the end, and whether
    a letter of a longer word stands before it. Until there no branch depends on the text: three times as fast."""
    if end - at < 4:
        return at, within
    text, word = data[at:end], np.int64(within)
    key = (np.int64(text[0]) & 31) << 10 | (np.int64(text[1]) & 31) << 5 | np.int64(text[2]) & 31
    for k in range(len(text) - 3):
        byte, fourth = np.int64(text[k]), np.int64(text[k + 3]) & 31
        if byte >> 7 | (np.int64(fours[key]) >> fourth & ~word & 1):
            return at + k, word != 0
        word = np.int64(table[byte]) >> 21 & 1
        key = (key << 5 | fourth) & 0x7FFF
    return end - 3, word != 0


@njit(
    types.void(
        types.Array(types.uint8, 1, "C", readonly=True),
        *(types.int64[::1], types.uint32[::1], types.uint32[::1], types.boolean[::1]),
        *(types.uint64[::1], types.int64[::1], types.uint8[::1], types.int64[:, ::1]),
    ),
    cache=True,
    nogil=True,
)
def _search(data, offsets, table, fours, pairs, keys, nodes, ends, spans):  # type: ignore[no-untyped-def]
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        within = False  # a letter of a longer word stands before
        while at < end:
            if data[at] < 0x80:
                at, within = _skip(data, at, end, within, table, fours)
            folded, entry, following = _character(data, at, end, table)
            if entry & _ALONE or not within:
                second = _character(data, following, end, table)[0]
                if pairs[_pair(folded, second)] or pairs[_pair(folded, _NONE)]:
                    stop = _walk(data, at, end, table, keys, nodes, ends)
                    if stop >= 0:
                        spans[document, 0], spans[document, 1] = at - offsets[document], stop - offsets[document]
                        break
            within = entry & (_WORD | _ALONE) == _WORD
            at = following
            while within and at < end and data[at] >= 0x80:  # the rest of a word
                code, following = character_at(data, at, end)
                if np.int64(table[code]) & (_WORD | _ALONE) != _WORD:
                    break
                at = following
