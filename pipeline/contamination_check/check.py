"""A mix and evaluation items → all passages of its documents that hold one, and what is reported of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import plan as plans
from pipeline import schema, storage
from pipeline.alarms import check_balance
from pipeline.contamination_check import documents, tasks, texts
from pipeline.contamination_check.tasks import MATCHES, STAGE, Job, Looked, Unit
from pipeline.contamination_check.workers import Workers
from pipeline.filtered import commonness, contamination_report
from pipeline.filtered.contamination_report import Found, Shown
from pipeline.filtered.evaluation_items import EvaluationItems, StoredItems, dump
from pipeline.filtered.item_index import ItemIndex
from pipeline.plan import Plan
from pipeline.tables.sink import ROW_GROUP_BYTES
from pipeline.tokenized.where import Source, Split, Where

SPLITS: tuple[Split, ...] = ("train", "validation")


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What was looked at. `n_bytes`: of the decoded text."""

    n_documents: int
    n_tokens: int
    n_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceFindings:
    """What was found in a source, `n_ranges` of whose `of_ranges` ranges are in the mix. `looked_at` and `report` (see
    `contamination_report.report`) by split, without a validation set of training alone; `matches`, `items` and
    `passages` are rows of these tables."""

    name: str
    n_ranges: int
    of_ranges: int
    looked_at: Mapping[Split, Amount]
    report: Mapping[Split, list[dict[str, Any]]]
    matches: pa.Table
    items: pa.Table
    passages: pa.Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What was found in a mix."""

    plan: Plan
    sets: tuple[str, ...]
    sources: tuple[SourceFindings, ...]

    @property
    def matches(self) -> pa.Table:
        """The table `matches` of all sources."""
        return pa.concat_tables([source.matches for source in self.sources])

    @property
    def n_contaminated(self) -> int:
        """Documents of which training may be served a part of a passage: held-out ones, and passages in no row, do not
        count."""
        found = self.matches
        served = np.array(found.column("split").to_pylist(), object) == SPLITS[0]
        served &= np.array([len(samples) > 0 for samples in found.column("samples").to_pylist()], np.bool_)
        return len(found.filter(pa.array(served)).column("doc_id").unique())


def check(mix_url: str, items: EvaluationItems, min_overlap: float, n_workers: int) -> Findings:
    """Look for the items in all documents of the mix at `mix_url` (`ROOT/mixes/demo`), in so many processes.

    `ValueError` where there is no mix, its tokenizer is another, or a dataset of it is gone or damaged.
    """
    where = Where(mix_url)
    plan = plans.load(where.target)
    with TemporaryDirectory() as folder, Workers(n_workers) as workers:
        given = _stored(items, items.index, Path(folder, "given.npz"))
        found = []
        for number, source in enumerate(where.sources.values()):
            job = Job(
                source=source.name,
                tokenizer_url=plans.resolve(where.target, plan.tokenizer.path),
                tokenizer_fingerprint=plan.tokenizer.fingerprint,
                bos_id=plan.tokenizer.bos_id,
                eos_id=plan.tokenizer.eos_id,
                items=given,
                min_overlap=min_overlap,
            )
            found.append(_of_source(where, source, job, items, Path(folder, f"{number}.npz"), workers))
    return Findings(plan=plan, sets=items.sets, sources=tuple(found))


def _of_source(
    where: Where, source: Source, given: Job, items: EvaluationItems, file: Path, workers: Workers
) -> SourceFindings:
    """What is found in a source by its own index, which is written to `file` for the workers."""
    units = [
        Unit(part=part, split=split, partition=number)
        for split in SPLITS
        for part in source.parts(split)
        for number in range(documents.n_partitions(documents.dataset_at(part.url)))
    ]
    index = _index_for(given, items.index, [unit for unit in units if unit.split == "train"], workers)
    job = replace(given, items=_stored(items, index, file))
    looked = list(workers.map(partial(tasks.look, job), units))
    _check_all_seen(source, units, looked)
    matches = pa.concat_tables([schema.arrow(STAGE, MATCHES).empty_table(), *(one.matches for one in looked)])
    found = _as_found(matches)
    splits = [split for split in SPLITS if source.parts(split)]
    first = documents.dataset_at(source.train[0].url)
    return SourceFindings(
        name=source.name,
        n_ranges=len(source.train),
        of_ranges=first.manifest.parameters["ranges"]["n_ranges"],
        looked_at={split: _amount([one for one in looked if one.split == split]) for split in splits},
        report={split: contamination_report.report(index, _as_found(_of_split(matches, split))) for split in splits},
        matches=matches,
        items=_items(source.name, index, found),
        passages=_passages(where, job, contamination_report.shown(index, found, items.texts)),
    )


def _index_for(job: Job, index: ItemIndex, units: Sequence[Unit], workers: Workers) -> ItemIndex:
    """The index without what is common in a sample of the source's documents."""
    chosen = commonness.sampled_files(units)
    n_bytes = commonness.sampled_groups(len(chosen)) * ROW_GROUP_BYTES
    seeds, items, n_documents = np.zeros(len(index.hashes), np.int64), np.zeros(index.n_items, np.int64), 0
    for sampled in workers.map(partial(tasks.sample, job, n_bytes), chosen):
        n_documents += sampled.n_documents
        for counts, (numbers, held) in ((seeds, sampled.seeds), (items, sampled.items)):
            counts[numbers] += held
    return commonness.without(index, seeds, items, n_documents)


