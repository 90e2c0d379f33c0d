"""What the datasets of a mix tell of its samples: where shards begin, and of which documents samples are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline import document, manifest, plan
from pipeline.manifest import Dataset
from pipeline.mds.checksums import ShardTable
from pipeline.order.keys import Ints
from pipeline.order.meetings import Sizes, group_sizes
from pipeline.plan import PlanSource
from pipeline.tables.reading import open_parquet
from pipeline.tokenized.provenance import shard_url
from pipeline.tokenized.rows import shard_table

READ_SHARDS = 256  # of a source, whose provenance is read: a table of a few hundred KB each


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The documents of samples, estimated from `n_read` of the `n_touched` shards that hold the samples.

    Entry i: sample `sample[i]` holds a piece of the document `document[i]` (a number for each). `sizes`: how many
    samples hold a piece of a document, scaled to the whole source.
    """

    sample: Ints
    document: Ints
    sizes: Sizes
    n_read: int
    n_touched: int

    @property
    def scale(self) -> float:
        """What is counted in the shards that were read stands for so much in all that hold the samples."""
        return self.n_touched / max(1, self.n_read)


class SourceData:
    """The training parts of a source of the mix at `mix_url`; their manifests and tables are read once."""

    def __init__(self, mix_url: str, source: PlanSource) -> None:
        self._parts = [manifest.load(plan.resolve(mix_url, part.path)) for part in source.parts]
        self._n_samples = source.n_samples

    @cached_property
    def _tables(self) -> list[ShardTable]:
        return [shard_table(part) for part in self._parts]

    @cached_property
    def shards(self) -> Ints:
        """The source's samples with which its shards begin, ascending from 0: int64[n_shards]."""
        starts, first = [], 0
        for table in self._tables:
            starts.append(first + table.first_sample[:-1])
            first += table.n_samples
        return np.concatenate(starts)

    def documents(self, samples: Ints) -> Documents:
        """The documents of these samples of the source (in any order, repeats allowed)."""
        part_of_shard = np.repeat(np.arange(len(self._parts)), [len(table.number) for table in self._tables])
        number = np.concatenate([table.number for table in self._tables])
        touched = np.unique(np.searchsorted(self.shards, samples, side="right") - 1)
        read = touched[np.linspace(0, len(touched) - 1, min(READ_SHARDS, len(touched))).astype(np.int64)]
        rows, ids, n_samples = [], [], 0
        for shard in read.tolist():
            row, doc_id = _provenance(self._parts[part_of_shard[shard]], int(number[shard]))
            rows.append(row + self.shards[shard])
            ids.append(doc_id)
            n_samples += int(np.append(self.shards, self._n_samples)[shard + 1] - self.shards[shard])
        sample, doc = np.concatenate(rows), np.concatenate(ids)
        in_sample = np.unique(np.stack([doc, sample]), axis=1)  # a document has one piece in a sample, but for chance
        sizes = group_sizes(np.unique(in_sample[0], return_counts=True)[1], self._n_samples)
        scaled = np.rint(sizes.n_groups * (self._n_samples / n_samples)).astype(np.int64)
        asked = np.isin(in_sample[1], samples)
        return Documents(
            sample=in_sample[1][asked],
            document=in_sample[0][asked],
            sizes=Sizes(size=sizes.size, n_groups=scaled, n_samples=self._n_samples),
            n_read=len(read),
            n_touched=len(touched),
        )


def _provenance(dataset: Dataset, shard: int) -> tuple[Ints, Ints]:
    """For each piece in a shard its row and the first half of its document's id, int64 both."""
    with open_parquet(shard_url(dataset, shard)) as file:
        pieces = file.read(columns=["row", "doc_id"])
    ids = document.doc_id_bytes(pieces.column("doc_id"))
    return pieces.column("row").to_numpy().astype(np.int64), np.ascontiguousarray(ids[:, :8]).view(np.int64)[:, 0]
