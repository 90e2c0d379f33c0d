"""The items of evaluation sets, ready to be looked for: given by the recipe on the driver, stored for the tasks."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from pipeline import storage
from pipeline.filtered.item_index import ItemIndex, index_items
from pipeline.manifest import digest


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationItems:
    """The items that a recipe names: their index, their `texts` in the order given, and a digest of sets, texts and
    `ngram` for fingerprints."""

    index: ItemIndex
    texts: tuple[str, ...]
    digest: str

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the sets, in the order given."""
        return self.index.sets


@dataclass(frozen=True, kw_only=True)
class StoredItems:
    """Items whose index lies at `url`. A process reads it once, so that many tasks share it, and no task's description
    holds what may be gigabytes."""

    url: str
    sets: tuple[str, ...]
    digest: str

    @property
    def index(self) -> ItemIndex:
        """The index, read where this process does not hold it yet; it holds one at a time."""
        return _load(self.url)


def evaluation_items(items: Sequence[tuple[str, str]], ngram: int) -> EvaluationItems:
    """Items, given as (name of the set, text), ready to be looked for."""
    return EvaluationItems(
        index=index_items(items, ngram=ngram),
        texts=tuple(text for _, text in items),
        digest=digest([[list(item) for item in items], ngram]),
    )


def dump(index: ItemIndex) -> memoryview:
    """The index as bytes: a NumPy archive."""
    arrays = {field.name: getattr(index, field.name) for field in fields(index)}
    rest = json.dumps({name: arrays.pop(name) for name in ("ngram", "sets")})
    buffer = io.BytesIO()
    np.savez(buffer, rest=np.frombuffer(rest.encode(), np.uint8), **arrays)
    return buffer.getbuffer()


@lru_cache(maxsize=1)
def _load(url: str) -> ItemIndex:
    with np.load(io.BytesIO(storage.read(url)), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    rest = json.loads(arrays.pop("rest").tobytes())
    return ItemIndex(ngram=rest["ngram"], sets=tuple(rest["sets"]), **arrays)
