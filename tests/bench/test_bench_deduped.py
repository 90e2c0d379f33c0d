"""The bench `deduped` on sizes at which its figures mean nothing: what it measures is what it says."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from bench import deduped, deduped_linear, deduped_made, deduped_planted, peers
from bench.deduped_stage import Prepared, source_code
from bench.measure import REPOSITORY, Cost
from bench.planted import uniform
from bench.workers import Usage
from examples import gather
from pipeline.deduped import minhash
from pipeline.deduped.batches import DedupParams
from pipeline.tables.reading import read_batches

PARAMS = DedupParams(
    threshold=0.8, ngram=5, bands=14, rows=8, scope="global", exact=True, verify="signature", priorities={"made": 1}
)


def test_planted(capsys: pytest.CaptureFixture[str]) -> None:
    deduped_planted.main(2_000)
    printed = capsys.readouterr().out
    levels = re.findall(r"^  0\.\d\d to \d\.\d\d +[\d,]+ +[\d.]+ +[\d.]+ +[+-][\d.]+", printed, re.MULTILINE)
    assert len(levels) == 14
    assert len(re.findall(r" (yes|NO)$", printed, re.MULTILINE)) == 4


def test_the_stage_and_its_signatures_are_timed(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = uniform(np.random.default_rng(1), 100, 0.95, 1.0).texts.to_pylist()
    run = Prepared(spark, tmp_path, texts).run()
    assert (run.documents, run.kept) == (200, 100)
    assert 0 < run.signatures.wall_seconds < run.whole.wall_seconds
    assert run.rest.wall_seconds == run.whole.wall_seconds - run.signatures.wall_seconds
    assert run.whole.amount == sum(map(len, texts))
    assert run.usage.jvm_seconds > 0
    assert run.usage.peak_bytes > 50e6  # a Python with Arrow and numpy
    deduped._show_sides(run, run, {"signatures": run.whole}, 90)
    printed = capsys.readouterr().out
    assert "datatrove keeps 90 documents, ours 100" in printed
    assert re.search(r"^  ours, whole .* 1\.00$", printed, re.MULTILINE)


def test_a_size_of_made_signatures(spark: SparkSession) -> None:
    cost, usage = deduped_linear.measure(spark, 2_000, deduped_linear.Linear(documents=2_000), 8, heavy=True)
    assert cost.amount == 2_000
    assert usage.jvm_seconds > 0  # the workers' CPU, some 10 ms, is none at times by the kernel's clock


def test_what_is_over_linear() -> None:
    def run(n: int, wall: float, cpu: float) -> tuple[Cost, Usage]:
        return Cost(amount=n, wall_seconds=wall, cpu_seconds=cpu), Usage()

    rows = deduped_linear._rows([run(100, 4, 6), run(200, 6.4, 10), run(400, 12, 18)], run(1, 2, 2)[0])
    assert [row[-3:] for row in rows] == [
        ["1.000", "1.000", "yes"],
        ["1.100", "1.000", "yes"],
        ["1.250", "1.000", "NO"],
    ]


def test_made_signatures_have_the_duplicates_that_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduped_made, "FILE_DOCUMENTS", 1_000)
    filtered, signatures = deduped_made.make(tmp_path, 3_000, PARAMS, heavy=True)
    batches = [batch for url in signatures.urls("signatures") for batch in read_batches(url)]
    doc_ids = [doc_id for url in filtered.urls("filtered") for batch in read_batches(url) for doc_id in batch["doc_id"]]
    assert doc_ids == [doc_id for batch in batches for doc_id in batch["doc_id"]]
    assert len(set(doc_ids)) == 3_000
    exact = [item.as_py() for batch in batches for item in batch["exact"]]
    assert len(set(exact)) == 3_000 * 0.95
    joined = b"".join(item.as_py() for batch in batches for item in batch["signature"])
    values = np.frombuffer(joined, "<u4").reshape(3_000, 112)
    assert (values[2_000:2_050] == values[1_950:2_000]).all()
    assert 0.9 < minhash.estimate(values[2_050:2_150], values[1_850:1_950]).mean() < 0.94
    _, sizes = np.unique(minhash.band_hashes(values, bands=14, rows=8), return_counts=True)
    assert sizes.max() == 30  # the heavy bucket


def test_made_signatures_come_in_whole_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="30000 documents; give fewer than 25000, or a multiple of it"):
        deduped_made.make(tmp_path, 30_000, PARAMS, heavy=False)


def test_source_code_is_distinct_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "environment", lambda: {"stdlib": Path(sysconfig.get_path("stdlib"))})
    texts = source_code(300_000)
    assert sum(len(text.encode()) for text in texts) >= 300_000
    assert len(set(texts)) == len(texts)
    assert texts == source_code(300_000)


def test_the_peer_is_given_what_is_deduplicated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(module: str, *options: str) -> str:
        assert module == "bench.deduped_peer"
        given = dict(zip(options[::2], options[1::2], strict=True))
        assert {name: given[name] for name in ("--ngram", "--bands", "--rows")} == {
            "--ngram": "5",
            "--bands": "14",
            "--rows": "8",
        }
        files = sorted(Path(given["--texts"]).iterdir())
        assert [len(file.read_text().splitlines()) for file in files] == [2, 1]
        return (
            '{"costs": {"signatures": {"amount": 1, "wall_seconds": 2, "cpu_seconds": 3, "peak_bytes": 0}}, "kept": 2}'
        )

    monkeypatch.setattr(peers, "run", run)
    costs, kept = deduped.peer(["a", "b\nc", "d"], 5, tmp_path, 2)
    assert (costs["signatures"].rate, kept) == (2.5, 2)


def test_unknown_parts_list_the_known_ones() -> None:
    command = [sys.executable, "-m", "bench.deduped", "planned"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "there is no part planned; there are planted, stage, linear" in done.stderr
