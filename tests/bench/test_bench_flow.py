"""The benches `flow` and `scale` on sizes at which their figures mean nothing: what they measure is what they say."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bench import flow, flow_stages, peers, scale, scale_case
from bench.edited import Edited
from bench.flow_stages import SEQUENCE_LENGTH, Run, Stage
from bench.measure import Cost
from bench.prose import Prose
from bench.scale_case import Case
from bench.workers import Usage
from pipeline.flow import tokenized
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.engines.opening import REFERENCE
from tests.corpus import text_of

TEXTS = [text_of(number) for number in range(60)] + ["too short"] * 4
PROSE = Prose(texts=TEXTS, documentation_bytes=sum(map(len, TEXTS)), docstring_bytes=0)


@pytest.fixture(autouse=True)
def the_tests_session(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benches take the tests' session for theirs, and an engine that needs no proof."""
    monkeypatch.setattr(spark, "stop", lambda: None, raising=False)
    for module in (flow, scale_case):
        monkeypatch.setattr(module.session, "start", lambda *_, **__: spark)
    engine = Choice(name=REFERENCE, version=version(REFERENCE), refused=())
    monkeypatch.setattr(tokenized, "choose", lambda _: engine)
    for module in (flow, scale):
        monkeypatch.setattr(module, "gathered", lambda *_: PROSE)
        monkeypatch.setattr(module, "TINY_DOCUMENTS", 20)
    monkeypatch.setattr(flow, "WARM_RUNS", 1)


def test_the_whole_flow_beside_its_peer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(module: str, *options: str) -> str:
        assert module == "bench.flow_peer"
        given = dict(zip(options[::2], options[1::2], strict=True))
        assert sorted(texts_in(Path(given["--texts"]))) == sorted(TEXTS)
        assert sorted(texts_in(Path(given["--passed"]))) == sorted(TEXTS[:60])
        assert json.loads(Path(given["--tokenizer"]).read_text())["model"]["type"] == "BPE"
        one = {"costs": {"filters": asdict(Cost(amount=1, wall_seconds=600, cpu_seconds=900))}}
        counts = {"passed": 9, "kept": 8, "tokens": 7}
        return json.dumps({"own": one | counts, "same work": one | counts})

    monkeypatch.setattr(peers, "run", run)
    flow.main(flow.Sizes(text_bytes=1, copies=2, vocab_size=600, processes=2, rounds=1))
    printed = capsys.readouterr().out
    assert re.search(r"^  \S+ MB +128 +120 +120 +\d", printed, re.MULTILINE)  # documents, passed, kept
    for name in ("documents", "filtered", "deduped", "tokenized", "mixed", "whole"):
        assert re.search(rf"^  {name} +(\S+ +){{5}}\S+$", printed, re.MULTILINE)
    assert re.search(r"^  datatrove, filters +0\.\d+ +600 +900 ", printed, re.MULTILINE)
    assert re.search(r"at least 30 × datatrove, after the fixed start: .*, (yes|NO)$", printed, re.MULTILINE)


def test_a_size_of_the_flow(tmp_path: Path) -> None:
    scale.write(tmp_path, scale.Sizes(unit_bytes=20, text_bytes=10, units=(1, 2), vocab_size=600))
    sizes = json.loads((tmp_path / "raw" / "sizes.json").read_text())
    assert list(sizes) == ["tiny", "unit-000", "unit-001"]
    assert len(texts_in(tmp_path / "raw", "unit-000")) == 2 * len(TEXTS)
    case = scale_case.measure(tmp_path / "raw", 2, 2, tmp_path / "tokenizer.json", tmp_path / "root", joins=False)
    assert case.run.documents == 4 * len(TEXTS)
    assert (case.run.passed, case.run.kept) == (240, 240)
    assert case.run.tokens % SEQUENCE_LENGTH == 0 < case.run.tokens
    assert case.run.whole.amount == sizes["unit-000"] + sizes["unit-001"]
    assert all(stage.usage.jvm_peak_bytes > 100e6 for stage in case.run.stages.values())
    assert case.run.stages["filtered"].usage.driver_peak_bytes > 50e6
    assert 0 < case.largest_file_bytes < 1e6
    assert scale._run(json.loads(json.dumps(asdict(case.run)))) == case.run


def case_of(units: float, seconds: float) -> Case:
    usage = Usage(peak_bytes=600_000_000, jvm_peak_bytes=1, driver_peak_bytes=1)
    stage = Stage(cost=Cost(amount=units, wall_seconds=seconds, cpu_seconds=seconds), usage=usage)
    run = Run(stages={"documents": stage}, documents=1, passed=1, kept=1, tokens=1)
    fixed = replace(run, stages={"documents": replace(stage, cost=Cost(amount=1, wall_seconds=1, cpu_seconds=1))})
    return Case(start_seconds=1, first=fixed, fixed=fixed, run=run, largest_file_bytes=1)


def test_what_is_over_linear() -> None:
    times = scale.over_linear([case_of(100, 3), case_of(200, 5), case_of(400, 11)])
    assert times == [(1, 1), (1, 1), (1.25, 1.25)]
    assert scale.over_linear([case_of(100, 1), case_of(200, 5)])[1][0] == float("inf")


@pytest.mark.parametrize(("seconds", "verdict"), [(5, "yes"), (9, "NO")])
def test_whether_it_holds_is_said(seconds: float, verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    scale._show({1: case_of(1e8, 3), 2: case_of(2e8, seconds)}, 2, scale.Sizes())
    said = re.findall(r", (yes|NO)$", capsys.readouterr().out, re.MULTILINE)
    assert said == [verdict, "yes", "yes"]


def test_copies_are_other_texts_of_the_same_kind() -> None:
    texts = ["the quick browser opens, and the quick window closes", "the quick browser of 2026"]
    edited = Edited(texts)
    assert list(edited.copy(0)) == texts
    first, second = edited.copy(1)
    assert first != texts[0]
    assert re.sub(r"[a-z]{5,}", "W", first) == "the W W W, and the W W W"  # "opens" has five letters
    assert first.split()[1] == second.split()[1] != "quick"  # one word stands for another, in all texts
    assert len({*edited.copy(1), *edited.copy(2), *edited.copy(3), *texts}) == 8
    with pytest.raises(ValueError, match="copy 256 of the texts; there are 0 to 255"):
        list(edited.copy(256))


def test_raw_text_comes_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_stages, "FILE_BYTES", 10)
    assert flow_stages.write_raw(tmp_path, ["123456", "789é\n", "x"], "a") == 13
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a-0000.jsonl", "a-0001.jsonl"]
    assert texts_in(tmp_path) == ["123456", "789é\n", "x"]


def texts_in(folder: Path, name: str = "") -> Sequence[Any]:
    lines = [line for path in sorted(folder.glob(f"{name}*.jsonl")) for line in path.read_bytes().splitlines()]
    return [json.loads(line)["text"] for line in lines]
