"""The waterfall's counts, against counting by hand; and the choice of examples."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.document import order_hash
from pipeline.filtered import rules, waterfall
from pipeline.filtered.decisions import Choice, Decisions, decide
from pipeline.filtered.waterfall import Candidates

ENTRIES = [{"signal": "n_words", "min": 20, "max": 100}, {"signal": "digit_share", "max": 0.4}]
WORDS = [10, 17, 19, 20, 21, 99, 100, 101, 120, 200]
DIGITS = [0.5, 0.0, 0.42, 0.4, 0.43, 0.39, 0.5, 0.0, 0.41, 0.9]
N_BYTES = np.arange(1, 11)
CHOICE = Choice(rules=rules.resolve(ENTRIES).rules)


def documents(n: int, start: int = 0) -> pa.RecordBatch:
    ids = [bytes([start + number]) * 16 for number in range(n)]
    return pa.record_batch({"doc_id": ids, "url": pa.nulls(n, pa.string()), "text": [""] * n})


def decided(first: int = 0, last: int = 10) -> Decisions:
    values = {"n_words": np.array(WORDS[first:last]), "digit_share": np.array(DIGITS[first:last])}
    return decide(documents(last - first), values, None, CHOICE)


def told(parts: list[tuple[int, int]]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for first, last in parts:
        counts.update(waterfall.count(decided(first, last), N_BYTES[first:last]))
    return waterfall.report(counts, CHOICE.reasons, ())


def test_each_reason_is_counted_alone_together_and_as_the_first() -> None:
    low, high, digits = told([(0, 10)])["rules"]
    assert low == {
        "reason": "n_words.min",
        "signal": "n_words",
        "kind": "min",
        "limit": 20.0,
        "hits": 3,
        "hits_bytes": 1 + 2 + 3,
        "only": 1,
        "only_bytes": 2,
        "rejected": 3,
        "rejected_bytes": 6,
        "moved": [
            {"by": -0.25, "limit": 15.0, "hits": 1, "kept": 3},
            {"by": -0.1, "limit": 18.0, "hits": 2, "kept": 2},
            {"by": 0.1, "limit": 22.0, "hits": 5, "kept": 1},
            {"by": 0.25, "limit": 25.0, "hits": 5, "kept": 1},
        ],
    }
    assert (high["hits"], high["only"], high["rejected"]) == (3, 1, 3)
    assert (digits["hits"], digits["only"], digits["rejected"], digits["rejected_bytes"]) == (6, 2, 2, 5 + 7)


@pytest.mark.parametrize("number", range(3))
def test_moved_limits_are_those_of_a_recipe_that_moves_them(number: int) -> None:
    row = told([(0, 10)])["rules"][number]
    values = {"n_words": np.array(WORDS), "digit_share": np.array(DIGITS)}
    assert [moved["by"] for moved in row["moved"]] == [-0.25, -0.1, 0.1, 0.25]
    for moved in row["moved"]:
        entries = [dict(entry) for entry in ENTRIES]
        entries[number // 2][row["kind"]] = moved["limit"]
        chosen = Choice(rules=rules.resolve(entries).rules)
        again = decide(documents(10), values, None, chosen)
        assert moved["hits"] == again.hits[:, number].sum()
        assert moved["kept"] == (again.first < 0).sum()


def test_a_limit_of_0_is_not_moved() -> None:
    assert waterfall.moved(Choice(rules=rules.resolve([{"signal": "n_words", "max": 0}]).rules).reasons[0]) == []


def test_overlaps_are_counted_both_ways() -> None:
    assert told([(0, 10)])["overlap"] == {
        "n_words.min": {"digit_share.max": 2},
        "n_words.max": {"digit_share.max": 2},
        "digit_share.max": {"n_words.max": 2, "n_words.min": 2},
    }


def test_counts_of_tasks_add_up() -> None:
    assert told([(0, 3), (3, 4), (4, 10)]) == told([(0, 10)])


def test_examples_are_those_with_the_smallest_hash_whatever_the_tasks() -> None:
    n = 200
    ids = pa.array([bytes([number]) * 16 for number in range(n)])
    values = {"n_words": np.array([number % 3 * 15 for number in range(n)]), "digit_share": np.zeros(n)}
    decisions = decide(documents(n), values, None, CHOICE)
    hit = [number for number in range(n) if number % 3 != 2]
    hashes = order_hash(ids, "examples")
    expected = sorted(hit, key=lambda number: int(hashes[number]))[:20]

    notes, starts = [], [0, 7, 8, 150, n]
    for task, (first, last) in enumerate(pairwise(starts)):
        candidates = Candidates()
        for start in range(first, last, 10):  # in batches
            rows = slice(start, min(last, start + 10))
            part = Decisions(
                reasons=decisions.reasons,
                hits=decisions.hits[rows],
                values={name: column[rows] for name, column in decisions.values.items()},
            )
            candidates.add(ids[rows], part)
        notes.append((task, candidates.notes()))
    chosen = waterfall.chosen(notes)
    assert [one.reason for one in chosen] == ["n_words.min"] * 20
    assert [starts[one.task] + one.row for one in chosen] == expected
    assert [one.rank for one in chosen] == list(range(20))
    assert [one.value for one in chosen] == [number % 3 * 15 for number in expected]
