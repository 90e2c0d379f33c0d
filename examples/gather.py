"""Gather real text that every machine has: the raw input of the demo. Downloads nothing.

    python examples/gather.py --to data/raw

From the Python environment that runs it (site-packages and the standard library) come three sources of JSON lines:

    code        *.jsonl.zst   Python files, at most CODE_BYTES of them
    docstrings  *.jsonl.gz    docstrings of modules, classes and functions, from at most PARSED_BYTES of Python
    docs        *.jsonl.gz    Markdown, reST and plain-text files, licences and the like, and package descriptions

Each line has `text`, `path` ("site-packages/…" or "stdlib/…": machines with the same packages gather the same bytes),
`package`, and for docstrings `name`. The texts stay as they are, with licence headers, generated code, tables of
numbers and all the copies that packages make of each other: the pipeline is there for these. Left out, and counted,
are empty texts, files that are not UTF-8, Python that this version cannot parse, and docstrings under
MIN_DOCSTRING_CHARACTERS.

A second run over an unchanged environment does nothing but say so: `gathered.json` tells what the files were made from.
"""

import argparse
import ast
import gzip
import hashlib
import json
import os
import re
import sysconfig
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import zstandard

from pipeline import storage

VERSION = 1  # goes up when the code gives other files of the same environment under the same limits
STAMP = "gathered.json"
CODE_BYTES = 120_000_000
PARSED_BYTES = 200_000_000  # parsing takes about 0.2 s a MB and core
DOCS_BYTES = 60_000_000
MIN_DOCSTRING_CHARACTERS = 300  # of those of 200 to 300, under 4 % have the 50 words that Gopher asks for
PART_CHARACTERS = 12_000_000  # a file is what one task of the first stage reads
DOCUMENT_ENDINGS = (".md", ".markdown", ".rst", ".txt")
DOCUMENT_NAMES = re.compile(r"(AUTHORS|CHANGE(S|LOG)?|CONTRIBUTING|COPYING|HISTORY|LICEN[CS]E|NEWS|NOTICE|README)[^.]*")
DESCRIPTION_NAMES = ("METADATA", "PKG-INFO")

Fields = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of the environment: `path` as its documents give it, and where it lies on this machine."""

    path: str
    local: str
    n_bytes: int
    changed_ns: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source as gathered. `parts`: name and size of its files. `left_out`: files, or docstrings, by reason."""

    name: str
    parts: Mapping[str, int]
    n_documents: int
    text_bytes: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one file of the environment gives: documents, and how many things were left out, by reason."""

    documents: tuple[Fields, ...] = ()
    left_out: Mapping[str, int]


def environment() -> dict[str, Path]:
    """The folders of the running Python."""
    return {"site-packages": Path(sysconfig.get_path("purelib")), "stdlib": Path(sysconfig.get_path("stdlib"))}


def gather(to: Path, folders: Mapping[str, Path], *, processes: int) -> list[Source] | None:
    """Write the three sources below `to`; None, and nothing is written, if they are there already."""
    files = list_files(folders)
    limits = [VERSION, CODE_BYTES, PARSED_BYTES, DOCS_BYTES, MIN_DOCSTRING_CHARACTERS, PART_CHARACTERS]
    inventory = _digest([limits, [[file.path, file.n_bytes, file.changed_ns] for file in files]])
    stamp = to / STAMP
    if _is_gathered(to, inventory):
        return None
    stamp.unlink(missing_ok=True)
    python = [file for file in files if file.path.endswith(".py")]
    documents = [file for file in files if not file.path.endswith(".py")]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:  # parsing alone takes long
        docstrings = pool.map(find_docstrings, choose(python, PARSED_BYTES), chunksize=64)
        sources = [
            write(to, "code", map(find_text, choose(python, CODE_BYTES)), ".jsonl.zst", zstandard.compress),
            write(to, "docs", map(find_text, choose(documents, DOCS_BYTES)), ".jsonl.gz", _gzip),
            write(to, "docstrings", docstrings, ".jsonl.gz", _gzip),
        ]
    text = json.dumps({"inventory": inventory, "sources": [asdict(source) for source in sources]}, indent=1)
    storage.write(str(stamp), text.encode())
    return sources


def list_files(folders: Mapping[str, Path]) -> list[File]:
    """All Python files and documents below the folders, sorted by path."""
    found = [file for name, folder in folders.items() for file in _walk(name, folder)]
    return sorted(found, key=lambda file: file.path)


def _walk(name: str, folder: Path) -> Iterator[File]:
    for parent, below, names in os.walk(folder):
        if name == "stdlib" and parent == str(folder):
            below[:] = [child for child in below if child not in ("site-packages", "dist-packages")]
        prefix = Path(name, Path(parent).relative_to(folder)).as_posix()
        for child in names:
            local = f"{parent}/{child}"
            if _is_wanted(child) and os.path.isfile(local):  # noqa: PTH113  (there are tens of thousands)
                status = os.stat(local)  # noqa: PTH116
                path = f"{prefix}/{child}"
                yield File(path=path, local=local, n_bytes=status.st_size, changed_ns=status.st_mtime_ns)


def _is_wanted(name: str) -> bool:
    is_document = name.lower().endswith(DOCUMENT_ENDINGS) or DOCUMENT_NAMES.fullmatch(name) is not None
    return name.endswith(".py") or is_document or name in DESCRIPTION_NAMES


def choose(files: Iterable[File], max_bytes: int) -> list[File]:
    """At most `max_bytes` of the files, taken by the hash of their path while they fit; sorted by path."""
    chosen = []
    for file in sorted(files, key=lambda file: _digest(file.path)):
        if file.n_bytes <= max_bytes:
            chosen.append(file)
            max_bytes -= file.n_bytes
    return sorted(chosen, key=lambda file: file.path)


def find_text(file: File) -> Found:
    """The file as one document; of a package's metadata, the description below the headers."""
    try:
        text = Path(file.local).read_bytes().decode()
    except UnicodeDecodeError:
        return Found(left_out={"not UTF-8": 1})
    if Path(file.path).name in DESCRIPTION_NAMES:
        headers_and_body = re.split(r"\n\r?\n", text, maxsplit=1)
        text = "".join(headers_and_body[1:])
    if not text.strip():
        return Found(left_out={"empty": 1})
    return Found(documents=({"text": text, "path": file.path, "package": package(file.path)},), left_out={})


