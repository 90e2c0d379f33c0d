"""Random corpora: every way to decide gives what comparing all with all gives, and loses nothing on the way."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pipeline import manifest, storage
from pipeline.deduped import against, in_memory, specs
from pipeline.deduped import spark as deduped
from pipeline.deduped.against import Earlier
from pipeline.deduped.batches import DedupParams, measure
from pipeline.deduped.compared import spark as compared
from pipeline.deduped.delined import spark as delined
from pipeline.deduped.inputs import Inputs
from pipeline.deduped.kept import write_file
from pipeline.deduped.published import KINDS, publish
from pipeline.manifest import Dataset
from pipeline.tables.sink import Sink
from pipeline.tables.spark import Receipt
from tests.deduped.dedup_oracle import Answer, Document, Removal, answer, without_lines
from tests.deduped.test_deduped_spark import PARAMS, filtered, rows, signatures_spec

WORDS = [f"w{number}" for number in range(400)]
MENU = ["Home | About | Log in", "Accept 12 cookies", "All rights reserved."]
SPELLINGS = ["http://www.x.org/{}/", "https://x.org/{}", "https://X.org/{}?utm_source=z", "HTTPS://x.org/{}#top"]
PAGES = {spelling.format(page): page for page in range(12) for spelling in SPELLINGS}
PRIORITIES = {"a": 2, "b": 1, "c": 2}
WAYS: dict[str, dict[str, int]] = {
    "in memory": {},
    "by joins": {"max_documents": 0},
    "by joins and star rounds": {"max_documents": 0, "max_edges": 0},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one corpus is deduplicated with; `lines`: in how many documents a line may stand; `against`: whether a third
    of the documents belong to an earlier run."""

    seed: int
    params: DedupParams
    against: bool = False
    lines: int | None = None


def case(
    seed: int, *, within_source: bool = False, against: bool = False, lines: int | None = None, **changes: Any
) -> Case:
    scope = "within_source" if within_source else "global"
    return Case(seed=seed, params=replace(PARAMS, scope=scope, **changes), against=against, lines=lines)


def corpus(random: Random, n: int) -> list[Document]:
    """Documents of three sources: texts of their own, exact copies (spelt otherwise), near copies, near copies of
    these, short and empty texts; some with lines of a menu; of some pages more than one."""
    texts: list[str] = []
    for _ in range(n):
        kind = random.random()
        if kind < 0.06:
            texts.append(random.choice(["", " \n", "one two", "One  two", "|", "一二三四五六七"]))
        elif kind < 0.45 or not texts:
            texts.append(" ".join(random.choices(WORDS, k=random.randrange(20, 90))))
        elif kind < 0.6:
            copy = random.choice(texts)
            texts.append(random.choice([copy, copy.upper(), f" {copy}\n", copy.replace(" ", "\t ")]))
        else:
            words = random.choice(texts[-8:]).split(" ")
            for place in random.sample(range(len(words)), k=min(len(words), random.choice([1, 1, 2, 3, 6]))):
                words[place] = random.choice(WORDS)
            texts.append(" ".join(words))
    return [
        Document(
            source=random.choice("abc"),
            record=record,
            text=f"{text}\n{random.choice(MENU)}" if random.random() < 0.1 else text,
            url=random.choice(list(PAGES)) if random.random() < 0.12 else random.choice([None, None, "", " "]),
            words=random.choice([3, 4]),
            ratio=random.choice([None, None, 1.5, 2.0]),
        )
        for record, text in enumerate(texts)
    ]


def in_files(random: Random, documents: Sequence[Document]) -> dict[str, list[list[Document]]]:
    """The documents of each source, shuffled, in up to three files."""
    shuffled, found = random.sample(documents, len(documents)), {}
    for source in PRIORITIES:
        own, n_files = [one for one in shuffled if one.source == source], random.randrange(1, 4)
        found[source] = [part for first in range(n_files) if (part := own[first::n_files])]
    return found


def measured(root: Path, dataset: Dataset, params: DedupParams) -> Dataset:
    """The signatures of a dataset, without Spark."""
    spec, attempt, files = signatures_spec(dataset, params), manifest.new_attempt(), []
    for task in enumerate(dataset.urls("filtered")):
        with Sink("signatures", storage.join(spec.url(str(root)), attempt), task[0]) as sink:
            measure(dict(spec.parameters), task, sink)
        files += sink.files
    counts = {"documents": dataset.manifest.counts["kept_documents"]}
    return manifest.publish(str(root), spec, attempt=attempt, files=files, counts=counts)


