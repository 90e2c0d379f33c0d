import json
import shutil
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import manifest, storage
from pipeline.manifest import DamagedDatasetError, File, MissingDatasetError, Spec

SPEC = Spec(stage="documents", source="code", version=1, inputs={"raw": {"a": "1f"}}, parameters={"limit": 5})


def a_file(path: str = "documents/part-0.parquet", table: str = "documents") -> File:
    return File(table=table, path=path, bytes=3, xxh3="00", rows=1)


def published(root: Path, attempt: str, spec: Spec = SPEC) -> manifest.Dataset:
    storage.write(storage.join(spec.url(str(root)), attempt, a_file().path), b"abc")
    return manifest.publish(str(root), spec, attempt=attempt, files=[a_file()], counts=Counter({"documents": 1}))


def test_a_fingerprint_keeps_its_digits() -> None:
    assert SPEC.fingerprint == "a46cf1aa09c02bc549a27be974333b00"
    assert SPEC.url("s3a://bucket/data/") == f"s3://bucket/data/documents/code/{SPEC.fingerprint}"


@pytest.mark.parametrize(
    "other",
    [
        Spec(stage="filtered", source="code", version=1, inputs={"raw": {"a": "1f"}}, parameters={"limit": 5}),
        Spec(stage="documents", source="docs", version=1, inputs={"raw": {"a": "1f"}}, parameters={"limit": 5}),
        Spec(stage="documents", source="code", version=2, inputs={"raw": {"a": "1f"}}, parameters={"limit": 5}),
        Spec(stage="documents", source="code", version=1, inputs={"raw": {"b": "1f"}}, parameters={"limit": 5}),
        Spec(stage="documents", source="code", version=1, inputs={"raw": {"a": "1f"}}, parameters={"limit": 6}),
    ],
)
def test_each_field_of_a_spec_counts(other: Spec) -> None:
    assert other.fingerprint != SPEC.fingerprint


def test_the_order_of_keys_does_not_count() -> None:
    assert manifest.digest({"a": 1, "b": [2]}) == manifest.digest({"b": [2], "a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        manifest.digest({"a": float("nan")})


def test_what_is_published_is_found(tmp_path: Path) -> None:
    url = SPEC.url(str(tmp_path))
    assert manifest.find(url) is None
    with pytest.raises(MissingDatasetError, match=r"holds no finished dataset \(no _manifest\.json\); run the stage"):
        manifest.load(url)
    files = [a_file("b", "quarantine"), a_file("z"), a_file("a")]
    for file in files:
        storage.write(storage.join(url, "attempt-1", file.path), b"abc")
    manifest.publish(str(tmp_path), SPEC, attempt="attempt-1", files=files, counts={"n": 1}, report={"r": [1]})
    dataset = manifest.load(url + "/")
    assert dataset.url == url
    assert dataset.manifest.fingerprint == SPEC.fingerprint
    assert dataset.manifest.inputs == SPEC.inputs
    assert dataset.manifest.counts == {"n": 1}
    assert [file.path for file in dataset.files("documents")] == ["a", "z"]
    assert dataset.urls("quarantine") == [f"{url}/attempt-1/b"]
    assert dataset.files("tails") == []


def test_an_attempt_that_lost_files_is_not_published(tmp_path: Path) -> None:
    storage.write(storage.join(SPEC.url(str(tmp_path)), "attempt-1", "a"), b"abc")
    for files in ([a_file("a"), a_file("b")], [File(table="documents", path="a", bytes=4, xxh3="00", rows=1)]):
        with pytest.raises(ValueError, match=r"attempt-1 has lost 1 of its files while it was made, as "):
            manifest.publish(str(tmp_path), SPEC, attempt="attempt-1", files=files, counts={})
    assert manifest.find(SPEC.url(str(tmp_path))) is None


def test_the_first_publisher_stays_and_the_second_attempt_goes(tmp_path: Path) -> None:
    first, second = published(tmp_path, "attempt-1"), published(tmp_path, "attempt-2")
    assert second == first
    assert {info.path for info in storage.list_files(first.url)} == {
        "_manifest.json",
        "attempt-1/documents/part-0.parquet",
    }


def test_of_runs_at_once_all_end_with_the_same_whole_dataset(tmp_path: Path) -> None:
    found: list[manifest.Dataset] = []
    start = threading.Barrier(4)

    def run(number: int) -> None:
        start.wait()
        found.append(published(tmp_path, f"attempt-{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert [storage.read(url) for url in found[0].urls("documents")] == [b"abc"]
    assert len(storage.list_files(found[0].url)) == 2


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"{}", b'{"files": [{"path": "x"}]}'])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"there/_manifest\.json is not a manifest of this version of the project: "):
        manifest.parse(text, "there")


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path) -> None:
    dataset = published(tmp_path, "attempt-1")
    place = Path(dataset.url, "_manifest.json")
    place.write_text(place.read_text().replace('"documents": 1', '"documents": 2'))
    with pytest.raises(DamagedDatasetError, match="has been changed since it was published; put it back"):
        manifest.find(dataset.url)


