"""The stage as a whole, on filtered datasets of a few documents, against a reference without Spark."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
import xxhash
from pyspark.sql import SparkSession

from pipeline import manifest, schema, storage
from pipeline.alarms import StageError
from pipeline.deduped import minhash, normal, shingles, specs
from pipeline.deduped import spark as deduped
from pipeline.deduped.batches import DedupParams
from pipeline.deduped.compared import spark as compared
from pipeline.deduped.in_memory import MAX_DOCUMENTS
from pipeline.deduped.published import alarms
from pipeline.manifest import Dataset, Spec
from pipeline.tables.sink import Sink, read_batches

PARAMS = DedupParams(
    threshold=0.8, ngram=5, bands=14, rows=8, scope="global", exact=True, verify="signature", priorities={}
)
WORDS = [f"w{number}" for number in range(400)]


@dataclass(frozen=True, kw_only=True)
class Document:
    source: str
    record: int
    text: str
    doc_id: bytes = b""
    url: str | None = None
    words: int = 0  # the signal n_words

    @property
    def id(self) -> bytes:
        return self.doc_id or xxhash.xxh3_128_digest(f"{self.source} {self.record}")

    @property
    def n_bytes(self) -> int:
        return len(self.text.encode())


Removed = Mapping[bytes, tuple[bytes, str, float]]  # doc_id → kept doc_id, kind, similarity
Files = Mapping[str, Sequence[Sequence[Document]]]  # source → file → documents


def documents(source: str, *texts: str) -> list[Document]:
    return [Document(source=source, record=record, text=text) for record, text in enumerate(texts)]


def filtered(root: Path, source: str, files: Sequence[Sequence[Document]]) -> Dataset:
    """A filtered dataset as the stage before publishes it, each of `files` in a file of its own; n_words is the
    documents', the other signals are 0."""
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
            measured = {field.name: [None if field.nullable else 0] * len(file) for field in signals}
            measured["n_words"] = [document.words for document in file]
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
) -> dict[str, Dataset]:
    """The stage on these sources; sources that stand first have priority. With `max_documents` 0 joins decide."""
    params = replace(params, priorities={name: number for number, name in enumerate(files)})
    inputs = [filtered(root, name, parts) for name, parts in files.items()]
    signatures = [
        deduped.build_signatures(spark, dataset, signatures_spec(dataset, params), str(root)) for dataset in inputs
    ]
    wanted = [specs.spec(name, inputs, params) for name in files]
    built = deduped.build(
        spark, inputs, signatures, params, wanted, str(root), max_documents=max_documents, max_edges=max_edges
    )
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


def reference(every: Sequence[Document], params: DedupParams, names: Sequence[str]) -> Removed:
    """What is removed, by comparing everything with everything."""
    texts = pa.array([document.text for document in every], pa.large_string())
    n_perm = params.bands * params.rows
    values, n_shingles = minhash.signatures(texts, ngram=params.ngram, num_perm=n_perm, seed=specs.SEED)
    exact = normal.exact_hashes(texts) if params.exact else [document.id for document in every]
    sets = shingles.shingle_sets(texts, ngram=params.ngram)
    bands = values.reshape(len(every), params.bands, params.rows)

    def similarity(a: int, b: int) -> float:
        if params.verify == "exact":
            return shingles.jaccard(sets[a], sets[b])
        return float((values[a] == values[b]).mean())

    cluster = list(range(len(every)))
    for a, b in combinations(range(len(every)), 2):
        near = n_shingles[a] and n_shingles[b] and (bands[a] == bands[b]).all(axis=1).any()
        if exact[a] == exact[b] or (near and similarity(a, b) >= params.threshold):
            old, new = cluster[b], cluster[a]
            cluster = [new if label == old else label for label in cluster]
    found = {}
    for a, document in enumerate(every):
        best = min(
            (b for b in range(len(every)) if cluster[b] == cluster[a]),
            key=lambda b: (names.index(every[b].source), -every[b].n_bytes, every[b].id),
        )
        if best != a:
            copy = exact[a] == exact[best]
            found[document.id] = (every[best].id, "exact" if copy else "near", 1.0 if copy else similarity(a, best))
    return found


def corpus(seed: int) -> list[Document]:
    """Texts of two sources with exact copies (spelt otherwise), near copies of near copies, and empty ones."""
    random = Random(seed)
    texts = ["", " \n", "", "one two", "One  two"]
    for _ in range(12):
        words = random.choices(WORDS, k=60)
        texts.append(" ".join(words))
        for _ in range(random.randrange(5)):
            copy = list(words)
            for place in random.sample(range(60), k=random.randrange(4)):
                copy[place] = random.choice(WORDS)
            texts.append(" ".join(copy) if random.random() < 0.7 else "\n".join(copy).upper())
            words = copy if random.random() < 0.5 else words
    return [Document(source=random.choice("ab"), record=record, text=text) for record, text in enumerate(texts)]


def in_files(every: Sequence[Document], n_files: int, seed: int) -> Files:
    """The documents of each source, shuffled, in `n_files` files (fewer where some would be empty)."""
    shuffled = list(every)
    Random(seed).shuffle(shuffled)
    own = {name: [document for document in shuffled if document.source == name] for name in "ab"}
    return {name: [part for i in range(n_files) if (part := own[name][i::n_files])] for name in "ab"}


@pytest.fixture
def shuffle_partitions(spark: SparkSession) -> Iterator[Any]:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    yield lambda n: spark.conf.set("spark.sql.shuffle.partitions", str(n))
    spark.conf.set("spark.sql.shuffle.partitions", before or "8")


