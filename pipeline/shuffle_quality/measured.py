"""The figures of a shuffle report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.mds.checksums import granule_samples
from pipeline.order import Order, block_at, block_range, samples
from pipeline.order.composition import Composition, compositions
from pipeline.order.course import windows
from pipeline.order.keys import Ints
from pipeline.order.meetings import Meetings, chunk_of, chunk_sizes, group_sizes, meetings
from pipeline.order.reads import Reads, predicted
from pipeline.plan import Plan, order_of
from pipeline.shuffle_quality.datasets import Documents, SourceData

COURSE_SOURCES = 8  # those with the most rows; ten blocks are made for each
COURSE_BATCHES = 64  # of each tenth of a pass
MAX_POSITIONS = 2**19  # that are looked at for the composition and the meetings at the start of a run


@dataclass(frozen=True, kw_only=True)
class SourceFigures:
    """A source in the first batches. `shards`, `documents`: None where its datasets are not there; `documents_read`:
    how many of how many shards the figures of documents are estimated from."""

    name: str
    composition: Composition
    chunks: Meetings
    shards: Meetings | None
    documents: Meetings | None
    documents_read: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class CoursePoint:
    """A source's batches in a part of its first pass: its composition, and the meetings in chunks."""

    name: str
    part: int
    composition: Composition
    chunks: Meetings


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Everything that a report shows. `reads`: by world size, of the blocks `blocks`."""

    mix: str
    batch_size: int
    n_batches: int
    budget_samples: int
    row_bytes: int
    n_blocks: int
    chunk_samples: int
    sources: tuple[SourceFigures, ...]
    course: tuple[CoursePoint, ...]
    blocks: tuple[int, ...]
    reads: Mapping[int, Reads]


def measure(plan: Plan, data: Sequence[SourceData] | None, batch_size: int, world_sizes: Sequence[int]) -> Figures:
    """The figures of a mix in batches of this size. `data`: the sources' datasets, one a source; None: not there."""
    order = order_of(plan)
    end = plan.budget_samples // batch_size * batch_size
    if end == 0:
        raise ValueError(
            f"the mix {plan.name} has a budget of {plan.budget_samples} samples, less than a batch of {batch_size}; "
            "ask for a smaller --global-batch-size"
        )
    n_batches = max(1, min(block_range(order, 0)[1], end, MAX_POSITIONS) // batch_size)
    blocks = tuple(sorted({block_at(order, position) for position in (0, end // 2, end - 1)}))
    shards = None if data is None else [one.shards for one in data]
    per_granule = granule_samples(plan.row_bytes)
    return Figures(
        mix=plan.name,
        batch_size=batch_size,
        n_batches=n_batches,
        budget_samples=plan.budget_samples,
        row_bytes=plan.row_bytes,
        n_blocks=block_at(order, end - 1) + 1,
        chunk_samples=plan.chunk_samples,
        sources=_sources(order, data, batch_size, n_batches),
        course=_course(order, batch_size, end),
        blocks=blocks,
        reads={
            world: predicted(order, blocks, batch_size, world, per_granule, shards, until=end) for world in world_sizes
        },
    )


def _sources(
    order: Order, data: Sequence[SourceData] | None, batch_size: int, n_batches: int
) -> tuple[SourceFigures, ...]:
    rows = samples(order, 0, n_batches * batch_size)
    batch = rows.position // batch_size
    composed = compositions(order, 0, batch_size, n_batches)
    found = []
    for source, name in enumerate(order.names):
        here = rows.source == source
        served, in_batch = rows.sample[here], batch[here]
        documents = None if data is None or not len(served) else data[source].documents(served)
        found.append(
            SourceFigures(
                name=name,
                composition=composed[source],
                chunks=_in_chunks(order, source, served, in_batch, n_batches),
                shards=None
                if data is None
                else _in_shards(data[source].shards, order, source, (served, in_batch), n_batches),
                documents=None if documents is None else _in_documents(documents, served, in_batch, n_batches),
                documents_read=(0, 0) if documents is None else (documents.n_read, documents.n_touched),
            )
        )
    return tuple(found)


def _in_chunks(order: Order, source: int, sample: Ints, batch: Ints, n_batches: int) -> Meetings:
    group = sample // chunk_of(order, source)
    rows_of_batch = np.bincount(batch, minlength=n_batches)
    return meetings(batch, np.arange(len(sample)), group, rows_of_batch, chunk_sizes(order, source))


def _in_shards(starts: Ints, order: Order, source: int, rows: tuple[Ints, Ints], n_batches: int) -> Meetings:
    sample, batch = rows
    n_samples = order.n_samples[source]
    group = np.searchsorted(starts, sample, side="right") - 1
    sizes = group_sizes(np.diff(starts, append=n_samples), n_samples)
    return meetings(batch, np.arange(len(sample)), group, np.bincount(batch, minlength=n_batches), sizes)


def _in_documents(documents: Documents, sample: Ints, batch: Ints, n_batches: int) -> Meetings:
    """Each row has the documents of its sample; a sample may be served in several passes."""
    by_sample = np.argsort(documents.sample, kind="stable")
    held, document = documents.sample[by_sample], documents.document[by_sample]
    first = np.searchsorted(held, sample, side="left")
    n_pieces = np.searchsorted(held, sample, side="right") - first
    row = np.repeat(np.arange(len(sample)), n_pieces)
    piece = np.arange(len(row)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces) + first[row]
    rows_of_batch = np.bincount(batch, minlength=n_batches)
    found = meetings(batch[row], row, document[piece], rows_of_batch, documents.sizes)
    return replace(
        found, pairs=round(found.pairs * documents.scale), in_company=round(found.in_company * documents.scale)
    )


def _course(order: Order, batch_size: int, end: int) -> tuple[CoursePoint, ...]:
    weight = order.stages[0].weights
    most = sorted(range(len(order.names)), key=lambda source: -weight[source])[:COURSE_SOURCES]
    points = []
    for source in most:
        for window in windows(order, source, batch_size, COURSE_BATCHES, end):
            last = window.first + window.n_batches * batch_size
            rows = samples(order, window.first, last)
            here = rows.source == source
            batch = (rows.position[here] - window.first) // batch_size
            points.append(
                CoursePoint(
                    name=order.names[source],
                    part=window.part,
                    composition=compositions(order, window.first, batch_size, window.n_batches)[source],
                    chunks=_in_chunks(order, source, rows.sample[here], batch, window.n_batches),
                )
            )
    return tuple(points)
