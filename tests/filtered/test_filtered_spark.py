"""The stage as a whole on real Spark: what is kept, changed, rejected, and what the waterfall says of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import cli, manifest
from pipeline.alarms import StageError
from pipeline.flow import STAGES, Flow
from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches
from pipeline.texts import edits
from tests.corpus import make_recipe, text_of

PAGE = (
    "The house on the hill was built by my grandfather.\r\n"
    "Home | About | Contact\r\n"
    "  He wrote to anna.berg@posteo.de about it, and to nobody else. [2]  \r\n"
    "It stands there to this day! Nobody lives in it.\r\n"
    "This site uses cookies, as all of them do.\r\n"
    "My uncle would have sold it.\r\n"
)
KEPT_PAGE = (
    "The house on the hill was built by my grandfather.\r\n"
    "He wrote to <EMAIL> about it, and to nobody else.\r\n"
    "It stands there to this day! Nobody lives in it.\r\n"
    "My uncle would have sold it."
)
REPEATED = "Again and again, and again it was said.\n" * 200
CURLY = PAGE + "if (x) { return; } is what it said.\n"
BAD = PAGE + "You are a dirty  rascal.\n"
FEW = "One sentence only. And a second one.\n"
TEXTS = [PAGE, REPEATED, CURLY, BAD, FEW, *(text_of(number) for number in range(40))]


def flow_of(
    folder: Path,
    rules: str,
    spark: SparkSession | None,
    more: str = "",
    console: Console | None = None,
    **fields: str,
) -> Flow:
    source = f'{{root: "{folder}", files: [a.jsonl], rules: {rules}, weight: 1{more}}}'
    mix = make_recipe(folder, sources=f"\n  web: {source}", **fields)
    return Flow(mix, str(folder / "root"), console=console or Console(quiet=True), makes=STAGES, spark=spark)


def rows_of(dataset: Dataset, table: str) -> list[dict[str, Any]]:
    return [row for url in dataset.urls(table) for batch in read_batches(url) for row in batch.to_pylist()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    (folder / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    (folder / "bad.txt").write_text("# not polite\ndirty rascal\n")
    return folder


@pytest.fixture(scope="module")
def made(folder: Path, spark: SparkSession) -> Dataset:
    rules = f"[{{signal: compression_ratio, max: 20}}, {{c4: {{bad_words: {folder}/bad.txt}}}}, mask_pii]"
    return flow_of(folder, rules, spark).filtered["web"]


def test_what_is_rejected_and_why(made: Dataset) -> None:
    counts = made.manifest.counts
    assert counts["rejected"] == {
        "c4.bad_words": 1,
        "c4.max_curly_lines": 1,
        "c4.min_sentences": 1,
        "compression_ratio.max": 1,
    }
    assert counts["kept_documents"] == 41
    by_reason = {row["reason"]: row["n_bytes"] for row in rows_of(made, "rejected")}
    assert by_reason["c4.bad_words"] == counts["rejected_bytes"]["c4.bad_words"] == len(BAD)


def test_kept_texts_are_the_lines_that_c4_keeps_with_masks(made: Dataset) -> None:
    rows = rows_of(made, "filtered")
    assert [row["text"] for row in rows] == [KEPT_PAGE, *(text_of(number) for number in range(40))]
    page, *others = rows
    assert page["n_bytes"] == len(KEPT_PAGE)
    assert (page["n_bytes"], page["n_emails"], page["n_lines"]) == (len(KEPT_PAGE), 1, 6)  # signals are of the raw text
    assert page["compression_ratio"] > 0
    assert all(row["edits"] is None for row in others)


def test_every_place_of_a_changed_text_is_found_again_in_the_raw_text(made: Dataset) -> None:
    page = rows_of(made, "filtered")[0]
    for word in ("house", "wrote", "about it", "stands there", "uncle"):
        first = KEPT_PAGE.index(word)
        raw_first, raw_last = edits.to_raw(page["edits"], first, first + len(word))
        assert PAGE[raw_first:raw_last] == word
    first = KEPT_PAGE.index("<EMAIL>")
    raw_first, raw_last = edits.to_raw(page["edits"], first + 2, first + 4)
    assert PAGE[raw_first:raw_last] == "anna.berg@posteo.de"


def test_bytes_are_conserved(made: Dataset) -> None:
    counts = made.manifest.counts
    assert counts["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert counts["bytes"] == (
        counts["kept_bytes"] + sum(counts["rejected_bytes"].values()) + sum(counts["changed_bytes"].values())
    )
    changes = {row["reason"]: row for row in made.manifest.report["changes"] if row["spans"]}
    email = len("anna.berg@posteo.de")
    assert changes["mask_pii.email"] == {
        "reason": "mask_pii.email",
        "documents": 1,
        "spans": 1,
        "removed_bytes": email,
        "written_bytes": len("<EMAIL>"),
    }
    assert changes["c4.policy"]["removed_bytes"] == len("This site uses cookies, as all of them do.\r\n")
    assert counts["changed_bytes"]["mask_pii.email"] == email - len("<EMAIL>")


def test_the_waterfall_counts_and_shows(made: Dataset) -> None:
    by_reason = {row["reason"]: row for row in made.manifest.report["rules"]}
    assert by_reason["c4.min_sentences"] | {"moved": []} == {
        "reason": "c4.min_sentences",
        "signal": "c4_sentences",
        "kind": "min",
        "limit": 5.0,
        "hits": 1,
        "hits_bytes": len(FEW),
        "only": 1,
        "only_bytes": len(FEW),
        "rejected": 1,
        "rejected_bytes": len(FEW),
        "moved": [],
    }
    hits = [moved["hits"] for moved in by_reason["c4.min_sentences"]["moved"]]
    assert hits == [1, 1, 2, 4]  # PAGE has 5 sentences, CURLY and BAD 6
    examples = {row["reason"]: row for row in rows_of(made, "examples")}
    assert set(examples) == {reason for reason, row in by_reason.items() if row["hits"]}
    assert "{ return; }" in examples["c4.max_curly_lines"]["excerpt"]
    assert "dirty  rascal" in examples["c4.bad_words"]["excerpt"]
    assert examples["c4.min_sentences"]["value"] == 2
    assert all(len(row["excerpt"]) <= 500 for row in examples.values())


def test_a_person_can_look_at_it(made: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["waterfall", made.url]) == 0
    printed = capsys.readouterr().out
    assert "filtered web: 41 of 45 documents kept" in printed
    assert "dirty  rascal" in printed
    assert cli.main(["waterfall", made.url, "--rule", "c4.min_sentences"]) == 0
    assert "dirty  rascal" not in capsys.readouterr().out
    assert cli.main(["waterfall", made.url, "--rule", "c4.min_lines"]) == 1
    assert "is hit by 'c4.min_lines'; some are hit by compression_ratio.max, c4." in capsys.readouterr().err
    assert cli.main(["waterfall", str(Path(made.url).parent)]) == 1


def test_changed_limits_and_edits_reuse_what_was_measured(
    made: Dataset, folder: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remeasured(*_: object, **__: object) -> Dataset:
        raise AssertionError("measured again")

    monkeypatch.setattr("pipeline.filtered.spark.build_measured", remeasured)
    rules = "[{signal: compression_ratio, max: 3}, {c4: {min_sentences: 3, terminal_mark: false}}]"
    again = flow_of(folder, rules, spark).filtered["web"]
    assert again.manifest.counts["rejected"]["compression_ratio.max"] >= 1
    page = next(row["text"] for row in rows_of(again, "filtered") if row["text"].startswith("The house"))
    assert "Home | About | Contact" in page


def test_the_alarm_shows_the_waterfall(folder: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    rules = "[{signal: n_words, max: 60}]"
    flow = flow_of(folder, rules, spark, ", max_rejected: 0.5", console=Console(width=160))
    with pytest.raises(StageError, match=r"the rules reject 9\d\.\d% of 45 documents"):
        _ = flow.filtered
    printed = capsys.readouterr().out
    assert "n_words.max" in printed
    assert "shardmill waterfall" in printed


def test_a_list_of_words_that_cannot_be_read_is_told_before_spark_starts(folder: Path) -> None:
    flow = flow_of(folder, "[{c4: {bad_words: /nowhere/bad.txt}}]", None)
    with pytest.raises(StageError, match=r"sources\.web\.rules: c4\.bad_words = /nowhere/bad\.txt: it cannot be read"):
        _ = flow.filtered


def test_a_dataset_that_is_found_is_the_published_one(made: Dataset, folder: Path) -> None:
    rules = f"[{{signal: compression_ratio, max: 20}}, {{c4: {{bad_words: {folder}/bad.txt}}}}, mask_pii]"
    found = flow_of(folder, rules, None).filtered["web"]
    assert found.manifest == made.manifest
    assert manifest.find(made.url) is not None
