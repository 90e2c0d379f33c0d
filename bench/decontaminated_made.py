"""Evaluation items that a corpus does not hold, the ways in which they are hidden in documents, and boilerplate.

Items are *passages*, made by a Markov chain of order 2 over real text (so that each three words of them in a row stand
somewhere in it, which is hard on a matcher that must not take them for contamination), and *problems*, word problems
of one grammar with numbers and names. An item that has `SHARED` words in a row with the corpus is left out: it could
rightly be called contained. Everything follows from the seed.
"""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered.match_words import hash_words, run_hashes
from pipeline.texts.buffers import slices

SHARED = 8

Ints = npt.NDArray[np.int64]

Hide = Callable[[Random, str, str], str]
"""(chance, item, host): the host with the item hidden in it."""


class Chain:
    """A Markov chain of order 1 or 2 over the words, apart by white space, of texts."""

    def __init__(self, texts: Sequence[str], order: int = 2) -> None:
        words = " ".join(texts).split()
        self.words, numbers = np.unique(np.array(words, dtype=object), return_inverse=True)
        self._weight = len(self.words) if order == 2 else 0  # of the word before the last in a state
        states = numbers[:-2] * self._weight + numbers[1:-1]
        by_state = np.argsort(states, kind="stable")
        self._next = numbers[2:][by_state]
        self._states, self._starts = np.unique(states[by_state], return_index=True)
        self._ends = np.append(self._starts[1:], len(by_state))

    def passages(self, chance: np.random.Generator, lengths: Ints) -> list[str]:
        """Passages of these many words."""
        at = chance.integers(len(self._states), size=len(lengths))
        first, second = np.divmod(self._states[at], len(self.words))
        found = [first, second]
        for _ in range(2, int(lengths.max(initial=2))):
            at = np.searchsorted(self._states, first * self._weight + second)
            at = np.where(at < len(self._states), at, 0)  # the last words of all texts have no next
            draw = self._starts[at] + np.floor(chance.random(len(at)) * (self._ends[at] - self._starts[at])).astype(int)
            first, second = second, self._next[draw]
            found.append(second)
        numbers = np.stack(found, axis=1)
        return [" ".join(self.words[row[:n]]) for row, n in zip(numbers, lengths.tolist(), strict=True)]


def problems(chance: Random, n: int) -> list[str]:
    """Word problems of 25 to 45 words with three numbers each."""
    found = []
    for _ in range(n):
        one, other = chance.sample(_NAMES, 2)
        thing, place = chance.choice(_THINGS), chance.choice(_PLACES)
        a, b, c = (chance.randrange(2, 100) for _ in range(3))
        found.append(
            chance.choice(_PROBLEMS).format(
                one=one, other=other, thing=thing, place=place, a=a, b=b, c=c, verb=chance.choice(_VERBS),
                color=chance.choice(_COLORS), day=chance.choice(_DAYS), size=chance.choice(_SIZES),
            )
        )  # fmt: skip
    return found


def n_words(texts: Sequence[str]) -> Ints:
    """The words of each text, as they are compared: int64 [n]."""
    counts = [np.diff(hash_words(part).starts) for part in slices(pa.array(texts, pa.large_string()))]
    return np.concatenate([np.empty(0, np.int64), *counts])


def not_held(items: Sequence[str], texts: Sequence[str], shared: int = SHARED) -> list[str]:
    """The items that share no `shared` words in a row with the texts."""
    sought, holders = _runs(items, shared)
    texts_runs = _run_hashes_of(texts, np.unique(sought), shared)
    held = np.zeros(len(items), np.bool_)
    held[holders[np.isin(sought, texts_runs)]] = True
    return [item for item, is_held in zip(items, held.tolist(), strict=True) if not is_held]


def _runs(items: Sequence[str], n: int) -> tuple[npt.NDArray[np.uint64], Ints]:
    """The hashes of all runs of `n` words of the items, and the item of each."""
    hashes, holders, before = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
    for part in slices(pa.array(items, pa.large_string())):
        words = hash_words(part)
        ends = np.arange(n, len(words.prefixes))
        first = np.searchsorted(words.starts, ends - n, side="right")
        inside = first == np.searchsorted(words.starts, ends - 1, side="right")
        hashes.append(run_hashes(words.prefixes, ends, np.full(len(ends), n))[inside])
        holders.append(before + first[inside] - 1)
        before += part.n_documents
    return np.concatenate(hashes), np.concatenate(holders)


def _run_hashes_of(texts: Sequence[str], among: npt.NDArray[np.uint64], n: int) -> npt.NDArray[np.uint64]:
    """Those of some hashes that are of runs of `n` words of the texts."""
    found = [np.empty(0, np.uint64)]
    for part in slices(pa.array(texts, pa.large_string())):
        words = hash_words(part)
        ends = np.arange(n, len(words.prefixes))
        hashes = run_hashes(words.prefixes, ends, np.full(len(ends), n))
        found.append(np.intersect1d(hashes, among))
    return np.unique(np.concatenate(found))


