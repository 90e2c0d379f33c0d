"""What is compared with each other: sources, and datasets of earlier runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pipeline.alarms import StageError
from pipeline.deduped import against
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import SignatureFile, doc_id_of
from pipeline.manifest import Dataset

ABOVE_ALL = -(2**31)  # the priority of earlier datasets; a recipe's is larger


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The sources that are compared with each other, in one order: their filtered documents and their signatures; and
    the `earlier` datasets that they are compared with, whose numbers follow theirs."""

    filtered: Sequence[Dataset]
    signatures: Sequence[Dataset]
    earlier: Sequence[Earlier] = ()

    @property
    def sources(self) -> list[str]:
        """The names of the sources."""
        return [dataset.manifest.source for dataset in self.filtered]

    @property
    def names(self) -> list[str]:
        """The names of the sources, then of the earlier datasets."""
        return [*self.sources, *against.names(self.sources, self.earlier)]

    @property
    def n_documents(self) -> int:
        """Documents that take part."""
        measured = sum(int(dataset.manifest.counts["documents"]) for dataset in self.signatures)
        return measured + sum(dataset.n_documents for dataset in self.earlier)

    def text_urls(self) -> list[tuple[int, str]]:
        """Each file of filtered documents, with the number of its source."""
        return _numbered([dataset.urls("filtered") for dataset in self.filtered])

    def first_files(self) -> list[int]:
        """The place of each source's first file among `text_urls`, and how many there are in all."""
        counts = (len(dataset.urls("filtered")) for dataset in self.filtered)
        return list(accumulate(counts, initial=0))

    def new_files(self) -> list[SignatureFile]:
        """Each file of the sources' signatures."""
        numbered = _numbered([dataset.urls("signatures") for dataset in self.signatures])
        return [SignatureFile(src=src, url=url) for src, url in numbered]

    def earlier_files(self) -> list[SignatureFile]:
        """Each file of the earlier datasets' signatures."""
        return [file for src, dataset in enumerate(self.earlier, len(self.filtered)) for file in dataset.files(src)]

    def files(self) -> list[SignatureFile]:
        """Each file of signatures that take part, the sources' first."""
        return [*self.new_files(), *self.earlier_files()]

    def repeated(self, hi: int, lo: int, n: int, sources: Collection[int]) -> StageError:
        """What to raise where a doc_id, given by its halves, stands for `n` documents of these sources."""
        names = " and ".join(sorted(self.names[src] for src in sources))
        return StageError(
            f"doc_id {doc_id_of(hi, lo).hex()} is that of {n} documents of {names}; a removal could not be looked up. "
            "A doc_id is made of source, file and record, so a dataset is damaged: delete these sources' folders below "
            "`documents` and `filtered` and run both again"
        )

    def check_earlier(self, found: Mapping[int, int]) -> None:
        """`StageError` unless of each earlier dataset as many documents were `found` (by its number) as it kept."""
        for src, dataset in enumerate(self.earlier, len(self.filtered)):
            if found.get(src, 0) != dataset.n_documents:
                raise StageError(
                    f"dedup.against = {dataset.deduped.url} kept {dataset.n_documents} documents, but "
                    f"{found.get(src, 0)} are found in {dataset.signatures.url} less the removed ones: one of the two "
                    "is damaged or was made otherwise; delete both and run the mix that made them again"
                )


def _numbered(urls: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    return [(number, url) for number, of_source in enumerate(urls) for url in of_source]
