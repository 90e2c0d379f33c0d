"""Provenance, both ways: the documents of a sample, the samples of a document. What `shardmill where` asks.

A sample is named by its source and its number there, as in the loader's batches; of a validation set by its number in
that set. Only the manifests, row groups and granules that are needed are read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline import document, manifest, plan, storage
from pipeline.manifest import MANIFEST, Dataset
from pipeline.mds.checksums import ShardTable
from pipeline.tokenized import granule, origin, provenance
from pipeline.tokenized.ranges import ORDER_KEY, Ranges, place
from pipeline.tokenized.rewritten import taken_down
from pipeline.tokenized.rows import shard_table
from pipeline.tokenizer_id import tokenizer_fingerprint

Split = Literal["train", "validation"]


class NotThereError(ValueError):
    """There is no such source, sample or document; the message says where it has gone, if that can be told."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A run of a document's tokens in a sample.

    It stands at [token_from, token_to) of the sample, and begins with token `doc_token_from` of the document's (BOS and
    EOS included). `sample` is the number in the source (or its validation set), `row` that in the shard. Tokens that
    filled no row have no `sample`, `shard` and `row`; their token_from is 0.
    """

    source: str
    split: Split
    dataset: str
    sample: int | None
    shard: int | None
    row: int | None
    token_from: int
    token_to: int
    doc_id: bytes
    doc_token_from: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """A dataset of a source and the number of its first sample."""

    url: str
    first_sample: int
    n_samples: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source's datasets: its training ranges from the first on, and its validation set."""

    name: str
    train: tuple[Part, ...]
    validation: tuple[Part, ...]

    def parts(self, split: Split) -> tuple[Part, ...]:
        return self.validation if split == "validation" else self.train


