"""Budgets through the whole flow, on sources of many ranges: what nests, what is reused, what is told beforehand."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import session
from pipeline.alarms import StageError
from pipeline.flow import STAGES, Finished, Flow
from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches
from tests.corpus import make_raw, make_recipe

RANGE_BYTES = 8_000  # so that 170 kB of text are 16 ranges
SOURCES = ("notes", "pages")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module", autouse=True)
def many_ranges() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.tokenized.ranges.RANGE_BYTES", RANGE_BYTES)
        yield


@pytest.fixture(scope="module")
def prepared(raw: Path, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """A root with everything up to deduped documents."""
    root = tmp_path_factory.mktemp("prepared")
    _ = Flow(make_recipe(raw), str(root), console=Console(quiet=True), makes=STAGES, spark=spark).deduped
    return root


def made(raw: Path, root: Path, spark: SparkSession | None, name: str, **changes: str) -> tuple[Finished, str]:
    """A mix, and what was printed while it was made."""
    console = Console(width=160)
    with console.capture() as printed:
        flow = Flow(make_recipe(raw, name=name, **changes), str(root), console=console, makes=STAGES, spark=spark)
        finished = flow.mixed
    return finished, printed.get()


@pytest.fixture(scope="module")
def root(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(prepared, tmp_path_factory.mktemp("large") / "root"))


@pytest.fixture(scope="module")
def large(raw: Path, root: Path, spark: SparkSession) -> tuple[Finished, str]:
    return made(raw, root, spark, "large", budget_tokens="40K")


def documents(parts: Iterable[Dataset]) -> set[bytes]:
    """The documents that have a token in the datasets."""
    urls = [url for part in parts for table in ("provenance", "tails") for url in part.urls(table)]
    return {doc for url in urls for rows in read_batches(url, ["doc_id"]) for doc in rows.column(0).to_pylist()}


def used(finished: Finished, source: str) -> list[Dataset]:
    """The ranges that the plan serves."""
    [plan] = [one for one in finished.plan.sources if one.name == source]
    return list(finished.tokenized.measured[source][: len(plan.parts)])


def test_a_smaller_budget_is_inside_a_larger_and_needs_nothing_new(
    large: tuple[Finished, str], raw: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "start", lambda *_, **__: pytest.fail("Spark was started for a smaller budget"))
    small, printed = made(raw, root, None, "small", budget_tokens="10K")
    assert "to be tokenized" not in printed
    for source in SOURCES:
        inner, outer = (documents(used(one, source)) for one in (small, large[0]))
        assert inner < outer
        assert 1 <= len(used(small, source)) < len(used(large[0], source)) < 16
        held = [one.tokenized.validation[source] for one in (small, large[0])]
        assert held[0].manifest.fingerprint == held[1].manifest.fingerprint
        assert len(documents(held[:1])) == 10 and not documents(held[:1]) & outer


def test_a_plan_depends_on_recipe_and_data_and_not_on_what_the_root_holds(
    large: tuple[Finished, str], raw: Path, root: Path, prepared: Path, tmp_path: Path, spark: SparkSession
) -> None:
    fresh_root = Path(shutil.copytree(prepared, tmp_path / "root"))
    fresh, _ = made(raw, fresh_root, spark, "small", budget_tokens="10K")
    beside, _ = made(raw, root, None, "small", budget_tokens="10K")
    assert (Path(fresh.url) / "mix.json").read_bytes() == (Path(beside.url) / "mix.json").read_bytes()
    for source in SOURCES:  # and only what the small mix can serve was tokenized
        there = {path.parent.name for path in fresh_root.glob(f"tokenized/{source}/*/_manifest.json")}
        parts = [*fresh.tokenized.measured[source], fresh.tokenized.validation[source]]
        assert there == {part.manifest.fingerprint for part in parts}
        assert len(parts) < len(large[0].tokenized.measured[source])
    fewer, _ = made(raw, fresh_root, spark, "fewer", budget_tokens="10K", holdout="{documents: 4}")
    for source in SOURCES:  # a smaller validation set is inside a larger
        held = [documents([one.tokenized.validation[source]]) for one in (fewer, fresh)]
        assert held[0] < held[1] and len(held[0]) == 4


def test_estimates_are_told_before_and_counts_are_exact_after(
    large: tuple[Finished, str], raw: Path, root: Path, spark: SparkSession
) -> None:
    finished, printed = large
    assert "to be tokenized, estimated from the first range of each source" in printed
    estimated = finished.plan.accounting["sources"]
    everything, _ = made(raw, root, spark, "everything", budget_tokens="160K")
    for source, account in everything.plan.accounting["sources"].items():
        parts = everything.tokenized.measured[source]
        assert account["available_is_exact"] and account["available_error"] == 0
        assert account["ranges"] == [16, 16]
        extent = everything.tokenized.extents[source]
        assert sum(part.manifest.counts["bytes"] for part in parts) == extent.n_bytes
        before = estimated[source]
        assert not before["available_is_exact"] and before["available_error"] > 0
        n_rows_cut = 64 * 16  # each range leaves less than a row over
        assert (
            abs(before["tokens_available"] - account["tokens_available"]) < 4 * before["available_error"] + n_rows_cut
        )


def test_a_mix_that_cannot_be_is_refused_before_the_bulk_is_tokenized(
    raw: Path, prepared: Path, tmp_path: Path, spark: SparkSession
) -> None:
    root = Path(shutil.copytree(prepared, tmp_path / "root"))
    message = r"source notes: .* at least .* passes over its \d+ ± \d+ \(estimated from 1 of 16 ranges, the rest is not"
    with pytest.raises(StageError, match=message):
        made(raw, root, spark, "impossible", budget_tokens="10M", holdout="{documents: 3}")
    for source in SOURCES:  # the first range and the validation set
        assert len(list(root.glob(f"tokenized/{source}/*/_manifest.json"))) == 2
