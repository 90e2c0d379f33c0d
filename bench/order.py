"""The order against mosaicml-streaming's py1e: what it takes to know the first global batch, at the start of a run and
when it resumes in the middle. Each measurement has a forked process of its own; imports are not counted. Then ours
again in new interpreters, whose start and numpy are, and what a position costs in the long run.

Ours is ten sources (`ten_sources`), whatever there is besides the plan's numbers included. The peer is what its
StreamingDataset does at both moments in each node's first process: partitions for 8 ranks, the shuffle of the epoch,
and the one looked up in the other (`streaming/base/batching/random.py`, without its streams' resampling). It grows with
the samples, so its largest run is measured once, and it is left out where it would take more than a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.measure import Case, Cost, apart, fresh, interleaved
from bench.table import figure, show
from bench.ten_sources import ROW_BYTES, ten_sources
from pipeline.order import batch_rows, rank_rows
from tests.real_streaming import import_streaming

SHARD_SAMPLES = 2**26 // ROW_BYTES  # MDSWriter's default limit of 64 MiB
RANKS = 8
RANK_BATCH = 32
STEADY_POSITIONS = 2**20  # four blocks


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of samples: `peer` in as many rounds as ours, `peer_once` in one, `ours` without the peer."""

    peer: tuple[int, ...] = (10**6, 10**7)
    peer_once: tuple[int, ...] = (10**8,)
    ours: tuple[int, ...] = (10**9, 10**12)
    rounds: int = 3


FULL = Sizes()


def main(sizes: Sizes = FULL) -> None:
    """Measure and print."""
    import_streaming()  # here once, so that no forked process has to
    costs = interleaved(_cases(sizes.peer, (ours, py1e)) | _cases(sizes.ours, (ours,)), sizes.rounds)
    costs |= interleaved(_cases(sizes.peer_once, (ours,)), sizes.rounds)
    costs |= interleaved(_cases(sizes.peer_once, (py1e,)), 1)
    costs |= interleaved(_cases(sizes.ours, (in_steady_state,)) | _alone(sizes.ours), sizes.rounds)
    show(
        f"order: the first global batch of {RANKS * RANK_BATCH}; ours / mosaicml-streaming's py1e",
        ["samples", "at", "CPU seconds", "py1e", "py1e takes ×", "peak MB", "py1e", "py1e takes ×"],
        [
            _row(n, at, costs)
            for n in sorted((*sizes.peer, *sizes.peer_once, *sizes.ours))
            for at in ("start", "middle")
        ],
    )
    show(
        "order: ours in a new interpreter, Python and numpy included (goal: 0.6 CPU seconds, 150 MB), and in steady "
        "state (goal: 1 µs of one core a global position)",
        ["samples", "at", "CPU seconds", "peak MB", "µs a position"],
        [_alone_row(n, at, costs) for n in sizes.ours for at in ("start", "middle")],
    )


def ours(n_samples: int, first: int) -> None:
    """The rows of the global batch at position `first`."""
    batch_rows(ten_sources(n_samples), first, RANKS * RANK_BATCH)


def in_steady_state(n_samples: int, first: int) -> None:
    """One rank's rows of all batches in STEADY_POSITIONS positions from `first` on, the blocks' making included."""
    order, batch = ten_sources(n_samples), RANKS * RANK_BATCH
    for at in range(first, first + STEADY_POSITIONS, batch):
        rank_rows(order, at, batch, 3, RANKS)


def py1e(n_samples: int, first: int) -> None:
    """The sample ids of all ranks' batches from position `first` to the end of the epoch."""
    from streaming.base.partition import get_partitions
    from streaming.base.shuffle import get_shuffle

    shards = np.full(-(-n_samples // SHARD_SAMPLES), SHARD_SAMPLES, np.int64)
    shards[-1] -= shards.sum() - n_samples
    ids = get_partitions("relaxed", n_samples, 1, 1, RANKS, 1, RANK_BATCH, first)
    shuffled = get_shuffle("py1e", shards, 1, 17, 0)
    np.where(ids != -1, shuffled[ids], -1)


def _cases(n_samples: tuple[int, ...], works: tuple[Callable[[int, int], None], ...]) -> dict[str, Case]:
    batch = RANKS * RANK_BATCH
    return {
        f"{work.__name__} {n} {at}": partial(apart, partial(work, n, first))
        for n in n_samples
        for at, first in (("start", 0), ("middle", n // 2 // batch * batch))
        for work in works
    }


def _alone(n_samples: tuple[int, ...]) -> dict[str, Case]:
    """A new interpreter that knows the first batch: nothing is imported but the order."""
    program = (
        "from bench.ten_sources import ten_sources; from pipeline.order import batch_rows; "
        "batch_rows(ten_sources({}), {}, {})"
    )
    batch = RANKS * RANK_BATCH
    return {
        f"alone {n} {at}": partial(fresh, program.format(n, first, batch))
        for n in n_samples
        for at, first in (("start", 0), ("middle", n // 2 // batch * batch))
    }


def _alone_row(n_samples: int, at: str, costs: dict[str, Cost]) -> list[str]:
    alone, steady = costs[f"alone {n_samples} {at}"], costs[f"in_steady_state {n_samples} {at}"]
    a_position = steady.cpu_seconds / STEADY_POSITIONS * 1e6
    return [f"{n_samples:,}", at, *(figure(value) for value in (*_figures(alone), a_position))]


def _row(n_samples: int, at: str, costs: dict[str, Cost]) -> list[str]:
    mine, peer = costs[f"ours {n_samples} {at}"], costs.get(f"py1e {n_samples} {at}")
    ours_of, peers = _figures(mine), None if peer is None else _figures(peer)
    cells = [f"{n_samples:,}", at]
    for i, value in enumerate(ours_of):
        cells += [figure(value), *(("", "") if peers is None else (figure(peers[i]), figure(peers[i] / value)))]
    return cells


def _figures(cost: Cost) -> tuple[float, float]:
    """CPU seconds, and peak memory in MB (at least a page: it is divided by)."""
    return cost.cpu_seconds, max(cost.peak_bytes, 4096) / 1e6


if __name__ == "__main__":
    main()
