import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import fsspec
import pytest

from pipeline import storage
from pipeline.alarms import StageError
from pipeline.documents.spark import raw_files


@pytest.fixture(params=["local", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty folder on disk, and one in fsspec's memory file system, which stands for the object stores."""
    if request.param == "local":
        yield str(tmp_path)
        return
    yield "memory://bucket/folder"
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3a://bucket/key/", "s3://bucket/key"),
        ("data/", "data"),
        ("/", "/"),
        ("memory://", "memory://"),
        ("file:///", "file:///"),
        ("file:///data//", "file:///data"),
    ],
)
def test_a_url_has_one_spelling(url: str, expected: str) -> None:
    assert storage.normalise(url) == expected
    assert storage.normalise(expected) == expected


def test_an_empty_url_is_not_the_whole_disk() -> None:
    with pytest.raises(ValueError, match=r"is empty; `\.` is the current folder"):
        storage.list_files("")


def test_join() -> None:
    assert storage.join("s3a://b/", "/a/", "c/d") == "s3://b/a/c/d"
    assert storage.join("/", "a") == "/a"
    assert storage.join("memory://", "a") == "memory://a"


def test_local_urls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.local_path("file:///a/b") == Path("/a/b")
    assert storage.local_path("a/b") == Path("a/b")
    storage.write("~/greeting", b"hello")
    assert storage.read("~/greeting") == (tmp_path / "greeting").read_bytes() == b"hello"
    assert not storage.is_local("s3://bucket")
    with pytest.raises(ValueError, match="s3://bucket is not on this machine's disk"):
        storage.local_path("s3://bucket")


def test_what_is_written_is_read(base: str) -> None:
    url = storage.join(base, "a/b.bin")
    assert not storage.exists(url)
    with pytest.raises(FileNotFoundError):
        storage.read(url)
    storage.write(url, memoryview(b"0123456789"))
    assert storage.exists(url)
    assert storage.read(url) == b"0123456789"
    assert storage.read_range(url, 2, 5) == b"234"
    with storage.open_input(url) as stream:
        stream.seek(7)
        assert stream.read() == b"789"


def test_files_are_listed_by_path_with_size_and_stamp(base: str) -> None:
    assert storage.list_files(base) == []
    for path, data in (("b/2", b"22"), ("a", b"1"), ("b/c/3", b"333")):
        storage.write(storage.join(base, path), data)
    before = storage.list_files(base + "/")
    assert [(info.path, info.bytes) for info in before] == [("a", 1), ("b/2", 2), ("b/c/3", 3)]
    assert storage.list_files(base) == before
    storage.write(storage.join(base, "b/2"), b"2222")
    stamps = [info.stamp for info in storage.list_files(base)]
    assert [stamp == info.stamp for stamp, info in zip(stamps, before, strict=True)] == [True, False, True]
    assert storage.list_files(storage.join(base, "a")) == []  # a file is no folder


def test_remove(base: str) -> None:
    for path in ("a", "b/1", "b/c/2", "bb"):
        storage.write(storage.join(base, path), b"x")
    for _ in range(2):  # nothing happens where there is nothing
        storage.remove(storage.join(base, "a"))
        storage.remove_tree(storage.join(base, "b"))
    assert [info.path for info in storage.list_files(base)] == ["bb"]


def test_what_is_published_once_stays(base: str) -> None:
    url = storage.join(base, "deep/_manifest.json")
    assert storage.publish_once(url, b"first")
    assert not storage.publish_once(url, b"second")
    assert storage.read(url) == b"first"
    assert [info.path for info in storage.list_files(base)] == ["deep/_manifest.json"]  # no temporary file is left


def test_exactly_one_of_many_publishers_wins(tmp_path: Path) -> None:
    url = str(tmp_path / "folder" / "_manifest.json")
    won: list[int] = []
    start = threading.Barrier(8)

    def publish(number: int) -> None:
        start.wait()
        if storage.publish_once(url, b"%d" % number * 10_000):
            won.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert storage.read(url) == b"%d" % won[0] * 10_000
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["_manifest.json"]


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    raw, real = tmp_path / "raw", tmp_path / "real"
    raw.mkdir()
    storage.write(str(real / "a.jsonl"), b"12345")
    (raw / "folder").symlink_to(real)
    (raw / "file.jsonl").symlink_to(real / "a.jsonl")
    (real / "up").symlink_to(tmp_path)  # no endless walk
    before = storage.list_files(str(raw))
    assert [(info.path, info.bytes) for info in before[:2]] == [("file.jsonl", 5), ("folder/a.jsonl", 5)]
    assert len(before) < 10
    os.utime(real / "a.jsonl", ns=(1, 1))  # the stamp is the file's, not the link's
    assert storage.list_files(str(raw))[0].stamp == f"1-{(real / 'a.jsonl').stat().st_ctime_ns}-5"


def test_other_bytes_of_the_same_size_and_time_have_another_stamp(tmp_path: Path) -> None:
    """As after `cp --preserve` or `rsync --times` of another file."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one")
    [before] = storage.list_files(str(tmp_path))
    time = path.stat().st_mtime_ns
    sleep(0.02)  # the clock of the inode's changes has steps of up to 10 ms
    path.write_bytes(b"two")
    os.utime(path, ns=(time, time))
    assert storage.list_files(str(tmp_path)) != [before]


def test_a_name_may_hold_what_chains_urls(tmp_path: Path) -> None:
    base = str(tmp_path)
    for name in ("a::b.bin", "s3::c", "simplecache::memory"):
        url = storage.join(base, name)
        storage.write(url, name.encode())
        assert storage.read(url) == name.encode()
        with storage.open_input(url) as stream:
            assert stream.read() == name.encode()
    assert [info.path for info in storage.list_files(base)] == ["a::b.bin", "s3::c", "simplecache::memory"]
    assert storage._open_fs("s3a://bucket/a::b", {"anon": True})[1] == "bucket/a::b"


def test_a_name_that_is_not_utf8_is_told_before_spark_is(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")).touch()
    with pytest.raises(
        StageError, match=r"sources\.x\.root = .*: the name of a file .* is not UTF-8, 'caf\\udce9\.jsonl'"
    ):
        raw_files("sources.x", str(tmp_path), ["*.jsonl"], None)
    assert [info.path for info in raw_files("sources.x", str(tmp_path), ["a.*"], None)] == ["a.jsonl"]


def test_a_chain_of_urls_is_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.txt", b"text")
    assert storage.read(f"zip://b.txt::file://{tmp_path}/a.zip") == b"text"
    assert storage.read(f"zip://b.txt::{tmp_path}/a.zip") == b"text"


def test_a_link_to_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl"):
        storage.list_files(str(tmp_path))
