"""Bytes that all ranks together fetch from a store against the bytes that there are, for 1 to 64 ranks.

*Measured*: each rank's StreamingLoader reads the whole run, one rank after the other, from a store that notes each
range (`counted_files`); unique are the bytes of shards that were read at all. A granule that two blocks need is fetched
for both, so a single rank reads a little more than once. Where the machine was busy, more requests for slow ones
("hedges") fetch a range again; these bytes are shown apart. *Predicted*: `pipeline.order.reads`, from the order alone.

Ten sources from 0.5 % to 40 %, rows of 256 tokens, granules, chunks and blocks of as many samples as with rows of 2,048
tokens: numbers of samples are what matters. Only the tables (checksums, mostly) weigh eight times as much here.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import counted_files
from bench.loader_sizes import Sizes
from bench.table import figure, show
from bench.zero_mix import make_zero_mix
from pipeline import plan as plans
from pipeline.loader import StreamingLoader
from pipeline.loader.parts import open_parts
from pipeline.mds.checksums import granule_samples
from pipeline.order.reads import Reads, predicted

SEQUENCE_LENGTH = 256
GLOBAL_BATCH = 2048
SHARD_SAMPLES = 16_384  # of 2,048 tokens: 64 MiB


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Of shards: bytes and requests of all ranks, unique bytes, and beside these the bytes of ranges that a rank
    fetched again; of other files: bytes."""

    bytes: int
    unique_bytes: int
    requests: int
    again_bytes: int
    other_bytes: int


def show_fetched(root: Path, sizes: Sizes) -> None:
    """Measure, predict and print."""
    mix = make_zero_mix(
        root / "fetched", sizes.fetched_samples, sizes.fetched_samples // SHARD_SAMPLES, SEQUENCE_LENGTH
    )
    rows = []
    for world_size in sizes.fetched_ranks:
        found, expected = fetched(mix, world_size), foretold(mix, world_size)
        rows.append(
            [
                f"{world_size} ranks",
                figure(found.bytes / 1e6),
                figure(found.unique_bytes / 1e6),
                f"{found.bytes / found.unique_bytes:.4f}",
                f"{expected.amplification:.4f}",
                f"{found.requests:,}",
                f"{expected.requests:,}",
                figure(found.again_bytes / 1e6),
                figure(found.other_bytes / 1e6),
            ]
        )
    show(
        f"fetched from a store by all ranks, {sizes.fetched_samples:,} samples of ten sources, global batch "
        f"{GLOBAL_BATCH:,}",
        ["", "MB", "unique MB", "ratio", "predicted", "requests", "predicted", "hedged MB", "tables MB"],
        rows,
    )


def fetched(mix: Path, world_size: int) -> Fetched:
    """What the loaders of all ranks read of the mix from its first batch to its last."""
    ranges = counted_files.CountedFiles.ranges
    once, again_bytes, other_bytes = [], 0, 0
    for rank in range(world_size):
        ranges.clear()
        url = counted_files.url(mix)
        with StreamingLoader(
            url, global_batch_size=GLOBAL_BATCH, rank=rank, world_size=world_size, format="numpy"
        ) as loader:
            for _ in loader:
                pass
        for one, times in Counter(ranges).items():
            if one.path.endswith(".mds"):
                once.append(one)
                again_bytes += (times - 1) * one.n_bytes
            else:
                other_bytes += times * one.n_bytes
    return Fetched(
        bytes=sum(one.n_bytes for one in once),
        unique_bytes=counted_files.unique_bytes(once),
        requests=len(once),
        again_bytes=again_bytes,
        other_bytes=other_bytes,
    )


def foretold(mix: Path, world_size: int) -> Reads:
    """What the order says of the same run."""
    plan = plans.load(str(mix))
    until = plan.budget_samples // GLOBAL_BATCH * GLOBAL_BATCH
    blocks = range(-(-until // plan.block_samples))
    opened = open_parts(str(mix), [(source.name, source.parts) for source in plan.sources], plan.row_bytes)
    shards = [part.table.first_sample[:-1] for (part,) in opened]
    per_granule = granule_samples(plan.row_bytes)
    return predicted(plans.order_of(plan), blocks, GLOBAL_BATCH, world_size, per_granule, shards, until=until)
