"""Documents without their heavy lines: the stage on filtered datasets of a few documents, and edit lists composed."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from pipeline import manifest, schema, storage
from pipeline.deduped.delined import spark as delined
from pipeline.deduped.delined.edit_lists import compose
from pipeline.document import normal_form
from pipeline.manifest import Dataset, Spec
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.texts.edits import to_raw

MASK = "<EMAIL>"
SCHEMAS = Path(__file__).parents[2] / "schemas"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document before it was filtered, and what that changed in it: (first byte, byte after the last, written)."""

    number: int
    raw: str
    edits: tuple[int, ...] = ()

    @property
    def id(self) -> bytes:
        return xxhash.xxh3_128_digest(str(self.number))

    @property
    def text(self) -> str:
        return rebuilt(self.raw, self.edits)


Files = Sequence[Sequence[Document]]
Rows = list[dict[str, Any]]


def rebuilt(raw: str, edits: Sequence[int] | None) -> str:
    """What the edits leave of the raw text; all that is ever written is the mask."""
    data, at, parts = raw.encode(), 0, []
    for first, last, written in triples(edits or ()):
        assert written in (0, len(MASK))
        parts += [data[at:first], MASK.encode()[:written]]
        at = last
    return b"".join([*parts, data[at:]]).decode()


def triples(edits: Sequence[int]) -> list[tuple[int, int, int]]:
    return list(zip(edits[::3], edits[1::3], edits[2::3], strict=True))


def filtered(root: Path, files: Files) -> Dataset:
    """A filtered dataset of these files as the stage before publishes it; all signals are 7."""
    every = [document for file in files for document in file]
    spec = Spec(stage="filtered", source="web", version=1, inputs={"test": len(files)}, parameters={})
    attempt, listed = manifest.new_attempt(), []
    for task, file in enumerate(files):
        with Sink("filtered", storage.join(spec.url(str(root)), attempt), task) as sink:
            columns: dict[str, list[Any]] = {
                "doc_id": [document.id for document in file],
                "source": ["web"] * len(file),
                "text": [document.text for document in file],
                "file": ["a.jsonl"] * len(file),
                "record": [document.number for document in file],
                "n_bytes": [len(document.text.encode()) for document in file],
                "meta": ["{}"] * len(file),
                "edits": [document.edits or None for document in file],
            }
            others = [field for field in schema.arrow("filtered", "filtered") if field.name not in columns]
            sink.write("filtered", columns | {one.name: [None if one.nullable else 7] * len(file) for one in others})
        listed += sink.files
    counts = {"kept_documents": len(every), "kept_bytes": sum(len(one.text.encode()) for one in every)}
    return manifest.publish(str(root), spec, attempt=attempt, files=listed, counts=counts)


def build(spark: SparkSession, root: Path, files: Files, max_documents: int) -> Dataset:
    before = filtered(root, files)
    return delined.build(spark, before, delined.spec(before, max_documents), str(root))


def rows(dataset: Dataset, table: str) -> Rows:
    return [row for url in dataset.urls(table) for batch in read_batches(url) for row in batch.to_pylist()]


def numbered(*documents: str | tuple[str, tuple[int, ...]]) -> list[Document]:
    pairs = [(one, ()) if isinstance(one, str) else one for one in documents]
    return [Document(number=number, raw=raw, edits=edits) for number, (raw, edits) in enumerate(pairs)]


