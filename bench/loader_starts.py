"""What passes before the first batch: imports, in new interpreters, and opening a mix at its start or in its middle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from bench import mosaic
from bench.measure import Cost, apart, fresh, interleaved, timed
from bench.table import figure, show
from pipeline.loader import StreamingLoader

IMPORTS = {
    "python alone": "",
    "pipeline.loader": "import pipeline.loader",
    "pipeline.loader and torch": "import pipeline.loader, torch",
    "streaming": "from tests.real_streaming import import_streaming; import_streaming()",
}


def show_imports(rounds: int) -> None:
    """Measure and print what imports cost; streaming brings torch with it."""
    costs = interleaved({name: lambda code=code: fresh(code) for name, code in IMPORTS.items()}, rounds)  # type: ignore[misc]
    _show("imports, each in a new interpreter", costs, costs["streaming"])


def show_first_batch(mix: Path, shards: Path, batch: int, n_rows: int, rounds: int) -> None:
    """Measure and print the time from nothing but the import to the first batch, at the start and in the middle."""
    costs = first_batch(mix, shards, batch, n_rows, rounds)
    for at in ("start", "middle"):
        ours, peer = costs[f"StreamingLoader, {at}"], costs[f"StreamingDataset, {at}"]
        names = {"StreamingLoader": ours, "StreamingDataset": peer}
        _show(f"first batch of {batch} of {n_rows:,} samples, opened at the {at}", names, peer)


def first_batch(mix: Path, shards: Path, batch: int, n_rows: int, rounds: int) -> dict[str, Cost]:
    """Ours in a process forked for it, as it keeps the blocks that it has made (this process must not have read the mix
    before); the peer keeps nothing."""
    half = n_rows // 2 // batch
    with StreamingLoader(mix, global_batch_size=batch, rank=0, world_size=1) as loader:
        loader.skip_batches(half)
        ours = loader.state_dict()
    peer = {"epoch": 0, "sample_in_epoch": half * batch, "num_canonical_nodes": 1, "shuffle_seed": 9176}

    def opened(state: Mapping[str, Any] | None) -> None:
        with StreamingLoader(mix, global_batch_size=batch, rank=0, world_size=1, format="torch") as loader:
            if state is not None:
                loader.load_state_dict(state)
            next(iter(loader))

    return interleaved(
        {
            "StreamingLoader, start": lambda: apart(lambda: opened(None)),
            "StreamingLoader, middle": lambda: apart(lambda: opened(ours)),
            "StreamingDataset, start": lambda: _peer(shards, batch, n_rows, None),
            "StreamingDataset, middle": lambda: _peer(shards, batch, n_rows, peer),
        },
        rounds,
    )


def _peer(shards: Path, batch: int, n_samples: int, state: Mapping[str, Any] | None) -> Cost:
    held: list[Any] = []

    def opened() -> None:
        dataset = mosaic.open_dataset(shards, batch_size=batch, n_samples=n_samples)
        held.append(dataset)
        if state is not None:
            dataset.load_state_dict(dict(state))
        next(iter(DataLoader(dataset, batch_size=batch, collate_fn=mosaic.collate)))

    cost = timed(opened)
    held[0]._iterator.exit()  # its threads would go on; this is what its own next epoch does first
    return cost


def _show(title: str, costs: Mapping[str, Cost], peer: Cost) -> None:
    show(
        title,
        ["", "seconds", "CPU seconds", "the peer takes ×"],
        [
            [
                name,
                figure(cost.wall_seconds),
                figure(cost.cpu_seconds),
                figure(peer.wall_seconds / cost.wall_seconds),
            ]
            for name, cost in costs.items()
        ],
    )
