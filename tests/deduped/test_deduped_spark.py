"""The stage as a whole, on filtered datasets of a few documents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline import manifest, schema, storage
from pipeline.alarms import StageError
from pipeline.deduped import spark as deduped
from pipeline.deduped import specs
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.in_memory import MAX_DOCUMENTS
from pipeline.deduped.published import alarms
from pipeline.manifest import Dataset, Spec
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from tests.deduped.dedup_oracle import Document, answer

PARAMS = DedupParams(
    threshold=0.8, ngram=5, bands=14, rows=8, scope="global", exact=True, verify="signature", priorities={}
)
WORDS = [f"w{number}" for number in range(400)]


Removed = Mapping[bytes, tuple[bytes, str, float]]  # doc_id → kept doc_id, kind, similarity
Files = Mapping[str, Sequence[Sequence[Document]]]  # source → file → documents


def documents(source: str, *texts: str) -> list[Document]:
    return [Document(source=source, record=record, text=text) for record, text in enumerate(texts)]


def filtered(root: Path, source: str, files: Sequence[Sequence[Document]]) -> Dataset:
    """A filtered dataset as the stage before publishes it, each of `files` in a file of its own; n_words and
    compression_ratio are the documents', the other signals are 0."""
    every = [document for file in files for document in file]
    spec = Spec(stage="filtered", source=source, version=1, inputs={"test": len(files)}, parameters={})
    attempt = manifest.new_attempt()
    listed = []
    for task, file in enumerate(files):
        with Sink("filtered", storage.join(spec.url(str(root)), attempt), task) as sink:
            columns: dict[str, list[Any]] = {
                "doc_id": [document.id for document in file],
                "source": [source] * len(file),
                "text": [document.text for document in file],
                "url": [document.url for document in file],
                "file": ["a.jsonl"] * len(file),
                "record": [document.record for document in file],
                "n_bytes": [document.n_bytes for document in file],
                "meta": ["{}"] * len(file),
            }
            signals = [field for field in schema.arrow("filtered", "filtered") if field.name not in columns]
            measured: dict[str, list[Any]] = {
                field.name: [None if field.nullable else 0] * len(file) for field in signals
            }
            measured["n_words"] = [document.words for document in file]
            measured["compression_ratio"] = [document.ratio for document in file]
            sink.write("filtered", columns | measured)
        listed += sink.files
    counts = {"kept_documents": len(every), "kept_bytes": sum(document.n_bytes for document in every)}
    return manifest.publish(str(root), spec, attempt=attempt, files=listed, counts=counts)


def signatures_spec(dataset: Dataset, params: DedupParams) -> Spec:
    return specs.signatures_spec(dataset.manifest.source, dataset.manifest.fingerprint, params)


def build(
    spark: SparkSession,
    root: Path,
    files: Files,
    params: DedupParams = PARAMS,
    max_documents: int = MAX_DOCUMENTS,
    max_edges: int = deduped.MAX_EDGES,
    earlier: Sequence[Earlier] = (),
) -> dict[str, Dataset]:
    """The stage on these sources; sources that stand first have priority, earlier datasets above all. With
    `max_documents` 0 joins decide."""
    params = replace(params, priorities={name: number for number, name in enumerate(files)})
    inputs = [filtered(root, name, parts) for name, parts in files.items()]
    signatures = [
        deduped.build_signatures(spark, dataset, signatures_spec(dataset, params), str(root)) for dataset in inputs
    ]
    wanted = [specs.spec(name, inputs, params, [dataset.fingerprint for dataset in earlier]) for name in files]
    limits = {"max_documents": max_documents, "max_edges": max_edges}
    built = deduped.build(spark, inputs, signatures, params, wanted, str(root), earlier=earlier, **limits)
    return dict(zip(files, built, strict=True))


def rows(built: Mapping[str, Dataset], table: str) -> list[dict[str, Any]]:
    return [
        row
        for dataset in built.values()
        for url in dataset.urls(table)
        for batch in read_batches(url)
        for row in batch.to_pylist()
    ]


def removed(built: Mapping[str, Dataset]) -> Removed:
    return {row["doc_id"]: (row["kept_doc_id"], row["kind"], row["similarity"]) for row in rows(built, "removed")}


