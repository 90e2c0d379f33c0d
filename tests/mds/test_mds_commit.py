"""The commit protocol without Spark: tries of tasks that count, that do not, and that come late."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import storage
from pipeline.mds import commit
from pipeline.mds.commit import ShardFile, Target

FIELDS = {"version": 2, "format": "mds"}


def _target(folder: Path, *, overwrite: bool = False, store: bool = False) -> Target:
    if store:  # the path that object stores take
        return Target(url=f"local://{folder}", overwrite=overwrite, options={"auto_mkdir": True})
    return Target(url=str(folder), overwrite=overwrite)


def _put(target: Target, partition: int, *shards: bytes) -> list[ShardFile]:
    """What one try of a task does."""
    return [
        ShardFile(name=commit.put(target, partition, number, data), n_samples=1, bytes=len(data), hashes={})
        for number, data in enumerate(shards)
    ]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _listed(folder: Path) -> list[bytes]:
    """The bytes of the listed shards, in order."""
    entries = json.loads((folder / "index.json").read_bytes())["shards"]
    return [(folder / entry["raw_data"]["basename"]).read_bytes() for entry in entries]


both = pytest.mark.parametrize("store", [False, True], ids=["local", "store"])


def test_shards_are_named_as_one_writer_would_name_them(tmp_path: Path) -> None:
    target = _target(tmp_path)
    shards = [*_put(target, 0, b"a", b"b"), *_put(target, 3, b"c")]
    commit.publish(target, FIELDS, shards)
    files = _files(tmp_path)
    assert {name: files[name] for name in files if name != "index.json"} == {
        "shard.00000.mds": b"a",
        "shard.00001.mds": b"b",
        "shard.00002.mds": b"c",
    }


@both
def test_tries_that_do_not_count_leave_nothing(tmp_path: Path, store: bool) -> None:
    target = _target(tmp_path, store=store)
    _put(target, 0, b"a killed try", b"with other bytes")
    counted = _put(target, 0, b"a", b"b")
    _put(target, 0, b"a", b"b")  # a speculative copy
    commit.publish(target, FIELDS, counted)
    assert _listed(tmp_path) == [b"a", b"b"]
    assert len(_files(tmp_path)) == 3
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@both
def test_what_comes_late_is_not_read_and_the_next_run_sweeps_it(tmp_path: Path, store: bool) -> None:
    target = _target(tmp_path, store=store)
    commit.publish(target, FIELDS, _put(target, 0, b"a"))
    _put(target, 0, b"late")
    assert _listed(tmp_path) == [b"a"]
    assert len(_files(tmp_path)) == 3
    following = _target(tmp_path, store=store, overwrite=True)
    commit.check_target(following)
    commit.publish(following, FIELDS, _put(following, 0, b"b"))
    assert _listed(tmp_path) == [b"b"]
    assert len(_files(tmp_path)) == 2


@both
def test_a_run_that_failed_does_not_stop_the_next_append(tmp_path: Path, store: bool) -> None:
    failed = _target(tmp_path, store=store)
    shards = _put(failed, 0, b"a")
    _put(failed, 1, b"of a task without a message")
    commit.abandon(failed, shards)
    _put(failed, 2, b"late")
    target = _target(tmp_path, store=store)
    commit.check_target(target)
    commit.publish(target, FIELDS, _put(target, 0, b"b"))
    assert _listed(tmp_path) == [b"b"]
    assert len(_files(tmp_path)) == 2


def test_files_that_a_killed_process_was_writing_are_swept(tmp_path: Path) -> None:
    (tmp_path / f".mds-{'0' * 32}").mkdir()
    (tmp_path / f".mds-{'0' * 32}" / f".00000.00000.mds.{'1' * 32}.tmp").write_bytes(b"ha")
    (tmp_path / f".index.json.{'1' * 32}.tmp").write_bytes(b"{")
    target = _target(tmp_path)
    commit.check_target(target)
    commit.publish(target, FIELDS, _put(target, 0, b"a"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "shard.00000.mds"]


@both
def test_of_two_overwrites_at_once_the_first_to_commit_stands(tmp_path: Path, store: bool) -> None:
    first = _target(tmp_path, store=store, overwrite=True)
    second = _target(tmp_path, store=store, overwrite=True)
    shards, others = _put(first, 0, b"a"), _put(second, 0, b"b")
    commit.publish(first, FIELDS, shards)
    with pytest.raises(ValueError, match="another run has"):
        commit.publish(second, FIELDS, others)
    assert _listed(tmp_path) == [b"a"]


@both
def test_abort_after_the_index_is_published_deletes_nothing_of_it(tmp_path: Path, store: bool) -> None:
    target = _target(tmp_path, store=store)
    shards = _put(target, 0, b"a", b"b")
    commit.publish(target, FIELDS, shards)
    before = _files(tmp_path)
    commit.abandon(target, shards)
    assert _files(tmp_path) == before


def test_overwriting_takes_free_names_and_removes_the_old_files_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _target(tmp_path)
    commit.publish(target, FIELDS, _put(target, 0, b"a", b"b"))
    (tmp_path / "notes.txt").write_bytes(b"mine")
    (tmp_path / "shard.00007.mds").write_bytes(b"no index lists it")
    seen: list[list[bytes]] = []

    def look(url: str, options: storage.Options = None) -> None:
        seen.append(_listed(tmp_path))

    following = _target(tmp_path, overwrite=True)
    shards = _put(following, 0, b"c")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "remove", look)
        commit.publish(following, FIELDS, shards)
    assert seen == [[b"c"]] * 3
    again = _target(tmp_path, overwrite=True)
    commit.publish(again, FIELDS, _put(again, 0, b"d", b"e"))
    assert _listed(tmp_path) == [b"d", b"e"]
    assert len(_files(tmp_path)) == 4


def test_bytes_that_a_store_has_already_are_kept_when_overwritten(tmp_path: Path) -> None:
    for _ in range(2):
        target = _target(tmp_path, store=True, overwrite=True)
        commit.publish(target, FIELDS, _put(target, 0, b"a"))
    assert _listed(tmp_path) == [b"a"]


@both
def test_append_refuses_a_folder_that_holds_anything(tmp_path: Path, store: bool) -> None:
    (tmp_path / "notes.txt").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"is not empty: 1 files, such as notes\.txt, and no index\.json"):
        commit.check_target(_target(tmp_path, store=store))
    (tmp_path / "notes.txt").unlink()
    (tmp_path / "index.json").write_bytes(b'{"shards": []}')
    with pytest.raises(ValueError, match="holds an MDS dataset already, and one cannot be appended to"):
        commit.check_target(_target(tmp_path, store=store))


@both
def test_of_two_appends_at_once_the_first_wins_and_the_other_is_told(tmp_path: Path, store: bool) -> None:
    first, second = _target(tmp_path, store=store), _target(tmp_path, store=store)
    shards, others = _put(first, 0, b"a"), _put(second, 0, b"b")
    commit.publish(first, FIELDS, shards)
    with pytest.raises(ValueError, match="another run"):
        commit.publish(second, FIELDS, others)
    commit.abandon(second, others)
    assert _listed(tmp_path) == [b"a"]
    assert len(_files(tmp_path)) == 2


def test_an_index_that_cannot_be_published_leaves_no_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = _target(tmp_path)
    shards = _put(target, 0, b"a")

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "publish_once", fail)
        with pytest.raises(OSError, match="no space left"):
            commit.publish(target, FIELDS, shards)
    commit.abandon(target, shards)
    assert _files(tmp_path) == {}


def test_a_second_run_never_takes_the_name_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _target(tmp_path), _target(tmp_path)
    shards, others = _put(first, 0, b"a"), _put(second, 0, b"b")
    names: Callable[[Target], list[str]] = lambda _: []  # noqa: E731  # as both saw the folder before either placed
    with monkeypatch.context() as patch:
        patch.setattr(commit, "_names", names)
        commit._place(first, shards)
        with pytest.raises(ValueError, match=r"shard\.00000\.mds exists: another run writes to the same folder"):
            commit._place(second, others)
    assert (tmp_path / "shard.00000.mds").read_bytes() == b"a"


def test_without_hard_links_shards_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "no hard links")

    monkeypatch.setattr("os.link", refuse)
    target = _target(tmp_path, overwrite=True)
    commit.publish(target, FIELDS, _put(target, 0, b"a", b"b"))
    assert _listed(tmp_path) == [b"a", b"b"]
    assert len(_files(tmp_path)) == 3


@pytest.mark.parametrize("index", [b"", b"[]", b'{"shards": [{"raw_data": {"basename": "../x"}}]}'])
def test_a_folder_whose_index_is_broken_is_left_alone(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "index.json").write_bytes(index)
    with pytest.raises(ValueError, match=r"is no index of MDS shards .* remove the folder first"):
        commit.check_target(_target(tmp_path, overwrite=True))
