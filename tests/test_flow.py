"""The whole flow on real Spark, over a corpus of a few hundred documents."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from rich.console import Console
from tokenizers import Tokenizer

from pipeline import cli, manifest, plan, recipe, report, session
from pipeline.alarms import StageError
from pipeline.deduped.batches import DedupParams
from pipeline.document import content_hash
from pipeline.flow import STAGES, Finished, Flow
from pipeline.flow.deduped import params_of
from pipeline.loader import StreamingLoader
from pipeline.loader.borders import Borders, open_borders
from pipeline.mds import reader
from pipeline.recipe import Mix
from pipeline.tables.reading import read_batches
from tests.corpus import N_DOCUMENTS, make_raw, make_recipe, near, recipe_text, text_of
from tests.real_streaming import import_streaming
from tests.wrong_engine import Shortening

REPOSITORY = Path(__file__).parent.parent


def flow_of(
    mix: Mix,
    root: Path,
    spark: SparkSession | None,
    makes: tuple[str, ...] = STAGES,
    console: Console | None = None,
) -> Flow:
    return Flow(mix, str(root), console=console or Console(quiet=True), makes=makes, spark=spark)


def rows_of(dataset: manifest.Dataset, table: str) -> list[dict[str, Any]]:
    return [row for url in dataset.urls(table) for batch in read_batches(url) for row in batch.to_pylist()]


def bytes_of(finished: Finished) -> dict[str, bytes]:
    """Everything that must not depend on when, where and how often a mix was made, by name."""
    folder = Path(finished.url)
    found = {name: (folder / name).read_bytes() for name in ("mix.json", finished.plan.tokenizer.path)}
    for name, parts in finished.tokenized.measured.items():
        for part in [*parts, finished.tokenized.validation[name]]:
            for file in part.manifest.files:
                if file.table in ("shards", "index", "tables"):
                    found[f"{name} {part.manifest.fingerprint} {file.path}"] = Path(part.file_url(file)).read_bytes()
    return found


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def made(raw: Path, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Finished:
    return flow_of(make_recipe(raw), tmp_path_factory.mktemp("root"), spark).mixed


def test_every_document_is_accounted_for(made: Finished) -> None:
    assert {name: data.manifest.counts["kept_documents"] for name, data in made.documents.items()} == {
        "notes": N_DOCUMENTS + 6,
        "pages": N_DOCUMENTS + 2,
    }
    assert made.filtered["notes"].manifest.counts["rejected"] == {"gopher_quality.min_words": 3}
    assert made.filtered["pages"].manifest.counts["rejected"] == {}
    # Of a text in both sources the one of `pages` stays, which has the smaller priority.
    assert made.deduped["notes"].manifest.counts["removed"] == {"exact": 3, "near": 2}
    assert made.deduped["pages"].manifest.counts["removed"] == {}
    for name, deduped in made.deduped.items():
        tokenized = [*made.tokenized.measured[name], made.tokenized.validation[name]]
        assert sum(part.manifest.counts["documents"] for part in tokenized) == deduped.manifest.counts["kept_documents"]
        assert made.tokenized.validation[name].manifest.counts["documents"] == 10


def test_removed_documents_name_the_one_that_stays(made: Finished) -> None:
    texts = {row["doc_id"]: row["text"] for data in made.filtered.values() for row in rows_of(data, "filtered")}
    removed = rows_of(made.deduped["notes"], "removed")
    pairs = {(texts[row["doc_id"]], texts[row["kept_doc_id"]], row["kind"]) for row in removed}
    assert (text_of(5), text_of(5), "exact") in pairs
    assert (text_of(6), near(text_of(6)), "near") in pairs
    assert all(row["similarity"] >= 0.8 for row in removed)


def test_every_token_is_found_again_in_its_document(made: Finished) -> None:
    tokenizer = Tokenizer.from_str(made.tokenized.info.json_text)
    for name, deduped in made.deduped.items():
        texts = {row["doc_id"]: row["text"] for row in rows_of(deduped, "deduped")}
        ids = {
            doc: [*tokenizer.encode(text, add_special_tokens=False).ids, made.plan.tokenizer.eos_id]
            for doc, text in texts.items()
        }
        seen: dict[bytes, int] = dict.fromkeys(ids, 0)
        for part in [*made.tokenized.measured[name], made.tokenized.validation[name]]:
            shards = {
                int(file.path.split(".")[1]): reader.open_shard(part.file_url(file)).array("tokens")
                for file in part.files("shards")
            }
            covered = {number: np.zeros(rows.shape, bool) for number, rows in shards.items()}
            for piece in rows_of(part, "provenance"):
                span = slice(piece["token_from"], piece["token_to"])
                start, length = piece["doc_token_from"], piece["token_to"] - piece["token_from"]
                tokens = shards[piece["shard"]][piece["row"], span].tolist()
                assert tokens == ids[piece["doc_id"]][start : start + length]
                assert not covered[piece["shard"]][piece["row"], span].any()
                covered[piece["shard"]][piece["row"], span] = True
                seen[piece["doc_id"]] += length
            assert all(rows.all() for rows in covered.values())
            for tail in rows_of(part, "tails"):
                seen[tail["doc_id"]] += len(tail["tokens"]) // 2
        assert seen == {doc: len(tokens) for doc, tokens in ids.items()}


def test_the_loader_is_told_the_borders_that_provenance_has(made: Finished) -> None:
    mix = made.plan
    for number, source in enumerate(mix.sources):
        tables = [open_borders(made.url, source.name, part, mix.row_bytes) for part in source.parts]
        borders = Borders([[]] * number + [tables], mix.sequence_length, mix.dtype)
        n = source.n_samples
        found = borders.of(np.full(n, number, np.int16), np.arange(n))
        ends: list[list[int]] = []
        for table, part in zip(tables, source.parts, strict=True):
            dataset = manifest.load(plan.resolve(made.url, part.path))
            first = dict(zip(table.shards.number.tolist(), table.shards.first_sample.tolist(), strict=False))
            rows: list[list[int]] = [[] for _ in range(part.n_samples)]
            for piece in rows_of(dataset, "provenance"):
                rows[first[piece["shard"]] + piece["row"]].append(piece["token_to"])
            ends += rows
        assert [found.ends[a:b].tolist() for a, b in zip(found.first[:-1], found.first[1:], strict=True)] == ends
        assert max(map(len, ends)) > 1
        assert (found.tokens_end == mix.sequence_length).all()  # packing: concat


def test_samples_and_documents_are_found_from_the_command_line(
    made: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["where", made.url, "--sample", "notes:0"]) == 0
    first = capsys.readouterr().out
    [doc_id, *_] = re.findall(r"\b[0-9a-f]{32}\b", first)
    assert cli.main(["where", made.url, "--doc", f"notes:{doc_id}"]) == 0
    assert doc_id in capsys.readouterr().out
    assert cli.main(["where", made.url, "--sample", "notes:999999999"]) == 1
    assert "there is no 999,999,999" in capsys.readouterr().err
    batch = ["--position", "48", "--global-batch-size", "8", "--rank", "1", "--world-size", "2"]
    assert cli.main(["inspect", made.url, *batch]) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^row (\d): position (?:4[89]|5[0-5]), sample \d+ of (?:notes|pages)$", told, re.M) == list(
        "0123"
    )
    assert re.search(r"(?:2026/[ab]\.jsonl\.gz|pages\.jsonl\.zst) : \d+", told)
    assert cli.main(["tokenizer", made.url]) == 0
    told = capsys.readouterr().out
    assert "how the tokenizer treats each source" in told
    documents = sum(
        part.manifest.counts["documents"]
        for name, parts in made.tokenized.measured.items()
        for part in [*parts, made.tokenized.validation[name]]
    )
    assert f"{documents:,}" in told


def test_documents_that_are_taken_down_are_in_no_shard_any_more(
    made: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = Tokenizer.from_str(made.tokenized.info.json_text)
    served = {row["doc_id"] for row in rows_of(made.tokenized.measured["notes"][0], "provenance")}
    texts = {row["doc_id"]: row["text"] for row in rows_of(made.deduped["notes"], "deduped") if row["doc_id"] in served}
    [first, second, *_] = sorted(texts)
    [copied] = [row for row in rows_of(made.deduped["notes"], "removed") if row["similarity"] < 1][-1:]
    entries = [first.hex(), f"content:{content_hash(texts[second].upper()).hex()}", copied["doc_id"].hex(), "0" * 32]
    (tmp_path / "gone.txt").write_text("\n".join(entries))
    assert cli.main(["take-down", made.url, "--list", str(tmp_path / "gone.txt"), "--name", "less"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"4 entries: 2 of documents in the mix 1 of documents that are not in it: {entries[2]}" in told
    assert f"1 that nothing is known of below this root: {entries[3]}" in told
    assert f"List these, too, if they must go: {copied['kept_doc_id'].hex()} (near, 0." in told

    less = str(Path(made.url).parent / "less")
    new = {source.name: source for source in plan.load(less).sources}
    was = {source.name: source for source in made.plan.sources}
    assert (new["pages"], new["notes"].validation) == (was["pages"], was["notes"].validation)
    data = {
        mix: [Path(url).read_bytes() for url in manifest.load(plan.resolve(mix, part.path)).urls("shards")]
        for mix, part in ((made.url, was["notes"].parts[0]), (less, new["notes"].parts[0]))
    }
    for doc_id in (first, second):
        ids = tokenizer.encode(texts[doc_id], add_special_tokens=False).ids
        windows = [np.array(ids[at : at + 16], "<u2").tobytes() for at in range(len(ids) - 16)]
        found = {mix: sum(window in shard for window in windows for shard in shards) for mix, shards in data.items()}
        assert found[made.url] > 20 and found[less] == 0
    with StreamingLoader(less, global_batch_size=8, rank=0, world_size=1, format="numpy") as loader:
        assert sum(len(batch["position"]) for batch in loader) == 1562 // 8 * 8
    assert cli.main(["where", less, "--doc", entries[0]]) == 1
    assert "it was taken down, from" in capsys.readouterr().err


def test_an_engine_that_differs_on_one_document_is_given_up(
    made: Finished, raw: Path, tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.flow.tokenized.choose", lambda _: Shortening(name="shortening", version="1", refused=())
    )
    finished = flow_of(make_recipe(raw), tmp_path / "root", spark).mixed
    for part in finished.tokenized.measured["notes"]:
        engine = part.manifest.report["engine"]
        assert engine["name"] == "tokenizers"
        [refused] = engine["refused"]
        assert refused["name"] == "shortening"
        assert " instead of " in refused["reason"]
    assert bytes_of(finished) == bytes_of(made)


def test_the_plan_serves_what_was_asked(made: Finished) -> None:
    accounts = made.plan.accounting["sources"]
    assert made.plan.accounting["budget_samples"] == 100_000 // 64
    assert abs(accounts["notes"]["weight_achieved"] - 0.7) < 6 / 1562
    assert accounts["notes"]["samples_served"] + accounts["pages"]["samples_served"] == 1562
    lines = Console(width=160)
    with lines.capture() as shown:
        report.show(lines, made)
    assert "gopher_quality.min_words" in shown.get()
    assert "mix.json" in shown.get()


def test_global_batches_are_the_same_for_every_world_size(made: Finished) -> None:
    def batches(world_size: int) -> list[list[list[int]]]:
        loaders = [
            StreamingLoader(made.url, global_batch_size=24, rank=rank, world_size=world_size, format="numpy")
            for rank in range(world_size)
        ]
        found = [
            np.concatenate([part["input_ids"] for part in parts]).tolist()
            for parts in zip(*(iter(loader) for loader in loaders), strict=True)
        ]
        for loader in loaders:
            loader.close()
        return found

    alone = batches(1)
    assert len(alone) == 1562 // 24
    for world_size in (2, 3, 4, 8):
        assert batches(world_size) == alone


def test_a_second_root_holds_the_same_bytes(made: Finished, raw: Path, tmp_path: Path, spark: SparkSession) -> None:
    assert bytes_of(flow_of(make_recipe(raw), tmp_path, spark).mixed) == bytes_of(made)


def test_a_copied_root_is_the_same_root(
    made: Finished, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(made.url).parent.parent, tmp_path / "copy")
    monkeypatch.setattr(session, "start", lambda *_, **__: pytest.fail("Spark was started for a finished mix"))
    again = flow_of(make_recipe(raw), tmp_path / "copy", None).mixed
    assert bytes_of(again) == bytes_of(made)
    with StreamingLoader(tmp_path / "copy" / "mixes" / "tiny", global_batch_size=8, rank=0, world_size=1) as loader:
        assert next(iter(loader))["input_ids"].shape == (8, 64)


def test_a_new_weight_makes_only_a_new_plan(made: Finished, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(made.url).parent.parent
    monkeypatch.setattr(session, "start", lambda *_, **__: pytest.fail("Spark was started for another weight"))
    stages = "[{until_tokens: 50K}, {weights: {notes: 0, pages: 1}}]"
    finished = flow_of(make_recipe(raw, name="other", stages=stages), root, None).mixed
    assert finished.plan.stages[1] == plan.PlanStage(until=None, weights=("0", "1"))
    assert finished.plan.sources == made.plan.sources


def test_of_priorities_only_the_order_counts(raw: Path) -> None:
    def compared(notes: int, pages: int) -> DedupParams:
        text = (
            recipe_text(raw).replace("priority: 2", f"priority: {notes}").replace("priority: 1", f"priority: {pages}")
        )
        return params_of(recipe.parse(text, "here"), ["notes", "pages"])

    assert compared(2, 1) == compared(70, 0) != compared(3, 4)
    assert compared(70, 0).priorities == {"notes": 1, "pages": 0}


def test_two_runs_into_one_root_at_once_end_right(
    made: Finished, raw: Path, tmp_path: Path, spark: SparkSession
) -> None:
    finished: list[Finished] = []
    runs = [
        threading.Thread(target=lambda: finished.append(flow_of(make_recipe(raw), tmp_path, spark).mixed))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [bytes_of(one) for one in finished] == [bytes_of(made)] * 2
    assert sum(1 for _ in tmp_path.glob("documents/notes/*/attempt-*")) == 1


def test_a_run_killed_in_the_middle_is_simply_run_again(
    made: Finished, raw: Path, tmp_path: Path, spark: SparkSession
) -> None:
    recipe_file = tmp_path / "tiny.yaml"
    recipe_file.write_text(
        "\n".join(
            [
                "name: tiny\nseed: 3\nsequence_length: 64\nbudget_tokens: 100K\nholdout: {documents: 10}",
                "tokenizer: {train: {vocab_size: 500, sample_bytes: 100K}}\nsources:",
                f"  notes: {{root: {raw}/notes, files: ['**/*.jsonl.gz'], rules: [gopher_quality], weight: 0.7, "
                "priority: 2}",
                f"  pages: {{root: {raw}/pages, files: ['*.jsonl.zst'], rules: [gopher_quality], weight: 0.3, "
                "priority: 1}",
            ]
        )
    )
    root = tmp_path / "root"
    command = [sys.executable, "jobs/mix.py", "--mix", str(recipe_file), "--root", str(root), "--cores", "2"]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 200
        while not list(root.glob("signatures/*/*/attempt-*")) and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        run.kill()
        run.wait()
    assert not (root / "mixes").exists()
    assert bytes_of(flow_of(make_recipe(raw), root, spark).mixed) == bytes_of(made)


def test_streaming_dataset_reads_the_shards(made: Finished, tmp_path: Path) -> None:
    streaming = import_streaming()
    part = made.tokenized.measured["notes"][0]
    folder = Path(part.url) / part.manifest.attempt
    ours = np.concatenate([reader.open_shard(url).array("tokens") for url in part.urls("shards")])
    theirs = streaming.StreamingDataset(local=str(folder), shuffle=False, batch_size=1, validate_hash="xxh3_64")
    assert len(theirs) == len(ours) == part.manifest.counts["samples"]
    for number in range(len(ours)):
        assert np.array_equal(theirs[number]["tokens"], ours[number])


def test_other_formats_packings_and_choices(made: Finished, raw: Path, tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "books").mkdir()
    for number in range(30):
        (tmp_path / "books" / f"{number}.txt").write_text(text_of(number, 40 + 17 * number))
    rows = [{"body": text_of(number), "link": f"http://x/{number}", "n": number} for number in range(40)]
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "tables" / "t.parquet")
    mix = make_recipe(
        raw,
        tokenizer=f"{{file: {Path(made.url) / made.plan.tokenizer.path}}}",
        budget_tokens="30K",
        packing="best_fit",
        redistribute="true",
        holdout="{documents: 2}",
        dedup="{scope: within_source, verify: exact, threshold: 0.7, bands: 20, rows: 5}",
        sources=f"""
  books: {{root: "{tmp_path}/books", files: ["*.txt"], format: text, weight: 5, max_passes: 1}}
  tables: {{root: "{tmp_path}/tables", files: ["*.parquet"], format: parquet, text_field: body, url_field: link,
    weight: 1}}
