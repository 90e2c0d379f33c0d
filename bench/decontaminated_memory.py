"""The memory of a Python worker that filters documents, with evaluation items and without: flat, however many come."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.filtered_kernel import ALL, chosen_rules
from bench.measure import fresh
from bench.table import figure, show
from pipeline import storage
from pipeline.document import doc_ids
from pipeline.filtered import tasks
from pipeline.filtered.decisions import Choice
from pipeline.filtered.evaluation_items import StoredItems, dump
from pipeline.filtered.item_index import ItemIndex
from pipeline.tables.sink import Sink

DOCUMENTS, SIGNALS = "documents", "signals"
BATCH_DOCUMENTS = 1000
TIMES = (1, 2, 4)


def show_memory(index: ItemIndex, code: Sequence[str], min_overlap: float) -> None:
    """Print the peak of an interpreter, its libraries included, that does the tasks of one, two and four times the
    text's files one after the other, as Spark's workers do."""
    with TemporaryDirectory() as folder:
        n_bytes = write(folder, code)
        storage.write(f"{folder}/index.npz", dump(index))
        rows = []
        for times in TIMES:
            peaks = [
                fresh(
                    f"from bench import decontaminated_memory as m; m.work({folder!r}, {times}, {overlap})"
                ).peak_bytes
                for overlap in (None, min_overlap)
            ]
            rows.append([f"{times} ×", figure(times * n_bytes / 1e6), *(f"{peak / 1e6:,.0f}" for peak in peaks)])
    show(
        f"decontaminated: peak memory of a worker of the filter pass, MB; {len(index.words):,} words of items, index "
        f"{index.n_bytes / 1e6:.0f} MB",
        ["", "MB of text", "without items", "looking for items"],
        rows,
    )


def work(folder: str, times: int, min_overlap: float | None) -> None:
    """Filter all files of the folder so many times; with an overlap, by the items of its index, too."""
    items = StoredItems(url=f"{folder}/index.npz", sets=("many",), digest="0" * 32)
    choice = Choice(rules=chosen_rules()[ALL], items=items if min_overlap else None, min_overlap=min_overlap or 1.0)
    names = sorted(path.name for path in Path(folder, DOCUMENTS).iterdir())
    for number, name in enumerate(names * times):
        with Sink("filtered", f"{folder}/made", number) as sink:
            tasks.filter_documents(choice, ([f"{folder}/{DOCUMENTS}/{name}"], [[f"{folder}/{SIGNALS}/{name}"]]), sink)
        storage.remove_tree(f"{folder}/made")


def write(folder: str, code: Sequence[str]) -> int:
    """The tables that the tasks read, a file a task, named alike; bytes of text."""
    n_bytes = 0
    with Sink(DOCUMENTS, folder, 0) as sink:
        for first in range(0, len(code), BATCH_DOCUMENTS):
            texts = list(code[first : first + BATCH_DOCUMENTS])
            sizes = np.array([len(text.encode()) for text in texts])
            numbers, n = np.arange(first, first + len(texts)), len(texts)
            n_bytes += int(sizes.sum())
            sink.write(
                DOCUMENTS,
                {
                    "doc_id": doc_ids("code", "a", numbers), "source": ["code"] * n, "text": texts, "url": [None] * n,
                    "file": ["a"] * n, "record": numbers, "n_bytes": sizes, "meta": ["{}"] * n,
                },
            )  # fmt: skip
    for file in sink.files:
        with Sink(SIGNALS, f"{folder}/measured", 0) as measured:
            tasks.measure(SIGNALS, [f"{folder}/{file.path}"], measured)
        [made] = measured.files
        Path(folder, SIGNALS).mkdir(exist_ok=True)
        Path(folder, "measured", made.path).rename(Path(folder, SIGNALS, Path(file.path).name))
    return n_bytes
