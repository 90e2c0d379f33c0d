"""The waterfall of a source: what each reason hits, alone and together with others, what moved limits would do, and
which documents are shown as examples.

Tasks count (`count`, `Candidates`), the driver adds up and writes the report (`report`, `chosen`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.document import order_hash
from pipeline.filtered import rules
from pipeline.filtered.decisions import Decisions, Reason
from pipeline.texts.edits import Account

# Limits are moved by these shares, to show what they decide.
MOVES = (-0.25, -0.10, 0.10, 0.25)
N_EXAMPLES = 20
EXAMPLES_KEY = "examples"  # the hash order in which examples are chosen: the same documents of all rules come first

Note = list[Any]
"""A candidate for an example as JSON: [hash, row of the task's documents, value that was compared or None]."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A document shown for a reason: the `rank`-th of them, at `row` of the documents of task `task`."""

    reason: str
    rank: int
    task: int
    row: int
    value: float | None


def count(decisions: Decisions, n_bytes: npt.NDArray[np.int64]) -> Counter[str]:
    """The counts of decided documents, to be added up. `n_bytes` int64 [n_documents]: bytes of their texts."""
    found: Counter[str] = Counter()
    hits, first = decisions.hits, decisions.first
    n_hits = hits.sum(axis=1)
    for number, reason in enumerate(decisions.reasons):
        own = hits[:, number]
        for name, which in (("hits", own), ("only", own & (n_hits == 1)), ("rejected", first == number)):
            found[f"{name}:{reason.name}"] = int(which.sum())
            found[f"{name}_bytes:{reason.name}"] = int(n_bytes[which].sum())
        if reason.rule is not None:
            others = n_hits - own
            for move, limit in moved(reason):
                there = rules.hit(decisions.values[reason.rule.signal], reason.rule.kind, limit)
                found[f"moved_hits:{move}:{reason.name}"] = int(there.sum())
                found[f"moved_kept:{move}:{reason.name}"] = int((~there & (others == 0)).sum())
    both = hits.T.astype(np.int64) @ hits.astype(np.int64)
    for left, right in zip(*np.nonzero(np.triu(both, 1)), strict=True):
        names = decisions.reasons[left].name, decisions.reasons[right].name
        found[f"both:{names[0]}:{names[1]}"] = int(both[left, right])
    return found


def count_changes(reasons: Sequence[str], account: Account) -> Counter[str]:
    """The counts of what was changed in kept texts, to be added up."""
    found: Counter[str] = Counter()
    for number, reason in enumerate(reasons):
        found[f"changed:documents:{reason}"] = int(account.documents[number])
        found[f"changed:spans:{reason}"] = int(account.spans[number])
        found[f"changed:removed_bytes:{reason}"] = int(account.removed_bytes[number])
        found[f"changed:written_bytes:{reason}"] = int(account.written_bytes[number])
    return found


def moved(reason: Reason) -> list[tuple[float, float]]:
    """The moved limits of a reason: (move, limit). None where there is no limit, or it is 0."""
    if reason.rule is None or reason.rule.limit == 0:
        return []
    return [(move, reason.rule.limit * (1 + move)) for move in MOVES]


def report(counts: Mapping[str, int], reasons: Sequence[Reason], changes: Sequence[str]) -> dict[str, Any]:
    """The waterfall as plain JSON values.

    `rules`: for each reason, in order, `reason`, `signal`, `kind`, `limit` (the last three null for what is no
    comparison), documents and bytes that it `hits`, that `only` it hits, and that are `rejected` for it (the first that
    hits); `moved`: for each move of the limit (`by`, `limit`) the documents that it would hit, and those that would be
    `kept` in all if nothing else changed. `overlap`: documents that two reasons hit, both ways. `changes`: what was cut
    out of kept texts, or masked: `documents`, `spans`, `removed_bytes`, `written_bytes`.
    """
    overlap: dict[str, dict[str, int]] = {reason.name: {} for reason in reasons}
    for name, n in counts.items():
        if name.startswith("both:"):
            _, left, right = name.split(":")
            overlap[left][right] = overlap[right][left] = n
    return {
        "rules": [_row(counts, reason) for reason in reasons],
        "overlap": {name: dict(sorted(others.items())) for name, others in overlap.items() if others},
        "changes": [
            {"reason": reason}
            | {
                unit: counts.get(f"changed:{unit}:{reason}", 0)
                for unit in ("documents", "spans", "removed_bytes", "written_bytes")
            }
            for reason in changes
        ],
    }


def _row(counts: Mapping[str, int], reason: Reason) -> dict[str, Any]:
    rule = reason.rule
    row: dict[str, Any] = {
        "reason": reason.name,
        "signal": rule.signal if rule else None,
        "kind": str(rule.kind) if rule else None,
        "limit": rule.limit if rule else None,
    }
    for name in ("hits", "only", "rejected"):
        row |= {
            name: counts.get(f"{name}:{reason.name}", 0),
            f"{name}_bytes": counts.get(f"{name}_bytes:{reason.name}", 0),
        }
    row["moved"] = [
        {
            "by": move,
            "limit": limit,
            "hits": counts.get(f"moved_hits:{move}:{reason.name}", 0),
            "kept": counts.get(f"moved_kept:{move}:{reason.name}", 0),
        }
        for move, limit in moved(reason)
    ]
    return row


class Candidates:
    """The documents of one task that may become examples: of each reason the `N_EXAMPLES` with the smallest hash."""

    def __init__(self) -> None:
        self._found: dict[str, list[Note]] = {}
        self._rows = 0

    def add(self, doc_ids: pa.Array, decisions: Decisions) -> None:
        """Look at the next documents of the task."""
        hit = np.flatnonzero(decisions.hits.any(axis=1))
        hashes = order_hash(doc_ids.take(pa.array(hit)), EXAMPLES_KEY)
        for number, reason in enumerate(decisions.reasons):
            own = decisions.hits[hit, number]
            if not own.any():
                continue
            rows, keys = hit[own], hashes[own]
            nearest = np.argsort(keys, kind="stable")[:N_EXAMPLES]
            values = (
                decisions.values[reason.rule.signal][rows[nearest]].tolist() if reason.rule else [None] * N_EXAMPLES
            )
            notes = [
                [int(key), int(row) + self._rows, value]
                for key, row, value in zip(keys[nearest], rows[nearest], values, strict=False)
            ]
            self._found[reason.name] = sorted(self._found.get(reason.name, []) + notes)[:N_EXAMPLES]
        self._rows += len(doc_ids)

    def notes(self) -> dict[str, list[Note]]:
        """The candidates of each reason, as JSON."""
        return self._found


def chosen(notes: Iterable[tuple[int, Mapping[str, list[Note]]]]) -> list[Example]:
    """The examples of each reason out of all tasks' candidates, given as (task, its notes)."""
    found: dict[str, list[tuple[int, int, int, float | None]]] = {}
    for task, by_reason in notes:
        for reason, candidates in by_reason.items():
            found.setdefault(reason, []).extend((key, task, row, value) for key, row, value in candidates)
    return [
        Example(reason=reason, rank=rank, task=task, row=row, value=value)
        for reason, candidates in found.items()
        for rank, (_, task, row, value) in enumerate(sorted(candidates, key=lambda one: one[:3])[:N_EXAMPLES])
    ]
