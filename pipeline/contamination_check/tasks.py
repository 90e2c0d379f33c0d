"""What a worker does of one partition: sample what is common of the items, or look for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline import schema
from pipeline.contamination_check import documents, texts
from pipeline.contamination_check.documents import NO_SAMPLE, Document, Int64s
from pipeline.filtered import contamination
from pipeline.filtered.commonness import Sample
from pipeline.filtered.contamination import Matches
from pipeline.filtered.evaluation_items import StoredItems
from pipeline.texts.buffers import SLICE_BYTES
from pipeline.tokenized.where import Part, Split

STAGE, MATCHES = "contamination", "matches"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all tasks of a source share: the mix's tokenizer, the special tokens around each document, and how items are
    matched."""

    source: str
    tokenizer_url: str
    tokenizer_fingerprint: str
    bos_id: int | None
    eos_id: int
    items: StoredItems
    min_overlap: float


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A partition of one of a source's datasets."""

    part: Part
    split: Split
    partition: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampled:
    """In how many of `n_documents` each of the `seeds` and `items` stands, as their numbers and counts; none is 0."""

    n_documents: int
    seeds: tuple[Int64s, Int64s]
    items: tuple[Int64s, Int64s]


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What was looked at, and the rows of the table `matches`. `n_bytes`: of the decoded text."""

    split: Split
    n_documents: int
    n_tokens: int
    n_bytes: int
    matches: pa.Table


def sample(job: Job, n_bytes: int, unit: Unit) -> Sampled:
    """Count what is common in the first documents of a partition, about `n_bytes` of them."""
    counts, room = Sample(job.items.index), n_bytes
    for batch in _batches(job, unit):
        counts.add(pa.array([text for _, text in batch], pa.large_string()))
        room -= sum(len(text) for _, text in batch)
        if room <= 0:
            break
    held_seeds, held_items = np.flatnonzero(counts.seeds), np.flatnonzero(counts.items)
    return Sampled(
        n_documents=counts.n_documents,
        seeds=(held_seeds, counts.seeds[held_seeds]),
        items=(held_items, counts.items[held_items]),
    )


def look(job: Job, unit: Unit) -> Looked:
    """Look for the items in all documents of a partition."""
    found: list[pa.RecordBatch] = []
    n_documents = n_tokens = n_bytes = 0
    for batch in _batches(job, unit):
        n_documents += len(batch)
        n_tokens += sum(len(one.tokens) for one, _ in batch)
        column = pa.array([text for _, text in batch], pa.large_string())
        n_bytes += column.buffers()[2].size
        matches = contamination.find(column, job.items.index, min_overlap=job.min_overlap)
        if len(matches.document):
            found.append(_rows(job, unit, batch, matches))
    return Looked(
        split=unit.split,
        n_documents=n_documents,
        n_tokens=n_tokens,
        n_bytes=n_bytes,
        matches=pa.Table.from_batches(found, schema.arrow(STAGE, MATCHES)),
    )


def _batches(job: Job, unit: Unit) -> Iterator[list[tuple[Document, str]]]:
    """The documents of a partition with their texts, about `SLICE_BYTES` of them at once."""
    tokenizer = texts.opened(job.tokenizer_url, job.tokenizer_fingerprint)
    waiting, room = [], SLICE_BYTES
    for one in documents.of_partition(unit.part, unit.partition):
        text = texts.text_of(tokenizer, one.tokens[texts.without_specials(one.tokens, job.bos_id, job.eos_id)])
        waiting.append((one, text))
        room -= len(text)
        if room <= 0:
            yield waiting
            waiting, room = [], SLICE_BYTES
    if waiting:
        yield waiting


def _rows(job: Job, unit: Unit, batch: list[tuple[Document, str]], found: Matches) -> pa.RecordBatch:
    """The rows of the table `matches` for what was found in these documents."""
    index = job.items.index
    held = {number: _borders(job, batch[number][0]) for number in np.unique(found.document).tolist()}
    items = index.given[found.item]
    samples = [
        _samples(batch[number][0], held[number], first, last)
        for number, first, last in zip(found.document.tolist(), found.first.tolist(), found.last.tolist(), strict=True)
    ]
    rows = {
        "source": [job.source] * len(items),
        "split": [unit.split] * len(items),
        "doc_id": [batch[number][0].doc_id for number in found.document.tolist()],
        "n_bytes": [int(held[number][-1]) for number in found.document.tolist()],
        "item": items,
        "set": [index.sets[number] for number in index.set_of[items].tolist()],
        "overlap": found.overlap,
        "first": found.first,
        "last": found.last,
        "samples": samples,
    }
    return rows_of(MATCHES, rows)


def rows_of(table: str, rows: Mapping[str, object]) -> pa.RecordBatch:
    """Rows of a table of the stage, checked against its schema."""
    wanted, where = schema.arrow(STAGE, table), f"{STAGE}.{table}"
    arrays = [schema.array(value, wanted, name, where) for name, value in rows.items()]
    return schema.conform(pa.record_batch(arrays, names=list(rows)), wanted, where)


def _borders(job: Job, one: Document) -> Int64s:
    """The byte of a document's text at which each of its pieces ends."""
    text = texts.without_specials(one.tokens, job.bos_id, job.eos_id)
    ends = np.clip(one.ends, text.start, text.stop) - text.start
    tokenizer = texts.opened(job.tokenizer_url, job.tokenizer_fingerprint)
    return np.cumsum([len(run.encode()) for run in texts.runs(tokenizer, one.tokens[text], ends.tolist())])


def _samples(one: Document, ends: Int64s, first: int, last: int) -> list[int]:
    """The samples that hold a part of the bytes [first, last) of a document whose pieces end at these bytes."""
    begins = np.append(0, ends[:-1])
    held = one.samples[(begins < last) & (ends > first)]
    return [int(number) for number in dict.fromkeys(held.tolist()) if number != NO_SAMPLE]
