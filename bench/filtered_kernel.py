"""Our half of the bench `filtered` without Spark: what a task does with its documents."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.filtered import decisions, rules, signals
from pipeline.filtered.decisions import Choice, Decisions
from pipeline.filtered.rule_sets import RULE_SETS
from pipeline.filtered.rules import Rule

ALL = "all"
BATCH_DOCUMENTS = 4096  # what Spark gives a task at once: pipeline.session


def chosen_rules() -> dict[str, tuple[Rule, ...]]:
    """The rules of each rule set, and of all of them together."""
    single = {name: rules.of_set(kind()) for name, kind in RULE_SETS.items()}
    return single | {ALL: tuple(rule for own in single.values() for rule in own)}


def judge(texts: pa.Array, chosen: Sequence[Rule]) -> None:
    """What a task does, batch by batch; nothing is kept."""
    for batch in batches(texts):
        decide(batch, chosen)


def decide(texts: pa.Array, chosen: Sequence[Rule]) -> Decisions:
    """Measure what the rules compare, and decide."""
    measured = signals.measure(texts, rules.signals_of(chosen))
    return decisions.decide(pa.record_batch({"text": texts}), measured, None, Choice(rules=tuple(chosen)))


def batches(texts: pa.Array) -> Iterator[pa.Array]:
    """The texts as a task gets them."""
    for first in range(0, len(texts), BATCH_DOCUMENTS):
        yield texts.slice(first, BATCH_DOCUMENTS)
