"""The door to a mix's samples: on this machine's disks they are mapped, from an object store they are fetched.

What is compressed cannot be mapped, and is read as from a store wherever it lies.
"""

from collections.abc import Sequence

from pipeline import plan as plans
from pipeline import storage
from pipeline.loader.borders import Borders, border_table
from pipeline.loader.fetch import CONCURRENT_REQUESTS, Fetcher
from pipeline.loader.granules import Granules
from pipeline.loader.parts import OPENED_AT_ONCE, OpenPart, Read, at_once, open_parts
from pipeline.loader.remote import Remote, RemoteGranules
from pipeline.loader.stats import Stats


def load_plan(url: str, remote: Remote, stats: Stats) -> plans.Plan:
    """The plan in the folder `url`; `ValueError` that names the file where there is none, or it is damaged."""
    if storage.is_local(url):
        return plans.load(url)
    where = storage.join(url, plans.PLAN)
    try:
        text = reader(url, remote, stats)(where)
    except FileNotFoundError as error:
        raise ValueError(f"no plan at {where}; `make mix MIX=…` writes it") from error
    return plans.from_json(text, where)


def open_all(
    url: str, sources: Sequence[tuple[str, Sequence[plans.Part]]], plan: plans.Plan, remote: Remote, stats: Stats
) -> list[list[OpenPart]]:
    """The parts of these sources (names and parts) of the plan in the folder `url`."""
    return open_parts(url, sources, plan.row_bytes, reader(url, remote, stats))


def granules_of(
    url: str,
    parts: Sequence[Sequence[OpenPart]],
    plan: plans.Plan,
    *,
    remote: Remote,
    world_size: int,
    stats: Stats,
) -> Granules | RemoteGranules:
    """The samples of a plan's sources, from their opened parts."""
    row = plan.sequence_length, plan.dtype
    if storage.is_local(url) and not any(part.compressed for of_source in parts for part in of_source):
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


def borders_of(
    url: str, parts: Sequence[Sequence[OpenPart]], plan: plans.Plan, remote: Remote, stats: Stats
) -> Borders:
    """Where documents begin and end in these samples."""
    local, read = storage.is_local(url), reader(url, remote, stats)
    every = at_once(
        lambda part: border_table(part, plan.row_bytes, read), [part for own in parts for part in own], local=local
    )
    tables = [[next(every) for _ in own] for own in parts]
    fetch = None if local else lambda: fetcher(url, remote, stats)
    return Borders(tables, plan.sequence_length, plan.dtype, fetch=fetch)


def reader(url: str, remote: Remote, stats: Stats) -> Read:
    """What reads small files of the mix's store or disk, called from many threads at once."""
    if storage.is_local(url):
        return lambda path: storage.local_path(path).read_bytes()  # fsspec takes as long again to find out
    return fetcher(url, remote, stats, at_once=OPENED_AT_ONCE).whole


def fetcher(url: str, remote: Remote, stats: Stats, at_once: int = CONCURRENT_REQUESTS) -> Fetcher:
    """Ranges of the mix's store."""
    return Fetcher(url, options=remote.options, deadline_seconds=remote.deadline_seconds, stats=stats, at_once=at_once)
