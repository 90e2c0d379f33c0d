"""How a tokenizer treats the text of each source: counted where documents are written, added up, told as a report.

A task measures its documents and leaves a note (plain JSON) and the rows of the table `usage`; the dataset's manifest
holds the sum of the notes as `report["tokenizer"]`. Texts alone are meant: BOS and EOS count nowhere.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.document import order_hash
from pipeline.manifest import Dataset
from pipeline.tables.reading import read_batches
from pipeline.tokenized.round_trip import SAMPLE_KEY, Difference, Kind
from pipeline.tokenized.vocabulary import Vocabulary

N_EXAMPLES = 20
N_LONGEST = 20
NOTE = "tokenizer"  # its place in a manifest's report

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A document that does not come back from its ids: `doc_id` in hexadecimal digits, and how (see `Difference`)."""

    doc_id: str
    kind: Kind
    at: int
    text: str
    decoded: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """What was measured on some documents. `usage`: int64 [size of the vocabulary], how often each id stands in the
    texts. Of the `checked` documents `changed` come back with other characters, `respaced` with other white space
    only; `examples` are those of both with the smallest hash, at most `N_EXAMPLES`."""

    documents: int
    bytes: int
    checked: int
    changed: int
    respaced: int
    usage: Int64s
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class LongToken:
    """A token, what it stands for (bytes that are not UTF-8 as \\x…), its bytes, and how often it occurs."""

    id: int
    text: str
    bytes: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """The report of one source, or of all. `tokens` are those of the texts, of which `unknown_tokens` stand for
    characters that were lost, and `byte_tokens` for single bytes (see `Vocabulary`). `used_ids` of `vocabulary_ids`
    occur; `longest` of them have the most bytes. The ratios are None where there is nothing to divide."""

    documents: int
    bytes: int
    tokens: int
    tokens_a_byte: float | None
    bytes_a_token: float | None
    unknown_tokens: int
    byte_tokens: int
    used_ids: int
    vocabulary_ids: int
    longest: tuple[LongToken, ...]
    checked: int
    changed: int
    respaced: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a tokenizer treats some sources, by name, and all of them `together`."""

    sources: Mapping[str, Row]
    together: Row


def count(n_bytes: Int64s, usage: Int64s, *, added_ids: Sequence[int] = ()) -> Quality:
    """Count documents: the UTF-8 size of each, and how often each id stands in all their tokens (`usage`: [size of the
    vocabulary]). Nothing of them is checked.

    `added_ids` stand once in every document's tokens without being of its text: BOS and EOS.
    """
    of_texts = usage.copy()
    for number in added_ids:
        of_texts[number] -= len(n_bytes)
    return Quality(
        documents=len(n_bytes),
        bytes=int(n_bytes.sum()),
        checked=0,
        changed=0,
        respaced=0,
        usage=of_texts,
        examples=(),
    )


def check(doc_ids: pa.Array, verdicts: pa.Array, size: int) -> Quality:
    """What `RoundTrip.verdicts` say of documents, which are not counted."""
    checked = verdicts.filter(verdicts.is_valid())
    failed = np.flatnonzero(pc.greater(pc.binary_length(verdicts), 0).fill_null(False).to_numpy(zero_copy_only=False))
    ids = doc_ids.take(pa.array(failed)).to_pylist()
    notes = verdicts.take(pa.array(failed)).to_pylist()
    examples = [
        Example(doc_id=name.hex(), **asdict(Difference(**json.loads(text))))
        for name, text in zip(ids, notes, strict=True)
    ]
    return Quality(
        documents=0,
        bytes=0,
        checked=len(checked),
        changed=sum(example.kind == "characters" for example in examples),
        respaced=sum(example.kind == "white_space" for example in examples),
        usage=np.zeros(size, np.int64),
        examples=_first(examples),
    )


def total(qualities: Iterable[Quality], size: int) -> Quality:
    """The sum: what one task would have measured on all documents."""
    found = list(qualities)
    usage = np.zeros(size, np.int64)
    for quality in found:
        usage += quality.usage
    return Quality(
        documents=sum(quality.documents for quality in found),
        bytes=sum(quality.bytes for quality in found),
        checked=sum(quality.checked for quality in found),
        changed=sum(quality.changed for quality in found),
        respaced=sum(quality.respaced for quality in found),
        usage=usage,
        examples=_first([example for quality in found for example in quality.examples]),
    )


def note(quality: Quality) -> dict[str, Any]:
    """All but the usage, as plain JSON values."""
    return {
        field.name: getattr(quality, field.name) for field in fields(quality) if field.name not in ("usage", "examples")
    } | {"examples": [asdict(example) for example in quality.examples]}


def usage_rows(quality: Quality) -> dict[str, Int64s]:
    """The usage as columns of the table `usage`: `id` of each token that occurs, ascending, and its `count`."""
    ids = np.flatnonzero(quality.usage).astype(np.int64)
    return {"id": ids, "count": quality.usage[ids]}


def read(notes: Iterable[Mapping[str, Any]], usage_urls: Iterable[str], size: int) -> Quality:
    """The sum of what tasks (or datasets) left behind: their notes, and where the files of `usage` lie."""
    usage = np.zeros(size, np.int64)
    for url in usage_urls:
        for rows in read_batches(url, ["id", "count"]):
            np.add.at(usage, rows.column("id").to_numpy(), rows.column("count").to_numpy())
    none = np.zeros(size, np.int64)
    noted = [
        Quality(usage=none, **{**one, "examples": tuple(Example(**example) for example in one["examples"])})
        for one in notes
    ]
    return total([*noted, _only(usage)], size)


def of_datasets(datasets: Iterable[Dataset], size: int) -> Quality:
    """What was measured on the documents of tokenized datasets; `ValueError` that names one without such a report."""
    found = list(datasets)
    for dataset in found:
        if NOTE not in dataset.manifest.report:
            raise ValueError(
                f"{dataset.url} has no report of its tokenizer: documents were taken out of it, and the texts of the "
                "others were not seen again; ask the mix that they were taken from"
            )
    notes = [dataset.manifest.report[NOTE] for dataset in found]
    return read(notes, [url for dataset in found for url in dataset.urls("usage")], size)


def row(quality: Quality, vocabulary: Vocabulary) -> Row:
    """The report on what was measured."""
    usage = quality.usage
    tokens = int(usage.sum())
    unknown = vocabulary.unknown_id
    return Row(
        documents=quality.documents,
        bytes=quality.bytes,
        tokens=tokens,
        tokens_a_byte=tokens / quality.bytes if quality.bytes else None,
        bytes_a_token=quality.bytes / tokens if tokens else None,
        unknown_tokens=0 if unknown is None else int(usage[unknown]),
        byte_tokens=int(usage[sorted(vocabulary.byte_ids)].sum()),
        used_ids=int(np.count_nonzero(usage)),
        vocabulary_ids=len(vocabulary.tokens),
        longest=_longest(usage, vocabulary),
        checked=quality.checked,
        changed=quality.changed,
        respaced=quality.respaced,
        examples=quality.examples,
    )


def report(by_source: Mapping[str, Quality], vocabulary: Vocabulary) -> Report:
    """The report on sources, which keep their order."""
    return Report(
        sources={name: row(quality, vocabulary) for name, quality in by_source.items()},
        together=row(total(by_source.values(), vocabulary.size), vocabulary),
    )


def _longest(usage: Int64s, vocabulary: Vocabulary) -> tuple[LongToken, ...]:
    lengths = np.zeros(len(usage), np.int64)
    for number, token in vocabulary.tokens.items():
        lengths[number] = len(token)
    used = np.flatnonzero(usage)
    chosen = used[np.argsort(-lengths[used], kind="stable")][:N_LONGEST].tolist()
    return tuple(
        LongToken(
            id=number,
            text=vocabulary.tokens.get(number, b"").decode(errors="backslashreplace"),
            bytes=int(lengths[number]),
            count=int(usage[number]),
        )
        for number in chosen
    )


def _first(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Those with the smallest hash: which they are does not depend on how documents lie in tasks."""
    if not examples:
        return ()
    ids = pa.array([bytes.fromhex(example.doc_id) for example in examples], pa.binary())
    keys = order_hash(ids, SAMPLE_KEY).tolist()
    order = sorted(range(len(examples)), key=lambda place: (keys[place], examples[place].doc_id))
    return tuple(examples[place] for place in order[:N_EXAMPLES])


def _only(usage: Int64s) -> Quality:
    return Quality(documents=0, bytes=0, checked=0, changed=0, respaced=0, usage=usage, examples=())
