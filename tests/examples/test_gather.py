import gzip
import io
import json
from pathlib import Path

import pytest
import zstandard

from examples import gather as module
from examples.gather import File, choose, find_docstrings, find_text, gather, package

LONG = ("Says what the thing does, at a length that makes a document of it. " * 5).strip()

SITE_PACKAGES = {
    "alpha/__init__.py": b"",
    "alpha/core.py": f'"""{LONG}"""\nclass C:\n    """Short."""\n    def f(self):\n        """{LONG}f"""\n'.encode(),
    "alpha/latin.py": b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n",
    "alpha/old.py": b"print 'two'\n",
    "alpha/data.bin": b"\0",
    "alpha/README.md": "Zoë's alpha\r\n".encode(),
    "alpha-1.0.dist-info/METADATA": b"Name: alpha\nVersion: 1.0\n\n# Alpha\n\nDoes things.\n",
    "alpha-1.0.dist-info/LICENSE": b"Permission is granted.\n",
    "beta-2.0.dist-info/METADATA": b"Name: beta\nVersion: 2.0\n",
    "six.py": b"x = 1\n",
}
STDLIB = {
    "json/__init__.py": b"import json.decoder\n",
    "LICENSE.txt": b"PSF\n",
    "site-packages/other.py": b"not = 'part of it'\n",
}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """A tiny environment."""
    made = {"site-packages": tmp_path / "lib", "stdlib": tmp_path / "python"}
    for folder, files in ((made["site-packages"], SITE_PACKAGES), (made["stdlib"], STDLIB)):
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    (made["site-packages"] / "broken_link.py").symlink_to("nowhere")
    return made


def a_file(tmp_path: Path, data: bytes, path: str = "site-packages/alpha/core.py") -> File:
    local = tmp_path / "file"
    local.write_bytes(data)
    return File(path=path, local=str(local), n_bytes=len(data), changed_ns=0)


