"""Real text multiplied: copies of the same texts in other words, so that no copy is a duplicate of another.

In copy k every word of `MIN_LETTERS` letters or more changes places with another one that is about as frequent: the
word of rank r with that of rank r XOR k, of all such words by frequency. So every copy has the words, lines, stop words
and near-duplicates among its texts that the real ones have; of two copies of a text only runs of shorter words,
numbers and marks are alike. Texts of little else stay duplicates, as real ones are.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

MIN_LETTERS = 5  # more than Gopher's stop words have
MAX_COPIES = 256  # ranks this far apart are still about as frequent
WORD = re.compile(rf"[^\W\d_]{{{MIN_LETTERS},}}")


class Edited:
    """Copies of `texts`, which are held once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(WORD.findall(text))
        self._ranked = sorted(counts, key=lambda word: (-counts[word], word))

    def copy(self, number: int) -> Iterator[str]:
        """The texts in the words of copy `number`, in their order; copy 0 are the texts themselves."""
        if not 0 <= number < MAX_COPIES:
            raise ValueError(f"copy {number} of the texts; there are 0 to {MAX_COPIES - 1}, give more text for more")
        if number == 0:
            yield from self._texts
            return
        n = len(self._ranked)
        other = {word: self._ranked[rank ^ number] for rank, word in enumerate(self._ranked) if rank ^ number < n}
        for text in self._texts:
            yield WORD.sub(lambda match: other.get(match[0], match[0]), text)
