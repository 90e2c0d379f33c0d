"""Ranges made ahead, from a sample: one job instead of two, and never another mix."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import manifest
from pipeline.alarms import StageError
from pipeline.flow import STAGES, Finished, Flow
from pipeline.flow import tokenized as flow
from pipeline.tokenized import spark as stage
from pipeline.tokenized.engines.choice import Choice
from pipeline.tokenized.sampled import Sample, chosen
from tests.corpus import make_raw, make_recipe
from tests.wrong_engine import Shortening

SOURCES = ("notes", "pages")
GROUP_ROWS = 8

Jobs = list[set[tuple[str, int | None]]]


@pytest.fixture(scope="module", autouse=True)
def many_ranges() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.tokenized.ranges.RANGE_BYTES", 8_000)
        yield


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def prepared(raw: Path, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """A root with everything up to deduped documents, in files of many row groups, as large ones have."""
    root = tmp_path_factory.mktemp("prepared")
    _ = Flow(make_recipe(raw), str(root), console=Console(quiet=True), makes=STAGES, spark=spark).deduped
    for url in root.glob("deduped/*/*"):
        dataset = manifest.load(str(url))
        files = dataset.files("deduped")
        for file in files:
            path = dataset.file_url(file)
            pq.write_table(pq.read_table(path), path, row_group_size=GROUP_ROWS)
        resized = [replace(file, bytes=Path(dataset.file_url(file)).stat().st_size) for file in files]
        others = [file for file in dataset.manifest.files if file not in files]
        changed = replace(dataset.manifest, files=(*resized, *others))
        (url / manifest.MANIFEST).write_bytes(manifest.to_json(changed))
    return root


@pytest.fixture
def root(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "root"))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """What each call of the stage was to make: sources and ranges."""
    seen: Jobs = []
    build: Callable[..., Any] = stage.build

    def watched(spark: SparkSession, parts: Any, *rest: Any) -> Any:
        seen.append({(part.source, part.number) for part in parts})
        return build(spark, parts, *rest)

    monkeypatch.setattr(stage, "build", watched)
    return seen


def made(raw: Path, root: Path, spark: SparkSession, **changes: str) -> tuple[Finished, str]:
    """A mix, and what was printed while it was made."""
    console = Console(width=160)
    with console.capture() as printed:
        finished = Flow(make_recipe(raw, **changes), str(root), console=console, makes=STAGES, spark=spark).mixed
    return finished, printed.get()


def test_one_job_makes_all_ranges_and_the_mix_is_the_same(
    raw: Path, prepared: Path, root: Path, jobs: Jobs, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, printed = made(raw, root, spark, budget_tokens="40K")
    assert "to be tokenized, estimated from a sample of the documents" in printed
    assert "estimated from the first range" not in printed
    assert printed.count("encoded by ") == 1
    [together] = jobs
    monkeypatch.setattr(flow, "beside", lambda *_: ([], None))
    after, printed = made(raw, Path(shutil.copytree(prepared, root.parent / "after")), spark, budget_tokens="40K")
    assert "to be tokenized, estimated from the first range of each source" in printed
    assert jobs[1] == {(source, number) for source in SOURCES for number in (None, 0)}
    assert (Path(ahead.url) / "mix.json").read_bytes() == (Path(after.url) / "mix.json").read_bytes()
    needed = jobs[1] | jobs[2]
    assert together >= needed and len(together) <= len(needed) + 4


def test_a_mix_that_cannot_be_is_made_no_ranges_ahead(raw: Path, root: Path, jobs: Jobs, spark: SparkSession) -> None:
    with pytest.raises(StageError, match="estimated from 1 of 16 ranges"):
        made(raw, root, spark, budget_tokens="10M")
    assert jobs == [{(source, number) for source in SOURCES for number in (None, 0)}]


def test_nothing_is_made_ahead_where_the_error_cannot_be_told(
    raw: Path, root: Path, jobs: Jobs, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.mixed.expected.MIN_DOCUMENTS", 1_000)
    made(raw, root, spark, budget_tokens="40K")
    assert jobs[0] == {(source, number) for source in SOURCES for number in (None, 0)}


def test_a_validation_set_of_all_documents_is_refused_by_name(raw: Path, root: Path, spark: SparkSession) -> None:
    with pytest.raises(StageError, match="holdout: 100000 documents of source notes cannot be kept for validation"):
        made(raw, root, spark, budget_tokens="40K", holdout="{documents: 100000}")


def test_an_engine_that_is_refused_by_a_sample_makes_nothing(
    raw: Path, root: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Shortening(name="shortening", version="1", refused=())
    monkeypatch.setattr(flow, "choose", lambda _: wrong)
    build: Callable[..., Any] = stage.build
    used = []

    def watched(spark: SparkSession, parts: Any, params: Any, engine: Choice, root: str) -> Any:
        used.append(engine)
        return build(spark, parts, params, engine, root)

    monkeypatch.setattr(stage, "build", watched)
    made(raw, root, spark, budget_tokens="20K")
    assert {engine.name for engine in used} == {"tokenizers"}
    assert [refused.name for refused in used[0].refused] == ["shortening"]


def test_files_are_spread_over_the_source_and_few_are_looked_into_more_often() -> None:
    urls = [f"{number:03d}" for number in range(200)]
    assert chosen(urls).urls[:3] == ("000", "006", "012") and len(chosen(urls).urls) == 32
    assert chosen(urls).groups == 1
    assert [chosen(urls[:63]).urls[place] for place in (0, 1, 30, 31)] == ["000", "001", "059", "061"]
    assert chosen(urls[:13]) == Sample(urls=tuple(urls[:13]), groups=3)
    assert chosen([]) == Sample(urls=(), groups=32)
