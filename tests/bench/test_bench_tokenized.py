"""The bench `tokenized` on sizes at which its figures mean nothing: what it measures is what it says."""

import re
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from bench import tokenized, tokenized_made, tokenized_peer, tokenized_stage
from bench.measure import Cost
from bench.tokenized import Measured
from bench.tokenized_stage import Prepared, StageCost
from bench.workers import Usage
from pipeline.mds import reader
from pipeline.tables.reading import read_batches
from pipeline.tokenized import spark as stage
from pipeline.tokenized.engines.choice import choose
from pipeline.tokenized.engines.opening import REFERENCE, open_engine
from pipeline.tokenized.tokenizer import train

# the peer's own warnings are not ours to fix, and a fork is meant where a process has threads
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TEXTS = [
    "the cat sat on the mat. " * 9,
    "naïve <|endoftext|> 漢字\n",
    "",
    "a dog\nsat on the cat " * 30,
    "x = 1\n" * 20,
]
TEXTS_BYTES = sum(len(text.encode()) for text in TEXTS)


@pytest.fixture(scope="module")
def json_text() -> str:
    return train(TEXTS, 300, bos=False)


def test_the_peer_writes_the_ids_of_tokenizers_one_document_after_the_other(tmp_path: Path, json_text: str) -> None:
    texts = [text for text in TEXTS if "<|" not in text]  # which the peer's tokenizer takes for the special token
    cost, n_rows = tokenized_peer.cost(texts, json_text, 16, 2, tmp_path / "peer")
    out = tmp_path / "peer" / "out"
    entries = reader.read_index((out / "index.json").read_bytes(), str(out))
    shards = [reader.open_entry(str(out), entry) for entry in entries]
    rows = [row["tokens"].tolist() for shard in shards for row in shard.rows()]
    expected = []
    for process in range(2):
        found = open_engine(REFERENCE, json_text).encode(texts[process::2]).documents()
        joined = np.concatenate([np.append(ids, 0) for ids in found])  # 0: the first id, <|endoftext|>
        expected += [joined[first : first + 16].tolist() for first in range(0, len(joined) - 15, 16)]
    assert rows == expected
    assert [entry.file.basename for entry in entries] == ["shard.00000.mds", "shard.00001.mds"]
    assert n_rows == len(rows)
    assert cost.amount == sum(len(text.encode()) for text in texts)
    assert cost.cpu_seconds > 0


def test_made_documents_are_all_copies(tmp_path: Path) -> None:
    dataset = tokenized_made.make(tmp_path, TEXTS, 3)
    rows = [row for url in dataset.urls("deduped") for batch in read_batches(url) for row in batch.to_pylist()]
    assert [row["text"] for row in rows] == TEXTS * 3
    assert [row["n_bytes"] for row in rows] == [len(text.encode()) for text in TEXTS] * 3
    assert len({row["doc_id"] for row in rows}) == 15
    assert dataset.manifest.counts == {"kept_documents": 15, "kept_bytes": 3 * TEXTS_BYTES}


def test_the_stage_makes_shards_of_all_documents(spark: SparkSession, tmp_path: Path, json_text: str) -> None:
    choice = choose(json_text)
    run = Prepared(spark, tmp_path, TEXTS * 40, 2, json_text, choice).run()
    found = open_engine(REFERENCE, json_text).encode(TEXTS)
    assert run.samples == 80 * (len(found.tokens) + len(TEXTS)) // tokenized_stage.SEQUENCE_LENGTH
    assert run.whole.amount == 80 * TEXTS_BYTES
    assert run.usage.jvm_seconds > 0
    assert run.usage.peak_bytes > 50e6  # a Python with Arrow and numpy


def test_another_engine_than_the_one_measured_is_an_error(
    spark: SparkSession, tmp_path: Path, json_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = Prepared(spark, tmp_path, TEXTS, 1, json_text, choose(json_text))
    other = choose(json_text, candidates=())
    original = stage.build
    monkeypatch.setattr(
        stage,
        "build",
        lambda spark, parts, params, _, root: original(spark, parts, params, other, root),
    )
    with pytest.raises(RuntimeError, match=r"gigatoken was to encode, but tokenizers did"):
        prepared.run()


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage of 10 MB in 2.5 s, of which 0.5 s are fixed, on two cores, with an engine of 5 MB/s; twice that."""

    def run(wall: float, cpu: float) -> StageCost:
        usage = Usage(jvm_seconds=0.5, python_seconds=1, peak_bytes=10**8)
        return StageCost(whole=Cost(amount=1e7, wall_seconds=wall, cpu_seconds=cpu), usage=usage, samples=1_234)

    def alone(rate: float) -> Cost:
        return Cost(amount=1e7, wall_seconds=1e7 / rate, cpu_seconds=1e7 / rate)

    fixed, sizes = run(0.5, 0.5), tokenized.Sizes(processes=2)
    slow = Measured(stage=run(2.5, 4.5), engine=alone(5e6), reference=alone(0.25e6))
    tokenized._show_sides(alone(1e6), 1_200, fixed, slow, 2)
    tokenized._show_stage("a text", fixed, slow, sizes)
    tokenized._show_stage("a text", fixed, Measured(stage=slow.stage, engine=alone(10e6), reference=alone(1e6)), sizes)
    printed = capsys.readouterr().out
    assert re.search(r"LLM Foundry's way, 2 processes +10\.0 +1,200 +10\.0 +0\.500 +1\.00 +1\.00 +1\.00", printed)
    assert re.search(r"ours, whole +10\.0 +1,234 +2\.50 +2\.00 +0\.450 +4\.00 +2\.22", printed)
    assert re.search(r"ours, beyond fixed +10\.0 +1,234 +2\.00 +2\.50 +0\.400 +5\.00 +2\.50", printed)
    assert re.search(r"the stage, beyond fixed +10\.0 +2\.00 +2\.50 +400 +0\.500 +10\.0", printed)
    assert "CPU ms/MB: JVM 50.0, Python workers 100; a worker held 100 MB at most" in printed
    assert "at least 40% of the engine's speed, end to end: 50%, yes" in printed
    assert "engine at least 15 × tokenizers: 20.0, yes" in printed
    assert "end to end: 25%, NO" in printed
    assert "tokenizers: 10.0, NO" in printed


def test_the_first_texts() -> None:
    assert tokenized._first(["ab", "é", "c", "d"], 4) == ["ab", "é"]
    assert tokenized._first(["ab", "é"], 5) == ["ab", "é"]
