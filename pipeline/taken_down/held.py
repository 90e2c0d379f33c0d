"""Which datasets of a mix hold some documents, and in which samples: by hash and provenance, no row is read."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import document, manifest, plan
from pipeline.manifest import Dataset
from pipeline.plan import Part, Plan
from pipeline.tokenized import provenance
from pipeline.tokenized.ranges import ORDER_KEY, Ranges, place
from pipeline.tokenized.rows import shard_table
from pipeline.tokenized.where import Split

THREADS = 16  # files that are looked into at once

PIECES = pa.schema(
    [("sample", pa.int64()), ("doc_id", pa.binary()), ("token_from", pa.int64()), ("token_to", pa.int64())]
)
"""Where documents stand: tokens [token_from, token_to) of a sample, by its number in the source (or its validation
set)."""


@dataclass(frozen=True, kw_only=True)
class MixPart:
    """A dataset of a mix: number `number` of the source's training parts, or of its validation set; its samples are
    numbered from `first_sample` on."""

    source: str
    split: Split
    number: int
    dataset: Dataset
    first_sample: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a dataset has of the documents: who, and their `pieces` (`PIECES`). Those of which no token filled a row
    have none."""

    part: MixPart
    doc_ids: frozenset[bytes]
    pieces: pa.Table


def parts_of(mix_url: str, mix: Plan) -> list[MixPart]:
    """All datasets of a mix."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(partial(_opened, mix_url), _listed(mix)))


def held(parts: Sequence[MixPart], doc_ids: Collection[bytes]) -> list[Held]:
    """The parts that hold one of the documents, and what of them."""
    ids = pa.array(sorted(doc_ids), pa.binary())
    hashes = document.order_hash(ids, ORDER_KEY)
    found = (_held(part, ids, hashes) for part in parts)
    return [one for one in found if one.doc_ids]


def _listed(mix: Plan) -> list[tuple[str, Split, int, Part, int]]:
    found: list[tuple[str, Split, int, Part, int]] = []
    for source in mix.sources:
        splits: tuple[tuple[Split, tuple[Part, ...]], ...] = (
            ("train", source.parts),
            ("validation", source.validation),
        )
        for split, parts in splits:
            firsts = np.cumsum([0, *(part.n_samples for part in parts)]).tolist()
            found += [(source.name, split, number, part, firsts[number]) for number, part in enumerate(parts)]
    return found


def _opened(mix_url: str, listed: tuple[str, Split, int, Part, int]) -> MixPart:
    source, split, number, part, first = listed
    dataset = manifest.whole(manifest.load(plan.resolve(mix_url, part.path)))
    return MixPart(source=source, split=split, number=number, dataset=dataset, first_sample=first)


def _held(part: MixPart, ids: pa.Array, hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Held:
    dataset = part.dataset
    ranges = Ranges(**dataset.manifest.parameters["ranges"])
    numbers, inside = place(hashes, ranges)
    may = numbers == dataset.manifest.parameters["range"] if part.split == "train" else np.ones(len(ids), np.bool_)
    candidates = ids.filter(pa.array(may))
    if not len(candidates):
        return Held(part=part, doc_ids=frozenset(), pieces=PIECES.empty_table())
    table = shard_table(dataset)
    first = dict(zip(table.number.tolist(), table.first_sample.tolist(), strict=False))
    wanted = {number: ids.filter(pa.array(may & (inside == number))) for number in set(inside[may].tolist())}
    wanted[ranges.n_partitions] = candidates  # the shard of the tails
    shards = sorted(set(wanted) & set(first))
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda shard: provenance.of_documents(dataset, shard, wanted[shard]), shards))
    pieces = [
        _pieces(rows, part.first_sample + first[shard]) for shard, rows in zip(shards, found, strict=True) if len(rows)
    ]
    joined = pa.concat_tables([PIECES.empty_table(), *pieces])
    left = provenance.left_over(dataset, candidates)
    doc_ids = [*joined.column("doc_id").to_pylist(), *(left.column("doc_id").to_pylist() if len(left) else [])]
    return Held(part=part, doc_ids=frozenset(doc_ids), pieces=joined)


def _pieces(rows: pa.Table, first_sample: int) -> pa.Table:
    columns = {name: rows.column(name) for name in PIECES.names if name != "sample"}
    return pa.table({"sample": pc.add(rows.column("row").cast(pa.int64()), first_sample)} | columns).cast(PIECES)
