"""The door to a mix's samples: on this machine's disks they are mapped, from an object store they are fetched.

What is compressed cannot be mapped, and is read as from a store wherever it lies.
"""

from collections.abc import Sequence

from pipeline import plan as plans
from pipeline import storage
from pipeline.loader.fetch import Fetcher
from pipeline.loader.granules import Granules
from pipeline.loader.parts import Read, open_parts
from pipeline.loader.remote import Remote, RemoteGranules
from pipeline.loader.stats import Stats


def load_plan(url: str, remote: Remote, stats: Stats) -> plans.Plan:
    """The plan in the folder `url`; `ValueError` that names the file where there is none, or it is damaged."""
    if storage.is_local(url):
        return plans.load(url)
    where = storage.join(url, plans.PLAN)
    try:
        text = _read(url, remote, stats)(where)
    except FileNotFoundError as error:
        raise ValueError(f"no plan at {where}; `make mix MIX=…` writes it") from error
    return plans.from_json(text, where)


def open_granules(
    url: str,
    sources: Sequence[tuple[str, Sequence[plans.Part]]],
    plan: plans.Plan,
    *,
    remote: Remote,
    world_size: int,
    stats: Stats,
) -> Granules | RemoteGranules:
    """The samples of these sources (names and parts) of the plan in the folder `url`."""
    local = storage.is_local(url)
    parts = open_parts(url, sources, plan.row_bytes, storage.read if local else _read(url, remote, stats))
    row = plan.sequence_length, plan.dtype
    if local and not any(part.compressed for of_source in parts for part in of_source):
        if remote != Remote(options=remote.options):
            raise ValueError(
                f"{url} lies on this machine's disks and is mapped: leave out cache_dir, cache_bytes, memory_bytes and "
                "deadline_seconds"
            )
        return Granules(parts, *row)
    return RemoteGranules(
        parts,
        *row,
        url=url,
        remote=remote,
        block_samples=plan.block_samples,
        world_size=world_size,
        stats=stats,
    )


def _read(url: str, remote: Remote, stats: Stats) -> Read:
    return Fetcher(url, options=remote.options, deadline_seconds=remote.deadline_seconds, stats=stats).whole
