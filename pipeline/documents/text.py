"""Plain text: each file is one document, as it stands; a byte order mark at its start is dropped.

English in UTF-16 is valid UTF-8 with a NUL after each letter; a file of which `MOST_NULS` are NUL is no text.
"""

from collections.abc import Iterator

from pipeline.documents.compression import BrokenError
from pipeline.documents.records import HEAD_BYTES, Quarantined, ReadParams, Reason, Record, RefusedError, quarantined
from pipeline.documents.utf8 import BOM, decoded

MOST_NULS = 0.25  # of UTF-16 it is half where the letters are Latin


def read(pieces: Iterator[bytes], stored_bytes: int, params: ReadParams) -> Iterator[Record | Quarantined]:
    """The record of a file. `pieces` are its raw bytes (see `compression.decompressed`), `stored_bytes` its size."""
    limit = params.max_document_bytes
    parts: list[bytes] = []
    n_bytes = 0
    try:
        for piece in pieces:
            n_bytes += len(piece)
            parts.append(piece)
            if n_bytes > limit:  # go on to count what is lost, but hold no more than the head
                parts = [b"".join([part[:HEAD_BYTES] for part in parts])[:HEAD_BYTES]]
    except BrokenError as broken:
        head = b"".join(parts) or broken.head
        lost = n_bytes + stored_bytes - broken.stored
        yield quarantined(broken, record=0 if n_bytes else None, head=head, n_bytes=lost, whole_file=True)
        return
    data = b"".join(parts)
    try:
        if n_bytes > limit:
            raise RefusedError(Reason.TOO_LARGE, f"the file has {n_bytes} bytes; max_document_bytes is {limit}")
        text = data.removeprefix(BOM)
        if not text:
            raise RefusedError(Reason.EMPTY_TEXT, "the file is empty")
        decoded(text, "the file")
        if (nuls := text.count(0)) > MOST_NULS * len(text):
            detail = f"{nuls} of {len(text)} bytes are NUL: it is UTF-16, UTF-32 or no text; convert it to UTF-8"
            raise RefusedError(Reason.INVALID_UTF8, detail)
        yield Record(record=0, text=text, url=None, meta="{}")
    except RefusedError as refused:
        yield quarantined(refused, record=0, head=data, n_bytes=n_bytes)
