"""What deduplication must decide, by comparing all documents with all, in plain Python: the stage's slow reference.

It shares with the stage the normal form's definition (`pipeline.document`) only: signatures are datasketch's, bands are
compared number by number, shingles are strings, components are found by walking.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

from datasketch import MinHash
from xxhash import xxh3_128_digest, xxh64_intdigest

from pipeline.deduped.batches import DedupParams
from pipeline.document import normal_form


@dataclass(frozen=True, kw_only=True)
class Document:
    source: str
    record: int
    text: str
    doc_id: bytes = b""
    url: str | None = None
    words: int = 0  # the signal n_words
    ratio: float | None = None  # the signal compression_ratio

    @property
    def id(self) -> bytes:
        return self.doc_id or xxh3_128_digest(f"{self.source} {self.record}")

    @property
    def n_bytes(self) -> int:
        return len(self.text.encode())


@dataclass(frozen=True, kw_only=True)
class Removal:
    kept: bytes
    source: str  # of the kept one
    kind: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """doc_id → what became of a removed document; doc_id → size of its cluster, of those that stay; (source, doc_id) of
    each earlier document that made new ones go → size of its cluster."""

    removed: Mapping[bytes, Removal]
    kept: Mapping[bytes, int]
    earlier: Mapping[tuple[str, bytes], int]


Earlier = Sequence[tuple[str, Document]]  # the name of the dataset, a document that it kept; in the datasets' order


def answer(
    new: Sequence[Document], params: DedupParams, earlier: Earlier = (), pages: Mapping[str, int] | None = None
) -> Answer:
    """What is removed of `new`. `pages`: URL → number of the page that it means, if URLs are to be compared."""
    every = [*((document.source, document) for document in new), *earlier]
    texts = [_measured(normal_form(document.text), params.ngram, params.bands * params.rows) for _, document in every]
    names = [text.normal if params.exact else str(number) for number, text in enumerate(texts)]
    known = set(names[len(new) :])
    alike = [
        (a, b)
        for a, b in combinations(range(len(every)), 2)
        if names[a] == names[b] or (not {names[a], names[b]} <= known and _near(texts[a], texts[b], params))
    ]
    by_text = _components(len(every), alike)
    page_of = [(pages or {}).get(document.url or "", -number) for number, document in enumerate(new, 1)]
    by_url = [(a, b) for a, b in combinations(range(len(new)), 2) if page_of[a] == page_of[b]]
    group = _components(len(every), [*alike, *by_url])

    def order(number: int) -> tuple[object, ...]:
        source, document = every[number]
        if number >= len(new):
            return (0, 0, 0, 0, -document.n_bytes, document.id, number)
        quality = {None: None, "compression_ratio": document.ratio, "n_words": document.words}[params.keep]
        value = (quality or 0) * (-1 if params.keep_most else 1)
        return (1, params.priorities[source], quality is None, value, -document.n_bytes, document.id, number)

    best = {label: min((n for n in range(len(every)) if group[n] == label), key=order) for label in set(group)}
    sizes = Counter(group)
    removed = {}
    for number, document in enumerate(new):
        to = best[group[number]]
        if to == number:
            continue
        same_url = to < len(new) and page_of[number] == page_of[to]
        kind, similarity = "near", _similarity(texts[number], texts[to], params.verify)
        if names[number] == names[to]:
            kind, similarity = "exact", 1.0
        elif same_url or by_text[number] != by_text[to]:
            kind = "url"
        removed[document.id] = Removal(kept=every[to][1].id, source=every[to][0], kind=kind, similarity=similarity)
    return Answer(
        removed=removed,
        kept={document.id: sizes[group[n]] for n, document in enumerate(new) if best[group[n]] == n},
        earlier={
            (every[to][0], every[to][1].id): sizes[group[n]]
            for n in range(len(new))
            if (to := best[group[n]]) >= len(new)
        },
    )


def without_lines(new: Iterable[Document], max_documents: int) -> list[Document]:
    """The documents of one source without the lines that stand in more than `max_documents` of them, and without those
    of which nothing is left. Of texts whose lines end at LF."""
    documents = list(new)
    holders = Counter(line for document in documents for line in set(map(_line, document.text.split("\n"))))
    left = []
    for document in documents:
        lines = document.text.splitlines(keepends=True)
        kept = [line for line in lines if not _line(line) or holders[_line(line)] <= max_documents]
        if len(kept) == len(lines) or any(map(_line, kept)):
            left.append(replace(document, text="".join(kept)))
    return left


def _line(text: str) -> str:
    """The form of a line; "" for one that does not count."""
    form = "".join("0" if character.isdecimal() else character for character in normal_form(text))
    return form if any(map(str.isalnum, form)) else ""


@dataclass(frozen=True, kw_only=True)
class _Text:
    normal: str
    shingles: Collection[str]
    signature: Sequence[int]


@lru_cache(maxsize=10_000)
def _measured(normal: str, ngram: int, num_perm: int) -> _Text:
    words = normal.split(" ") if normal else []
    n_shingles = max(1, len(words) - ngram + 1) if words else 0
    shingles = {" ".join(words[first : first + ngram]) for first in range(n_shingles)}
    hashed = MinHash(num_perm=num_perm, seed=1, hashfunc=_low_half, scheme="affine32")
    hashed.update_batch([shingle.encode() for shingle in shingles])
    return _Text(normal=normal, shingles=frozenset(shingles), signature=hashed.hashvalues.tolist())


def _low_half(shingle: bytes) -> int:
    return xxh64_intdigest(shingle) & 0xFFFFFFFF


def _near(left: _Text, right: _Text, params: DedupParams) -> bool:
    bands = [slice(first, first + params.rows) for first in range(0, params.bands * params.rows, params.rows)]
    shared = any(left.signature[band] == right.signature[band] for band in bands)
    return bool(
        shared and left.shingles and right.shingles and _similarity(left, right, params.verify) >= params.threshold
    )


def _similarity(left: _Text, right: _Text, verify: str) -> float:
    if verify == "exact":
        shared = len(set(left.shingles) & set(right.shingles))
        return shared / max(1, len(left.shingles) + len(right.shingles) - shared)
    return sum(a == b for a, b in zip(left.signature, right.signature, strict=True)) / len(left.signature)


def _components(n: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """The smallest member of each one's component."""
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    label = [-1] * n
    for first in range(n):
        reached = [first] if label[first] < 0 else []
        while reached:
            vertex = reached.pop()
            if label[vertex] < 0:
                label[vertex] = first
                reached += neighbours[vertex]
    return label
