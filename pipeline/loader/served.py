"""The chain of the blocks that a run has served: what its state keeps of them, how it goes on, and how it is checked.

    {"blocks": 3, "before": "5f…", "value": "a0…"}

of a state are the blocks that end at or before its position, the chain of the hashes (`order.certificate`) that all of
them had when they were served, and the chain before the last of them. So two runs with equal chains were given the same
samples of the same datasets in every block, whatever their mixes were called; and the last block alone, made again,
tells whether the code and the data that go on are those that stopped. A block that was skipped as a whole is chained as
the word `skipped` and its number; what was skipped of another one stands in the state's `skipped`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.loader import skips
from pipeline.loader.forks import Run, first_parts
from pipeline.order import CHAIN_START, Order, block_at, block_hash, block_range, chain, first_block
from pipeline.order.counts import block_counts
from pipeline.order.eras import begun, remembered
from pipeline.plan import parts_digest


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The chain of the blocks 0 … n_blocks-1, and that of all of them but the last."""

    n_blocks: int = 0
    before: str = CHAIN_START
    value: str = CHAIN_START

    def to_state(self) -> dict[str, Any]:
        """`chain` of a state."""
        return {"blocks": self.n_blocks, "before": self.before, "value": self.value}

    def after(self, link: str) -> "Chain":
        """With one more block."""
        return Chain(n_blocks=self.n_blocks + 1, before=self.value, value=chain(self.value, link))


class Chains:
    """The chains of a run, from a known one on; each block is hashed once, and again where others are left out.

    A block costs a few milliseconds while it is among the last ones made, as those just served are; else about 0.1 s.
    """

    def __init__(self, run: Run, known: Chain = Chain()) -> None:
        self._run = run
        self._found = [known]
        self._skipped: skips.Ranges = ()  # under which they were found
        self._following = self._block_after_next()

    def going_on(self, run: Run, known: Chain) -> "Chains":
        """Those of this run from `known` on: these, if they have it."""
        return self if run == self._run and known in self._found else Chains(run, known)

    def passed(self, position: int, skipped: skips.Ranges) -> None:
        """The run has come to a position: a block that it has just left is hashed while it is at hand."""
        first, last = self._following
        if first <= position < last:
            self.at(position, skipped)

    def at(self, position: int, skipped: skips.Ranges) -> Chain:
        """The chain at a position. `ValueError` before the known one."""
        known = self._found[0].n_blocks
        place = block_at(self._run.order, position) - known
        if place < 0:
            raise ValueError(
                f"position {position} lies in block {known + place}, {known} blocks were over where this loader began; "
                "take an earlier state"
            )
        if skipped != self._skipped:
            self._forget_others(skipped)
        while len(self._found) <= place:
            self._found.append(self._found[-1].after(link(self._run, known + len(self._found) - 1, skipped)))
            self._following = self._block_after_next()
        return self._found[place]

    def _forget_others(self, skipped: skips.Ranges) -> None:
        """Forget what was found from the first block on that is left out now and was not, or the other way round."""
        for place, found in enumerate(self._found[:-1], 1):
            block = block_range(self._run.order, found.n_blocks)
            if _is_left_out(block, skipped) != _is_left_out(block, self._skipped):
                del self._found[place:]
                break
        self._skipped, self._following = skipped, self._block_after_next()

    def _block_after_next(self) -> tuple[int, int]:
        """The positions [first, last) of the block behind the one that is to be hashed next."""
        return block_range(self._run.order, self._found[-1].n_blocks + 1)


def link(run: Run, number: int, skipped: skips.Ranges) -> str:
    """What is chained of a block: its hash, or that it was skipped."""
    if _is_left_out(block_range(run.order, number), skipped):
        return f"skipped {number}"
    return block_hash(run.order, number, _fingerprints(run, number))


def _is_left_out(block: tuple[int, int], skipped: skips.Ranges) -> bool:
    first, last = block
    return skips.next_served(skipped, first) >= last


def from_state(state: object, order: Order, position: int) -> Chain:
    """The chain of a state at this position of this order; `ValueError` if it is none."""
    if (
        not isinstance(state, Mapping)
        or sorted(state) != ["before", "blocks", "value"]
        or [type(state[name]) for name in ("blocks", "before", "value")] != [int, str, str]
    ):
        raise ValueError(f"the state's chain is {state!r}, not the blocks that were served, and their two hashes")
    if state["blocks"] != block_at(order, position):
        raise ValueError(
            f"the state is damaged: its chain has {state['blocks']!r} blocks, {block_at(order, position)} end before "
            f"its position {position}"
        )
    return Chain(n_blocks=state["blocks"], before=state["before"], value=state["value"])


def check_last(run: Run, found: Chain, skipped: skips.Ranges) -> None:
    """`ValueError` with both values if the last block of a state's chain was not served as this run has it. A block
    from before the stage that a forked run remembers (`order.forget`) cannot be made again, and is not compared."""
    number = found.n_blocks - 1
    if number < first_block(run.order):
        return
    computed = chain(found.before, link(run, number, skipped))
    if computed != found.value:
        first, last = block_range(run.order, number)
        raise ValueError(
            f"the state says that after block {number}, positions [{first}, {last}), the chain of what was served was "
            f"{found.value}; here it is {computed}: this code or data have other samples in that block, and going on "
            "would serve other ones than the next. Use the code and the mix of the run that was stopped (`shardmill "
            "verify-order MIX --state …` compares them), or start without this state"
        )


def _fingerprints(run: Run, number: int) -> list[str]:
    """Of each source the digest of the parts that the block draws from; "" where it draws nothing."""
    held = block_counts(run.order, number)
    found = []
    for source, (drawn, size) in enumerate(zip(held.drawn, held.sizes[: len(held.drawn)], strict=True)):
        eras = begun(remembered(run.order.eras_of(source), drawn), drawn + size) if size else ()
        n_samples = max((era.n_samples for era in eras), default=0)
        found.append(parts_digest(first_parts(run.parts[source], n_samples)) if size else "")
    return found