""",
    )
    finished = flow_of(mix, tmp_path / "root", spark).mixed
    assert rows_of(finished.documents["tables"], "documents")[7]["url"] == "http://x/7"
    for name in ("books", "tables"):
        counts = finished.tokenized.measured[name][0].manifest.counts
        assert counts["left_over_tokens"] == 0
        assert counts["samples"] * 64 == counts["tokens"] + counts["padding_tokens"]
    accounts = finished.plan.accounting["sources"]
    assert accounts["books"]["passes"] <= 1.01
    assert accounts["books"]["weight_achieved"] < 5 / 6


def test_a_stage_alone_says_what_is_missing(raw: Path, tmp_path: Path, spark: SparkSession) -> None:
    with pytest.raises(
        StageError, match=r"documents of source notes has not been made .* run jobs/documents\.py first"
    ):
        _ = flow_of(make_recipe(raw), tmp_path, spark, ("filtered",)).filtered


def test_a_glob_without_files_is_told_before_spark_starts(raw: Path, tmp_path: Path) -> None:
    sources = f'\n  notes: {{root: "{raw}/notes", files: ["*.parquet"], weight: 1}}'
    with pytest.raises(StageError, match=r"sources\.notes\.files: no file below .* matches '\*\.parquet' \(2 files"):
        _ = flow_of(make_recipe(raw, sources=sources), tmp_path, None).mixed


def test_what_a_run_has_written_is_not_its_raw_text(made: Finished, raw: Path) -> None:
    root = Path(made.url).parent.parent
    sources = f'\n  all: {{root: "{root}", files: ["**/*.parquet"], format: parquet, weight: 1}}'
    with pytest.raises(StageError, match=r"sources\.all\.files: .* is what a run has written"):
        _ = flow_of(make_recipe(raw, sources=sources), root, None).mixed


def test_urls_that_no_source_has_cannot_be_taken_down(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "gone.txt").write_text("https://x.org/3\n")
    mix = make_recipe(raw, take_down=str(tmp_path / "gone.txt"))
    with pytest.raises(StageError, match="lists 1 URLs, and no source has a url_field"):
        _ = flow_of(mix, tmp_path / "root", None).mixed


def test_a_held_out_set_without_a_sample_is_told(
    made: Finished, raw: Path, tmp_path: Path, spark: SparkSession
) -> None:
    tokenizer = f"{{file: {Path(made.url) / made.plan.tokenizer.path}}}"
    mix = make_recipe(raw, tokenizer=tokenizer, holdout="{documents: 1}", sequence_length="4096")
    with pytest.raises(StageError, match=r"holdout: the 1 documents of source notes .* raise holdout\.documents"):
        _ = flow_of(mix, Path(made.url).parent.parent, spark).mixed


def test_more_passes_than_allowed_say_what_fits(made: Finished, raw: Path) -> None:
    root = Path(made.url).parent.parent
    with pytest.raises(
        StageError, match=r"source notes: .* passes over its .* max_passes is 4\. What fits: budget_tokens"
    ):
        _ = flow_of(make_recipe(raw, budget_tokens="10M"), root, None).mixed


def test_a_source_that_the_rules_reject_must_be_acknowledged(raw: Path, tmp_path: Path, spark: SparkSession) -> None:
    rule = "{signal: n_words, min: 200}"
    sources = f'''
  pages: {{root: "{raw}/pages", files: ["*.zst"], rules: [gopher_quality], max_rejected: 0, weight: 1}}
  notes: {{root: "{raw}/notes", files: ["**/*.gz"], rules: [{rule}], weight: 1}}'''
    with pytest.raises(StageError, match=r"source notes: all of its 246 documents are rejected \(246 n_words\.min\)"):
        _ = flow_of(make_recipe(raw, sources=sources), tmp_path, spark).filtered
    sources = sources.replace(rule, "gopher_quality").replace("notes: {", "notes: {max_rejected: 0.01, ")
    with pytest.raises(StageError, match=r"reject 1\.2% of 246 documents.*acknowledge: \[max_rejected:notes\]"):
        _ = flow_of(make_recipe(raw, sources=sources), tmp_path, spark).filtered
    accepted = make_recipe(raw, sources=sources, acknowledge="['max_rejected:notes']")
    assert flow_of(accepted, tmp_path, None).filtered["notes"].manifest.counts["kept_documents"] == 243


def test_a_tokenizer_that_cannot_be_used_is_told_before_spark_starts(raw: Path, tmp_path: Path) -> None:
    def flow_with(tokenizer: str) -> Flow:
        return flow_of(make_recipe(raw, tokenizer=tokenizer), tmp_path, None)

    with pytest.raises(StageError, match=r"tokenizer\.file = /nowhere/t\.json: it cannot be read"):
        _ = flow_with("{file: /nowhere/t.json}").mixed
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.file = .*bad\.json is not a tokenizers JSON file"):
        _ = flow_with(f"{{file: {tmp_path}/bad.json}}").mixed


def test_languages_taken_down_and_contaminated_documents_stay_out(
    raw: Path, tmp_path: Path, spark: SparkSession
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    english = "The house on the hill was built by my grandfather when he came back from the war."
    german = (
        "Das Haus auf dem Hügel hat mein Großvater gebaut, als er aus dem Krieg zurückkam, und wir wohnen noch dort."
    )
    asked = "How many apples does Mary have left after giving seven of her twelve apples to the neighbour next door?"
    rows = [
        english,
        german,
        f"{english} {asked.upper()} Nobody knows.",
        english + " Long ago.",
        english + " Not so long.",
        english + " Copied.",
        english.upper() + "\n\n copied.",
    ]
    lines = [json.dumps({"text": text, "url": f"https://x.org/{number}"}) for number, text in enumerate(rows)]
    (folder / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "items.jsonl").write_text(json.dumps({"question": asked, "answer": 5}))
    content = content_hash(english + " Copied.").hex()
    (tmp_path / "gone.txt").write_text(f"http://www.x.org/3/\ncontent:{content}\n{'0' * 32}\nhttps://x.org/17\n")
    mix = make_recipe(
        raw,
        take_down=str(tmp_path / "gone.txt"),
        decontaminate=f"{{sets: {{apples: {{root: {tmp_path}, files: [items.jsonl], fields: [question]}}}}}}",
        sources=f"""
  mixed: {{root: {folder}, files: [a.jsonl], url_field: url, languages: [en], min_language_score: 0.3, weight: 1}}""",
    )
    told = io.StringIO()
    kept = flow_of(mix, tmp_path / "root", spark, console=Console(file=told)).filtered["mixed"]
    assert kept.manifest.counts["rejected"] == {"contaminated.apples": 1, "language": 1, "taken_down": 3}
    assert [(row["text"], row["language"]) for row in rows_of(kept, "filtered")] == [(rows[0], "en"), (rows[4], "en")]
    entries = [row["entry"] for row in rows_of(kept, "taken_down")]
    assert entries == ["https://x.org/3", f"content:{content}", f"content:{content}"]
    nowhere = f"take_down: 2 of 4 entries list no document of these sources: {'0' * 32}, https://x.org/17\n"
    assert nowhere in told.getvalue()
    monkey = make_recipe(raw, decontaminate=f"{{sets: {{apples: {{root: {tmp_path}, files: [items.jsonl]}}}}}}")
    with pytest.raises(StageError, match=r"decontaminate\.sets\.apples: record 0 of .* cannot be read: missing_text"):
        _ = flow_of(monkey, tmp_path / "root", None).filtered


def test_lines_urls_and_a_signal_decide_what_deduplication_keeps(
    raw: Path, tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    menu = "Home | About | Imprint\n"
    texts = [menu + text_of(number) for number in range(30)] + [text_of(30), menu + text_of(31, 60), text_of(31)]
    urls = [f"https://x.org/{number}" for number in range(31)] + ["https://www.x.org/31/", "http://x.org/31?utm_id=1"]
    lines = [json.dumps({"text": text, "url": url}) for text, url in zip(texts, urls, strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    sources = f"\n  web: {{root: {tmp_path}, files: [a.jsonl], url_field: url, weight: 1}}"
    dedup = "{url: true, lines: {max_documents: 6}, keep: {signal: n_words, prefer: least}, num_perm: 112}"
    mix = make_recipe(raw, sources=sources, dedup=dedup)
    kept = flow_of(mix, tmp_path / "root", spark, console=Console(width=150)).deduped["web"]
    rows = rows_of(kept, "deduped")
    assert sorted(row["text"] for row in rows) == sorted([*map(text_of, range(31)), text_of(31, 60)])
    assert kept.manifest.counts["removed"] == {"url": 1}
    assert (kept.manifest.parameters["bands"], kept.manifest.parameters["rows"]) == (9, 12)
    printed = capsys.readouterr().out
    assert "deduped: removed documents, by the source of the one that stays" in printed
    assert "Home | About | Imprint" in printed
    assert cli.main(["duplicates", kept.url]) == 0
    assert "2 documents" in capsys.readouterr().out
    again = flow_of(make_recipe(raw, sources=sources, dedup=dedup), tmp_path / "root", None).deduped["web"]
    assert again.manifest == kept.manifest
    strict = make_recipe(raw, sources=sources, dedup=dedup.replace("{url", "{max_source_loss: 0.01, url"))
    with pytest.raises(
        StageError, match=r"loses \d\.\d% to lines that .* 6 documents .*'Home \| About.* \(31 documents\)"
    ):
        _ = flow_of(strict, tmp_path / "root", None).deduped
