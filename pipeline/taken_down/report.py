"""What a take-down found, took and left: the report that is stored beside the new plan, and the lines for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.manifest import Dataset
from pipeline.taken_down.held import Held, MixPart
from pipeline.taken_down.lookup import Copy
from pipeline.tokenized.rewritten import taken_down
from pipeline.tokenized.where import Split

REPORT = "take-down.json"
SERVED_FILE = "take-down-served.parquet"
SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Entries:
    """The list's entries: those of which a document is `in_mix`, those that mean documents which are not (rejected,
    removed as copies, of other ranges), and those that nothing is known of."""

    in_mix: tuple[str, ...]
    not_in_mix: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was taken out of a source's training ranges, or of its validation set: `documents`, and their `tokens`; the
    samples that there were and are; datasets `rewritten` (old fingerprint, new one) and how many are `shared`, with the
    bytes of each."""

    source: str
    split: Split
    documents: int
    tokens: int
    samples_before: int
    samples_after: int
    rewritten: tuple[tuple[str, str], ...]
    rewritten_bytes: int
    shared: int
    shared_bytes: int


@dataclass(frozen=True, kw_only=True)
class Served:
    """How often a run of the old plan serves them: in `positions` of its `budget_samples`, of which `first` are the
    first, and in so many validation samples."""

    positions: int
    budget_samples: int
    first: tuple[int, ...]
    validation_samples: int


def entries(
    documents: Mapping[str, frozenset[bytes]], every: frozenset[str], in_mix: frozenset[bytes], known: frozenset[bytes]
) -> Entries:
    """`documents`: entry → doc_ids; `every` entry of the list; `known` doc_ids among those that are not in the mix."""
    nobody: frozenset[bytes] = frozenset()
    found = {entry for entry in every if documents.get(entry, nobody) & in_mix}
    elsewhere = {entry for entry in every - found if documents.get(entry, nobody) & known}
    return Entries(
        in_mix=tuple(sorted(found)),
        not_in_mix=tuple(sorted(elsewhere)),
        unknown=tuple(sorted(every - found - elsewhere)),
    )


def taken(parts: Sequence[MixPart], found: Sequence[Held], rewritten: Mapping[str, Dataset]) -> list[Taken]:
    """For each source and split of the mix, in its order."""
    doc_ids = {one.part.dataset.manifest.fingerprint: one.doc_ids for one in found}
    rows = []
    for source, split in dict.fromkeys((part.source, part.split) for part in parts):
        own = [part.dataset for part in parts if (part.source, part.split) == (source, split)]
        new = [rewritten.get(one.manifest.fingerprint, one) for one in own]
        changed = [(a, b) for a, b in zip(own, new, strict=True) if a is not b]
        shared = [a for a, b in zip(own, new, strict=True) if a is b]
        tokens = {fingerprint: taken_down(after) for fingerprint, after in _named(changed)}
        rows.append(
            Taken(
                source=source,
                split=split,
                documents=sum(len(doc_ids[fingerprint]) for fingerprint, _ in _named(changed)),
                tokens=sum(n[doc] for fingerprint, n in tokens.items() for doc in doc_ids[fingerprint]),
                samples_before=_samples(own),
                samples_after=_samples(new),
                rewritten=tuple((fingerprint, after.manifest.fingerprint) for fingerprint, after in _named(changed)),
                rewritten_bytes=_bytes([after for _, after in changed]),
                shared=len(shared),
                shared_bytes=_bytes(shared),
            )
        )
    return rows


def summary(served: pa.Table, budget_samples: int) -> Served:
    """Of the table of `served`."""
    positions = np.unique(served.column("position").drop_null().to_numpy())
    held_out = served.filter(pc.equal(served.column("split"), "validation"))
    return Served(
        positions=len(positions),
        budget_samples=budget_samples,
        first=tuple(positions[:SHOWN].tolist()),
        validation_samples=held_out.group_by(["source", "sample"]).aggregate([]).num_rows,
    )


def to_json(digest: str, mixes: Mapping[str, Any], asked: Entries, copies: Sequence[Copy], rows: Sequence[Taken],
            served: Served) -> dict[str, Any]:  # fmt: skip
    """The stored report: `mixes` are the old and the new one, by name and identity. Nothing in it depends on when and
    where it was made."""
    return {
        "format": "shardmill-take-down",
        "version": 1,
        **mixes,
        "list": {"digest": digest} | asdict(asked),
        "copies": [asdict(one) | {"doc_id": one.doc_id.hex(), "kept_doc_id": one.kept_doc_id.hex()} for one in copies],
        "taken": [asdict(row) for row in rows],
        "served": asdict(served) | {"file": SERVED_FILE},
    }


def _named(changed: Sequence[tuple[Dataset, Dataset]]) -> list[tuple[str, Dataset]]:
    return [(before.manifest.fingerprint, after) for before, after in changed]


def _samples(datasets: Sequence[Dataset]) -> int:
    return sum(dataset.manifest.counts["samples"] for dataset in datasets)


def _bytes(datasets: Sequence[Dataset]) -> int:
    return sum(file.bytes for dataset in datasets for file in dataset.manifest.files)
