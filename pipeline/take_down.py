"""Documents that must go, whatever they are worth: the recipe's `take_down` file, and that of `shardmill take-down`.

A line each; blank lines and lines that begin with # are left out:

    00f3…                  32 hexadecimal digits: a doc_id, this one document
    https://x.org/a        a URL with its scheme: all documents of the page, that is, of the same canonical URL (`urls`)
    content:9a1c…          32 hexadecimal digits: all documents of this text, whatever they are called and wherever they
                           came from; the xxh3-128 of its normal form, by which deduplication finds exact copies, so
                           that neither case nor white space matters (`content_hash` in `pipeline.document`)

A doc_id takes one document away and leaves its copies, of which deduplication, which comes later, keeps one: what must
go wherever it stands is listed by its content. In a recipe texts are compared as they were read, before any edit.
"""

import re
from dataclasses import dataclass

import pyarrow as pa

from pipeline import storage
from pipeline.manifest import digest
from pipeline.texts.normal import exact_hashes
from pipeline.texts.urls import canonical

REASON = "taken_down"
VERSION = 3  # goes up when the same list finds other documents, or something else is written of them
CONTENT = "content:"
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class TakeDown:
    """Who must go: `doc_ids` and `contents` (16 bytes each) and `urls` (canonical)."""

    doc_ids: frozenset[bytes]
    urls: frozenset[str]
    contents: frozenset[bytes]

    @property
    def digest(self) -> str:
        """The list in fingerprints: the same for the same entries in any order."""
        return digest(
            [
                VERSION,
                sorted(doc_id.hex() for doc_id in self.doc_ids),
                sorted(self.urls),
                sorted(content.hex() for content in self.contents),
            ]
        )

    @property
    def entries(self) -> frozenset[str]:
        """The entries as `matches` names them."""
        named = {doc_id.hex() for doc_id in self.doc_ids} | {CONTENT + content.hex() for content in self.contents}
        return frozenset(named | self.urls)


def read(url: str) -> TakeDown:
    """The list at `url`; `ValueError` where it cannot be read, is no list, or lists nothing."""
    try:
        found = parse(storage.read(url).decode(), url)
    except FileNotFoundError as error:
        raise ValueError(f"there is no list at {url}; give the path or URL of a file") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{url} is not UTF-8 text: {error}; save it as plain UTF-8") from error
    if not found.entries:
        raise ValueError(f"{url} lists nothing: every line of it is blank or a remark")
    return found


def parse(text: str, where: str) -> TakeDown:
    """The entries of a take-down file. `ValueError` naming `where` and the line for one that is none of the three: an
    entry that cannot match must not look as if it did."""
    doc_ids, urls, contents = set(), set(), set()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if re.fullmatch(r"[0-9a-fA-F]{32}", entry):
            doc_ids.add(bytes.fromhex(entry))
        elif re.fullmatch(r"content:[0-9a-fA-F]{32}", entry):
            contents.add(bytes.fromhex(entry.removeprefix(CONTENT)))
        elif re.match(r"(?!content:)[A-Za-z][A-Za-z0-9+.-]*:", entry):
            urls.add(canonical(entry))
        else:
            raise ValueError(
                f"{where}, line {number}: {entry[:SHOWN_CHARACTERS]!r} is neither a doc_id (32 hexadecimal digits) nor "
                "a URL (https://…) nor the hash of a text (content: and 32 hexadecimal digits)"
            )
    return TakeDown(doc_ids=frozenset(doc_ids), urls=frozenset(urls), contents=frozenset(contents))


def matches(documents: pa.RecordBatch, take_down: TakeDown) -> list[tuple[int, str]]:
    """The rows that an entry lists, each with the entry: a doc_id in hexadecimal digits, a canonical URL, `content:`
    and the hash. `documents` has the columns `doc_id`, `url` and `text`, of which only those are read that the entries
    need."""
    found: list[tuple[int, str]] = []
    if take_down.doc_ids:
        ids = enumerate(documents.column("doc_id").to_pylist())
        found += [(row, doc_id.hex()) for row, doc_id in ids if doc_id in take_down.doc_ids]
    if take_down.urls:
        urls = ((row, canonical(url)) for row, url in enumerate(documents.column("url").to_pylist()) if url)
        found += [(row, url) for row, url in urls if url in take_down.urls]
    if take_down.contents:
        contents = enumerate(exact_hashes(documents.column("text")))
        found += [(row, CONTENT + content.hex()) for row, content in contents if content in take_down.contents]
    return found
