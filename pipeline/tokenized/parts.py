"""The datasets that the stage makes: ranges of a source's documents, and how documents become rows."""

from dataclasses import asdict, dataclass

from pipeline.manifest import Dataset, Spec
from pipeline.tokenized.ranges import PARTITION_BYTES, Ranges, ranges_of
from pipeline.tokenized.shards import STAGE, Shape
from pipeline.tokenized.tokenizer import TokenizerInfo

VERSION = 3


@dataclass(frozen=True, kw_only=True)
class TokenizeParams:
    """How documents become rows; the same for all sources of a mix."""

    info: TokenizerInfo
    shape: Shape
    bos: bool
    eos: bool
    holdout_documents: int

    @property
    def added_ids(self) -> list[int]:
        """What stands around each document."""
        return [added for added in (self.bos_id, self.eos_id) if added is not None]

    @property
    def bos_id(self) -> int | None:
        """What stands before each document."""
        return self.info.bos_id if self.bos else None

    @property
    def eos_id(self) -> int | None:
        """What stands after each document."""
        return self.info.eos_id if self.eos else None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One dataset to be made: a range of a source's training documents (`number`), or its validation set (None)."""

    deduped: Dataset
    number: int | None

    @property
    def source(self) -> str:
        return self.deduped.manifest.source

    def ranges(self, params: TokenizeParams) -> Ranges:
        """How the source is cut; the validation set is one range of its own."""
        counts = self.deduped.manifest.counts
        if self.number is not None:
            return ranges_of(counts["kept_bytes"])
        mean_bytes = counts["kept_bytes"] / max(1, counts["kept_documents"])
        n_partitions = max(1, -(-int(params.holdout_documents * mean_bytes) // PARTITION_BYTES))
        return Ranges(n_ranges=1, n_partitions=n_partitions)


def spec(part: Part, params: TokenizeParams) -> Spec:
    """What the dataset of a part is made of."""
    return Spec(
        stage=STAGE,
        source=part.source,
        version=VERSION,
        inputs={"deduped": part.deduped.manifest.fingerprint, "tokenizer": params.info.fingerprint},
        parameters={
            "range": "validation" if part.number is None else part.number,
            "ranges": asdict(part.ranges(params)),
            "shape": params.shape.as_parameters(),
            "bos": params.bos,
            "eos": params.eos,
            "specials_in_text": params.info.specials_in_text,
            "holdout_documents": params.holdout_documents,
        },
    )
