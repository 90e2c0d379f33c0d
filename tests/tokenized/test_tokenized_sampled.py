"""What a sample of a source's documents tells, and how little of its files is read for it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from pipeline.tables.sink import Sink
from pipeline.tokenized import sampled
from pipeline.tokenized.engines.choice import choose
from pipeline.tokenized.parts import TokenizeParams
from pipeline.tokenized.sampled import COUNTS, Sample
from pipeline.tokenized.shards import Shape
from pipeline.tokenized.tokenizer import describe, train

WORDS = ["to be or not to be", "that is the question", "whether tis nobler"]


@pytest.fixture(scope="module")
def params() -> TokenizeParams:
    info = describe(train(WORDS, 300, bos=False), where="here", eos_token=None, bos_token=None, bos=False)
    shape = Shape(sequence_length=4, dtype=info.dtype, packing="concat", pad_id=info.pad_id, vocab_size=info.vocab_size)
    return TokenizeParams(info=info, shape=shape, bos=False, eos=True, holdout_documents=0)


def measured(params: TokenizeParams, groups: list[list[str]], folder: Path) -> dict[str, int]:
    """The counts of a sample of one file with these row groups, of which all are looked into."""
    path = folder / "documents.parquet"
    columns = {"doc_id": pa.binary(), "n_bytes": pa.int64(), "text": pa.large_string()}
    with pq.ParquetWriter(path, pa.schema(columns)) as writer:
        for texts in groups:
            ids = [number.to_bytes(16, "big") for number in range(len(texts))]
            sizes = [len(text.encode()) for text in texts]
            writer.write_table(pa.table({"doc_id": ids, "n_bytes": sizes, "text": texts}, schema=pa.schema(columns)))
    with Sink("tokenized", str(folder), 0) as sink:
        wanted = Sample(urls=(str(path),), groups=len(groups))
        sampled.measure(params, choose(params.info.json_text), wanted, sink)
    counts: dict[str, int] = sink.notes[COUNTS]
    return counts


def test_the_counts_of_units(params: TokenizeParams, tmp_path: Path) -> None:
    counts = measured(params, [["a b", "c"], ["to"]], tmp_path)
    tokens = [len(Tokenizer.from_str(params.info.json_text).encode(text).ids) + 1 for text in ("a b", "c", "to")]
    units = [(4, tokens[0] + tokens[1]), (2, tokens[2])]
    assert counts == {
        "documents": 2,
        "bytes": 6,
        "tokens": sum(tokens),
        "samples": sum(tokens) // 4,
        "padding_tokens": 0,
        "squared_bytes": 4**2 + 2**2,
        "squared_tokens": sum(n**2 for _, n in units),
        "bytes_times_tokens": sum(n * m for n, m in units),
    }


@pytest.mark.parametrize("at_once", [1, 20, 2**22])
def test_units_that_are_encoded_together_are_counted_alone(
    params: TokenizeParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    groups = [[WORDS[number % 3] * (number + 1)] for number in range(7)]
    monkeypatch.setattr(sampled, "ENCODED_BYTES", 2**22)
    expected = measured(params, groups, tmp_path)
    monkeypatch.setattr(sampled, "ENCODED_BYTES", at_once)
    assert measured(params, groups, tmp_path) == expected
    assert expected["documents"] == 7


def test_a_unit_is_its_row_groups_first_documents(
    params: TokenizeParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampled, "UNIT_BYTES", 35)
    assert measured(params, [["x" * 10] * 50], tmp_path)["bytes"] == 40
    monkeypatch.setattr(sampled, "UNIT_BYTES", 10_000)
    assert measured(params, [["x" * 10] * 1000], tmp_path)["bytes"] == 10 * sampled.UNIT_ROWS
    assert measured(params, [["x" * 10] * 50], tmp_path)["bytes"] == 500
