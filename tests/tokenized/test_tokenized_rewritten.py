"""A dataset without some documents, compared with the one that the stage makes of the others."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline import manifest, storage
from pipeline.alarms import StageError
from pipeline.manifest import Dataset
from pipeline.tokenized import quality, rewritten
from pipeline.tokenized.ranges import Ranges
from pipeline.tokenized.rewritten import spec, taken_down, without
from tests.tokenized.test_tokenized_where import Corpus, corpus, ids_of, written

RANGES = Ranges(n_ranges=1, n_partitions=3)
TEXTS = corpus("code", 70)


def bytes_of(dataset: Dataset) -> dict[str, bytes]:
    """The files that both have, by name."""
    return {
        file.path: storage.read(dataset.file_url(file))
        for file in dataset.manifest.files
        if file.table not in ("usage", "taken_down")
    }


def some(texts: Corpus, every: int) -> set[bytes]:
    return {doc_id for place, doc_id in enumerate(texts) if place % every == 0}


@pytest.mark.parametrize("number", [0, "validation"])
@pytest.mark.parametrize("packing", ["concat", "best_fit", "none"])
@pytest.mark.parametrize("every", [1, 2, 7, 1000])
def test_it_is_the_dataset_of_the_other_documents(tmp_path: Path, packing: str, every: int, number: int | str) -> None:
    old = written(tmp_path / "old", "code", TEXTS, number, RANGES, packing)
    gone = some(TEXTS, every)
    stays = {doc_id: text for doc_id, text in TEXTS.items() if doc_id not in gone}
    fresh = written(tmp_path / "fresh", "code", stays, number, RANGES, packing)
    new = without(old, gone, str(tmp_path / "old"))
    assert bytes_of(new) == bytes_of(fresh)
    assert new.manifest.counts == {name: n for name, n in fresh.manifest.counts.items() if name in new.manifest.counts}
    assert set(fresh.manifest.counts) - set(new.manifest.counts) == {
        "bytes", "squared_bytes", "bytes_times_tokens", "squared_tokens",
    }  # fmt: skip
    assert taken_down(new) == {doc_id: len(ids_of(TEXTS[doc_id])) for doc_id in gone}
    assert new.url == f"{tmp_path}/old/tokenized/code/{spec(old, gone).fingerprint}" != old.url
    assert bytes_of(old) == bytes_of(manifest.load(old.url))


def test_compressed_shards_stay_compressed(tmp_path: Path) -> None:
    old = written(tmp_path / "old", "code", TEXTS, 0, RANGES, compression="zstd:1")
    gone = some(TEXTS, 7)
    stays = {doc_id: text for doc_id, text in TEXTS.items() if doc_id not in gone}
    fresh = written(tmp_path / "fresh", "code", stays, 0, RANGES, compression="zstd:1")
    new = bytes_of(without(old, gone, str(tmp_path / "old")))
    assert new == bytes_of(fresh)
    assert "shard.00000.mds.zstd" in new
    assert "frames.bin" in new


def test_what_was_measured_on_texts_is_not_told(tmp_path: Path) -> None:
    new = without(written(tmp_path, "code", TEXTS, 0, RANGES), some(TEXTS, 7), str(tmp_path))
    assert (new.files("usage"), set(new.manifest.report)) == ([], {"engine"})
    with pytest.raises(ValueError, match="no report of its tokenizer: documents were taken out of it"):
        quality.of_datasets([new], 300)


def test_two_steps_are_one(tmp_path: Path) -> None:
    old = written(tmp_path, "code", TEXTS, 0, RANGES)
    first, second = list(TEXTS)[3:5], list(TEXTS)[5:9]
    step = without(old, first, str(tmp_path))
    assert spec(step, second) == spec(old, [*second, *first])
    assert spec(step, second) != spec(old, second)
    both = without(step, second, str(tmp_path))
    again = without(old, [*first, *second], str(tmp_path))
    assert again.manifest == both.manifest  # the second of two runs takes the first's
    assert set(taken_down(both)) == {*first, *second}


def test_processes_write_the_same(tmp_path: Path) -> None:
    old = written(tmp_path / "a", "code", TEXTS, 0, RANGES)
    one = without(old, some(TEXTS, 5), str(tmp_path / "a"))
    with rewritten.processes(2) or nullcontext() as pool:
        other = without(old, some(TEXTS, 5), str(tmp_path / "b"), pool)
    assert pool is not None and rewritten.processes(1) is None
    listed = [[(file.path, file.xxh3) for file in made.manifest.files] for made in (one, other)]
    assert listed[0] == listed[1]


@pytest.mark.parametrize("path", ["shard.00001.mds", "provenance/00001.parquet", "shard.00003.mds"])
def test_damage_is_not_given_a_new_checksum(tmp_path: Path, path: str) -> None:
    old = written(tmp_path, "code", TEXTS, 0, RANGES)
    [file] = [file for file in old.manifest.files if file.path == path]
    data = bytearray(storage.read(old.file_url(file)))
    data[-100] ^= 1
    storage.write(old.file_url(file), bytes(data))
    with pytest.raises(ValueError, match=rf"{path} is damaged: its xxh3 is .*; put it back from a copy"):
        without(old, some(TEXTS, 5), str(tmp_path))
    assert manifest.find(spec(old, some(TEXTS, 5)).url(str(tmp_path))) is None


def test_a_document_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    old = written(tmp_path, "code", TEXTS, 0, RANGES)
    with pytest.raises(StageError, match="without 1 documents does not balance: 1 documents in, 0 kept"):
        without(old, [b"x" * 16], str(tmp_path))


def test_what_a_killed_run_leaves_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = written(tmp_path, "code", TEXTS, 0, RANGES)
    gone = some(TEXTS, 5)
    real, calls = storage.write, 0

    def killed(url: str, data: storage.Data, options: storage.Options = None, *, lasting: bool = True) -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        real(url, data, options, lasting=lasting)

    monkeypatch.setattr(storage, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        without(old, gone, str(tmp_path))
    assert manifest.find(spec(old, gone).url(str(tmp_path))) is None
    monkeypatch.setattr(storage, "write", real)
    made = without(old, gone, str(tmp_path))
    attempts = {path.name for path in Path(made.url).iterdir()} - {manifest.MANIFEST}
    assert len(attempts) == 2  # the killed one is swept a week later
    assert {file.path for file in made.manifest.files} == {
        info.path for info in storage.list_files(storage.join(made.url, made.manifest.attempt))
    }
