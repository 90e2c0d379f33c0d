"""Runs: what a task that encodes leaves to those that write, against lists of Python."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.tokenized import runs
from pipeline.tokenized.runs import DOCUMENT, Batch, Sorted

Document = tuple[int, int, list[int]]  # partition, hash, ids


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def batch_of(documents: list[Document], first: int) -> Batch:
    """Documents whose doc_ids count from `first`, and their n_bytes too."""
    rows = np.zeros(len(documents), DOCUMENT)
    rows["hash"] = [hashed for _, hashed, _ in documents]
    for place in range(len(documents)):
        rows["doc_id"][place] = np.void(name(first + place))
    rows["n_bytes"] = first + np.arange(len(documents))
    rows["n_tokens"] = [len(ids) for _, _, ids in documents]
    tokens = np.array([one for _, _, ids in documents for one in ids], np.uint32)
    return Batch(partition=np.array([part for part, _, _ in documents], np.int64), documents=rows, tokens=tokens)


def told(found: Sorted) -> list[tuple[int, bytes, int, list[int]]]:
    """Each document's hash, doc_id, n_bytes and ids."""
    ends = np.cumsum(found.documents["n_tokens"]).tolist()
    starts = [0, *ends[:-1]]
    return [
        (int(row["hash"]), bytes(row["doc_id"]), int(row["n_bytes"]), found.tokens[start:end].tolist())
        for row, start, end in zip(found.documents, starts, ends, strict=False)
    ]


def expected(batches: list[list[Document]], n_partitions: int, before: list[int], after: list[int]) -> list[object]:
    rows: list[list[tuple[int, bytes, int, list[int]]]] = [[] for _ in range(n_partitions)]
    for number, (part, hashed, ids) in enumerate(document for batch in batches for document in batch):
        rows[part].append((hashed, name(number), number, [*before, *ids, *after]))
    return [sorted(own) for own in rows]


def written(
    folder: Path, batches: list[list[Document]], n_runs: int, n_partitions: int, bos_id: int | None, eos_id: int | None
) -> list[str]:
    """The batches dealt to runs, which are files."""
    firsts = np.cumsum([0, *(len(batch) for batch in batches)]).tolist()
    made = [batch_of(batch, first) for batch, first in zip(batches, firsts, strict=False)]
    urls = []
    for number in range(n_runs):
        if own := made[number::n_runs]:
            urls.append(str(folder / str(number)))
            storage.write(urls[-1], runs.run(own, n_partitions, "uint16", bos_id=bos_id, eos_id=eos_id))
    return urls


ids = st.lists(st.integers(0, 2**16 - 1), max_size=4)
documents = st.tuples(st.integers(0, 3), st.sampled_from([0, 5, 2**64 - 1]), ids)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.lists(documents, max_size=6), max_size=5),
    st.integers(1, 3),
    st.sampled_from([None, 0, 7]),
    st.sampled_from([None, 0, 9]),
)
def test_partitions_are_read_as_they_were_dealt(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[Document]],
    n_runs: int,
    bos_id: int | None,
    eos_id: int | None,
) -> None:
    urls = written(tmp_path_factory.mktemp("runs"), batches, n_runs, 4, bos_id, eos_id)
    before, after = ([] if one is None else [one] for one in (bos_id, eos_id))
    wanted = expected(batches, 4, before, after)
    assert [told(found) for found in runs.read(urls, 0, 4, 4, "uint16")] == wanted
    assert [told(found) for found in runs.read(urls, 1, 3, 4, "uint16")] == wanted[1:3]
    for found in runs.read(urls, 0, 4, 4, "uint16"):
        assert found.tokens.dtype == np.uint16


def test_ids_above_two_bytes(tmp_path: Path) -> None:
    data = runs.run([batch_of([(0, 1, [70_000, 3])], 0)], 1, "uint32", bos_id=None, eos_id=65_536)
    storage.write(str(tmp_path / "run"), data)
    [found] = runs.read([str(tmp_path / "run")], 0, 1, 1, "uint32")
    assert found.tokens.tolist() == [70_000, 3, 65_536]
    assert found.tokens.dtype == np.uint32


def test_batches_are_not_changed() -> None:
    batch = batch_of([(1, 2, [3, 4]), (0, 1, [5])], 0)
    runs.run([batch], 2, "uint16", bos_id=1, eos_id=2)
    assert batch.documents["n_tokens"].tolist() == [2, 1]
    assert batch.tokens.tolist() == [3, 4, 5]


@pytest.mark.parametrize("at", [80, -1])
def test_a_damaged_run_is_named(tmp_path: Path, at: int) -> None:
    [url] = written(tmp_path, [[(1, 5, [1, 2, 3])]], 1, 2, None, None)
    data = bytearray(Path(url).read_bytes())
    data[at] ^= 1
    Path(url).write_bytes(data)
    with pytest.raises(ValueError, match=f"^{url} is damaged: .* of partition 1 differs"):
        list(runs.read([url], 0, 2, 2, "uint16"))
    Path(url).write_bytes(data[:60])
    with pytest.raises(ValueError, match="is cut off: it has no table of the partitions 0 to 2"):
        list(runs.read([url], 0, 2, 2, "uint16"))
