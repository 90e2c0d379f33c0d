"""Documents that must go, by doc_id or URL, whatever they are worth: the recipe's `take_down` file."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.manifest import digest

REASON = "taken_down"
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class TakeDown:
    """Who must go: `doc_ids` (16 bytes each) and `urls` (exactly as the documents have them)."""

    doc_ids: frozenset[bytes]
    urls: frozenset[str]

    @property
    def digest(self) -> str:
        """The list in fingerprints: the same for the same entries in any order."""
        return digest([sorted(doc_id.hex() for doc_id in self.doc_ids), sorted(self.urls)])


def parse(text: str, where: str) -> TakeDown:
    """The entries of a take-down file: a line each, a doc_id as 32 hexadecimal digits or a URL with its scheme; blank
    lines and lines that begin with # are left out. `ValueError` naming `where` and the line for anything else: an entry
    that cannot match must not look as if it did."""
    doc_ids, urls = set(), set()
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if re.fullmatch(r"[0-9a-fA-F]{32}", entry):
            doc_ids.add(bytes.fromhex(entry))
        elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", entry):
            urls.add(entry)
        else:
            raise ValueError(
                f"{where}, line {number}: {entry[:SHOWN_CHARACTERS]!r} is neither a doc_id (32 hexadecimal digits) nor "
                "a URL (https://…)"
            )
    return TakeDown(doc_ids=frozenset(doc_ids), urls=frozenset(urls))


def listed(documents: pa.RecordBatch, take_down: TakeDown) -> npt.NDArray[np.bool_]:
    """Which documents (columns `doc_id` and `url`) are listed: bool [n]."""
    found = np.zeros(documents.num_rows, np.bool_)
    if take_down.doc_ids:
        found |= np.array([doc_id in take_down.doc_ids for doc_id in documents.column("doc_id").to_pylist()], np.bool_)
    if take_down.urls:
        found |= np.array([url in take_down.urls for url in documents.column("url").to_pylist()], np.bool_)
    return found