def assert_as_reference(built: Mapping[str, Dataset], every: Sequence[Document], params: DedupParams) -> Removed:
    """The kept and the removed documents, and what the manifests say of them; the removed ones."""
    expected = reference(every, params, list(built))
    sources = {document.id: document.source for document in every}
    sizes = Counter([document.id for document in every if document.id not in expected])
    sizes.update(kept_id for kept_id, _, _ in expected.values())
    assert removed(built) == expected
    assert kept(built) == sizes
    for name, dataset in built.items():
        counts, report = dataset.manifest.counts, dataset.manifest.report
        own = [(sources[to], kind) for doc_id, (to, kind, _) in expected.items() if sources[doc_id] == name]
        assert counts["documents"] == sum(document.source == name for document in every)
        assert counts["removed"] == Counter(kind for _, kind in own)
        assert report["removed_by_kept_source"] == {
            kind: Counter(to for to, other in own if other == kind) for kind in ("exact", "url", "near")
        }
        assert report["cluster_sizes"] == {
            str(size): n for size, n in Counter(n for i, n in sizes.items() if sources[i] == name).items()
        }
    return expected


@pytest.mark.parametrize(
    ("n_files", "n_partitions", "band_rows", "max_documents", "max_edges"),
    [(4, 2, 10**9, 10**9, 10**9), (1, 1, 10**9, 0, 10**9), (3, 8, 100, 0, 10**9), (8, 200, 25, 0, 0)],
    ids=["in memory", "1 partition", "8 partitions", "200 partitions and star rounds"],
)
def test_the_same_documents_go_for_the_same_ones_however_the_work_is_cut(
    spark: SparkSession,
    tmp_path: Path,
    shuffle_partitions: Any,
    monkeypatch: pytest.MonkeyPatch,
    n_files: int,
    n_partitions: int,
    band_rows: int,
    max_documents: int,
    max_edges: int,
) -> None:
    shuffle_partitions(n_partitions)
    monkeypatch.setattr(compared, "ROWS_A_PARTITION", band_rows)
    every = corpus(seed=1)
    files = in_files(every, n_files, seed=n_files)
    built = build(spark, tmp_path, files, max_documents=max_documents, max_edges=max_edges)
    expected = assert_as_reference(built, every, PARAMS)
    assert {kind for _, kind, _ in expected.values()} == {"exact", "near"}
    assert built["a"].manifest.report["candidate_probability"] == {
        "0.5": 0.05332,
        "0.6": 0.211122,
        "0.7": 0.564504,
        "0.8": 0.923548,
        "0.9": 0.999622,
    }
    assert not [info for info in storage.list_files(str(tmp_path)) if "/steps/" in info.path]


def test_verified_by_the_texts_themselves(spark: SparkSession, tmp_path: Path) -> None:
    params = replace(PARAMS, verify="exact", threshold=0.85)
    every = corpus(seed=2)
    expected = assert_as_reference(build(spark, tmp_path, in_files(every, 2, seed=2), params), every, params)
    assert {kind for _, kind, _ in expected.values()} == {"exact", "near"}


@pytest.mark.parametrize("max_documents", [MAX_DOCUMENTS, 0], ids=["in memory", "by joins"])
def test_without_the_exact_pass_copies_are_near_duplicates_and_texts_without_words_all_stay(
    spark: SparkSession, tmp_path: Path, max_documents: int
) -> None:
    params = replace(PARAMS, exact=False)
    every = corpus(seed=3)
    built = build(spark, tmp_path, in_files(every, 2, seed=3), params, max_documents)
    expected = assert_as_reference(built, every, params)
    assert {kind for _, kind, _ in expected.values()} == {"near"}
    assert {document.id for document in every if not document.text.strip()} <= kept(built).keys()


def test_nothing_goes_where_there_are_no_duplicates(spark: SparkSession, tmp_path: Path) -> None:
    one, others = documents("one", "just a text of its own"), documents("others", "", "two words", "and three words")
    built = build(spark, tmp_path, {"none": [], "one": [one], "others": [others[:1], others[1:]]})
    assert_as_reference(built, [*one, *others], PARAMS)
    assert [dataset.manifest.counts["kept_documents"] for dataset in built.values()] == [0, 1, 3]
    assert not rows(built, "removed")
    assert not alarms_of(built, max_cluster=1, max_source_loss=0.0)


def test_of_many_copies_one_stays_in_the_source_that_has_priority(spark: SparkSession, tmp_path: Path) -> None:
    first, second = documents("first", *["Copy"] * 20), documents("second", *["copy "] * 30)
    built = build(spark, tmp_path, {"first": [first[:5], first[5:]], "second": [second]})
    assert_as_reference(built, [*first, *second], PARAMS)
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
    for number, limits in enumerate(({}, {"max_documents": 0}, {"max_documents": 0, "max_edges": 0})):
        built = build(spark, tmp_path / str(number), {"web": [own]}, replace(PARAMS, url=True), **limits)
        found = {doc_id: (to, kind) for doc_id, (to, kind, _) in removed(built).items()}
        # b.org joins the near copies of one text with the copies of another: of all these the longest stays.
        assert found == {
            own[0].id: (own[1].id, "url"),
            own[2].id: (own[3].id, "near"),
            own[4].id: (own[3].id, "near"),
            own[5].id: (own[3].id, "near"),
        }
        assert built["web"].manifest.report["removed_by_kept_source"]["url"] == {"web": 1}


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
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_documents: int
) -> None:
    monkeypatch.setattr(deduped, "SHOWN_BUCKET", 5)
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
