"""Text to filter that every machine has: documentation and docstrings of the Python environment, no text twice."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from examples import gather

DOCUMENTATION_SHARE = 8  # at most 1/8 of the bytes is from files of documentation, so that a small run has the same mix


@dataclass(frozen=True, kw_only=True)
class Prose:
    """Distinct texts, in an order given by their hash: the first of them are a sample of all."""

    texts: list[str]
    documentation_bytes: int
    docstring_bytes: int

    @property
    def n_bytes(self) -> int:
        """Bytes of UTF-8 of all texts."""
        return self.documentation_bytes + self.docstring_bytes


def gathered(n_bytes: int, processes: int) -> Prose:
    """At least `n_bytes` of text, where the environment has so much: Markdown, reST, text files and descriptions of
    packages, then docstrings of at least `gather.MIN_DOCSTRING_CHARACTERS`, each kind by the hash of its file's path.
    What `examples/gather.py` leaves out is left out; and what is not UTF-8 (lone surrogates)."""
    files = sorted(gather.list_files(gather.environment()), key=lambda file: _hash(file.path))
    taken: dict[str, int] = {}  # text → bytes
    documents = (file for file in files if not file.path.endswith(".py"))
    documentation = _take(taken, map(gather.find_text, documents), n_bytes // DOCUMENTATION_SHARE)
    python = [file for file in files if file.path.endswith(".py")]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        docstrings = _take(taken, _docstrings(pool, python), n_bytes - documentation)
    return Prose(texts=sorted(taken, key=_hash), documentation_bytes=documentation, docstring_bytes=docstrings)


def _docstrings(pool: ProcessPoolExecutor, files: list[gather.File]) -> Iterator[gather.Found]:
    size = 512  # so many files are parsed ahead of what is needed
    for first in range(0, len(files), size):
        yield from pool.map(gather.find_docstrings, files[first : first + size], chunksize=16)


def _take(taken: dict[str, int], found: Iterator[gather.Found], n_bytes: int) -> int:
    """Add texts until there are `n_bytes` more; how many there are."""
    before = sum(taken.values())
    total = before
    for one in found:
        for document in one.documents:
            data = document["text"].encode(errors="replace")
            if document["text"] not in taken and data.decode() == document["text"]:
                taken[document["text"]] = len(data)
                total += len(data)
        if total - before >= n_bytes:
            break
    return total - before


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
