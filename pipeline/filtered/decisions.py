"""What is decided on documents that have been measured: one column of hits for each reason, in the listed order.

The order is: taken down, language, the recipe's rules, contaminated. The first reason that hits a document is the one
that it is rejected for; the others count as hits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filtered import contamination, rules, take_down
from pipeline.filtered.contamination import ItemIndex
from pipeline.filtered.rules import Rule
from pipeline.filtered.take_down import TakeDown
from pipeline.filtered.unicode_tables import UNICODE_VERSION
from pipeline.manifest import digest

LANGUAGE = "language"
LANGUAGE_SCORE = "min_language_score"
CONTAMINATED = "contaminated"


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationItems:
    """The items of evaluation sets: their index, the name of each item's set, and a digest of texts and n-gram length
    for fingerprints."""

    index: ItemIndex
    sets: tuple[str, ...]
    digest: str


def evaluation_items(items: Sequence[tuple[str, str]], ngram: int) -> EvaluationItems:
    """Items, given as (name of the set, text), ready to be looked for."""
    return EvaluationItems(
        index=contamination.index_items(items, ngram=ngram),
        sets=tuple(name for name, _ in items),
        digest=digest([[list(item) for item in items], ngram]),
    )


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a recipe chooses for a source.

    `languages` are the ones to keep (empty: all), `min_language_score` the least score of the identification, which is
    measured where either is asked for. `items` are those of evaluation sets, of which a document may hold less than
    `min_overlap`.
    """

    rules: tuple[Rule, ...] = ()
    languages: tuple[str, ...] = ()
    min_language_score: float | None = None
    take_down: TakeDown | None = None
    items: EvaluationItems | None = None
    min_overlap: float = 1.0

    @property
    def needs_language(self) -> bool:
        """Whether the documents' languages must be known."""
        return bool(self.languages) or self.min_language_score is not None

    @property
    def parameters(self) -> dict[str, Any]:
        """What the decisions depend on, as plain JSON values."""
        found: dict[str, Any] = {"rules": [asdict(rule) for rule in self.rules]}
        if self.needs_language:
            found |= {"languages": sorted(self.languages), "min_language_score": self.min_language_score}
        if self.take_down is not None:
            found["take_down"] = self.take_down.digest
        if self.items is not None:
            found["decontaminate"] = [contamination.VERSION, UNICODE_VERSION, self.items.digest, self.min_overlap]
        return found


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """`reasons`, and who is hit by which: bool [n_documents, n_reasons]."""

    reasons: tuple[str, ...]
    hits: npt.NDArray[np.bool_]

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """The index of the reason for which each document is rejected, -1 if it is kept: int64 [n_documents]."""
        if not self.reasons:
            return np.full(len(self.hits), -1, np.int64)
        return np.where(self.hits.any(axis=1), self.hits.argmax(axis=1), -1)


def _contaminated(
    documents: pa.RecordBatch, items: EvaluationItems, min_overlap: float
) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """One reason for each evaluation set: the documents whose strongest match is an item of it."""
    found = contamination.find(documents.column("text"), items.index, min_overlap=min_overlap).item.tolist()
    sets = [items.sets[item] if item >= 0 else None for item in found]
    return [
        (f"{CONTAMINATED}.{name}", np.array([own == name for own in sets], np.bool_))
        for name in dict.fromkeys(items.sets)
    ]


def decide(
    documents: pa.RecordBatch, measured: Mapping[str, npt.NDArray[Any]], language: pa.Table | None, choice: Choice
) -> Decisions:
    """Decide on documents (columns `doc_id`, `url`, `text`).

    `measured` holds their signals, `language` the columns `language` and `language_score` where the choice needs them.
    """
    columns: list[tuple[str, npt.NDArray[np.bool_]]] = []
    if choice.take_down is not None:
        columns.append((take_down.REASON, take_down.listed(documents, choice.take_down)))
    if choice.languages and language is not None:
        spoken = language.column("language").to_pylist()
        columns.append((LANGUAGE, np.array([one not in choice.languages for one in spoken], np.bool_)))
    if choice.min_language_score is not None and language is not None:
        columns.append((LANGUAGE_SCORE, language.column("language_score").to_numpy() < choice.min_language_score))
    by_rule = rules.hits(measured, choice.rules)
    columns.extend((rule.reason, by_rule[:, number]) for number, rule in enumerate(choice.rules))
    if choice.items is not None:
        columns.extend(_contaminated(documents, choice.items, choice.min_overlap))
    hits = np.column_stack([hit for _, hit in columns]) if columns else np.zeros((documents.num_rows, 0), np.bool_)
    return Decisions(reasons=tuple(reason for reason, _ in columns), hits=hits)
