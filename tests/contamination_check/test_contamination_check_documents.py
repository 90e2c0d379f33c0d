"""Documents come back from their rows, whole, whatever the packing."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.contamination_check.documents import NO_SAMPLE, n_partitions, of_partition
from pipeline.manifest import Dataset
from pipeline.tokenized.ranges import Ranges
from pipeline.tokenized.where import Part, Where
from tests.tokenized.test_tokenized_where import RANGES, corpus, ids_of, written


def part_of(dataset: Dataset, first_sample: int = 0) -> Part:
    return Part(url=dataset.url, first_sample=first_sample, n_samples=dataset.manifest.counts["samples"])


@pytest.mark.parametrize(
    ("packing", "compression"), [("concat", None), ("best_fit", None), ("none", None), ("concat", "zstd:1")]
)
@pytest.mark.parametrize(("number", "ranges"), [(1, RANGES), ("validation", Ranges(n_ranges=1, n_partitions=2))])
def test_every_document_comes_back(
    tmp_path: Path, packing: str, compression: str | None, number: int | str, ranges: Ranges
) -> None:
    texts = corpus("code", 90)
    dataset = written(tmp_path, "code", texts, number, ranges, packing, compression=compression)
    assert n_partitions(dataset) == ranges.n_partitions
    found = [one for place in range(ranges.n_partitions) for one in of_partition(part_of(dataset, 100), place)]
    assert sum(len(one.tokens) for one in found) == dataset.manifest.counts["tokens"]
    assert len({one.doc_id for one in found}) == len(found) == dataset.manifest.counts["documents"]
    where = Where(dataset.url)
    for one in found:
        assert one.tokens.tolist() == ids_of(texts[one.doc_id])
        pieces = where.by_document(one.doc_id)
        assert one.ends.tolist() == [piece.doc_token_from + piece.token_to - piece.token_from for piece in pieces]
        samples = [NO_SAMPLE if piece.sample is None else piece.sample + 100 for piece in pieces]
        assert one.samples.tolist() == samples
    if packing == "concat":
        assert NO_SAMPLE in {sample for one in found for sample in one.samples.tolist()}


def test_a_damaged_shard_is_not_looked_at(tmp_path: Path) -> None:
    dataset = written(tmp_path, "code", corpus("code", 40), 0, Ranges(n_ranges=1, n_partitions=1))
    path = Path(dataset.urls("shards")[0])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard\.00000\.mds is damaged: its xxh3 is [0-9a-f]{16}, the manifest says "):
        list(of_partition(part_of(dataset), 0))


def test_provenance_that_leaves_tokens_out_is_told(tmp_path: Path) -> None:
    dataset = written(tmp_path, "code", corpus("code", 40), 0, Ranges(n_ranges=1, n_partitions=1))
    path = Path(dataset.urls("provenance")[0])
    rows = pq.read_table(path)
    pq.write_table(rows.filter(pc.not_equal(rows.column("row"), 3)), path)
    with pytest.raises(ValueError, match="its provenance does not tell of all tokens of the document"):
        list(of_partition(part_of(dataset), 0))
