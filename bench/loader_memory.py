"""The memory that each reader holds in an epoch of the main length, in one process."""

from collections.abc import Callable
from functools import partial

from bench import loader_readers as readers
from bench.loader_data import Data
from bench.loader_rates import LIMIT, LITDATA, OURS, STREAMING
from bench.loader_sizes import Sizes
from bench.memory import most_held
from bench.table import figure, show
from tests.real_streaming import import_streaming


def show_memory(data: Data, batch: int, sizes: Sizes) -> None:
    """Measure, each reader once, in a new interpreter that has imported it, and print."""
    few = min(sizes.peer_samples, data.n_rows) // batch * batch
    walks: dict[str, Callable[[], readers.Walk]] = {
        LIMIT: partial(readers.limit, data, batch, 0),
        OURS: partial(readers.ours, data, batch, 0),
        LITDATA: partial(readers.litdata, data, batch, 0),
        STREAMING: partial(readers.streaming, data, batch, 0, few),
    }
    held = {name: most_held(walk, imported) for name, walk in walks.items()}
    show(
        f"memory: the most that is held in an epoch, batches of {batch:,} × {data.sequence_length:,} int64 "
        f"({batch * data.sequence_length * 8 / 1e6:.1f} MB); mapped files are the page cache's",
        ["", "own MB", "mapped MB"],
        [[name, figure(one.own_bytes / 1e6), figure(one.mapped_bytes / 1e6)] for name, one in held.items()],
    )


def imported() -> None:
    """All that the readers import when they are first used."""
    import litdata  # noqa: F401

    import_streaming()