def _stored(items: EvaluationItems, index: ItemIndex, file: Path) -> StoredItems:
    storage.write(str(file), dump(index))
    return StoredItems(url=str(file), sets=items.sets, digest=items.digest)


def _check_all_seen(source: Source, units: Sequence[Unit], looked: Sequence[Looked]) -> None:
    """`StageError` unless all tokens of each dataset were looked at."""
    for url in dict.fromkeys(unit.part.url for unit in units):
        n_tokens = sum(one.n_tokens for unit, one in zip(units, looked, strict=True) if unit.part.url == url)
        counted = documents.dataset_at(url).manifest.counts["tokens"]
        check_balance(f"the check of {source.name} ({url})", "tokens", counted, n_tokens, {})


def _amount(looked: Sequence[Looked]) -> Amount:
    return Amount(
        n_documents=sum(one.n_documents for one in looked),
        n_tokens=sum(one.n_tokens for one in looked),
        n_bytes=sum(one.n_bytes for one in looked),
    )


def _of_split(matches: pa.Table, split: Split) -> pa.Table:
    return matches.filter(pc.equal(matches.column("split"), split))


def _as_found(matches: pa.Table) -> Found:
    """Rows of the table `matches` as the filter pass reports them."""
    columns = {name: matches.column(name).to_numpy() for name in ("item", "overlap", "n_bytes", "first", "last")}
    ids = matches.column("doc_id").combine_chunks()
    return Found(doc_ids=ids, task=np.zeros(len(matches), np.int64), **columns)


def _items(source: str, index: ItemIndex, found: Found) -> pa.Table:
    rows = contamination_report.items(index, found)
    return pa.Table.from_batches([tasks.rows_of("items", {"source": [source] * len(index.same_as)} | dict(rows))])


def _passages(where: Where, job: Job, shown: Sequence[Shown]) -> pa.Table:
    """The table `passages`: each document is read once more."""
    rows: dict[tuple[str, str, int], pa.RecordBatch] = {}
    for doc_id in dict.fromkeys(one.doc_id for one in shown):
        text = _text(where, job, doc_id)
        for one in shown:
            if one.doc_id == doc_id:
                row = {
                    name: value for name, value in contamination_report.beside(one, text, None).items() if name != "url"
                }
                rows[one.set, one.side, one.rank] = tasks.rows_of("passages", {"source": [job.source]} | row)
    in_order = [rows[one.set, one.side, one.rank] for one in shown]
    return pa.Table.from_batches(in_order, schema.arrow(STAGE, "passages"))


def _text(where: Where, job: Job, doc_id: bytes) -> str:
    tokens = np.concatenate([where.tokens(piece) for piece in where.by_document(doc_id, job.source)])
    tokenizer = texts.opened(job.tokenizer_url, job.tokenizer_fingerprint)
    return texts.text_of(tokenizer, tokens[texts.without_specials(tokens, job.bos_id, job.eos_id)])
