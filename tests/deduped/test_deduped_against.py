"""New documents against deduped datasets of earlier runs, by comparing everything with everything that counts."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import manifest, session
from pipeline.alarms import StageError
from pipeline.deduped import against, in_memory, specs
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.compared.spark import check_earlier
from pipeline.deduped.inputs import Inputs
from pipeline.deduped.published import alarms
from pipeline.flow import STAGES, Flow
from pipeline.manifest import Dataset, Spec
from tests.corpus import make_raw, make_recipe, near, text_of
from tests.deduped.test_deduped_spark import (
    PARAMS,
    build,
    documents,
    kept,
    rows,
)

BASE = " ".join(f"b{number}" for number in range(60))


def changed(text: str, first: int, n_words: int) -> str:
    """The text with some of its words replaced."""
    words = text.split()
    words[first : first + n_words] = [f"new{number}" for number in range(first, first + n_words)]
    return " ".join(words)


def found_at(built: Mapping[str, Dataset], params: DedupParams = PARAMS) -> list[Earlier]:
    return against.find([dataset.url for dataset in built.values()], params)


def test_documents_that_were_removed_there_displace_nothing(spark: SparkSession, tmp_path: Path) -> None:
    # The middle one is near both ends (0.84, 0.88 by signature), which are not near each other (0.72).
    longest, middle = f"{BASE} andthelongestwordofall", changed(BASE, 0, 3)
    new = documents("new", changed(middle, 55, 5), "other")
    first = build(spark, tmp_path, {"old": [documents("old", middle, longest)]})
    assert [row["text"] for row in rows(first, "deduped")] == [longest]
    built = build(spark, tmp_path, {"new": [new]}, earlier=found_at(first))
    assert kept(built) == {document.id: 1 for document in new}
    assert built["new"].manifest.report["against"]["old"]["documents"] == 1


def test_datasets_that_hold_the_same_documents_and_large_clusters(spark: SparkSession, tmp_path: Path) -> None:
    first, second = documents("old", "", BASE), documents("old", BASE, changed(BASE, 3, 1), "")
    second[1] = replace(second[1], record=7)
    files = [[first], [second[:1], second[1:]]]
    runs = [build(spark, tmp_path / str(n), {"old": parts}) for n, parts in enumerate(files)]
    earlier = [*found_at(runs[0]), *found_at(runs[1])]
    new = documents("new", *[f" {BASE}"] * 5, "", "own")
    built = build(spark, tmp_path, {"new": [new[:3], new[3:]], "none": []}, earlier=earlier)
    assert [row["text"] for row in rows(built, "deduped")] == ["own"]
    assert {row["kept_source"] for row in rows(built, "removed")} <= set(against.names(["new"], earlier))
    report = built["new"].manifest.report
    assert report["cluster_sizes"] == {"1": 1}
    assert report["against_cluster_sizes"] == {"3": 1, "6": 5}
    assert built["none"].manifest.report["against_cluster_sizes"] == {}
    limits = {"max_cluster": 5, "max_bucket": 99}
    found = [alarm for dataset in built.values() for alarm in alarms(dataset, max_source_loss=0.8, **limits)]
    assert [alarm.name for alarm in found] == ["max_source_loss:new", "max_cluster:new"]
    assert "of these for documents of dedup.against: {'old@" in found[0].message
    assert "a document of dedup.against, with some of source new, stands for a cluster of 6" in found[1].message
    assert found[1].message.endswith(f"the largest begin {f' {BASE}'[:60]!r}, ''")
    shown = [(one["documents"], one["doc_id"], one["excerpt"][:7]) for one in report["largest_clusters"]]
    assert shown == [(6, first[1].id.hex(), " b0 b1 "), (3, second[2].id.hex(), "")]
    assert {one["source"] for one in report["largest_clusters"]} <= set(against.names(["new"], earlier))
    assert built["none"].manifest.report["largest_clusters"] == []
    assert not alarms(built["new"], max_cluster=6, max_source_loss=0.9, max_bucket=99)


def test_a_dataset_and_signatures_that_do_not_fit_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    first = build(spark, tmp_path, {"old": [documents("old", "one", "one", "two")]})
    [earlier] = found_at(first)
    damaged = replace(
        earlier.deduped.manifest,
        files=tuple(file for file in earlier.deduped.manifest.files if file.table != "removed"),
    )
    wrong = replace(earlier, deduped=replace(earlier.deduped, manifest=damaged))
    with pytest.raises(StageError, match=r"kept 2 documents, but 3 are found in .* delete both"):
        check_earlier(spark, Inputs(filtered=[], signatures=[], earlier=[wrong]))
    with pytest.raises(StageError, match=r"kept 2 documents, but 3 are found in .* delete both"):
        in_memory.decide(Inputs(filtered=[], signatures=[], earlier=[wrong]), PARAMS)
    check_earlier(spark, Inputs(filtered=[], signatures=[], earlier=[earlier]))


def published(root: Path, stage: str, source: str = "web", **parameters: object) -> Dataset:
    """A dataset without documents; of `deduped`, the signatures lie beside it."""
    own = {"ngram": 5, "bands": 14, "rows": 8} | parameters
    spec = Spec(stage=stage, source=source, version=1, inputs={source: "f" * 32}, parameters=own)
    counts = {"kept_documents": 0}
    if stage == "deduped":
        measured = specs.signatures_spec(source, "f" * 32, replace(PARAMS, **own))  # type: ignore[arg-type]
        manifest.publish(str(root), measured, attempt="a", files=[], counts=counts)
    return manifest.publish(str(root), spec, attempt="a", files=[], counts=counts)


def test_a_dataset_is_found_by_its_folder_wherever_the_root_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = published(tmp_path / "root", "deduped")
    shutil.copytree(tmp_path / "root", tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "root")
    name = f"deduped/web/{dataset.manifest.fingerprint}"
    urls = [dataset.url, f"{tmp_path}/copy/{name}/", name]
    roots = [Path(one.signatures.url).resolve().parents[2] for url in urls for one in against.find([url], PARAMS)]
    assert roots == [tmp_path / "root", tmp_path / "copy", tmp_path / "root"]
    other = published(tmp_path / "root", "deduped", "code")
    for order in ([other.url, *urls], [*urls, other.url]):
        assert [one.source for one in against.find(order, PARAMS)] == ["code", "web"]


def test_datasets_are_called_by_their_source_where_that_is_clear(tmp_path: Path) -> None:
    found = [
        published(tmp_path, "deduped", source, threshold=threshold)
        for source, threshold in (("web", 0.8), ("web", 0.7), ("code", 0.8), ("docs", 0.8))
    ]
    earlier = [one for dataset in found for one in against.find([dataset.url], PARAMS)]
    marks = [f"@{dataset.manifest.fingerprint[:8]}" for dataset in found]
    assert against.names(["docs", "new"], earlier) == [f"web{marks[0]}", f"web{marks[1]}", "code", f"docs{marks[3]}"]


def test_datasets_that_cannot_be_compared_with_are_told(tmp_path: Path) -> None:
    def told(url: str, message: str, **changes: Any) -> None:
        with pytest.raises(StageError, match=message):
            against.find([url], replace(PARAMS, **changes))

    told(f"{tmp_path}/deduped/web/0", r"= .*/web/0: there is no finished dataset .* give ROOT/deduped/<source>/")
    told("nofs://x/deduped/web/0", r"= nofs://x.* cannot be read: ")
    told(published(tmp_path, "filtered").url, r"is a dataset of stage filtered, not deduped")
    dataset = published(tmp_path, "deduped")
    assert against.find([dataset.url], replace(PARAMS, bands=16, rows=7))  # as many permutations
    told(dataset.url, r"of ngram 5 and num_perm 112 .* has ngram 3 and num_perm 112: .* dedup.ngram: 5", ngram=3)
    told(dataset.url, r"num_perm 112 .* ngram 5 and num_perm 160: .* rows whose product is 112", bands=20)
    told(
        dataset.url,
        r"is of source web: with scope within_source .* \(code\)",
        scope="within_source",
        priorities={"code": 1},
    )
    moved = tmp_path / "moved"
    shutil.copytree(dataset.url, moved)
    told(str(moved), r"is not where its manifest says")
    shutil.copytree(dataset.url, tmp_path / "part" / "deduped" / "web" / dataset.manifest.fingerprint)
    told(
        f"{tmp_path}/part/deduped/web/{dataset.manifest.fingerprint}",
        r"there are no signatures of its documents at .*/part/signatures/web/.*'num_perm': 112, 'seed': 1",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_there", lambda *_: {})
        lost = manifest.File(table="deduped", path="x.parquet", bytes=1, xxh3="", rows=1)
        found = replace(dataset, manifest=replace(dataset.manifest, files=(lost,)))
        patch.setattr(manifest, "find", lambda _: found)
        told(dataset.url, r"cannot be read: .* is damaged: 1 of its 1 files are gone .* as .*/x\.parquet; put it back")
    (tmp_path / "torn" / "deduped").mkdir(parents=True)
    (tmp_path / "torn" / "deduped" / "_manifest.json").write_text("{}")
    told(f"{tmp_path}/torn/deduped", r"torn/deduped cannot be read: .* is not a manifest of this version")


def test_the_texts_of_earlier_datasets_are_not_read(spark: SparkSession, tmp_path: Path) -> None:
    [earlier] = against.find([published(tmp_path, "deduped").url], PARAMS)
    with pytest.raises(ValueError, match="verify: exact needs the texts"):
        build(spark, tmp_path, {"new": []}, replace(PARAMS, verify="exact"), earlier=[earlier])


def test_a_new_crawl_through_the_flow(tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def flow_of(root: str, use: SparkSession | None, dedup: str, sources: str, acknowledge: Sequence[str] = ()) -> Flow:
        mix = make_recipe(tmp_path, dedup=dedup, sources=sources, acknowledge=json.dumps(list(acknowledge)))
        return Flow(mix, str(tmp_path / root), console=Console(quiet=True), makes=STAGES, spark=use)

    make_raw(tmp_path)
    notes = f'\n  notes: {{root: "{tmp_path}/notes", files: ["**/*.jsonl.gz"], rules: [gopher_quality], weight: 1}}'
    old = flow_of("old", spark, "{}", notes).deduped["notes"]
    (tmp_path / "crawl").mkdir()
    texts = [text_of(3), near(text_of(4)), text_of(5000), text_of(5001), text_of(5001)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "crawl" / "new.parquet")
    crawl = f'\n  crawl: {{root: "{tmp_path}/crawl", files: ["*"], format: parquet, weight: 1}}'
    [new] = flow_of("new", spark, f'{{against: ["{old.url}"]}}', crawl).deduped.values()
    assert new.manifest.counts["removed"] == {"exact": 2, "near": 1}
    assert new.manifest.report["removed_by_kept_source"] == {
        "exact": {"crawl": 1, "notes": 1},
        "url": {},
        "near": {"notes": 1},
    }

    monkeypatch.setattr(session, "start", lambda *_, **__: pytest.fail("Spark was started"))
    low = f'{{against: ["{old.url}"], max_cluster: 1, max_source_loss: 0.5, max_bucket: 1}}'
    names = ["max_source_loss:crawl", "max_cluster:crawl", "max_bucket"]
    for number in range(len(names)):  # each stops the job until it is acknowledged, and shows figures and texts
        with pytest.raises(StageError) as told:
            _ = flow_of("new", None, low, crawl, names[:number]).deduped
        assert str(told.value).endswith(f"acknowledge: [{', '.join(names[number:])}]")
        assert "crawl loses 60.0% of 5 documents" in str(told.value) or number > 0
        assert repr(text_of(5001)[:60]) in str(told.value) or number > 1
        assert "2 texts share a band of their signatures, max_bucket is 1" in str(told.value)
        assert repr(near(text_of(4))[:60])[:-1] in str(told.value)
    assert flow_of("new", None, low, crawl, names).deduped["crawl"].url == new.url
    moved = tmp_path / "moved"
    (tmp_path / "old").rename(moved)
    url = f"{moved}/deduped/notes/{old.manifest.fingerprint}"
    again = flow_of("new", None, f'{{against: ["{url}", "{url}/"]}}', crawl).deduped["crawl"]
    assert again.url == new.url
    for scope, message in (
        ("global", "there is no finished dataset"),
        ("within_source", "is of source notes: with scope"),
    ):
        given = old.url if scope == "global" else url
        with pytest.raises(StageError, match=message):
            _ = flow_of("other", None, f'{{scope: {scope}, against: ["{given}"]}}', crawl).documents
    assert not (tmp_path / "other").exists()
