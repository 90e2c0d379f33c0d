"""The border tables of real datasets say what their provenance says, whatever the tokens are."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import plan, storage
from pipeline.alarms import StageError
from pipeline.loader.borders import Borders, RowBorders, open_borders
from pipeline.manifest import Dataset, File, Spec, find
from pipeline.mds.borders import shard_borders
from pipeline.mds.checksums import parse_table
from pipeline.tables.sink import Sink
from pipeline.tokenized.commit import commit
from pipeline.tokenized.shards import Shape, documents_of, write_shard

EOS = 0  # and padding: the same id, which texts hold too
Lengths = list[list[int]]  # tokens of each document of each partition


def shape_of(packing: str, sequence_length: int) -> Shape:
    return Shape(sequence_length=sequence_length, dtype="uint16", packing=packing, pad_id=EOS, vocab_size=2)


def spec_of(shape: Shape) -> Spec:
    parameters = {"range": 0, "packing": shape.packing, "length": shape.sequence_length}
    return Spec(stage="tokenized", source="code", version=1, inputs={}, parameters=parameters)


def written(root: Path, partitions: Lengths, shape: Shape) -> tuple[list[File], Counter[str]]:
    """What the tasks leave. Half of the tokens are EOS."""
    rng, files, counts = np.random.default_rng(5), [], Counter[str]()
    for number, lengths in enumerate(partitions):
        tokens = [rng.integers(0, 2, n, np.uint16).astype("<u2").tobytes() for n in lengths]
        ids = pa.array([bytes([number, i]) * 8 for i in range(len(lengths))], pa.binary())
        with Sink("tokenized", storage.join(spec_of(shape).url(str(root)), "attempt-1"), number) as sink:
            documents = documents_of(ids, pa.array(tokens, pa.binary()), "uint16")
            write_shard(sink, shape, number, f"code/0/{number}", documents)
        files += sink.files
        counts.update(sink.counts)
    return files, counts


def committed(root: Path, files: list[File], counts: Counter[str], shape: Shape, n_partitions: int) -> Dataset:
    spec = spec_of(shape)
    return commit(str(root), spec, "attempt-1", files, counts, [], shape, n_partitions=n_partitions, engine={})


def dataset_of(root: Path, partitions: Lengths, shape: Shape) -> Dataset:
    return committed(root, *written(root, partitions, shape), shape, len(partitions))


def borders_in(root: Path, dataset: Dataset, shape: Shape) -> RowBorders:
    """Of all samples, as the loader reads them."""
    made, n = dataset.manifest, dataset.manifest.counts["samples"]
    part = plan.Part(path=f"../../tokenized/code/{made.fingerprint}", fingerprint=made.fingerprint, n_samples=n)
    table = open_borders(str(root / "mixes" / "m"), "code", part, shape.row_bytes)
    return Borders([[table]], shape.sequence_length, shape.dtype).of(np.zeros(n, np.int16), np.arange(n))


def ends_in_provenance(dataset: Dataset) -> list[list[int]]:
    """Where the pieces of each sample end, ascending; they follow each other from token 0 on."""
    [url] = [url for url in dataset.urls("tables") if url.endswith("/shards.bin")]
    table = parse_table(storage.read(url), "here")
    first = dict(zip(table.number.tolist(), table.first_sample.tolist(), strict=False))
    found: list[list[int]] = [[] for _ in range(table.n_samples)]
    for url in dataset.urls("provenance"):
        for piece in pq.read_table(url).to_pylist():
            row = found[first[piece["shard"]] + piece["row"]]
            assert piece["token_from"] == (row[-1] if row else 0)
            row.append(piece["token_to"])
    return found


def ends_of(found: RowBorders) -> list[list[int]]:
    return [found.ends[a:b].tolist() for a, b in zip(found.first[:-1], found.first[1:], strict=True)]


@pytest.mark.parametrize("packing", ["concat", "best_fit", "none"])
@pytest.mark.parametrize("sequence_length", [1, 8, 128])
def test_borders_are_those_of_provenance(tmp_path: Path, packing: str, sequence_length: int) -> None:
    rng, shape = np.random.default_rng(2), shape_of(packing, sequence_length)
    partitions = [rng.integers(0, 30, 50).tolist(), [], [1], [7, 0, 1000], rng.integers(1, 9, 20).tolist()]
    dataset = dataset_of(tmp_path, partitions, shape)
    found = borders_in(tmp_path, dataset, shape)
    assert ends_of(found) == ends_in_provenance(dataset)
    counts = dataset.manifest.counts
    assert found.n_rows == counts["samples"] > 8
    assert found.n_rows * sequence_length - int(found.tokens_end.sum()) == counts["padding_tokens"]
    assert (counts["padding_tokens"] > 0) == (packing != "concat" and sequence_length > 1)


def test_a_document_longer_than_rows_is_one_piece_of_each(tmp_path: Path) -> None:
    shape = shape_of("best_fit", 8)
    dataset = dataset_of(tmp_path, [[29, 3]], shape)
    ends = ends_of(borders_in(tmp_path, dataset, shape))
    assert sorted(ends) == [[5, 8], [8], [8], [8]]  # the rest of the long one, then the short one


def test_rows_of_one_document_are_padded_behind_it(tmp_path: Path) -> None:
    shape = shape_of("none", 8)
    found = borders_in(tmp_path, dataset_of(tmp_path, [[3, 8, 1, 11]], shape), shape)
    assert sorted(ends_of(found)) == [[1], [3], [3], [8], [8]]
    assert sorted(found.tokens_end.tolist()) == [1, 3, 3, 8, 8]


def test_rows_of_131072_tokens(tmp_path: Path) -> None:
    shape = shape_of("concat", 131_072)
    dataset = dataset_of(tmp_path, [[100_000, 200_000, 70_000, 140_000, 200_000]], shape)
    found = borders_in(tmp_path, dataset, shape)
    assert ends_of(found) == ends_in_provenance(dataset)
    assert found.n_rows == 5


def test_a_dataset_without_a_row_has_empty_borders(tmp_path: Path) -> None:
    shape = shape_of("concat", 8)
    assert borders_in(tmp_path, dataset_of(tmp_path, [[3], []], shape), shape).n_rows == 0


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ([8], r"tokenized code \(borders\) does not balance: 2 pieces in, 1 kept"),
        ([5, 7], r"tokenized code \(borders\) does not balance: 8 tokens in, 7 kept"),
    ],
)
def test_borders_that_lost_something_stop_the_stage(tmp_path: Path, ends: list[int], message: str) -> None:
    shape = shape_of("concat", 8)
    files, counts = written(tmp_path, [[5, 3]], shape)
    [file] = [file for file in files if file.table == "borders"]
    other = shard_borders(np.zeros(len(ends), np.int64), np.array(ends), 1, shape.row_bytes)
    storage.write(storage.join(spec_of(shape).url(str(tmp_path)), "attempt-1", file.path), other)
    with pytest.raises(StageError, match=message):
        committed(tmp_path, files, counts, shape, 1)
    assert find(spec_of(shape).url(str(tmp_path))) is None
