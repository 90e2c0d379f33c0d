"""Samples/s of shuffled rows, of each length, from warm files: in one process, and through worker processes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bench import loader_readers as readers
from bench.loader_data import Data
from bench.loader_sizes import Sizes
from bench.measure import Case, Cost, below, interleaved, timed
from bench.table import figure, show

LIMIT = "numpy: memmap[rows].astype(int64)"
OURS = "StreamingLoader"
SECOND_PASS = "StreamingLoader, second pass"
LITDATA = "litdata"
STREAMING = "StreamingDataset"
STREAMING_DEFAULTS = "StreamingDataset, its defaults"

Costs = dict[str, Cost]


def measure(data: Data, batch: int, workers: int, sizes: Sizes) -> Costs:
    """Each reader's cost of an epoch without its start and first batch, which are not counted; first touches of the
    files and checksums are."""
    whole = data.sequence_length == sizes.main_length and workers == 0
    return interleaved(_cases(data, batch, workers, sizes, whole=whole), sizes.rounds)


def show_rates(data: Data, batch: int, workers: int, costs: Costs, sizes: Sizes) -> None:
    """Print, as a share of the limit and as times of the peers."""
    by = f", {workers} workers" if workers else ""
    show(
        f"{data.n_rows:,} rows of {data.sequence_length:,} uint16, batches of {batch:,} as int64{by} "
        f"(StreamingDataset reads {_peer_samples(data, sizes):,} of them)",
        ["", "samples/s", "CPU µs/sample", "of the limit", "× litdata", "× StreamingDataset"],
        [
            [
                name,
                figure(cost.rate),
                figure(cost.cpu_seconds / cost.amount * 1e6),
                *(figure(cost.rate / costs[other].rate) for other in (LIMIT, LITDATA, STREAMING)),
            ]
            for name, cost in costs.items()
        ],
    )


def _cases(data: Data, batch: int, workers: int, sizes: Sizes, *, whole: bool) -> dict[str, Case]:
    few = _peer_samples(data, sizes) // batch * batch
    walks: dict[str, Callable[[], readers.Walk]] = {
        LIMIT: partial(readers.limit, data, batch, workers),
        OURS: partial(readers.ours, data, batch, workers),
        LITDATA: partial(readers.litdata, data, batch, workers),
        STREAMING: partial(readers.streaming, data, batch, workers, few),
    }
    if whole:
        walks |= {
            SECOND_PASS: partial(readers.ours, data, batch, workers, passes=2),
            STREAMING_DEFAULTS: partial(readers.streaming_as_it_comes, data, batch, workers, few),
            "StreamingDataset, by index": partial(readers.streaming_by_index, data, batch, few),
        }
    return {name: partial(_drained, walk, batch, workers) for name, walk in walks.items()}


def _peer_samples(data: Data, sizes: Sizes) -> int:
    return min(sizes.peer_samples, data.n_rows)


def _drained(opened: Callable[[], readers.Walk], batch: int, workers: int) -> Cost:
    """The cost of taking all batches but the first, none kept. What workers have made ready beside the first, two
    batches each, is counted as made in the time: the same for all readers."""
    walk = opened()
    next(walk)
    n_batches = 0

    def taken() -> None:
        nonlocal n_batches
        for n_batches, _ in enumerate(walk, 1):  # noqa: B007
            pass

    cost = below(taken) if workers else timed(taken)
    return replace(cost, amount=n_batches * batch)