def built_in_memory(root: Path, inputs: Inputs, params: DedupParams, wanted: Sequence[manifest.Spec]) -> list[Dataset]:
    """The datasets as the driver decides on them, without Spark: what `spark.build` does with few documents."""
    by_file, attempt = in_memory.decide(inputs, params).by_file, manifest.new_attempt()
    tasks, receipts = inputs.text_urls(), []
    for task, (number, _) in enumerate(tasks):
        with Sink("deduped", storage.join(wanted[number].url(str(root)), attempt), task) as sink:
            write_file([url for _, url in tasks], inputs.names, task, iter(by_file[task].to_batches()), sink)
        receipts.append(Receipt(task=task, files=tuple(sink.files), counts=sink.counts, notes=sink.notes))
    of_source = [[receipt for receipt in receipts if tasks[receipt.task][0] == n] for n in range(len(wanted))]
    return [
        publish(str(root), spec, attempt, of_source[n], inputs, n, {"vertices": 0}) for n, spec in enumerate(wanted)
    ]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Sources that are compared with each other: their files, and what must come of them."""

    files: Mapping[str, Sequence[Sequence[Document]]]
    earlier: Sequence[Earlier]
    params: DedupParams
    expected: Answer
    documents: Sequence[Document]


def prepared(root: Path, case: Case) -> list[Group]:
    """The corpus of a case, and its answers."""
    random = Random(case.seed)
    every = corpus(random, random.randrange(30, 200))
    old = every[::3] if case.against else []
    new = [one for number, one in enumerate(every) if one not in old or number % 4 == 0]  # some come once more
    params = replace(case.params, priorities=PRIORITIES)
    earlier, old_kept = earlier_run(root / "old", random, old, params) if old else ([], {})
    found = []
    for names in [[name] for name in PRIORITIES] if params.scope == "within_source" else [list(PRIORITIES)]:
        files = {name: of for name, of in in_files(random, new).items() if name in names}
        own = [one for one in new if one.source in names]
        if case.lines:
            cut = [without_lines([one for one in own if one.source == name], case.lines) for name in names]
            own = [one for of_source in cut for one in of_source]
        mine = [one for one in earlier if params.scope == "global" or one.source in names]
        named = zip(against.names(names, mine), mine, strict=True)
        stayed = [(name, document) for name, one in named for document in old_kept[one.source]]
        expected = answer(own, params, stayed, PAGES if params.url else None)
        found.append(Group(files=files, earlier=mine, params=params, expected=expected, documents=own))
    return found


def earlier_run(
    root: Path, random: Random, every: Sequence[Document], params: DedupParams
) -> tuple[list[Earlier], dict[str, list[Document]]]:
    """The deduped datasets of an earlier run over these documents, by other rules, and what each of them kept."""
    other = replace(params, exact=True, url=False, keep=None, verify="signature", scope="global", priorities=PRIORITIES)
    inputs = [filtered(root, source, files) for source, files in in_files(random, every).items()]
    signed = [measured(root, dataset, other) for dataset in inputs]
    wanted = [specs.spec(source, inputs, other) for source in PRIORITIES]
    built = built_in_memory(root, Inputs(filtered=inputs, signatures=signed), other, wanted)
    kept = answer(every, other).kept
    assert {row["doc_id"] for row in rows({d.url: d for d in built}, "deduped")} == set(kept)
    stayed = {name: [one for one in every if one.source == name and one.id in kept] for name in PRIORITIES}
    return against.find([dataset.url for dataset in built], replace(params, priorities=PRIORITIES)), stayed


def assert_as_expected(datasets: Sequence[Dataset], group: Group) -> None:
    """Documents and bytes are all accounted for, each decision is the expected one, and the report says so."""
    found, by_url = group.expected, {dataset.url: dataset for dataset in datasets}
    kept, removed = rows(by_url, "deduped"), rows(by_url, "removed")
    assert Counter(row["doc_id"] for row in [*kept, *removed]) == Counter(one.id for one in group.documents)
    assert {row["doc_id"]: row["cluster_size"] for row in kept} == found.kept
    assert {
        row["doc_id"]: Removal(
            kept=row["kept_doc_id"], source=row["kept_source"], kind=row["kind"], similarity=row["similarity"]
        )
        for row in removed
    } == found.removed
    texts = {one.id: one for one in group.documents}
    assert {row["doc_id"]: (row["source"], row["text"], row["n_bytes"]) for row in kept} == {
        i: (texts[i].source, texts[i].text, texts[i].n_bytes) for i in found.kept
    }
    for dataset in datasets:
        name, counts, report = dataset.manifest.source, dataset.manifest.counts, dataset.manifest.report
        own = [one for one in group.documents if one.source == name]
        gone = [(one, found.removed[one.id]) for one in own if one.id in found.removed]
        n_bytes = sum(one.n_bytes for one in own), sum(one.n_bytes for one, _ in gone)
        assert (counts["documents"], counts["bytes"]) == (len(own), n_bytes[0])
        assert (counts["kept_documents"], counts["kept_bytes"]) == (len(own) - len(gone), n_bytes[0] - n_bytes[1])
        assert counts["removed"] == Counter(why.kind for _, why in gone)
        for kind, of_kind in report["removed_by_kept_source"].items():
            assert of_kind == Counter(why.source for _, why in gone if why.kind == kind)
        by_name = zip(against.names([of.manifest.source for of in datasets], group.earlier), group.earlier, strict=True)
        assert report.get("against", {}) == {
            label: {"fingerprint": of.fingerprint, "documents": of.n_documents}
            | {kind: report["removed_by_kept_source"][kind].get(label, 0) for kind in KINDS}
            for label, of in by_name
        }
        assert report["cluster_sizes"] == {
            str(size): n for size, n in Counter(found.kept[one.id] for one in own if one.id in found.kept).items()
        }
        shown = {(name, one.id): found.kept[one.id] for one in own if found.kept.get(one.id, 1) > 1}
        shown |= {to: found.earlier[to] for _, why in gone if (to := (why.source, why.kept)) in found.earlier}
        largest = sorted((-size, doc_id.hex(), source) for (source, doc_id), size in shown.items())[:20]
        told = [(-one["documents"], one["doc_id"], one["source"]) for one in report["largest_clusters"]]
        assert [one[:2] for one in told] == [one[:2] for one in largest]
        assert sorted(told) == largest
        for one in report["largest_clusters"]:
            place = one["source"], bytes.fromhex(one["doc_id"])
            of_cluster = [gone_one for gone_one, why in gone if (why.source, why.kept) == place]
            of_cluster = [texts[place[1]]] if place[0] == name else of_cluster
            assert one["excerpt"].removesuffix("…") in {document.text[:300] for document in of_cluster}


def any_case(seed: int) -> Case:
    """A case by chance, of those that the driver can decide on without Spark."""
    random = Random(seed)
    return case(
        seed,
        within_source=random.random() < 0.3,
        against=random.random() < 0.5,
        threshold=random.choice([0.6, 0.8, 1.0]),
        ngram=random.choice([1, 5]),
        bands=random.choice([14, 4]),
        exact=random.random() < 0.5,
        url=random.random() < 0.5,
        keep=random.choice([None, "n_words", "compression_ratio"]),
        keep_most=random.random() < 0.5,
    )


@pytest.mark.parametrize("case", [any_case(seed) for seed in range(12)], ids=lambda case: str(case.seed))
def test_the_driver_decides_as_comparing_all_with_all(tmp_path: Path, case: Case) -> None:
    for group in prepared(tmp_path, case):
        inputs = [filtered(tmp_path, source, files) for source, files in group.files.items()]
        signed = [measured(tmp_path, dataset, group.params) for dataset in inputs]
        fingerprints = [one.fingerprint for one in group.earlier]
        wanted = [specs.spec(source, inputs, group.params, fingerprints) for source in group.files]
        every = Inputs(filtered=inputs, signatures=signed, earlier=group.earlier)
        assert_as_expected(built_in_memory(tmp_path, every, group.params, wanted), group)


SPARK_CASES = {
    "as by default": (case(1), 8, ["by joins"]),
    "URLs, the least of a signal that some have not, earlier runs, near copies only": (
        case(2, url=True, keep="compression_ratio", keep_most=False, against=True, exact=False, threshold=0.6),
        1,
        ["in memory", "by joins and star rounds"],
    ),
    "lines, URLs, the most of a signal, verified by texts": (
        case(3, lines=2, keep="n_words", url=True, verify="exact"),
        200,
        ["by joins and star rounds"],
    ),
}


@pytest.mark.parametrize(("case", "n_partitions", "ways"), list(SPARK_CASES.values()), ids=list(SPARK_CASES))
def test_each_way_decides_as_comparing_all_with_all(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    n_partitions: int,
    ways: Sequence[str],
) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(n_partitions))
    monkeypatch.setattr(compared, "ROWS_A_PARTITION", {1: 10**9, 8: 400, 200: 25}[n_partitions])
    try:
        for number, group in enumerate(prepared(tmp_path, case)):
            root = tmp_path / str(number)
            inputs = [filtered(root, source, files) for source, files in group.files.items()]
            if case.lines:
                cut = [delined.spec(dataset, case.lines) for dataset in inputs]
                inputs = [delined.build(spark, *pair, str(root)) for pair in zip(inputs, cut, strict=True)]
            signed = [
                deduped.build_signatures(spark, dataset, signatures_spec(dataset, group.params), str(root))
                for dataset in inputs
            ]
            fingerprints = [one.fingerprint for one in group.earlier]
            wanted = [specs.spec(source, inputs, group.params, fingerprints) for source in group.files]
            for way in ways:
                out = str(root / way)
                built = deduped.build(
                    spark, inputs, signed, group.params, wanted, out, earlier=group.earlier, **WAYS[way]
                )
                assert_as_expected(built, group)
                assert not [info for info in storage.list_files(out) if "/steps/" in info.path]
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before or "8")