def alarms_of(built: Mapping[str, Dataset], max_cluster: int, max_source_loss: float) -> list[str]:
    """The names of the alarms of all datasets."""
    limits = {"max_cluster": max_cluster, "max_bucket": 1}
    return [a.name for dataset in built.values() for a in alarms(dataset, max_source_loss=max_source_loss, **limits)]


def kept(built: Mapping[str, Dataset]) -> dict[bytes, int]:
    """doc_id → cluster_size of the kept documents."""
    return {row["doc_id"]: row["cluster_size"] for row in rows(built, "deduped")}


def assert_as_expected(built: Mapping[str, Dataset], every: Sequence[Document]) -> None:
    """The kept and the removed documents, and what the manifests say of clusters."""
    expected = answer(every, replace(PARAMS, priorities={name: number for number, name in enumerate(built)}))
    assert removed(built) == {i: (one.kept, one.kind, one.similarity) for i, one in expected.removed.items()}
    assert kept(built) == expected.kept
    for name, dataset in built.items():
        sizes = Counter(expected.kept.get(document.id, 0) for document in every if document.source == name)
        del sizes[0]
        assert dataset.manifest.report["cluster_sizes"] == {str(size): n for size, n in sizes.items()}


def test_nothing_goes_where_there_are_no_duplicates(spark: SparkSession, tmp_path: Path) -> None:
    one, others = documents("one", "just a text of its own"), documents("others", "", "two words", "and three words")
    built = build(spark, tmp_path, {"none": [], "one": [one], "others": [others[:1], others[1:]]})
    assert_as_expected(built, [*one, *others])
    assert [dataset.manifest.counts["kept_documents"] for dataset in built.values()] == [0, 1, 3]
    assert not rows(built, "removed")
    assert built["one"].manifest.report["candidate_probability"] == {
        "0.5": 0.05332,
        "0.6": 0.211122,
        "0.7": 0.564504,
        "0.8": 0.923548,
        "0.9": 0.999622,
    }
    assert not alarms_of(built, max_cluster=1, max_source_loss=0.0)


def test_of_many_copies_one_stays_in_the_source_that_has_priority(spark: SparkSession, tmp_path: Path) -> None:
    first, second = documents("first", *["Copy"] * 20), documents("second", *["copy "] * 30)
    built = build(spark, tmp_path, {"first": [first[:5], first[5:]], "second": [second]})
    assert_as_expected(built, [*first, *second])
    assert kept(built) == {min(document.id for document in first): 50}
    assert {row["kept_source"] for row in rows(built, "removed")} == {"first"}
    assert built["second"].manifest.counts["kept_documents"] == 0
    assert alarms_of(built, max_cluster=49, max_source_loss=0.96) == ["max_cluster:first", "max_source_loss:second"]


@pytest.mark.parametrize("max_documents", [MAX_DOCUMENTS, 0], ids=["in memory", "by joins"])
def test_a_doc_id_of_two_documents_is_refused(spark: SparkSession, tmp_path: Path, max_documents: int) -> None:
    same = b"\xf0" * 16
    files = {
        name: [[Document(source=name, record=0, text=name, doc_id=same), Document(source=name, record=1, text="other")]]
        for name in ("code", "docs")
    }
    with pytest.raises(StageError, match=r"doc_id (f0){16} is that of 2 documents of code and docs; .* delete these"):
        build(spark, tmp_path, files, max_documents=max_documents)
    assert not [info for info in storage.list_files(str(tmp_path)) if "/steps/" in info.path]


def test_a_document_without_a_signature_is_no_silent_exception(spark: SparkSession, tmp_path: Path) -> None:
    dataset = filtered(tmp_path, "web", [documents("web", "one", "two")])
    counts = {**dataset.manifest.counts, "kept_documents": 3}
    wrong = replace(dataset, manifest=replace(dataset.manifest, counts=counts))
    with pytest.raises(StageError, match="signatures web does not balance: 3 documents in, 2 kept"):
        deduped.build_signatures(spark, wrong, signatures_spec(wrong, PARAMS), str(tmp_path))


