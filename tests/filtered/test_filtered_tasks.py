"""What a task of the stage is: a file of documents, also where one task wrote many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from pipeline import manifest, storage
from pipeline.document import doc_ids
from pipeline.filtered import spark as stage
from pipeline.filtered.decisions import Choice
from pipeline.manifest import Dataset, Spec
from pipeline.tables import sink as sinks
from pipeline.tables import spark as tables
from pipeline.tables.sink import Sink


class Captured(Exception):  # noqa: N818, it is no error
    pass


def one_task(root: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Documents that a single task wrote, in three files."""
    monkeypatch.setattr(sinks, "FILE_BYTES", 10_000)
    spec = Spec(stage="documents", source="one", version=1, inputs={}, parameters={})
    attempt = manifest.new_attempt()
    with Sink("documents", storage.join(spec.url(str(root)), attempt), 0) as sink:
        for first in range(0, 30, 10):
            rows = {
                "doc_id": doc_ids("one", "a", np.arange(first, first + 10)),
                "source": ["one"] * 10,
                "text": pa.array(["x" * 1_000] * 10, pa.large_string()),
                "url": pa.nulls(10, pa.string()),
                "file": ["a"] * 10,
                "record": np.arange(first, first + 10),
                "n_bytes": np.full(10, 1_000),
                "meta": ["{}"] * 10,
            }
            sink.write("documents", rows)
    return manifest.publish(str(root), spec, attempt=attempt, files=sink.files, counts={"kept_documents": 30})


def test_tasks_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = one_task(tmp_path, monkeypatch)
    given: list[Sequence[Any]] = []

    def run_tasks(spark: object, tasks: Sequence[Any], *rest: object, **named: object) -> None:
        given.append(tasks)
        raise Captured

    signals = Spec(stage="signals", source="one", version=1, inputs={}, parameters={})
    filtered = Spec(stage="filtered", source="one", version=1, inputs={}, parameters={})
    spark: Any = None
    with mock.patch.object(tables, "run_tasks", run_tasks):
        with pytest.raises(Captured):
            stage.build_measured(spark, documents, signals, str(tmp_path))
        monkeypatch.setattr(stage, "urls_by_task", lambda *_: [["a"], ["b"], ["c"]])
        with pytest.raises(Captured):
            stage.build(spark, documents, [documents], None, Choice(), filtered, str(tmp_path))
    urls = documents.urls("documents")
    assert len(urls) == 3
    assert given[0] == [[url] for url in urls]
    assert given[1] == [([url], [[name]]) for url, name in zip(urls, "abc", strict=True)]
