"""The check of a finished mix: what the filter pass's matcher finds in the documents is found in their rows."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import cli, document, plan, schema
from pipeline.contamination_check.check import Findings, check
from pipeline.filtered import contamination
from pipeline.filtered.evaluation_items import EvaluationItems, evaluation_items
from pipeline.order import samples
from pipeline.tokenized.ranges import ORDER_KEY, Ranges, place
from pipeline.tokenized.rewritten import without
from pipeline.tokenized.where import Where
from tests.corpus import recipe_text, text_of
from tests.tokenized.test_tokenized_where import RANGES, Corpus, ids_of, mix_of, written

ASKED = "How many apples does Mary have left after giving seven of her twelve apples to the neighbour next door?"
EDITED = ASKED.replace("twelve", "dozen").upper()
RIVERS = "Which of the two rivers that meet below the old town carries more water in the spring of a dry year?"
NEVER = "Who painted the ceiling of the small chapel that stands behind the market of this village by the sea?"
LINE = "what is the point of it"
SETS = {"apples": [ASKED, "Mary?", NEVER], "rivers": [RIVERS, LINE]}


def ids(source: str, n: int) -> list[bytes]:
    return document.doc_ids(source, "a.jsonl", np.arange(n))


def ranges_of(doc_ids: list[bytes]) -> list[int]:
    numbers, _ = place(document.order_hash(pa.array(doc_ids, pa.binary()), ORDER_KEY), RANGES)
    return list(numbers.tolist())


@cache
def texts(source: str, n: int) -> Corpus:
    """Documents of 20 words; of each range of `code` some hold an item, and one that is held out does."""
    found = {doc: text_of(number, 20) for number, doc in enumerate(ids(source, n))}
    for number in (0, 1) if source == "code" else ():
        hold = [doc for doc, one in zip(found, ranges_of(list(found)), strict=True) if one == number]
        for doc, planted in zip(hold, (ASKED, EDITED, f"{RIVERS}\n{LINE}\n"), strict=False):
            found[doc] = f"{found[doc]}\n{planted}\n{found[doc]}"
    if source == "held":
        found[next(iter(found))] += "\n" + RIVERS
    return found


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`code` with the first of its two ranges and a validation set, `docs` without an item in best-fit rows."""
    root = tmp_path_factory.mktemp("root")
    first = written(root, "code", texts("code", 60), 0, RANGES)
    held = written(root, "code", texts("held", 8), "validation", Ranges(n_ranges=1, n_partitions=1))
    docs = written(root, "docs", texts("docs", 30), 0, Ranges(n_ranges=1, n_partitions=2), "best_fit")
    return mix_of(root, {"code": ([first], [held]), "docs": ([docs], [])})


def sets_file(folder: Path, sets: dict[str, list[str]], more: str = "") -> str:
    folder.mkdir(exist_ok=True)
    for name, items in sets.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": item}) + "\n" for item in items))
    listed = ", ".join(f'{name}: {{root: "{folder}", files: [{name}.jsonl]}}' for name in sets)
    path = folder / "sets.yaml"
    path.write_text(f"decontaminate: {{sets: {{{listed}}}}}\n{more}")
    return str(path)


def items() -> EvaluationItems:
    return evaluation_items([(name, item) for name, own in SETS.items() for item in own], 13)


@pytest.fixture(scope="module")
def found(mix: str) -> Findings:
    return check(mix, items(), 0.8, 1)


def in_mix() -> dict[str, Corpus]:
    """The documents that the mix has, by split."""
    code = texts("code", 60)
    first = {doc: code[doc] for doc, one in zip(code, ranges_of(list(code)), strict=True) if one == 0}
    return {"train": first, "validation": texts("held", 8)}


def test_the_matches_are_those_of_the_filter_pass(found: Findings) -> None:
    rows = found.matches.to_pylist()
    seen = 0
    for split, documents in in_mix().items():
        index = items().index
        wanted = contamination.find(pa.array(list(documents.values()), pa.large_string()), index, min_overlap=0.8)
        names = list(documents)
        matches = {
            (names[doc], int(index.given[item]), overlap, first, last, len(documents[names[doc]].encode()))
            for doc, item, overlap, first, last in zip(
                wanted.document.tolist(), wanted.item.tolist(), wanted.overlap.tolist(), wanted.first.tolist(),
                wanted.last.tolist(), strict=True,
            )
        }  # fmt: skip
        own = [row for row in rows if row["split"] == split]
        assert {
            tuple(row[name] for name in ("doc_id", "item", "overlap", "first", "last", "n_bytes")) for row in own
        } == matches
        seen += len(own)
    assert seen == len(rows) == 5
    assert {row["source"] for row in rows} == {"code"}