def in_files(documents: Sequence[Document], n_files: int) -> Files:
    step = -(-len(documents) // n_files)
    return [documents[at : at + step] for at in range(0, len(documents), step)]


def lines_of(text: str) -> list[str]:
    return [line + end for line, end in re.findall(r"([^\r\n]*)(\r\n|\r|\n|$)", text) if line + end]


def wordlike(text: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" for char in text)


def normal(line: str) -> str:
    return "".join("0" if unicodedata.category(char) == "Nd" else char for char in normal_form(line))


def reference(documents: Sequence[Document], max_documents: int) -> tuple[dict[bytes, str], Counter[str], int]:
    """The text of each document that stays, the heavy lines (normal form) with their documents, and how many lines are
    cut out of the documents that stay."""
    n_documents = Counter(line for one in documents for line in {*map(normal, filter(wordlike, lines_of(one.text)))})
    heavy = Counter({line: n for line, n in n_documents.items() if n > max_documents})
    stays, n_cut = {}, 0
    for one in documents:
        lines = lines_of(one.text)
        left = [line for line in lines if not wordlike(line) or normal(line) not in heavy]
        if left == lines or any(map(wordlike, left)):
            stays[one.id] = "".join(left)
            n_cut += len(lines) - len(left)
    return stays, heavy, n_cut


def assert_as_reference(dataset: Dataset, documents: Sequence[Document], max_documents: int) -> None:
    """The rows, and what the manifest says of them."""
    stays, heavy, n_cut = reference(documents, max_documents)
    kept, rejected = rows(dataset, "filtered"), rows(dataset, "rejected")
    own = {one.id: one for one in documents}
    assert {row["doc_id"]: row["text"] for row in kept} == stays
    assert [row["record"] for row in kept] == sorted(row["record"] for row in kept), "the order of the files"
    for row in kept:
        before = own[row["doc_id"]]
        assert rebuilt(before.raw, row["edits"]) == row["text"]
        assert row["edits"] == (None if row["text"] == before.raw else row["edits"])
        assert row["n_bytes"] == len(row["text"].encode())
        assert row["mean_word_length"] == 7
    assert [row["doc_id"] for row in rejected] == [one.id for one in documents if one.id not in stays]
    assert {(row["source"], row["reason"]) for row in rejected} <= {("web", "no_lines_left")}
    assert [row["n_bytes"] for row in rejected] == [len(own[row["doc_id"]].text.encode()) for row in rejected]

    lost = sum(row["n_bytes"] for row in rejected)
    cut = sum(len(own[doc_id].text.encode()) - len(text.encode()) for doc_id, text in stays.items())
    counts, report = dataset.manifest.counts, dataset.manifest.report
    assert counts == {
        "documents": len(documents),
        "bytes": sum(len(one.text.encode()) for one in documents),
        "kept_documents": len(stays),
        "kept_bytes": sum(len(text.encode()) for text in stays.values()),
        "rejected": {"no_lines_left": len(rejected)} if rejected else {},
        "rejected_bytes": {"no_lines_left": lost} if rejected else {},
        "changed_bytes": {"heavy_line": cut} if cut else {},
    }
    assert report["heavy_lines"] == len(heavy)
    assert report["changes"] == [
        {
            "reason": "heavy_line",
            "documents": sum(own[doc_id].text != text for doc_id, text in stays.items()),
            "spans": n_cut,
            "removed_bytes": cut,
            "written_bytes": 0,
        }
    ]
    shown = report["heaviest"]
    assert [one["documents"] for one in shown] == sorted(heavy.values(), reverse=True)[:20]
    assert {normal(one["text"]) for one in shown if len(one["text"]) < 200} <= heavy.keys()
    assert not [info for info in storage.list_files(dataset.url) if "/steps/" in info.path]


LITERAL = numbered(
    "Menu 12\r\nfirst\r\n\r\n",
    "second\n  MENU \t34\n--\nagain\nin two",
    "again\nagain\n\n\nIN TWO \nmenu 56",
    "menu 78\n\n--\n",
    "",
    "--\n\n",
    ("Mail me@x.org\nmenu 90\nlast", (5, 13, 7)),
    ("junk\nMenu 11\nbody\rMenu 11", (0, 5, 0)),
    ("Menu 11\nme@x.org", (8, 16, 7)),
)


def test_a_line_in_more_documents_than_that_goes_everywhere(spark: SparkSession, tmp_path: Path) -> None:
    dataset = build(spark, tmp_path, in_files(LITERAL, 3), 2)
    assert_as_reference(dataset, LITERAL, 2)
    assert {row["record"]: (row["text"], row["edits"]) for row in rows(dataset, "filtered")} == {
        0: ("first\r\n\r\n", [0, 9, 0]),
        1: ("second\n--\nagain\nin two", [7, 18, 0]),
        2: ("again\nagain\n\n\nIN TWO \n", [22, 29, 0]),
        4: ("", None),
        5: ("--\n\n", None),
        6: ("Mail <EMAIL>\nlast", [5, 13, 7, 14, 22, 0]),
        7: ("body\r", [0, 13, 0, 18, 25, 0]),
        8: ("<EMAIL>", [0, 8, 0, 8, 16, 7]),
    }
    assert [row["record"] for row in rows(dataset, "filtered")] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert [row["doc_id"] for row in rows(dataset, "rejected")] == [LITERAL[3].id]
    assert dataset.manifest.report["heaviest"] == [{"documents": 7, "text": "Menu 12"}]
    assert len(dataset.files("filtered")) == 3


def corpus(seed: int) -> list[Document]:
    """Texts of few different lines, some of them masked or cut by the stage before."""
    random = Random(seed)
    lines = ["", "—", "🤗", *(f"Zeile {letter} é" for letter in "abcdefghijkl"), *("é" * 150 + c * 99 for c in "xy")]
    found = []
    for number in range(60):
        parts = random.choices(lines, weights=[5, 2, 2, *range(1, 15)], k=random.randrange(7))
        raw, edits = "", []
        for part in parts:
            begin = len(raw.encode())
            kind = random.random()
            raw += part if kind < 0.8 else "me@x.org"
            if kind > 0.8:
                edits += [begin, len(raw.encode()), len(MASK)]
            begin = len(raw.encode())
            raw += random.choice(["\n", "\r\n", "\r", "\n\n"])
            if kind > 0.7 and random.random() < 0.2:
                edits += [begin, len(raw.encode()), 0]
        found.append(Document(number=number, raw=raw, edits=tuple(edits)))
    return found


@pytest.mark.parametrize(("seed", "n_files", "max_documents"), [(1, 2, 6), (3, 4, 1)])
def test_as_a_reference_on_strings_has_it(
    spark: SparkSession, tmp_path: Path, seed: int, n_files: int, max_documents: int
) -> None:
    documents = corpus(seed)
    dataset = build(spark, tmp_path, in_files(documents, n_files), max_documents)
    assert_as_reference(dataset, documents, max_documents)
    assert dataset.manifest.counts["rejected"]["no_lines_left"] > 0
    assert dataset.manifest.counts["changed_bytes"]["heavy_line"] > 0


def test_the_same_bytes_in_any_number_and_order_of_files(spark: SparkSession, tmp_path: Path) -> None:
    documents = corpus(5)
    found = [
        {row["doc_id"]: row for row in rows(build(spark, tmp_path / str(number), files, 4), "filtered")}
        for number, files in enumerate([in_files(documents, 1), in_files(documents, 3)[::-1]])
    ]
    assert found[0] == found[1]


def test_the_20_heaviest_lines_are_shown(spark: SparkSession, tmp_path: Path) -> None:
    lines = [f"{'line ' * 60}{chr(97 + number)}" if number else "short" for number in range(25)]
    documents = numbered(*("\n".join([*lines[: 25 - number], f"own {chr(97 + number)}"]) for number in range(25)))
    shown = build(spark, tmp_path, in_files(documents, 2), 2).manifest.report["heaviest"]
    assert [one["documents"] for one in shown] == list(range(25, 5, -1))
    assert [one["text"] for one in shown] == ["short", *[("line " * 60)[:200]] * 19]


def test_without_heavy_lines_documents_stay_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    before = filtered(tmp_path, in_files(LITERAL, 2))
    after = delined.build(spark, before, delined.spec(before, 7), str(tmp_path))
    assert rows(after, "filtered") == rows(before, "filtered")
    assert rows(after, "rejected") == []
    assert after.manifest.report["heaviest"] == []
    assert_as_reference(after, LITERAL, 7)


def test_a_source_without_documents(spark: SparkSession, tmp_path: Path) -> None:
    dataset = build(spark, tmp_path, [], 6)
    assert_as_reference(dataset, [], 6)
    assert dataset.manifest.files == ()


def test_what_the_dataset_is_made_of(tmp_path: Path) -> None:
    before = filtered(tmp_path, in_files(LITERAL, 1))
    spec = delined.spec(before, 6)
    assert (spec.stage, spec.source) == ("delined", "web")
    assert spec.inputs == {"filtered": before.manifest.fingerprint}
    assert spec.parameters == {"max_documents": 6, "unicode": unicodedata.unidata_version}
    with pytest.raises(ValueError, match="max_documents 0 would cut every line of every document; it takes 1 or more"):
        delined.spec(before, 0)


def test_the_documents_have_the_columns_of_filtered_ones() -> None:
    own, other = (json.loads((SCHEMAS / f"{stage}.json").read_text())["tables"] for stage in ("delined", "filtered"))
    assert own["filtered"]["columns"] == other["filtered"]["columns"]
    shape = [[(column["name"], column["type"]) for column in of["rejected"]["columns"]] for of in (own, other)]
    assert shape[0] == shape[1]


@st.composite
def edits_of(draw: st.DrawFn, n_bytes: int, places: Sequence[int]) -> list[int]:
    """An edit list of a text of so many bytes with its borders at some of these places; touching deletions are one."""
    borders = st.lists(st.sampled_from(sorted({*places, 0, n_bytes})), max_size=8, unique=True)
    found: list[int] = []
    for first, last in pairwise(sorted(draw(borders))):
        written = draw(st.sampled_from([0, 0, 3]))
        if draw(st.booleans()) and not (found and found[-2:] == [first, 0] and written == 0):
            found += [first, last, written]
    return found


@st.composite
def two_edits(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """The size of a raw text, an edit list of it, and one of what that leaves, its borders not within masks."""
    n_bytes = draw(st.integers(0, 24))
    first = draw(edits_of(n_bytes, range(n_bytes + 1)))
    n_left = n_bytes + sum(written - (end - begin) for begin, end, written in triples(first))
    whole = [to_raw(first, at, at + 1) if at < n_left else None for at in range(n_left + 1)]
    outside = [at for at in range(n_left + 1) if at == 0 or whole[at] is None or whole[at - 1] != whole[at]]
    return n_bytes, first, draw(edits_of(n_left, outside))


@settings(deadline=None, max_examples=300)
@given(two_edits())
def test_two_edits_as_one(case: tuple[int, list[int], list[int]]) -> None:
    n_bytes, first, second = case
    composed = compose(first, second)

    def edited(data: list[str], edits: Sequence[int], mark: str) -> list[str]:
        for begin, end, written in triples(edits)[::-1]:
            data = data[:begin] + [f"{mark}{byte}" for byte in range(written)] + data[end:]
        return data

    raw = [str(at) for at in range(n_bytes)]
    twice = edited(edited(raw, first, "mask"), second, "mask")
    assert edited(raw, composed, "mask") == twice
    for at in range(len(twice)):
        assert to_raw(composed, at, at + 1) == to_raw(first, *to_raw(second, at, at + 1))
    for (_, end, written), (begin, _, also_written) in pairwise(triples(composed)):
        assert end < begin or (end == begin and (written or also_written))
    assert compose([], second) == second
    assert compose(first, []) == first


@pytest.mark.parametrize("second", [[8, 14, 0], [11, 20, 0], [8, 11, 0], [11, 13, 0]])
def test_a_part_of_a_mask_is_not_cut(second: list[int]) -> None:
    assert compose([10, 30, 5], [9, 16, 0]) == [9, 31, 0]
    with pytest.raises(ValueError, match=r"are cut where a mask stands in \[10, 15\); cut all of a mask or nothing"):
        compose([10, 30, 5], second)