def test_only_a_whole_dataset_of_the_same_spec_is_taken(tmp_path: Path) -> None:
    assert manifest.take(str(tmp_path), SPEC) is None
    dataset = published(tmp_path, "attempt-1")
    assert manifest.take(str(tmp_path), SPEC) == dataset
    other = replace(SPEC, version=2)
    Path(other.url(str(tmp_path))).mkdir()
    shutil.copy(Path(dataset.url, "_manifest.json"), other.url(str(tmp_path)))
    with pytest.raises(DamagedDatasetError, match=f"that of another dataset, {SPEC.fingerprint}; put it back"):
        manifest.take(str(tmp_path), other)
    place = Path(dataset.file_url(a_file()))
    for change in (lambda: place.write_bytes(b"abcd"), place.unlink):
        change()
        with pytest.raises(DamagedDatasetError, match=r"1 of its 1 files are gone .*, as attempt-1/doc"):
            manifest.take(str(tmp_path), SPEC)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\\b", ""])
@pytest.mark.parametrize("field", ["attempt", "path"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str, field: str) -> None:
    dataset = published(tmp_path, "attempt-1")
    fields = json.loads(storage.read(storage.join(dataset.url, "_manifest.json")))
    (fields if field == "attempt" else fields["files"][0])[field] = name
    fields["digest"] = manifest.digest({name: value for name, value in fields.items() if name != "digest"})
    with pytest.raises(ValueError, match="leaves the dataset's folder"):
        manifest.parse(json.dumps(fields).encode(), "there")


def test_attempts_have_names_of_their_own_that_sort_by_time() -> None:
    first, second = manifest.new_attempt(), manifest.new_attempt()
    assert first != second
    assert first[:-8] <= second[:-8]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Australia/Lord_Howe"])
def test_the_sweep_takes_old_attempts_that_no_manifest_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        kept, old, young = (f"attempt-20260701T{hour:02d}0000-00000000" for hour in (1, 2, 3))  # in summer time
        dataset = published(tmp_path, kept)
        for name in (old, young, "attempt-x", "notes"):
            storage.write(storage.join(dataset.url, name, "file"), b"x")
        now = 1_782_871_200 + 7 * 24 * 3600 + 1  # a week and a second after 2026-07-01 02:00:00 UTC
        assert manifest.sweep(dataset.url, dataset, now) == [old]
        assert {path.name for path in Path(dataset.url).iterdir()} == {
            "_manifest.json",
            kept,
            young,
            "attempt-x",
            "notes",
        }
        assert manifest.sweep(dataset.url, dataset, now - 3600) == []
        assert manifest.sweep(str(tmp_path / "nothing"), None) == []
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_killed_and_late_tasks_left_in_the_kept_attempt_goes(tmp_path: Path) -> None:
    early = SPEC.url(str(tmp_path)) + "/attempt-1/.shard.00000.mds.45363c1b.tmp"  # of a task that was killed
    storage.write(early, b"half")
    dataset = published(tmp_path, "attempt-1")
    assert not Path(early).exists()
    late = storage.join(dataset.url, "attempt-1", "entries/00000.json")  # of a copy that lost
    storage.write(late, b"{}")
    assert manifest.sweep(dataset.url, dataset) == []
    assert not Path(late).exists()
    assert all(storage.exists(dataset.file_url(file)) for file in dataset.manifest.files)
    assert manifest.load(dataset.url) == dataset