def verbatim(chance: Random, item: str, host: str) -> str:
    """The item between two paragraphs of the host, or at a place between two of its words."""
    if chance.random() < 0.5:
        lines = host.split("\n")
        at = chance.randrange(len(lines) + 1)
        return "\n".join([*lines[:at], item, *lines[at:]])
    words = host.split(" ")
    at = chance.randrange(len(words) + 1)
    return " ".join([*words[:at], item, *words[at:]])


def reformatted(chance: Random, item: str, host: str) -> str:
    """Other case, other white space, other punctuation between the words."""
    words = [chance.choice([word.upper(), word.lower(), word.title(), word]) for word in item.split()]
    between = [chance.choice([" ", "  ", "\n", "\t", "\u00a0", " - ", " ** ", "\r\n> "]) for _ in words]
    return verbatim(chance, "".join(word + gap for word, gap in zip(words, between, strict=True)), host)


def edited(share: float, others: Sequence[str]) -> Hide:
    """So many of the words, rounded, at least one, replaced by others of the corpus, at random places."""

    def hide(chance: Random, item: str, host: str) -> str:
        words = item.split()
        for at in chance.sample(range(len(words)), max(1, round(share * len(words)))):
            words[at] = chance.choice(others)
        return verbatim(chance, " ".join(words), host)

    return hide


def left_out_and_put_in(others: Sequence[str]) -> Hide:
    """A word of 20 left out, and as many put in."""

    def hide(chance: Random, item: str, host: str) -> str:
        words = item.split()
        for _ in range(-(-len(words) // 20)):
            del words[chance.randrange(len(words))]
            words.insert(chance.randrange(len(words)), chance.choice(others))
        return verbatim(chance, " ".join(words), host)

    return hide


def in_two_paragraphs(chance: Random, item: str, host: str) -> str:
    """The item's halves as two paragraphs, with up to 20 words of another paragraph between them."""
    words, middle = item.split(), " ".join(host.split()[: chance.randrange(21)])
    half = chance.randrange(len(words) // 3, len(words) - len(words) // 3)
    parts = [" ".join(words[:half]), *([middle] if middle else []), " ".join(words[half:])]
    return verbatim(chance, "\n\n" + "\n\n".join(parts) + "\n\n", host)


def numbers_spelt(chance: Random, item: str, host: str) -> str:
    """Numbers below 100 in words: "48" is "forty-eight"."""
    words = []
    for word in item.split():
        bare = word.strip("$.,?")
        words.append(word.replace(bare, _spelt(int(bare))) if bare.isdecimal() else word)
    return verbatim(chance, " ".join(words), host)


def _spelt(number: int) -> str:
    if number < 20:
        return _ONES[number]
    return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")


_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NAMES = ["Amara", "Bastian", "Chidi", "Dalia", "Emeka", "Farid", "Greta", "Hamza", "Ingrid", "Jorge", "Keiko", "Lucia"]
_THINGS = ["marbles", "lanterns", "pumpkins", "buttons", "postcards", "kites", "oranges", "candles", "seashells"]
_PLACES = ["bakery", "harbour", "library", "orchard", "museum", "stadium", "market", "workshop", "bookshop"]
_VERBS = ["collects", "paints", "repairs", "sells", "wraps", "carves", "counts", "polishes"]
_COLORS = ["red", "blue", "golden", "striped", "broken", "wooden", "silver", "spotted"]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_SIZES = ["boxes", "bags", "crates", "baskets", "jars", "drawers"]
_PROBLEMS = (
    "{one} {verb} {a} {color} {thing} at the {place} on {day} and gives {b} of them to {other}. If the rest go into "
    "{c} {size}, how many {thing} does {one} still have to put away?",
    "On {day} {one} and {other} walk to the {place} with {a} {thing}. {other} {verb} {b} {color} ones and loses {c} on "
    "the way home. How many {thing} do the two of them have left together?",
    "The {place} orders {a} {size} of {color} {thing} every {day}. {one} {verb} {b} of them before noon while {other} "
    "needs {c} minutes for each. How many minutes does {other} work in all?",
    "{other} owes {one} {a} {thing}. Each {day} {other} {verb} {b} {color} {thing} at the {place} and keeps {c} "
    "{size} for later. After how many weeks is the debt to {one} paid back?",
)

BOILERPLATE = (
    'Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance '
    "with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0 Unless "
    "required by applicable law or agreed to in writing, software distributed under the License is distributed on an "
    '"AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for the '
    "specific language governing permissions and limitations under the License.",
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    'documentation files (the "Software"), to deal in the Software without restriction, including without limitation '
    "the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and "
    "to permit persons to whom the Software is furnished to do so",
    "Redistribution and use in source and binary forms, with or without modification, are permitted provided that the "
    "following conditions are met",
    'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED '
    "TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.",
    "This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public "
    "License as published by the Free Software Foundation",
    "All rights reserved. Use of this source code is governed by a BSD-style license that can be found in the LICENSE "
    "file.",
    "Licensed under the Apache License, Version 2.0",
    "unless required by applicable law or agreed to in writing",
)  # fmt: skip
