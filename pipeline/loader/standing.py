"""Where a loader stands: what its training loop has received, what is left out, and what is to be read next."""

import operator
from typing import NamedTuple, SupportsIndex

from pipeline.loader import skips
from pipeline.loader.batches import Served, Share

ALL = Share()


class Standing(NamedTuple):
    """`position` and `skipped` are those of a state. `share` tells which micro-batches come next, counted from the
    global batch at position `first`; in the middle of a global batch these are not the first ones of it, and `position`
    is still `first`. `at_batch_end`: the last global batch was received to its end."""

    position: int = 0
    skipped: skips.Ranges = ()
    first: int = 0
    share: Share = ALL
    at_batch_end: bool = True

    def after(self, served: Served) -> "Standing":
        """When this micro-batch was received."""
        every = self.share.every
        return Standing(
            position=served.next_position,
            skipped=self.skipped,
            first=served.first,
            share=Share(offset=served.micro_batch + every, every=every),
            at_batch_end=served.next_position != served.first,
        )

    def skip(self, what: str, first: SupportsIndex, last: SupportsIndex, end: int | None) -> "Standing":
        """With the positions [first, last) left out, of a sequence with this end. `ValueError` that begins with `what`
        where that cannot be."""
        first, last = _whole(what, first), _whole(what, last)
        if not self.at_batch_end:
            raise ValueError(f"{what} in the middle of the global batch at {self.position}: skip when it is at its end")
        if not self.position <= first < last:
            raise ValueError(
                f"{what}: give a range [first, last) of positions from the current one, {self.position}, on; those "
                "before it were served"
            )
        if end is not None and last > end:
            raise ValueError(f"{what} leads from position {first} to {last}, the end is {end}")
        return standing_at(self.position, skips.add(self.skipped, first, last))

    def skip_batches(self, n: SupportsIndex, global_batch_size: int, end: int | None) -> "Standing":
        """With the next n global batches left out."""
        n = _whole(f"skip_batches({n})", n)
        if n < 1:
            raise ValueError(f"skip_batches({n}): 1 or more")
        last = skips.take(self.skipped, self.position, n * global_batch_size, None)[-1][1]
        return self.skip(f"skip_batches({n})", self.position, last, end)


def _whole(what: str, value: SupportsIndex) -> int:
    """As Python's int, whatever whole number it is: of numpy, a tensor of one."""
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None:
        raise ValueError(f"{what}: {value!r} is a {type(value).__name__}; give whole numbers")
    return found


def standing_at(position: int, skipped: skips.Ranges) -> Standing:
    """At the beginning of a global batch: at `position`, or at the first behind it that is not skipped."""
    position = skips.next_served(skipped, position)
    return Standing(position=position, skipped=skipped, first=position)
