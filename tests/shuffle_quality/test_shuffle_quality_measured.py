import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipeline import plan
from pipeline.order import samples
from pipeline.shuffle_quality import plot, table
from pipeline.shuffle_quality.datasets import SourceData
from pipeline.shuffle_quality.measured import Figures, measure
from pipeline.tokenized.where import Where
from tests.tiny_mix import make_tiny_mix
from tests.tokenized.test_tokenized_where import RANGES, corpus, mix_of, written

SIZE = 12


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("root")
    parts = {
        name: [written(root, name, corpus(name, n), number, RANGES) for number in (0, 1)]
        for name, n in (("code", 70), ("docs", 45))
    }
    return mix_of(root, {name: (datasets, []) for name, datasets in parts.items()})


@pytest.fixture(scope="module")
def figures(mix: str) -> Figures:
    loaded = plan.load(mix)
    return measure(loaded, [SourceData(mix, source) for source in loaded.sources], SIZE, (1, 4, 5))


def shown(figures: Figures) -> str:
    stream = io.StringIO()
    Console(file=stream, width=160).print(table.report(figures))
    return stream.getvalue()


def test_meetings_are_those_of_the_batches(mix: str, figures: Figures) -> None:
    where, order = Where(mix), plan.order_of(plan.load(mix))
    rows = samples(order, 0, figures.n_batches * SIZE)
    assert (order.block_samples, figures.n_batches) == (64, 5)
    for number, source in enumerate(figures.sources):
        pairs = {"chunk": 0, "shard": 0, "document": 0}
        company = 0
        chunk = max(1, min(4, order.n_samples[number] // 16))  # small sources are cut finer
        for batch in range(figures.n_batches):
            part = slice(batch * SIZE, (batch + 1) * SIZE)
            served = rows.sample[part][rows.source[part] == number].tolist()
            pieces = [where.by_sample(source.name, sample) for sample in served]
            groups = {
                "chunk": [[sample // chunk] for sample in served],
                "shard": [[(of[0].dataset, of[0].shard)] for of in pieces],
                "document": [list({piece.doc_id for piece in of}) for of in pieces],
            }
            for kind, of_row in groups.items():
                times = Counter(group for of in of_row for group in of)
                pairs[kind] += sum(n * (n - 1) // 2 for n in times.values())
                if kind == "document":
                    company += sum(any(times[group] > 1 for group in of) for of in of_row)
        assert source.shards is not None
        assert source.documents is not None
        found = {"chunk": source.chunks, "shard": source.shards, "document": source.documents}
        assert {kind: of.pairs for kind, of in found.items()} == pairs
        assert source.documents.in_company == company > 0
        assert source.documents_read[0] == source.documents_read[1] > 1


def test_reads_are_of_the_runs_blocks(figures: Figures) -> None:
    assert (figures.budget_samples, figures.n_blocks, figures.blocks) == (625, 10, (0, 4, 9))
    assert list(figures.reads) == [1, 4, 5]
    assert figures.reads[1].fetched_samples <= figures.reads[4].fetched_samples <= figures.reads[5].fetched_samples


def test_without_datasets_there_are_no_shards_and_documents(mix: str, figures: Figures) -> None:
    without = measure(plan.load(mix), None, SIZE, (1, 4, 5))
    for one, other in zip(without.sources, figures.sources, strict=True):
        assert one == replace(other, shards=None, documents=None, documents_read=(0, 0))
    assert without.course == figures.course


def test_the_course_goes_as_far_as_the_run(figures: Figures) -> None:
    parts = {name: [point.part for point in figures.course if point.name == name] for name in ("code", "docs")}
    assert parts == {"code": list(range(10)), "docs": []}  # a pass of docs is shorter than ten batches


def test_a_run_of_less_than_a_batch_is_refused(mix: str) -> None:
    with pytest.raises(ValueError, match="has a budget of 625 samples, less than a batch of 626; ask for a smaller"):
        measure(plan.load(mix), None, 626, (1,))


def test_all_of_it_is_shown(figures: Figures) -> None:
    text = shown(figures)
    for source in figures.sources:
        assert f"│ {source.name} " in text
        assert f"{source.composition.deviation:.2f}" in text
        assert source.documents is not None
        assert f"{source.documents.company:.2%}" in text
    for reads in figures.reads.values():
        assert f"{reads.amplification:.3f}" in text
    assert "10/10" in text
    assert "…" not in text  # nothing is cut


def test_a_source_that_is_not_served_is_shown_too(tmp_path: Path) -> None:
    folder = str(make_tiny_mix(tmp_path, weights={"code": "1/2", "docs": "1/2", "web": "0"}))
    found = measure(plan.load(folder), None, 8, (2,))
    assert found.sources[2].chunks.n_rows == 0
    assert "│ web " in shown(found)
    assert plot.png(found).startswith(b"\x89PNG")


def test_the_picture_is_one(figures: Figures) -> None:
    assert plot.png(replace(figures, mix="a $x_{1 mix")).startswith(b"\x89PNG\r\n\x1a\n")