def find_docstrings(file: File) -> Found:
    """The docstrings of a Python file, each a document, in the order of the file."""
    data = Path(file.local).read_bytes()
    try:
        data.decode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of other people's escapes
            tree = ast.parse(data)
    except UnicodeDecodeError:
        return Found(left_out={"not UTF-8": 1})
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Found(left_out={"not parsable": 1})
    found = list(_docstrings(tree))
    wanted = [(name, text) for name, text in found if len(text) >= MIN_DOCSTRING_CHARACTERS]
    about = {"path": file.path, "package": package(file.path)}
    return Found(
        documents=tuple({"text": text, "name": name, **about} for name, text in wanted),
        left_out={f"under {MIN_DOCSTRING_CHARACTERS} characters": len(found) - len(wanted)},
    )


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Qualified name and docstring of the module ("") and all classes and functions.

    Visits statements only, which takes no time beside the parser; `ast.walk`, through expressions, takes half of it.
    """
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{name}.{node.name}" if name else node.name
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield name, docstring
        bodies = (getattr(node, field, ()) for field in ("body", "handlers", "orelse", "finalbody", "cases"))
        children = [child for body in bodies if isinstance(body, list) for child in body]
        waiting.extend((name, child) for child in reversed(children))


def package(path: str) -> str:
    """The package that a file belongs to: "numpy" of "site-packages/numpy-2.1.3.dist-info/METADATA"."""
    folder, name = path.split("/")[:2]
    return "python" if folder == "stdlib" else re.sub(r"(-.*)?\.(dist|egg)-info$|\.py$", "", name)


def write(to: Path, name: str, found: Iterable[Found], ending: str, compress: Callable[[bytes], bytes]) -> Source:
    """Write a source's documents as files of about `PART_CHARACTERS`, each appearing whole; remove those of before."""
    everything = list(found)
    documents = [document for one in everything for document in one.documents]
    left_out: Counter[str] = Counter()
    for one in everything:
        left_out.update(one.left_out)
    parts = {}
    for number, part in enumerate(_cut(documents)):
        data = compress(b"".join(json.dumps(document).encode() + b"\n" for document in part))
        parts[f"part-{number:05d}{ending}"] = len(data)
        storage.write(str(to / name / f"part-{number:05d}{ending}"), data)
    for old in (to / name).glob("part-*.jsonl.*"):
        if old.name not in parts:
            old.unlink()
    text_bytes = sum(len(document["text"].encode(errors="surrogatepass")) for document in documents)
    return Source(name=name, parts=parts, n_documents=len(documents), text_bytes=text_bytes, left_out=dict(left_out))


def _cut(documents: Iterable[Fields]) -> Iterator[list[Fields]]:
    part: list[Fields] = []
    n_characters = 0
    for document in documents:
        part.append(document)
        n_characters += len(document["text"])
        if n_characters >= PART_CHARACTERS:
            yield part
            part, n_characters = [], 0
    if part:
        yield part


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=6, mtime=0)  # without the time, equal texts are equal files


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _is_gathered(to: Path, inventory: str) -> bool:
    try:
        stamp = json.loads((to / STAMP).read_bytes())
        sizes = {to / source["name"] / part: n for source in stamp["sources"] for part, n in source["parts"].items()}
        return bool(stamp["inventory"] == inventory) and all(path.stat().st_size == n for path, n in sizes.items())
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _table(sources: Iterable[Source]) -> str:
    lines = [f"{'source':<12} {'files':>6} {'documents':>10} {'text MB':>8} {'stored MB':>10}   left out"]
    for source in sources:
        left_out = ", ".join(f"{n} {reason}" for reason, n in sorted(source.left_out.items()) if n)
        lines.append(
            f"{source.name:<12} {len(source.parts):>6} {source.n_documents:>10,} {source.text_bytes / 1e6:>8.1f} "
            f"{sum(source.parts.values()) / 1e6:>10.1f}   {left_out}".rstrip()
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Gather the demo's raw text from the installed Python environment.")
    parser.add_argument("--to", type=Path, required=True, help="folder for the three sources, as data/raw")
    to: Path = parser.parse_args().to
    started = time.monotonic()
    sources = gather(to, environment(), processes=os.cpu_count() or 1)
    if sources is None:
        print(f"{to}: gathered before, and the environment has not changed since")
    else:
        print(f"{_table(sources)}\ngathered into {to} in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