def test_sources_without_documents(spark: SparkSession, tmp_path: Path) -> None:
    [dataset] = build(spark, tmp_path, {"none": []}).values()
    assert dataset.manifest.counts["documents"] == dataset.manifest.counts["kept_documents"] == 0
    assert not alarms(dataset, max_cluster=1, max_source_loss=0.0, max_bucket=1)


def test_documents_of_one_url_are_duplicates_where_the_recipe_says_so(spark: SparkSession, tmp_path: Path) -> None:
    near = " ".join(WORDS[:60])
    texts = ["first page", "second page", near, near + " more", "third page", "third page"]
    at = ["http://www.a.org/x?utm_source=y", "https://A.org/x", "https://b.org", None, None, "https://b.org/"]
    own = [Document(source="web", record=n, text=texts[n], url=at[n]) for n in range(6)]
    by_text = removed(build(spark, tmp_path / "text", {"web": [own]}))
    assert by_text.keys() == {own[2].id, max(own[4].id, own[5].id)}
    ways: list[dict[str, Any]] = [{}, {"max_documents": 0}, {"max_documents": 0, "max_edges": 0}]
    for number, limits in enumerate(ways):
        built = build(spark, tmp_path / str(number), {"web": [own]}, replace(PARAMS, url=True), **limits)
        found = {doc_id: (to, kind) for doc_id, (to, kind, _) in removed(built).items()}
        # b.org joins the near copies of one text with the copies of another: of all these the longest stays. No text
        # leads from "third page" to it, so these go because of a URL, though 4 has none.
        assert found == {
            own[0].id: (own[1].id, "url"),
            own[2].id: (own[3].id, "near"),
            own[4].id: (own[3].id, "url"),
            own[5].id: (own[3].id, "url"),
        }
        assert built["web"].manifest.report["removed_by_kept_source"]["url"] == {"web": 3}
        assert all(row["documents"] == 0 for row in built["web"].manifest.report["similarities"] if row["to"] < 0.8)


def test_a_named_signal_decides_between_documents_of_one_priority(spark: SparkSession, tmp_path: Path) -> None:
    own = [Document(source="a", record=n, text="x y" + " " * n, words=words) for n, words in enumerate((3, 5))]
    other = [Document(source="b", record=0, text="x Y", words=9)]
    for most, max_documents in product((True, False), (MAX_DOCUMENTS, 0)):
        params = replace(PARAMS, keep="n_words", keep_most=most)
        root = tmp_path / f"{most} {max_documents}"
        built = build(spark, root, {"a": [own], "b": [other]}, params, max_documents)
        assert kept(built) == {own[1 if most else 0].id: 3}


@pytest.mark.parametrize("max_documents", [MAX_DOCUMENTS, 0], ids=["in memory", "by joins"])
def test_the_report_shows_the_largest_clusters_and_a_bucket_of_boilerplate(
    spark: SparkSession, tmp_path: Path, max_documents: int
) -> None:
    boilerplate = " ".join(WORDS[:100])
    texts = ["a page " * 100, "A page " * 100, *(f"{boilerplate} {number}" for number in range(40)), "alone"]
    own = documents("web", *texts)
    built = build(spark, tmp_path, {"web": [own[:20], own[20:]]}, max_documents=max_documents)
    report = built["web"].manifest.report
    assert [cluster["documents"] for cluster in report["largest_clusters"]] == [40, 2]
    assert report["largest_clusters"][0]["excerpt"].startswith("w0 w1 w2")
    assert report["largest_clusters"][1]["excerpt"].lower() == ("a page " * 100)[:300] + "…"
    assert report["largest_bucket"]["vertices"] > 5
    assert report["largest_bucket"]["excerpt"].startswith("w0 w1 w2")
    assert bytes.fromhex(report["largest_bucket"]["doc_id"]) in {document.id for document in own[2:-1]}
    assert sum(row["documents"] for row in report["similarities"] if row["from"] >= 0.8) == 39
    [bucket, cluster] = alarms(built["web"], max_cluster=39, max_source_loss=1, max_bucket=5)[::-1]
    assert (bucket.name, cluster.name) == ("max_bucket", "max_cluster:web")
    assert "texts share a band of their signatures, max_bucket is 5" in bucket.message
    assert "the largest begin 'w0 w1 w2" in cluster.message
