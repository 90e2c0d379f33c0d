"""Which sample a source's draw number j is, and the inverse, without a table of the dataset.

Draw j of a source of n samples belongs to pass j div n. A pass serves the source's chunks in the order of a keyed
permutation of its own: *slot* t of a pass holds chunk permute(t). All chunks have the same number of samples but the
last, which may be short; wherever it comes in a pass, the slots after it start earlier by what it lacks. Draws and
passes count from the start of an era here, which is that of the run until a source has another n (see `eras`).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.order.keys import Ints, Words, derive_key, stream
from pipeline.order.permutation import invert, permute

MIN_CHUNKS = 16


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The draws of one source in one era: its key, its `n_samples` ≥ 1, the samples of each of its chunks but the last,
    and the number of the era's first pass, with which draw 0 begins."""

    key: int
    n_samples: int
    chunk_samples: int
    first_pass: int = 0

    @property
    def n_chunks(self) -> int:
        return -(-self.n_samples // self.chunk_samples)

    @property
    def missing(self) -> int:
        """What the last chunk lacks to be a whole one, in samples."""
        return self.n_chunks * self.chunk_samples - self.n_samples


def source_draws(seed: int, name: str, n_samples: int, chunk_samples: int, first_pass: int = 0) -> Draws:
    """The draws of a source: its key depends on the order's version, the seed and its name, on no other source.

    A source of fewer than 16 chunks is cut finer, into 16 or more (into samples, if it has fewer than 32). Otherwise a
    source of one or two chunks would be served in the same order, or one of two, in every pass of a block: inside a
    chunk it is the lanes that shuffle, and these repeat with the period of a power of two. 16! orders are enough.
    """
    fine = max(1, n_samples // MIN_CHUNKS)
    key = derive_key(seed, "source", name)
    return Draws(key=key, n_samples=n_samples, chunk_samples=min(chunk_samples, fine), first_pass=first_pass)


def samples_of(draws: Draws, first: int, last: int) -> Ints:
    """The samples of the draws [first, last), last > first: int64[last - first]."""
    size, n_chunks = draws.chunk_samples, draws.n_chunks
    first_pass = first // draws.n_samples
    passes = np.arange(first_pass, (last - 1) // draws.n_samples + 1, dtype=np.int64)
    keys = stream(draws.key, passes + draws.first_pass)
    short_slot = _short_slots(draws, keys)
    low, high = (
        number * n_chunks + _slot(draws, draw - number * draws.n_samples, int(short_slot[number - first_pass]))
        for draw, number in ((first, first_pass), (last - 1, int(passes[-1])))
    )
    number, slot = np.divmod(
        np.arange(low, high + 1, dtype=np.int64), n_chunks
    )  # every slot that holds one of the draws
    row = number - first_pass
    chunk = permute(slot, n_chunks, keys[row])
    start = number * draws.n_samples + slot * size - draws.missing * (slot > short_slot[row])  # its first draw
    lengths = np.diff(np.maximum(start, first), append=last)
    shift: Ints = np.repeat(chunk * size - start, lengths)  # from draw to sample
    return shift + np.arange(first, last, dtype=np.int64)


def draws_of(draws: Draws, sample: int, passes: Ints) -> Ints:
    """The draws (one a pass) at which the sample comes in the given passes, int64[len(passes)]."""
    size, n_chunks = draws.chunk_samples, draws.n_chunks
    keys = stream(draws.key, passes + draws.first_pass)
    chunk, offset = divmod(sample, size)
    slot = invert(np.full_like(passes, chunk), n_chunks, keys)
    start: Ints = passes * draws.n_samples + slot * size - draws.missing * (slot > _short_slots(draws, keys))
    return start + offset


def _short_slots(draws: Draws, keys: Words) -> Ints:
    """The slot of the last chunk, in the passes with these keys."""
    return invert(np.full(len(keys), draws.n_chunks - 1, dtype=np.int64), draws.n_chunks, keys)


def _slot(draws: Draws, draw_in_pass: int, short_slot: int) -> int:
    """The slot that holds a draw, both counted from the start of their pass."""
    before = draw_in_pass < short_slot * draws.chunk_samples
    return (draw_in_pass if before else draw_in_pass + draws.missing) // draws.chunk_samples
