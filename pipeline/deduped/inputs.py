"""What is compared with each other: sources, and datasets of earlier runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.deduped import against
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import SignatureFile
from pipeline.manifest import Dataset


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

    def new_files(self) -> list[SignatureFile]:
        """Each file of the sources' signatures."""
        numbered = _numbered([dataset.urls("signatures") for dataset in self.signatures])
        return [SignatureFile(src=src, url=url) for src, url in numbered]

    def earlier_files(self) -> list[SignatureFile]:
        """Each file of the earlier datasets' signatures."""
        return [file for src, dataset in enumerate(self.earlier, len(self.filtered)) for file in dataset.files(src)]

    def files(self) -> list[SignatureFile]:
        """Each file of signatures that take part."""
        return [*self.new_files(), *self.earlier_files()]


def _numbered(urls: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    return [(number, url) for number, of_source in enumerate(urls) for url in of_source]