class Where:
    """A mix, or one tokenized dataset, as something that can be asked. Manifests and tables of shards that were opened
    are kept."""

    def __init__(self, target: str) -> None:
        """`target`: the folder of a mix (`ROOT/mixes/demo`) or of a dataset. `ValueError` where neither is there."""
        self.target = str(storage.local_path(target).absolute()) if storage.is_local(target) else target
        if storage.is_local(target) and storage.local_path(target).is_file():
            raise ValueError(f"{target} is a file; give the folder of a mix or of a tokenized dataset")
        self._tables: dict[str, ShardTable] = {}
        self._datasets: dict[str, Dataset] = {}
        self._tokenizer: Tokenizer | None = None
        self.plan = plan.load(self.target) if storage.exists(storage.join(self.target, plan.PLAN)) else None
        self.sources = {source.name: source for source in self._sources()}

    def by_sample(self, source: str, sample: int, split: Split = "train") -> list[Piece]:
        """The pieces of a sample, in the order of its tokens. `NotThereError` for an unknown source or sample."""
        parts = self._source(source).parts(split)
        n_samples = sum(part.n_samples for part in parts)
        if not 0 <= sample < n_samples:
            raise NotThereError(
                f"{self.target}: source {source} ({split}) has {n_samples:,} samples, numbered from 0; there is no "
                f"{sample:,}"
            )
        part = next(part for part in parts if sample < part.first_sample + part.n_samples)
        table = self._table(part.url)
        at = int(np.searchsorted(table.first_sample, sample - part.first_sample, side="right")) - 1
        row = sample - part.first_sample - int(table.first_sample[at])
        rows = provenance.of_row(self._dataset(part.url), int(table.number[at]), row)
        return self._pieces(source, split, part, rows)

    def by_document(self, doc_id: bytes, source: str | None = None) -> list[Piece]:
        """The pieces of a document, in the order of its tokens; `source`: only look there. `NotThereError` where it has
        none, which says which stage took it away, or that its range is not part of the mix."""
        if len(doc_id) != document.DOC_ID_BYTES:
            raise NotThereError(
                f"{doc_id.hex()!r} is no doc_id; one has {2 * document.DOC_ID_BYTES} hexadecimal digits, it has "
                f"{2 * len(doc_id)}"
            )
        sources = list(self.sources.values()) if source is None else [self._source(source)]
        for one in sources:
            for split, part in self._candidates(one, doc_id):
                if found := self._in_part(one.name, split, part, doc_id):
                    return sorted(found, key=lambda piece: piece.doc_token_from)
        raise NotThereError(f"{self.target}: no sample holds the document {doc_id.hex()}: {self._why(sources, doc_id)}")

    def tokens(self, piece: Piece) -> npt.NDArray[np.unsignedinteger[Any]]:
        """The ids of a piece, read from its shard and verified against the granule's checksum."""
        dataset = self._dataset(piece.dataset)
        if piece.shard is None or piece.row is None:
            dtype = np.dtype(dataset.manifest.parameters["shape"]["dtype"]).newbyteorder("<")
            rows = provenance.left_over(dataset, pa.array([piece.doc_id])).to_pylist()
            run = next(row["tokens"] for row in rows if row["doc_token_from"] == piece.doc_token_from)
            return np.frombuffer(run, dtype)
        table = self._table(piece.dataset)
        at = int(np.searchsorted(table.number, piece.shard))
        return granule.row(dataset, table, at, piece.row)[piece.token_from : piece.token_to]

    def text(self, piece: Piece) -> str:
        """What a piece decodes to, BOS and EOS spelt out. Characters cut by its ends are U+FFFD."""
        if self._tokenizer is None:
            self._tokenizer = Tokenizer.from_str(self._tokenizer_text(piece))
        return str(self._tokenizer.decode(self.tokens(piece).tolist(), skip_special_tokens=False))

    def origins(self, pieces: Iterable[Piece]) -> dict[bytes, origin.Origin]:
        """doc_id → raw record of the pieces' documents, of those that the datasets below the root still tell."""
        by_dataset: dict[str, set[bytes]] = {}
        for piece in pieces:
            by_dataset.setdefault(piece.dataset, set()).add(piece.doc_id)
        found: dict[bytes, origin.Origin] = {}
        for url, doc_ids in by_dataset.items():
            found |= origin.find(self._dataset(url), doc_ids)
        return found

    def _sources(self) -> Iterable[Source]:
        if self.plan is None:
            if not storage.exists(storage.join(self.target, MANIFEST)):
                raise ValueError(
                    f"{self.target} holds neither a mix ({plan.PLAN}) nor a finished dataset ({MANIFEST}); give the "
                    "folder of one, as ROOT/mixes/NAME"
                )
            dataset = self._dataset(self.target)
            if dataset.manifest.stage != "tokenized":
                raise ValueError(
                    f"{self.target} is a dataset of stage {dataset.manifest.stage}; give the folder of a mix or of a "
                    "tokenized dataset"
                )
            part = Part(url=dataset.url, first_sample=0, n_samples=dataset.manifest.counts["samples"])
            held = dataset.manifest.parameters["range"] == "validation"
            name = dataset.manifest.source
            yield Source(name=name, train=() if held else (part,), validation=(part,) if held else ())
            return
        for source in self.plan.sources:
            train, validation = self._parts(source.parts), self._parts(source.validation)
            yield Source(name=source.name, train=train, validation=validation)

    def _parts(self, parts: Sequence[plan.Part]) -> tuple[Part, ...]:
        firsts = np.cumsum([0, *(part.n_samples for part in parts)]).tolist()
        return tuple(
            Part(url=plan.resolve(self.target, part.path), first_sample=first, n_samples=part.n_samples)
            for part, first in zip(parts, firsts, strict=False)
        )

    def _source(self, name: str) -> Source:
        if name not in self.sources:
            raise NotThereError(f"{self.target} has no source {name!r}; it has {', '.join(self.sources)}")
        return self.sources[name]

    def _dataset(self, url: str) -> Dataset:
        if url not in self._datasets:
            self._datasets[url] = manifest.load(url)
        return self._datasets[url]

    def _table(self, dataset_url: str) -> ShardTable:
        if dataset_url not in self._tables:
            self._tables[dataset_url] = shard_table(self._dataset(dataset_url))
        return self._tables[dataset_url]

    def _candidates(self, source: Source, doc_id: bytes) -> Iterable[tuple[Split, Part]]:
        """The datasets in which a document may lie: that of its range, and the validation set."""
        if source.train:
            ranges, _ = self._place(source.train[0], doc_id)
            for part in source.train if len(source.train) == 1 else source.train[ranges : ranges + 1]:
                if self._dataset(part.url).manifest.parameters["range"] == ranges:
                    yield "train", part
        for part in source.validation:
            yield "validation", part

    def _place(self, part: Part, doc_id: bytes) -> tuple[int, int]:
        """The range and the partition of a document, as the dataset's source is cut."""
        ranges = Ranges(**self._dataset(part.url).manifest.parameters["ranges"])
        ids = np.frombuffer(doc_id, np.uint8).reshape(1, -1)
        number, inside = place(document.order_hash(ids, ORDER_KEY), ranges)
        return int(number[0]), int(inside[0])

    def _in_part(self, source: str, split: Split, part: Part, doc_id: bytes) -> list[Piece]:
        """A document's pieces in a dataset: in its partition's shard, in that of the tails, in no row."""
        dataset, table, ids = self._dataset(part.url), self._table(part.url), pa.array([doc_id])
        _, partition = self._place(part, doc_id)
        tails = dataset.manifest.parameters["ranges"]["n_partitions"]
        found: list[Piece] = []
        for at in np.flatnonzero(np.isin(table.number, [partition, tails])).tolist():
            rows = provenance.of_documents(dataset, int(table.number[at]), ids)
            found += self._pieces(source, split, part, rows)
        for row in provenance.left_over(dataset, ids).to_pylist():
            n_tokens = len(row["tokens"]) // np.dtype(dataset.manifest.parameters["shape"]["dtype"]).itemsize
            found.append(
                Piece(
                    source=source, split=split, dataset=part.url, sample=None, shard=None, row=None, token_from=0,
                    token_to=n_tokens, doc_id=doc_id, doc_token_from=row["doc_token_from"],
                )
            )  # fmt: skip
        return found

    def _pieces(self, source: str, split: Split, part: Part, rows: pa.Table) -> list[Piece]:
        table = self._table(part.url)
        first = dict(zip(table.number.tolist(), table.first_sample.tolist(), strict=False))
        return [
            Piece(
                source=source, split=split, dataset=part.url,
                sample=part.first_sample + first[row["shard"]] + row["row"], **row,
            )
            for row in rows.to_pylist()
        ]  # fmt: skip

    def _why(self, sources: Sequence[Source], doc_id: bytes) -> str:
        for source in sources:
            for _, held in self._candidates(source, doc_id):
                if doc_id in taken_down(self._dataset(held.url)):
                    return f"it was taken down, from {held.url}"
            part = (*source.train, *source.validation)[0]
            dataset = self._dataset(part.url)
            if (gone := origin.gone(dataset, doc_id)) is not None:
                return gone
            if (found := origin.find(dataset, [doc_id]).get(doc_id)) is None:
                continue
            if found.found_in != "deduped":
                return (
                    f"it stands in the dataset {found.found_in} of source {source.name}; what came after is not there"
                )
            number, _ = self._place(part, doc_id)
            taken = [self._dataset(one.url).manifest.parameters["range"] for one in source.train]
            if number not in taken:
                n_ranges = dataset.manifest.parameters["ranges"]["n_ranges"]
                return f"it lies in range {number} (of {n_ranges}) of source {source.name}, of which are here {taken}"
            return f"it is a document of source {source.name} that is held out for validation, or has no token"
        return "no dataset that they were made of and that is still below the root knows it"

    def _tokenizer_text(self, piece: Piece) -> str:
        """The JSON of the tokenizer that made the shards: the plan's, or, of a dataset alone, that of a mix below the
        same root."""
        wanted = self._dataset(piece.dataset).manifest.inputs["tokenizer"]
        if self.plan is not None:
            urls = [plan.resolve(self.target, self.plan.tokenizer.path)]
        else:
            mixes = storage.join(piece.dataset.rsplit("/", 3)[0], "mixes")
            names = storage.list_folders(mixes)
            urls = [storage.join(mixes, name, f"tokenizer-{wanted[:12]}.json") for name in names]
        for url in urls:
            if storage.exists(url):
                text = storage.read(url)
                if tokenizer_fingerprint(text) == wanted:
                    return text.decode()
        raise NotThereError(f"the tokenizer {wanted} that made {piece.dataset} is not there (looked for {urls})")
