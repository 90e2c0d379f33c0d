"""New documents against deduped datasets of earlier runs, by comparing everything with everything that counts."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from pipeline import manifest, session
from pipeline.alarms import StageError
from pipeline.deduped import against, in_memory, minhash, normal, specs
from pipeline.deduped import spark as deduped
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.compared.spark import check_earlier
from pipeline.deduped.in_memory import MAX_DOCUMENTS
from pipeline.deduped.inputs import Inputs
from pipeline.deduped.published import alarms
from pipeline.flow import STAGES, Flow
from pipeline.manifest import Dataset, Spec
from tests.corpus import make_raw, make_recipe, near, text_of
from tests.deduped.test_deduped_spark import (
    PARAMS,
    Document,
    Files,
    build,
    corpus,
    documents,
    filtered,
    in_files,
    kept,
    removed,
    rows,
    signatures_spec,
)

BASE = " ".join(f"b{number}" for number in range(60))


def changed(text: str, first: int, n_words: int) -> str:
    """The text with some of its words replaced."""
    words = text.split()
    words[first : first + n_words] = [f"new{number}" for number in range(first, first + n_words)]
    return " ".join(words)


def build_against(
    spark: SparkSession,
    root: Path,
    files: Files,
    earlier: Sequence[Earlier],
    params: DedupParams = PARAMS,
    max_documents: int = MAX_DOCUMENTS,
    max_edges: int = deduped.MAX_EDGES,
) -> dict[str, Dataset]:
    """The stage on new sources; those that stand first have priority, the earlier datasets above all."""
    params = replace(params, priorities={name: number for number, name in enumerate(files)})
    inputs = [filtered(root, name, parts) for name, parts in files.items()]
    signatures = [
        deduped.build_signatures(spark, dataset, signatures_spec(dataset, params), str(root)) for dataset in inputs
    ]
    wanted = [specs.spec(name, inputs, params, [dataset.fingerprint for dataset in earlier]) for name in files]
    built = deduped.build(
        spark,
        inputs,
        signatures,
        params,
        wanted,
        str(root),
        earlier=earlier,
        max_documents=max_documents,
        max_edges=max_edges,
    )
    return dict(zip(files, built, strict=True))


def found_at(built: Mapping[str, Dataset], params: DedupParams = PARAMS) -> list[Earlier]:
    return against.find([dataset.url for dataset in built.values()], params)


def reference(
    new: Sequence[Document], old: Sequence[tuple[Document, str]], params: DedupParams, sources: Sequence[str]
) -> dict[bytes, tuple[bytes, str, str, float]]:
    """doc_id → kept doc_id, kept source, kind and similarity of the new documents that go. `old`: kept documents of
    earlier runs and the name of their dataset, which are not compared with each other."""
    every = [*((document, document.source, True) for document in new), *((*pair, False) for pair in old)]
    texts = pa.array([document.text for document, _, _ in every], pa.large_string())
    n_perm = params.bands * params.rows
    values, n_shingles = minhash.signatures(texts, ngram=params.ngram, num_perm=n_perm, seed=specs.SEED)
    bands = values.reshape(len(every), params.bands, params.rows)
    exact: list[Any] = normal.exact_hashes(texts) if params.exact else list(range(len(every)))
    known = {text for text, (_, _, is_new) in zip(exact, every, strict=True) if not is_new}
    cluster = list(range(len(every)))
    for a, b in combinations(range(len(every)), 2):
        near = n_shingles[a] and n_shingles[b] and (bands[a] == bands[b]).all(axis=1).any()
        near = near and not {exact[a], exact[b]} <= known and np.mean(values[a] == values[b]) >= params.threshold
        if exact[a] == exact[b] or near:
            cluster = [cluster[a] if label == cluster[b] else label for label in cluster]
    found = {}
    for a in range(len(new)):
        best = min(
            (b for b in range(len(every)) if cluster[b] == cluster[a]),
            key=lambda b: (
                sources.index(every[b][1]) if every[b][2] else -1,
                -every[b][0].n_bytes,
                every[b][0].id,
                every[b][1],
            ),
        )
        if best != a:
            kind, similarity = "near", float(np.mean(values[a] == values[best]))
            if exact[a] == exact[best]:
                kind, similarity = "exact", 1.0
            found[every[a][0].id] = (every[best][0].id, every[best][1], kind, similarity)
    return found


@pytest.mark.parametrize(
    ("exact", "max_documents", "max_edges", "n_files"),
    [(True, 10**9, 10**9, 3), (False, 10**9, 10**9, 1), (True, 0, 10**9, 3), (False, 0, 0, 1)],
    ids=["in memory", "as near ones, in memory", "by joins", "as near ones, star rounds"],
)
def test_what_earlier_datasets_kept_stays_and_its_copies_go(
    spark: SparkSession, tmp_path: Path, exact: bool, max_documents: int, max_edges: int, n_files: int
) -> None:
    params = replace(PARAMS, exact=exact)
    every = corpus(seed=11)
    first = {document.record for document in every if document.record % 4 == 1}
    old = [document for document in every if document.record in first]
    # Some of the new documents are the old ones themselves: same source, file, record.
    new = [document for document in every if document.record not in first or document.record % 3 == 0]
    new = [replace(document, source={"a": "a", "b": "c"}[document.source]) for document in new]
    earlier = found_at(build(spark, tmp_path / "old", in_files(old, n_files, seed=1), params), params)
    assert [dataset.source for dataset in earlier] == ["a", "b"]
    names = [f"a@{earlier[0].fingerprint[:8]}", "b"]

    files = {name: [[document for document in new if document.source == name]] for name in "ca"}
    built = build_against(spark, tmp_path / "new", files, earlier, params, max_documents, max_edges)
    stayed = kept({dataset.source: dataset.deduped for dataset in earlier})
    by_id = {document.id: document for document in old}
    compared = [(by_id[i], dict(zip("ab", names, strict=True))[by_id[i].source]) for i in stayed]
    expected = reference(new, compared, params, ["c", "a"])

    shown = {i: (to, source, kind) for i, (to, source, kind, _) in expected.items()}
    assert {r["doc_id"]: (r["kept_doc_id"], r["kept_source"], r["kind"]) for r in rows(built, "removed")} == shown
    assert {i: similarity for i, (_, _, similarity) in removed(built).items()} == {
        i: similarity for i, (_, _, _, similarity) in expected.items()
    }
    assert set(kept(built)) == {document.id for document in new} - set(expected)
    for name, dataset in built.items():
        own = [expected[document.id] for document in files[name][0] if document.id in expected]
        counts, report = dataset.manifest.counts, dataset.manifest.report
        assert counts["documents"] == len(files[name][0]) == counts["kept_documents"] + len(own)
        assert report["against"] == {
            label: {
                "fingerprint": of.fingerprint,
                "documents": of.n_documents,
                **{kind: sum(row[1:3] == (label, kind) for row in own) for kind in ("exact", "url", "near")},
            }
            for label, of in zip(names, earlier, strict=True)
        }
    went = Counter((source in names, kind, i == to) for i, (to, source, kind, _) in expected.items())
    kinds = {"exact", "near"} if exact else {"near"}
    assert {kind for is_old, kind, _ in went if is_old} == kinds
    assert any(same for _, _, same in went)
    assert any(not is_old for is_old, _, _ in went)


def test_documents_that_were_removed_there_displace_nothing(spark: SparkSession, tmp_path: Path) -> None:
    # The middle one is near both ends (0.84, 0.88 by signature), which are not near each other (0.72).
    longest, middle = f"{BASE} andthelongestwordofall", changed(BASE, 0, 3)
    new = documents("new", changed(middle, 55, 5), "other")
    first = build(spark, tmp_path, {"old": [documents("old", middle, longest)]})
    assert [row["text"] for row in rows(first, "deduped")] == [longest]
    built = build_against(spark, tmp_path, {"new": [new]}, found_at(first))
    assert kept(built) == {document.id: 1 for document in new}
    assert built["new"].manifest.report["against"]["old"]["documents"] == 1


def test_datasets_that_hold_the_same_documents_and_large_clusters(spark: SparkSession, tmp_path: Path) -> None:
    first, second = documents("old", "", BASE), documents("old", BASE, changed(BASE, 3, 1), "")
    second[1] = replace(second[1], record=7)
    files = [[first], [second[:1], second[1:]]]
    runs = [build(spark, tmp_path / str(n), {"old": parts}) for n, parts in enumerate(files)]
    earlier = [*found_at(runs[0]), *found_at(runs[1])]
    new = documents("new", *[f" {BASE}"] * 5, "", "own")
    built = build_against(spark, tmp_path, {"new": [new[:3], new[3:]], "none": []}, earlier)
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
    (tmp_path / "torn" / "deduped").mkdir(parents=True)
    (tmp_path / "torn" / "deduped" / "_manifest.json").write_text("{}")
    told(f"{tmp_path}/torn/deduped", r"torn/deduped cannot be read: .* is not a manifest of this project")


def test_the_texts_of_earlier_datasets_are_not_read(spark: SparkSession, tmp_path: Path) -> None:
    [earlier] = against.find([published(tmp_path, "deduped").url], PARAMS)
    with pytest.raises(ValueError, match="verify: exact needs the texts"):
        build_against(spark, tmp_path, {"new": []}, [earlier], replace(PARAMS, verify="exact"))


def test_a_new_crawl_through_the_flow(tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def flow_of(root: str, use: SparkSession | None, dedup: str, sources: str) -> Flow:
        mix = make_recipe(tmp_path, dedup=dedup, sources=sources)
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
