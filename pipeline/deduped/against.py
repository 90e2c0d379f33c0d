"""Deduped datasets of earlier runs (`dedup.against`): found, checked, and given file by file to be compared with.

What takes part of them are the stored signatures of the documents that they *kept*; no text is read. They stand above
every source of the mix: of a cluster with one of their documents nothing new stays. Pairs of two of their documents are
not compared, as no answer would change what is removed: a cluster that such a pair would join to another one has an
earlier document already.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline import manifest, storage
from pipeline.alarms import StageError
from pipeline.deduped.batches import STAGE, DedupParams, SignatureFile
from pipeline.deduped.specs import AGAINST, signatures_spec
from pipeline.manifest import Dataset
from pipeline.tables.sink import task_of

T = TypeVar("T")

PLACE = "ROOT/deduped/<source>/<fingerprint>, as the report of a mix prints it"


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A deduped dataset of an earlier run, and the signatures of the filtered documents that it was made of."""

    deduped: Dataset
    signatures: Dataset

    @property
    def source(self) -> str:
        """The source's name in the recipe of that run."""
        return self.deduped.manifest.source

    @property
    def fingerprint(self) -> str:
        """The deduped dataset's."""
        return self.deduped.manifest.fingerprint

    @property
    def n_documents(self) -> int:
        """Documents that it kept."""
        return int(self.deduped.manifest.counts["kept_documents"])

    def files(self, src: int) -> list[SignatureFile]:
        """The files of its signatures, each with those of the documents that were removed; `src` is its number.

        The stage wrote file i of the filtered documents in task first + i, and its signatures in task i; a file of
        filtered documents holds at least one, so each task left a file of kept or of removed ones.
        """
        removed = defaultdict(list)
        for file in self.deduped.files("removed"):
            removed[task_of(file.path)].append(self.deduped.file_url(file))
        first = min((task_of(file.path) for file in self.deduped.manifest.files), default=0)
        return [
            SignatureFile(
                src=src,
                url=self.signatures.file_url(file),
                earlier=True,
                removed=tuple(removed[first + task_of(file.path)]),
                salt=int.from_bytes(bytes.fromhex(self.fingerprint[:16]), signed=True),
            )
            for file in self.signatures.files("signatures")
        ]


def names(sources: Sequence[str], earlier: Sequence[Earlier]) -> list[str]:
    """What the datasets are called beside the `sources` of a mix: as their source where that says which one, else
    `<source>@<first 8 digits of the fingerprint>`."""
    taken = [*sources, *(dataset.source for dataset in earlier)]
    return [
        dataset.source if taken.count(dataset.source) == 1 else f"{dataset.source}@{dataset.fingerprint[:8]}"
        for dataset in earlier
    ]


def find(urls: Collection[str], params: DedupParams) -> list[Earlier]:
    """The datasets at these URLs, each once, in an order that is theirs and not the recipe's. `StageError` names the
    URL that leads to none, or to one that cannot be compared with the sources of `params`."""
    found = {dataset.fingerprint: dataset for dataset in (_find(url, params) for url in urls)}
    return sorted(found.values(), key=lambda dataset: (dataset.source, dataset.fingerprint))


def _find(url: str, params: DedupParams) -> Earlier:
    where = f"{AGAINST} = {url}"
    deduped = _deduped(url, where)
    made_of = deduped.manifest
    if params.scope == "within_source" and made_of.source not in params.priorities:
        raise StageError(
            f"{where} is of source {made_of.source}: with scope within_source only datasets of the recipe's sources "
            f"({', '.join(sorted(params.priorities))}) are compared with; leave it out, or set dedup.scope: global"
        )
    theirs = made_of.parameters
    num_perm = theirs["bands"] * theirs["rows"]
    if (theirs["ngram"], num_perm) != (params.ngram, params.bands * params.rows):
        raise StageError(
            f"{where} has signatures of ngram {theirs['ngram']} and num_perm {num_perm} (bands times rows), this "
            f"recipe has ngram {params.ngram} and num_perm {params.bands * params.rows}: they cannot be compared; set "
            f"dedup.ngram: {theirs['ngram']}, and bands and rows whose product is {num_perm}"
        )
    root = deduped.url.removesuffix(f"{STAGE}/{made_of.source}/{made_of.fingerprint}")
    if root == deduped.url:
        raise StageError(f"{where} is not where its manifest says it was made; give {PLACE}")
    wanted = signatures_spec(made_of.source, made_of.inputs[made_of.source], params)
    signatures = _read(lambda: manifest.take(root or ".", wanted), where)
    if signatures is None:
        raise StageError(
            f"{where}: there are no signatures of its documents at {wanted.url(root or '.')} (version "
            f"{wanted.version}, {dict(wanted.parameters)}); copy that folder along, or run the mix that made it again"
        )
    return Earlier(deduped=deduped, signatures=signatures)


def _deduped(url: str, where: str) -> Dataset:
    dataset = _read(lambda: manifest.find(storage.normalise(url)), where)
    if dataset is None:
        raise StageError(f"{where}: there is no finished dataset (no {manifest.MANIFEST}); give {PLACE}")
    if dataset.manifest.stage != STAGE:
        raise StageError(f"{where} is a dataset of stage {dataset.manifest.stage}, not {STAGE}; give {PLACE}")
    return _read(lambda: manifest.whole(dataset), where)


def _read(read: Callable[[], T], where: str) -> T:
    try:
        return read()
    except (OSError, ValueError) as error:
        raise StageError(f"{where} cannot be read: {error}") from error