def documents(folder: Path) -> list[dict[str, str]]:
    """All lines of a source."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        raw = gzip.decompress(data) if path.suffix == ".gz" else zstandard.ZstdDecompressor().stream_reader(data).read()
        found += [json.loads(line) for line in io.BytesIO(raw)]
    return found


def test_three_sources_of_json_lines(tmp_path: Path, folders: dict[str, Path]) -> None:
    sources = gather(tmp_path / "raw", folders, processes=1)
    assert sources is not None
    code, docs, docstrings = (documents(tmp_path / "raw" / name) for name in ("code", "docs", "docstrings"))
    assert [(document["path"], document["package"]) for document in code] == [
        ("site-packages/alpha/core.py", "alpha"),
        ("site-packages/alpha/old.py", "alpha"),
        ("site-packages/six.py", "six"),
        ("stdlib/json/__init__.py", "python"),
    ]
    assert code[1]["text"] == "print 'two'\n"
    assert docs == [
        {"text": "Permission is granted.\n", "path": "site-packages/alpha-1.0.dist-info/LICENSE", "package": "alpha"},
        {"text": "# Alpha\n\nDoes things.\n", "path": "site-packages/alpha-1.0.dist-info/METADATA", "package": "alpha"},
        {"text": "Zoë's alpha\r\n", "path": "site-packages/alpha/README.md", "package": "alpha"},
        {"text": "PSF\n", "path": "stdlib/LICENSE.txt", "package": "python"},
    ]
    about = {"path": "site-packages/alpha/core.py", "package": "alpha"}
    assert docstrings == [
        {"text": LONG, "name": "", **about},
        {"text": LONG + "f", "name": "C.f", **about},
    ]
    left_out = {source.name: {reason: n for reason, n in source.left_out.items() if n} for source in sources}
    assert left_out == {
        "code": {"empty": 1, "not UTF-8": 1},
        "docs": {"empty": 1},
        "docstrings": {"not UTF-8": 1, "not parsable": 1, "under 300 characters": 1},
    }
    assert [source.n_documents for source in sources] == [4, 4, 2]


def test_the_same_environment_gives_the_same_bytes_anywhere(tmp_path: Path, folders: dict[str, Path]) -> None:
    moved = {name: folder.rename(tmp_path / f"moved-{name}") for name, folder in folders.items() if name == "stdlib"}
    for to, where in (("one", folders | moved), ("two", folders | moved)):
        gather(tmp_path / to, where, processes=2)
    one, two = (
        {path.relative_to(tmp_path / to): path.read_bytes() for path in (tmp_path / to).rglob("*.jsonl.*")}
        for to in ("one", "two")
    )
    assert one == two and len(one) == 3
    assert not any(str(tmp_path).encode() in data for data in one.values())


def test_a_second_run_does_nothing_until_something_changes(tmp_path: Path, folders: dict[str, Path]) -> None:
    raw = tmp_path / "raw"
    assert gather(raw, folders, processes=1) is not None
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    assert gather(raw, folders, processes=1) is None
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*")} == before

    (raw / "code" / "part-00000.jsonl.zst").unlink()
    assert gather(raw, folders, processes=1) is not None

    (folders["site-packages"] / "six.py").write_bytes(b"x = 1234\n")
    assert gather(raw, folders, processes=1) is not None
    assert [document["text"] for document in documents(raw / "code") if document["package"] == "six"] == ["x = 1234\n"]


def test_files_of_an_earlier_run_that_are_no_longer_made_go(
    tmp_path: Path, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw"
    assert gather(raw, folders, processes=1) is not None
    monkeypatch.setattr(module, "PART_CHARACTERS", 10)
    assert gather(raw, folders, processes=1) is not None
    assert len(list((raw / "docs").iterdir())) == 4
    (folders["site-packages"] / "alpha/README.md").unlink()
    assert gather(raw, folders, processes=1) is not None
    assert sorted(path.name for path in (raw / "docs").iterdir()) == [f"part-{n:05d}.jsonl.gz" for n in range(3)]


def test_files_are_chosen_by_the_hash_of_their_path_up_to_the_limit() -> None:
    files = [File(path=f"site-packages/{n}.py", local="", n_bytes=100, changed_ns=0) for n in range(100)]
    chosen = choose(files, 1050)
    assert len(chosen) == 10
    assert [file.path for file in chosen] == sorted(file.path for file in chosen)
    assert chosen == choose(reversed(files), 1050)
    assert set(chosen) < set(choose(files, 5000))
    assert choose(files, 100_000) == sorted(files, key=lambda file: file.path)


def test_docstrings_of_nested_statements_have_their_qualified_names(tmp_path: Path) -> None:
    source = f'''
if True:
    class C:
        async def f(self):
            """{LONG}1"""
            def inner():
                """{LONG}2"""
try:
    pass
except OSError:
    def g():
        """{LONG}3"""
'''
    found = find_docstrings(a_file(tmp_path, source.encode()))
    assert [(document["name"], document["text"][-1]) for document in found.documents] == [
        ("C.f", "1"),
        ("C.f.inner", "2"),
        ("g", "3"),
    ]


def test_other_peoples_escapes_warn_nobody(tmp_path: Path) -> None:
    found = find_docstrings(a_file(tmp_path, f'"""{LONG} \\d"""\n'.encode()))
    assert len(found.documents) == 1


@pytest.mark.parametrize("data", [b"x = (", b"x = 1\0", b"-" * 100_000 + b"1", b"# coding: nonsense\n"])
def test_python_that_cannot_be_parsed_is_counted(tmp_path: Path, data: bytes) -> None:
    assert find_docstrings(a_file(tmp_path, data)).left_out == {"not parsable": 1}


def test_a_description_stands_below_the_headers(tmp_path: Path) -> None:
    metadata = a_file(tmp_path, b"Name: a\r\n\r\nBody\r\n\r\nmore", "site-packages/a-1.dist-info/METADATA")
    assert [document["text"] for document in find_text(metadata).documents] == ["Body\r\n\r\nmore"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("site-packages/numpy/core/x.py", "numpy"),
        ("site-packages/six.py", "six"),
        ("site-packages/typing_extensions-4.16.0.dist-info/METADATA", "typing_extensions"),
        ("site-packages/old-1.0-py3.11.egg-info/PKG-INFO", "old"),
        ("stdlib/json/decoder.py", "python"),
    ],
)
def test_the_package_of_a_path(path: str, name: str) -> None:
    assert package(path) == name
