from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline import plan
from pipeline.order.keys import Ints
from pipeline.shuffle_quality.datasets import SourceData
from pipeline.tokenized.where import Where
from tests.tokenized.test_tokenized_where import RANGES, corpus, mix_of, written


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Source `code` in two parts of three shards and the tails' each."""
    root = tmp_path_factory.mktemp("root")
    return mix_of(
        root, {"code": ([written(root, "code", corpus("code", 70), number, RANGES) for number in (0, 1)], [])}
    )


def _source(mix: str) -> SourceData:
    return SourceData(mix, plan.load(mix).sources[0])


def _documents(mix: str) -> list[set[bytes]]:
    """Of each sample."""
    where, n_samples = Where(mix), plan.load(mix).sources[0].n_samples
    return [{piece.doc_id for piece in where.by_sample("code", sample)} for sample in range(n_samples)]


def test_shards_begin_where_they_do(mix: str) -> None:
    where, n_samples = Where(mix), plan.load(mix).sources[0].n_samples
    first_pieces = [where.by_sample("code", sample)[0] for sample in range(n_samples)]
    shards = [(piece.dataset, piece.shard) for piece in first_pieces]
    expected = [sample for sample in range(n_samples) if sample == 0 or shards[sample] != shards[sample - 1]]
    assert _source(mix).shards.tolist() == expected
    assert len(expected) > 4


def test_documents_are_those_that_where_tells(mix: str) -> None:
    of_sample = _documents(mix)
    asked: Ints = np.arange(1, len(of_sample), 2, dtype=np.int64)
    found = _source(mix).documents(np.concatenate([asked, asked[:3]]))
    assert found.n_read == found.n_touched
    assert found.scale == 1
    numbers = {int.from_bytes(doc_id[:8], "little", signed=True): doc_id for ids in of_sample for doc_id in ids}
    pairs = zip(found.sample.tolist(), found.document.tolist(), strict=True)
    assert {(sample, numbers[number]) for sample, number in pairs} == {
        (sample, doc_id) for sample in asked.tolist() for doc_id in of_sample[sample]
    }
    assert len(found.sample) == len(set(zip(found.sample.tolist(), found.document.tolist(), strict=True)))


def test_sizes_of_documents_are_counted_in_samples(mix: str) -> None:
    of_sample = _documents(mix)
    found = _source(mix).documents(np.arange(len(of_sample), dtype=np.int64))
    n_samples_of = Counter(doc_id for ids in of_sample for doc_id in ids)
    assert dict(zip(found.sizes.size.tolist(), found.sizes.n_groups.tolist(), strict=True)) == Counter(
        n_samples_of.values()
    )
    assert found.sizes.n_samples == len(of_sample)


def test_few_shards_stand_for_many(mix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.shuffle_quality.datasets.READ_SHARDS", 3)
    source, n_samples = _source(mix), len(_documents(mix))
    found = source.documents(np.arange(n_samples, dtype=np.int64))
    assert (found.n_read, found.n_touched) == (3, len(source.shards))
    assert found.scale == len(source.shards) / 3
    n_read = len(np.unique(found.sample))
    pieces = int((found.sizes.size * found.sizes.n_groups).sum())
    assert pieces == pytest.approx(len(found.sample) * n_samples / n_read, rel=0.15)


def test_a_mix_without_its_datasets_is_told(tmp_path: Path, mix: str) -> None:
    with pytest.raises(ValueError, match="holds no finished dataset"):
        SourceData(str(tmp_path / "mixes" / "x"), plan.load(mix).sources[0])