def test_the_report_tells_sources_splits_and_sets_apart(found: Findings) -> None:
    code, docs = found.sources
    touched = {
        split: {doc: len(text.encode()) for doc, text in own.items() if "iver" in text}
        for split, own in in_mix().items()
    }
    rivers = {"set": "rivers", "items": 2, "not_looked_for": {}}
    assert code.report["train"][1] == rivers | {
        "found": 2, "never_found": 0, "documents": 1, "bytes": sum(touched["train"].values())
    }  # fmt: skip
    assert code.report["validation"][1] == rivers | {
        "found": 1, "never_found": 1, "documents": 1, "bytes": sum(touched["validation"].values())
    }  # fmt: skip
    apples = code.report["train"][0]
    assert (apples["found"], apples["never_found"], apples["not_looked_for"]) == (1, 1, {"too_short": 1})
    assert apples["documents"] == 2
    assert list(docs.report) == ["train"]
    assert [row["documents"] for row in docs.report["train"]] == [0, 0]
    assert (code.n_ranges, code.of_ranges, docs.n_ranges, docs.of_ranges) == (1, 2, 1, 1)
    assert [source.looked_at["train"].n_documents for source in found.sources] == [len(in_mix()["train"]), 30]
    assert found.n_contaminated == 3
    assert code.items.column("documents").to_pylist() == [2, 0, 0, 2, 1]
    assert len(code.passages) == 2 * 5
    strongest = code.passages.to_pylist()[0]
    assert (strongest["side"], strongest["rank"], strongest["item_text"]) == ("strongest", 0, ASKED)
    assert ASKED in strongest["passage"]


def test_the_samples_are_those_that_hold_the_passage(mix: str, found: Findings) -> None:
    """The tokens of the passage, by the tokens before it, lie in the document's pieces that are named."""
    where, crossing = Where(mix), 0
    for row in found.matches.to_pylist():
        text = in_mix()[row["split"]][row["doc_id"]].encode()
        n_before, n_until = (len(ids_of(text[:at].decode())) - 1 for at in (row["first"], row["last"]))
        held = {
            piece.sample
            for piece in where.by_document(row["doc_id"])
            if piece.doc_token_from < n_until
            and piece.doc_token_from + piece.token_to - piece.token_from > n_before
            and piece.sample is not None
        }
        assert set(row["samples"]) == held
        crossing += len(row["samples"]) > 1
    assert crossing >= 3


