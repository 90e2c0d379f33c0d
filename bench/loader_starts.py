"""What passes before the first batch: imports, in new interpreters, and opening the data at its start or in its middle.

Warm: the files lie in the page cache. Cold: they were dropped from it a moment ago (`page_cache`); modules were not.
Ours and litdata are opened in a process forked for it, as ours keeps the blocks that it has made; StreamingDataset,
which keeps nothing but would leave its shared memory behind there, in this one.
"""

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from bench import lightning, mosaic, page_cache
from bench.loader_data import Data
from bench.measure import Case, Cost, apart, fresh, interleaved, timed
from bench.table import figure, show
from pipeline.loader import StreamingLoader
from pipeline.order.blocks import block

PYTHON, OURS, OURS_TORCH = "python alone", "pipeline.loader", "pipeline.loader and torch"
IMPORTS = {
    PYTHON: "",
    OURS: "from pipeline.loader import StreamingLoader",
    OURS_TORCH: "import pipeline.loader, torch",
    "litdata": "import litdata",
    "streaming": "from tests.real_streaming import import_streaming; import_streaming()",
}


def show_imports(rounds: int) -> Cost:
    """Measure and print what imports cost; the peers bring torch with them. Our own cost is returned."""
    cases: dict[str, Case] = {name: partial(fresh, code) for name, code in IMPORTS.items()}
    costs = interleaved(cases, rounds)
    show(
        "imports, each in a new interpreter, the interpreter included",
        ["", "seconds", "CPU seconds", "peak MB"],
        [
            [name, figure(cost.wall_seconds), figure(cost.cpu_seconds), figure(cost.peak_bytes / 1e6)]
            for name, cost in costs.items()
        ],
    )
    return costs[OURS]


def show_first_batch(data: Data, batch: int, rounds: int) -> None:
    """Measure and print the time from nothing but the import to the first batch. To be called before this process has
    read the mix: processes forked from it know what it knows of the order."""
    costs = interleaved(_cases(data, batch), rounds)
    names = list(dict.fromkeys(name.rsplit(", ", 1)[0] for name in costs))
    show(
        f"first batch of {batch:,} of {data.n_rows:,} samples, opened at the start and resumed in the middle",
        ["", "warm seconds", "CPU seconds", "cold seconds", "CPU seconds"],
        [
            [
                name,
                *(
                    figure(value)
                    for cost in (costs[f"{name}, warm"], costs[f"{name}, cold"])
                    for value in (cost.wall_seconds, cost.cpu_seconds)
                ),
            ]
            for name in names
        ],
    )


def _cases(data: Data, batch: int) -> dict[str, Case]:
    half = data.n_rows // 2 // batch * batch
    openings: dict[str, Case] = {}
    for at, position in (("start", 0), ("middle", half)):
        openings |= {
            f"StreamingLoader, {at}": partial(apart, partial(_ours, data, batch, _our_state(data, batch, position))),
            f"litdata, {at}": partial(apart, partial(_litdata, data, batch, _litdata_state(data, batch, position))),
            f"StreamingDataset, {at}": partial(_streaming, data, batch, _streaming_state(position)),
        }
    block.cache_clear()  # opening the mix has made its first block
    cases = {f"{name}, warm": opening for name, opening in openings.items()}
    return cases | {f"{name}, cold": partial(_cold, data, opening) for name, opening in openings.items()}


def _cold(data: Data, opening: Case) -> Cost:
    page_cache.drop(data.root)
    return opening()


def _ours(data: Data, batch: int, state: Mapping[str, Any]) -> None:
    with StreamingLoader(data.mix, global_batch_size=batch, rank=0, world_size=1, format="torch") as loader:
        loader.load_state_dict(state)
        next(iter(loader))


def _our_state(data: Data, batch: int, position: int) -> Mapping[str, Any]:
    with StreamingLoader(data.mix, global_batch_size=batch, rank=0, world_size=1) as loader:
        return loader.state_dict({"next_position": position})


def _litdata(data: Data, batch: int, state: Mapping[str, Any] | None) -> None:
    loader = lightning.open_loader(data.chunks, sequence_length=data.sequence_length, batch_size=batch)
    if state is not None:
        loader.load_state_dict(dict(state))
    next(iter(loader))


def _litdata_state(data: Data, batch: int, position: int) -> Mapping[str, Any] | None:
    """Its state after it has served so many samples."""
    if position == 0:
        return None
    loader = lightning.open_loader(data.chunks, sequence_length=data.sequence_length, batch_size=batch)
    for _ in islice(loader, position // batch):
        pass
    state: dict[str, Any] = loader.state_dict()
    return state


def _streaming(data: Data, batch: int, state: Mapping[str, Any] | None) -> Cost:
    held: list[Any] = []

    def opened() -> None:
        dataset = mosaic.open_dataset(data.shards, batch_size=batch, n_samples=data.n_rows)
        held.append(dataset)
        if state is not None:
            dataset.load_state_dict(dict(state))
        next(iter(DataLoader(dataset, batch_size=batch, collate_fn=mosaic.collate)))

    cost = timed(opened)
    held[0]._iterator.exit()  # its threads would go on; this is what its own next epoch does first
    return cost


def _streaming_state(position: int) -> Mapping[str, Any] | None:
    if position == 0:
        return None
    return {"epoch": 0, "sample_in_epoch": position, "num_canonical_nodes": 1, "shuffle_seed": 9176}
