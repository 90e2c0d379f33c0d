"""Decisions on documents: the order of the reasons, and what is measured only then."""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import take_down
from pipeline.filtered import bad_words, rules
from pipeline.filtered.decisions import Choice, decide
from pipeline.filtered.edit_rules import LineRules
from pipeline.filtered.evaluation_items import evaluation_items
from pipeline.filtered.signals import measure

ITEM = "Which of the two rivers that meet below the old town carries more water in the spring?"


def batch(*texts: str) -> pa.RecordBatch:
    ids = [bytes([number]) * 16 for number in range(len(texts))]
    return pa.record_batch({"doc_id": ids, "url": [f"https://a.org/{n}" for n in range(len(texts))], "text": texts})


def first_reasons(documents: pa.RecordBatch, choice: Choice, languages: pa.Table | None = None) -> list[str | None]:
    decisions = decide(documents, measure(documents.column("text")), languages, choice)
    names = [reason.name for reason in decisions.reasons]
    return [names[first] if first >= 0 else None for first in decisions.first.tolist()]


def test_a_document_goes_with_the_first_reason_that_hits_it_and_passes_at_a_limit() -> None:
    entries: list[Any] = [{"signal": "n_words", "min": 3, "max": 5}, {"signal": "digit_share", "max": 0.5}]
    found = first_reasons(
        batch("a b", "a b c", "a b c 1 2 3", "1 2 3 4", "11 1"), Choice(rules=rules.resolve(entries).rules)
    )
    assert found == ["n_words.min", None, "n_words.max", "digit_share.max", "n_words.min"]


def test_without_reasons_all_documents_stay() -> None:
    decisions = decide(batch("a", ""), {}, None, Choice())
    assert decisions.first.tolist() == [-1, -1]
    assert decisions.hits.shape == (2, 0)


def test_reasons_come_in_the_stated_order_and_all_hits_count() -> None:
    documents = batch("words " * 5 + ITEM, "Worte " * 5, "words " * 5, ITEM)
    languages = pa.table({"language": ["de", "de", "en", "en"], "language_score": [0.9, 0.3, 0.3, 0.9]})
    choice = Choice(
        rules=rules.resolve([{"signal": "n_words", "max": 4}]).rules,
        languages=("en",),
        min_language_score=0.5,
        take_down=take_down.parse("https://a.org/0", "gone.txt"),
        items=evaluation_items([("gsm8k", ITEM)], 5),
        min_overlap=0.8,
    )
    decisions = decide(documents, measure(documents.column("text")), languages, choice)
    assert [reason.name for reason in decisions.reasons] == [
        "taken_down",
        "language",
        "min_language_score",
        "n_words.max",
        "contaminated.gsm8k",
    ]
    assert decisions.hits.astype(int).tolist() == [[1, 1, 0, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert first_reasons(documents, choice, languages) == [
        "taken_down",
        "language",
        "min_language_score",
        "n_words.max",
    ]


def test_changed_line_rules_measure_anew_and_published_ones_do_not() -> None:
    text = "One line that has no mark at its end\n" * 5
    documents = batch(text)
    assert first_reasons(documents, chosen({"c4": {}})) == ["c4.min_lines"]
    assert first_reasons(documents, chosen({"c4": {"terminal_mark": False}})) == [None]
    stored = measure(documents.column("text")) | {"c4_lines": np.array([9]), "c4_sentences": np.array([9])}
    assert decide(documents, stored, None, chosen({"c4": {}})).first.tolist() == [-1]  # the stored numbers hold


def test_bad_words_reject_a_page() -> None:
    listed = bad_words.parse(b"bad word\n", "list.txt")
    asked = rules.resolve([{"c4": {"min_sentences": None, "min_lines": None, "bad_words": "list.txt"}}])
    choice = Choice(rules=asked.rules, lines=asked.lines, bad_words=listed)
    assert first_reasons(batch("A Bad  Word here.", "A bad wording here."), choice) == ["c4.bad_words", None]


def test_what_a_recipe_changes_is_in_the_fingerprint() -> None:
    listed = bad_words.parse(b"bad word\n", "list.txt")
    choices = [
        Choice(),
        chosen("c4"),
        Choice(lines=LineRules()),
        Choice(lines=LineRules(javascript=False)),
        Choice(masks=rules.resolve(["mask_pii"]).masks),
        Choice(masks=rules.resolve([{"mask_pii": ["email"]}]).masks),
        Choice(bad_words=listed),
    ]
    assert len({str(choice.parameters) for choice in choices}) == len(choices)


def chosen(*entries: Any) -> Choice:
    asked = rules.resolve(entries)
    return Choice(rules=asked.rules, lines=asked.lines, masks=asked.masks)
