"""What is decided on documents that have been measured: one column of hits for each reason, in the listed order.

The order is: taken down, language, the recipe's rules, contaminated. The first reason that hits a document is the one
that it is rejected for; the others count as hits. What the recipe changes in texts (`edits_of`) comes after that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import take_down
from pipeline.filtered import bad_words, c4, commonness, contamination, passages, rules
from pipeline.filtered.bad_words import BadWords
from pipeline.filtered.catalogue import COMPRESSION
from pipeline.filtered.contamination import Matches
from pipeline.filtered.edit_rules import LineRules, PiiKind
from pipeline.filtered.evaluation_items import EvaluationItems, StoredItems
from pipeline.filtered.passages import Passages
from pipeline.filtered.rule_sets import Kind
from pipeline.filtered.rules import BAD_WORDS_RULE, Rule
from pipeline.take_down import TakeDown
from pipeline.texts.buffers import slices
from pipeline.texts.unicode_tables import UNICODE_VERSION

LANGUAGE = "language"
LANGUAGE_SCORE = "min_language_score"
CONTAMINATED = "contaminated"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a recipe chooses for a source.

    `languages` are the ones to keep (empty: all), `min_language_score` the least score of the identification, which is
    measured where either is asked for. `items` are those of evaluation sets, of which a document may hold less than
    `min_overlap`; with `cut_passages` it is not rejected for more, but the passages are cut out. `lines` are C4's line
    rules and `masks` the kinds of personal data to mask in what is kept.
    """

    rules: tuple[Rule, ...] = ()
    languages: tuple[str, ...] = ()
    min_language_score: float | None = None
    take_down: TakeDown | None = None
    items: EvaluationItems | StoredItems | None = None
    min_overlap: float = 1.0
    cut_passages: bool = False
    lines: LineRules | None = None
    bad_words: BadWords | None = None
    masks: tuple[PiiKind, ...] = ()

    @property
    def needs_language(self) -> bool:
        """Whether the documents' languages must be known."""
        return bool(self.languages) or self.min_language_score is not None

    @property
    def needs_compression(self) -> bool:
        """Whether the documents' compression ratio must be known."""
        return COMPRESSION in rules.signals_of(self.rules)

    @property
    def reasons(self) -> tuple["Reason", ...]:
        """Why documents can be rejected, in the order in which it is looked at."""
        found = [Reason(name=take_down.REASON)] if self.take_down is not None else []
        if self.languages:
            found.append(Reason(name=LANGUAGE))
        found.extend(Reason(name=rule.reason, rule=rule) for rule in self._rules)
        if self.items is not None:
            found.extend(Reason(name=f"{CONTAMINATED}.{name}") for name in self.items.sets)
        return tuple(found)

    @property
    def _rules(self) -> tuple[Rule, ...]:
        if self.min_language_score is None:
            return self.rules
        score = Rule(reason=LANGUAGE_SCORE, signal="language_score", kind=Kind.MIN, limit=self.min_language_score)
        return (score, *self.rules)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the decisions and edits depend on, as plain JSON values."""
        found: dict[str, Any] = {"rules": [asdict(rule) for rule in self.rules]}
        if self.needs_language:
            found |= {"languages": sorted(self.languages), "min_language_score": self.min_language_score}
        if self.take_down is not None:
            found["take_down"] = self.take_down.digest
        if self.items is not None:
            versions = [contamination.VERSION, commonness.VERSION, UNICODE_VERSION]
            found["decontaminate"] = [*versions, self.items.digest, self.min_overlap, self.cut_passages]
        if self.lines is not None:
            found["lines"] = asdict(self.lines)
        if self.bad_words is not None:
            found["bad_words"] = self.bad_words.digest
        if self.masks:
            found["masks"] = list(self.masks)
        return found


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a document can be rejected: its name in reports, and the comparison, where it is one."""

    name: str
    rule: Rule | None = None


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """`reasons`; who is hit by which, bool [n_documents, n_reasons]; by signal the `values` that were compared, arrays
    [n_documents]; the rows that are `taken_down`, each with the entry that lists it; the evaluation items that were
    found (`matches`), and what is to be cut out of documents for them (`passages`), where the choice asks for it."""

    reasons: tuple[Reason, ...]
    hits: npt.NDArray[np.bool_]
    values: Mapping[str, npt.NDArray[Any]]
    taken_down: Sequence[tuple[int, str]] = ()
    matches: Matches | None = None
    passages: Passages | None = None

    @property
    def first(self) -> npt.NDArray[np.int64]:
        """The index of the reason for which each document is rejected, -1 if it is kept: int64 [n_documents]."""
        if not self.reasons:
            return np.full(len(self.hits), -1, np.int64)
        return np.where(self.hits.any(axis=1), self.hits.argmax(axis=1), -1)


def decide(
    documents: pa.RecordBatch, measured: Mapping[str, npt.NDArray[Any]], languages: pa.Table | None, choice: Choice
) -> Decisions:
    """Decide on documents (columns `doc_id`, `url`, `text`).

    `measured` holds their signals, `languages` the columns `language` and `language_score` where the choice needs them.
    """
    values = dict(measured) | _measured_now(documents.column("text"), choice)
    if languages is not None:
        values["language_score"] = languages.column("language_score").to_numpy()
    hits: dict[str, npt.NDArray[np.bool_]] = {}
    taken_down: list[tuple[int, str]] = []
    if choice.take_down is not None:
        taken_down = take_down.matches(documents, choice.take_down)
        hits[take_down.REASON] = np.zeros(documents.num_rows, np.bool_)
        hits[take_down.REASON][[row for row, _ in taken_down]] = True
    if choice.languages and languages is not None:
        spoken = languages.column("language").to_pylist()
        hits[LANGUAGE] = np.array([one not in choice.languages for one in spoken], np.bool_)
    matches, cut = None, None
    if choice.items is not None:
        texts, index = documents.column("text"), choice.items.index
        matches = contamination.find(texts, index, min_overlap=choice.min_overlap)
        held = np.zeros((len(texts), len(index.sets)), np.bool_)
        np.logical_or.at(held, matches.document, index.in_sets[matches.item])
        if choice.cut_passages:
            cut = passages.passages(texts, matches)
            held &= cut.gone[:, None]
        hits |= {f"{CONTAMINATED}.{name}": held[:, number] for number, name in enumerate(index.sets)}
    columns = [
        hits[reason.name]
        if reason.rule is None
        else rules.hit(values[reason.rule.signal], reason.rule.kind, reason.rule.limit)
        for reason in choice.reasons
    ]
    return Decisions(
        reasons=choice.reasons,
        hits=np.column_stack(columns) if columns else np.zeros((documents.num_rows, 0), np.bool_),
        values=values,
        taken_down=taken_down,
        matches=matches,
        passages=cut,
    )


def _measured_now(texts: pa.Array, choice: Choice) -> dict[str, npt.NDArray[Any]]:
    """The signals that depend on more than the text: C4's by changed line rules, its bad words."""
    found: dict[str, npt.NDArray[Any]] = {}
    if choice.lines not in (None, LineRules()):
        parts = [c4.measure(part, choice.lines) for part in slices(texts)]
        found |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if choice.bad_words is not None:
        found[BAD_WORDS_RULE.signal] = bad_words.found(texts, choice.bad_words).astype(np.int64)
    return found
