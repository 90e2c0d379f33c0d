"""What one task does with a file of filtered documents: count its lines, cut the heavy ones out. No Spark in here.

Hashes of lines, uint64 in `lines`, are the int64 of the same bits in tables, as Spark has them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.deduped import lines
from pipeline.deduped.delined.edit_lists import compose
from pipeline.deduped.lines import Hashes, HeavyLines
from pipeline.tables.reading import read_batches
from pipeline.tables.sink import Sink
from pipeline.texts import edits
from pipeline.texts.buffers import Texts, slices
from pipeline.texts.characters import count
from pipeline.texts.cuts import Cuts, concatenate

NO_LINES_LEFT = "no_lines_left"
TEXT_CHARACTERS = 200  # of a line that is shown


@dataclass(frozen=True, kw_only=True)
class Heavy:
    """The heavy lines of a source: the files that list their hashes, and the hashes of those that are to be shown."""

    urls: tuple[str, ...]
    shown: tuple[int, ...]


def documents_of_lines(url: str) -> Iterator[pa.RecordBatch]:
    """(hash, documents): each different line of a file of filtered documents, and how many of these it stands in."""
    hashes = [
        lines.line_hashes(part)[1] for rows in read_batches(url, ["text"]) for part in slices(rows.column("text"))
    ]
    found, documents = np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]), return_counts=True)
    yield pa.record_batch({"hash": pa.array(found.view(np.int64)), "documents": pa.array(documents.astype(np.int64))})


def cut_lines(heavy: Heavy, url: str, sink: Sink) -> None:
    """Write the documents of a file without their heavy lines, and those that hold no letter or number then as
    rejected. The notes have the text of the lines to show that occur, by hash, as it first stands here."""
    index, shown = _index(heavy.urls), dict.fromkeys(heavy.shown, "")
    for rows in read_batches(url):
        texts = rows.column("text")
        found = []
        for part in slices(texts):
            found.append(lines.cut(part, index))
            _show(shown, part, found[-1])
        cuts = concatenate(found)
        edited = edits.apply(texts, cuts, [b""])
        kept = _kept(edited.texts, np.diff(cuts.starts) > 0)
        done = edits.account(cuts, kept, [b""])
        n_bytes = rows.column("n_bytes").to_numpy()
        for name, n in (
            ("kept_documents", kept.sum()),
            ("kept_bytes", edited.n_bytes[kept].sum()),
            ("rejected", (~kept).sum()),
            ("rejected_bytes", n_bytes[~kept].sum()),
            ("changed_documents", done.documents[0]),
            ("cut_lines", done.spans[0]),
            ("cut_bytes", done.removed_bytes[0]),
        ):
            sink.count(name, n)
        changed = {"text": edited.texts, "n_bytes": pa.array(edited.n_bytes)}
        changed["edits"] = _composed(rows.column("edits"), edited.edits)
        columns = dict(zip(rows.schema.names, rows.columns, strict=True)) | changed
        sink.write("filtered", pa.record_batch(columns).filter(pa.array(kept)))
        gone = rows.select(["doc_id", "source", "n_bytes"]).filter(pa.array(~kept))
        sink.write("rejected", gone.append_column("reason", pa.array([NO_LINES_LEFT] * gone.num_rows, pa.string())))
    sink.notes = {"shown": {str(value): text for value, text in shown.items() if text}}


@lru_cache(maxsize=1)
def _index(urls: tuple[str, ...]) -> HeavyLines:
    """All heavy lines of a source, read once in each process, not for each file."""
    hashes = [rows.column("hash").to_numpy() for url in urls for rows in read_batches(url, ["hash"])]
    return lines.heavy_lines(np.concatenate([np.empty(0, np.int64), *hashes]).view(np.uint64))


def _kept(texts: pa.Array, changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The texts that stay: unchanged ones, and those with a letter or number left."""
    counts = [count(part) for part in slices(texts.filter(pa.array(changed)))]
    kept = ~changed
    kept[changed] = np.concatenate([np.empty(0, np.bool_), *(one.letters + one.numbers > 0 for one in counts)])
    return kept


def _show(shown: dict[int, str], part: Texts, cuts: Cuts) -> None:
    """Fill in the texts of `shown` (hash → text, "" while unknown) that are among the lines that are cut."""
    missing = [value for value, text in shown.items() if not text]
    if not missing or not len(cuts.first):
        return
    before = part.offsets[cuts.documents()]
    spans = [part.data[a:b] for a, b in zip(before + cuts.first, before + cuts.last, strict=True)]
    hashes = _hashes_of(spans)
    for value in missing:
        places = np.flatnonzero(hashes == np.int64(value).view(np.uint64))
        if len(places):
            shown[value] = spans[places[0]].tobytes().decode().strip()[:TEXT_CHARACTERS]


def _hashes_of(spans: Sequence[npt.NDArray[np.uint8]]) -> Hashes:
    """The hash of each of some lines that count."""
    offsets = np.cumsum([0, *map(len, spans)], dtype=np.int64)
    return lines.line_hashes(Texts(data=np.concatenate(spans), offsets=offsets))[1]


def _composed(before: pa.Array, after: pa.Array) -> pa.Array:
    """The edit lists of texts that were edited before, and then again."""
    if before.null_count == len(before):
        return after
    lists = zip(before.to_pylist(), after.to_pylist(), strict=True)
    return pa.array([compose(a, b) if a and b else a or b for a, b in lists], pa.list_(pa.int64()))
