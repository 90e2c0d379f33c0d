"""Decontamination as a whole on real Spark: documents rejected, passages cut out, and what is reported of it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline.flow import STAGES, Flow
from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches
from pipeline.texts import edits
from tests.corpus import make_recipe, text_of

ASKED = "How many apples does Mary have left after giving seven of her twelve apples to the neighbour next door?"
EDITED = ASKED.replace("twelve", "dozen").upper()
OTHER = "Which of the two rivers that meet below the old town carries more water in the spring of a dry year?"
LINE = "what is the point of it"
PLAIN = "\n".join(text_of(number) for number in range(3)) + "\n"
TEXTS = [
    f"{PLAIN}Mail anna.berg@posteo.de: {EDITED}\n{PLAIN}",
    ASKED,
    f"{PLAIN}{LINE}?\n{OTHER}\n{PLAIN}",
    f"{PLAIN}so {LINE} then\n",
    PLAIN,
]
SETS = {
    "apples": [ASKED, "Mary?", ASKED.lower(), "Who ate all of the apples that Mary bought at the market on Monday?"],
    "rivers": [OTHER, LINE],
}


def made_with(folder: Path, spark: SparkSession, action: str) -> tuple[Dataset, str]:
    sets = ", ".join(f'{name}: {{root: "{folder}", files: [{name}.jsonl]}}' for name in SETS)
    source = f'{{root: "{folder}", files: [a.jsonl], rules: [mask_pii], weight: 1}}'
    mix = make_recipe(folder, sources=f"\n  web: {source}", decontaminate=f"{{sets: {{{sets}}}, action: {action}}}")
    console = Console(file=io.StringIO(), width=200)
    found = Flow(mix, str(folder / "root"), console=console, makes=STAGES, spark=spark).filtered["web"]
    assert isinstance(console.file, io.StringIO)
    return found, console.file.getvalue()


def rows_of(dataset: Dataset, table: str) -> list[dict[str, Any]]:
    return [row for url in dataset.urls(table) for batch in read_batches(url) for row in batch.to_pylist()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    for name, texts in {"a": TEXTS, **SETS}.items():
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return folder


@pytest.fixture(scope="module")
def rejected(folder: Path, spark: SparkSession) -> tuple[Dataset, str]:
    return made_with(folder, spark, "document")


@pytest.fixture(scope="module")
def cut(folder: Path, spark: SparkSession) -> Dataset:
    return made_with(folder, spark, "passage")[0]


def test_documents_that_hold_an_item_are_rejected(rejected: tuple[Dataset, str]) -> None:
    counts = rejected[0].manifest.counts
    assert counts["rejected"] == {"contaminated.apples": 2, "contaminated.rivers": 1}
    assert [row["text"] for row in rows_of(rejected[0], "filtered")] == TEXTS[3:]


def test_the_report_counts_by_set(rejected: tuple[Dataset, str]) -> None:
    n_bytes = [len(text.encode()) for text in TEXTS]
    assert rejected[0].manifest.report["contamination"] == [
        {
            "set": "apples",
            "items": 4,
            "not_looked_for": {"too_short": 1},
            "found": 2,  # one twice
            "never_found": 1,
            "documents": 2,
            "bytes": n_bytes[0] + n_bytes[1],
        },
        {
            "set": "rivers",
            "items": 2,
            "not_looked_for": {},
            "found": 2,
            "never_found": 0,
            "documents": 1,
            "bytes": n_bytes[2],
        },
    ]
    assert (
        "apples in web: 2 of 4 items found, in 2 documents (0.0 MB); 1 never; not looked for: 1 too short"
        in (rejected[1])
    )


def test_each_item_leads_to_its_documents_and_passages(rejected: tuple[Dataset, str]) -> None:
    items = rows_of(rejected[0], "items")
    assert [(row["set"], row["number"], row["looked_for"], row["same_as"], row["documents"]) for row in items] == [
        ("apples", 0, "parts", None, 2),
        ("apples", 1, "too_short", None, 0),
        ("apples", 2, "parts", 0, 2),
        ("apples", 3, "parts", None, 0),
        ("rivers", 0, "parts", None, 1),
        ("rivers", 1, "line", None, 1),
    ]
    assert [row["strongest"] for row in items] == [1.0, None, 1.0, None, 1.0, 1.0]
    matches = rows_of(rejected[0], "matches")
    passages = [(row["item"], TEXTS[row["item"] // 2].encode()[row["first"] : row["last"]]) for row in matches[:1]]
    assert passages == [(0, EDITED[:-1].encode())]
    assert [(row["item"], row["set"], row["overlap"], row["kept"]) for row in matches] == [
        (0, "apples", 18 / 19, False),
        (0, "apples", 1.0, False),
        (4, "rivers", 1.0, False),
        (5, "rivers", 1.0, False),
    ]
    assert len({row["doc_id"] for row in matches}) == 3


def test_passages_stand_beside_their_items(rejected: tuple[Dataset, str]) -> None:
    rows = {(row["set"], row["side"], row["rank"]): row for row in rows_of(rejected[0], "passages")}
    assert sorted(rows) == [(name, side, rank) for name in SETS for side in ("strongest", "weakest") for rank in (0, 1)]
    weakest = rows["apples", "weakest", 0]
    assert (weakest["overlap"], weakest["item_text"]) == (18 / 19, ASKED)
    assert EDITED in weakest["passage"]
    assert weakest["at"] == TEXTS[0].index(EDITED)
    assert rows["apples", "strongest", 0]["passage"] == ASKED
    examples = {row["reason"]: row for row in rows_of(rejected[0], "examples")}
    assert OTHER in examples["contaminated.rivers"]["excerpt"]


def test_passages_are_cut_out_and_the_rest_is_kept(cut: Dataset) -> None:
    counts = cut.manifest.counts
    assert counts["rejected"] == {"contaminated.apples": 1}
    rows = rows_of(cut, "filtered")
    assert [row["text"] for row in rows] == [PLAIN * 2, PLAIN * 2, TEXTS[3], PLAIN]
    removed = len(TEXTS[0].encode()) + len(TEXTS[2].encode()) - 4 * len(PLAIN.encode())
    assert counts["changed_bytes"] == {"contaminated_passage": removed}
    assert cut.manifest.report["changes"][0] == {
        "reason": "contaminated_passage",
        "documents": 2,
        "spans": 2,
        "removed_bytes": removed,
        "written_bytes": 0,
    }
    first = len(PLAIN)
    raw_first, raw_last = edits.to_raw(rows[0]["edits"], first, 2 * first)
    assert TEXTS[0].encode()[raw_first:raw_last].decode() == PLAIN
    assert rows[2]["edits"] is None


def test_the_same_items_are_found_whatever_is_done(rejected: tuple[Dataset, str], cut: Dataset) -> None:
    assert [row["kept"] for row in rows_of(cut, "matches")] == [True, False, True, True]
    assert cut.manifest.report["contamination"] == rejected[0].manifest.report["contamination"]
    assert rows_of(cut, "items") == rows_of(rejected[0], "items")