def test_a_mix_without_the_documents_that_were_found_is_clean(tmp_path: Path, found: Findings) -> None:
    first = written(tmp_path, "code", texts("code", 60), 0, RANGES)
    gone = set(found.matches.column("doc_id").to_pylist()) & set(in_mix()["train"])
    again = check(mix_of(tmp_path, {"code": ([without(first, gone, str(tmp_path))], [])}), items(), 0.8, 1)
    assert (len(gone), again.n_contaminated, len(again.matches)) == (3, 0, 0)
    assert again.sources[0].looked_at["train"].n_documents == len(in_mix()["train"]) - 3


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["contamination", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_contaminated_mix(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = str(tmp_path / "found")
    asked = (mix, "--sets", sets_file(tmp_path / "sets", SETS), "--workers", "1", "--positions", "--to", to)
    code, out, err = run(capsys, *asked, "--global-batch-size", "4")
    assert code == 1
    assert err == (f"error: {mix} is contaminated: training may be served 3 documents that hold items of these sets\n")
    assert "1 of its 2 ranges are in the mix, the others were not looked at" in out
    assert "held out for validation" in out
    assert "1 of these documents are held out, or hold items in no row" in out
    assert "HOW MANY APPLES" in out
    order = plan.order_of(plan.load(mix))
    before = plan.load(mix).budget_samples
    walked = samples(order, 0, before)
    tables = {name: pq.read_table(f"{to}/{name}.parquet") for name in ("matches", "items", "passages", "positions")}
    for name, table in tables.items():
        assert table.schema.equals(schema.arrow("contamination", name))
    wanted: Counter[tuple[Any, ...]] = Counter()
    for row in tables["matches"].to_pylist():
        for sample in row["samples"] if row["split"] == "train" else ():
            for at in np.flatnonzero((walked.source == 0) & (walked.sample == sample)).tolist():
                wanted[at, at // 4, sample, row["item"], row["set"], row["doc_id"]] = 1
    names = ("position", "step", "sample", "item", "set", "doc_id")
    served = Counter(tuple(row[name] for name in names) for row in tables["positions"].to_pylist())
    assert served == wanted and len(wanted) > 10
    assert tables["positions"].column("position").to_pylist() == sorted(at for at, *_ in served.elements())
    report = json.loads(Path(to, "report.json").read_text())
    assert report["contaminated_documents"] == 3
    assert report["sources"]["code"]["ranges"] == [1, 2]
    code, _, err = run(capsys, *asked)
    assert (code, err) == (
        1,
        f"error: {to} holds the report.json of another check; give another folder, or delete it\n",
    )


def test_a_clean_mix(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (mix, "--sets", sets_file(tmp_path, {"chapel": [NEVER, "Mary?"]}), "--workers", "1")
    code, out, err = run(capsys, *asked, "--positions")
    assert (code, err) == (0, "")
    assert out.endswith("clean: training is served none of the items that were looked for\n")
    assert "0 of the positions before" in out


def test_what_is_held_out_contaminates_no_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = written(tmp_path, "code", texts("held", 8), "validation", Ranges(n_ranges=1, n_partitions=1))
    docs = written(tmp_path, "code", texts("docs", 30), 0, Ranges(n_ranges=1, n_partitions=2))
    mix = mix_of(tmp_path, {"code": ([docs], [held])})
    code, out, _ = run(capsys, mix, "--sets", sets_file(tmp_path, SETS), "--workers", "1", "--positions")
    assert code == 0
    assert "rivers item 3" in out and "clean: training is served none" in out


def test_a_recipe_is_taken_for_its_sets(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rest = recipe_text(tmp_path)
    code, _, err = run(capsys, mix, "--sets", sets_file(tmp_path, {"chapel": [NEVER]}, rest), "--workers", "1")
    assert (code, err) == (0, "")
    (tmp_path / "sets.yaml").write_text(rest)
    message = "decontaminate is missing; this recipe names no evaluation sets to look for"
    assert message in run(capsys, mix, "--sets", str(tmp_path / "sets.yaml"))[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing; a recipe holds fields, as decontaminate: {sets: …}"),
        ("decontaminat: {}", "unknown field decontaminat; known here are decontaminate"),
        ("decontaminate: {sets: {a: {root: x, files: [y]}}, ngrams: 3}", "unknown field decontaminate.ngrams; known"),
        ("decontaminate: {sets: {a: {root: x, files: [y]}}, ngram: 0}", "decontaminate.ngram = 0: must be at least 1"),
        ("decontaminate: {sets: {a: {root: nowhere, files: [y]}}}", "decontaminate.sets.a.root = nowhere: there is no"),
        ("decontaminate: {", "is not valid YAML"),
    ],
)
def test_wrong_sets(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "sets.yaml").write_text(text)
    code, out, err = run(capsys, mix, "--sets", str(tmp_path / "sets.yaml"))
    assert (code, out) == (1, "")
    assert message in err


def test_wrong_arguments(mix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert f"there is no recipe at {nowhere}" in run(capsys, mix, "--sets", nowhere)[2]
    asked = ("--sets", sets_file(tmp_path, SETS))
    assert f"no plan at {nowhere}/mix.json" in run(capsys, nowhere, *asked)[2]
    message = "--until-position and --global-batch-size tell of which positions; give --positions, too"
    assert message in run(capsys, mix, *asked, "--global-batch-size", "8")[2]


def test_another_tokenizer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docs = written(tmp_path, "docs", texts("docs", 30), 0, Ranges(n_ranges=1, n_partitions=2))
    mix = mix_of(tmp_path, {"docs": ([docs], [])})
    [path] = Path(mix).glob("tokenizer-*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"added_tokens": []}))
    code, _, err = run(capsys, mix, "--sets", sets_file(tmp_path, SETS), "--workers", "1")
    assert code == 1 and "is not the tokenizer of the mix: its fingerprint is" in err
