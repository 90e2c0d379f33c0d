"""Decisions of datatrove's filters and ours on the same texts: how many are equal, and why the others are not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from bench import peers
from bench.filtered_kernel import decide
from bench.filtered_reasons import KEPT, LIMITS, WHITE_SPACE, Judged, explain, explain_lines, same_lines
from bench.table import show
from pipeline.filtered import c4, rules
from pipeline.filtered.edit_rules import LineRules
from pipeline.filtered.rule_sets import RULE_SETS
from pipeline.texts import edits
from pipeline.texts.buffers import slices
from pipeline.texts.cuts import concatenate

SHOWN = 8  # classes of disagreement that are shown of each rule set
WORDS = "words are split at white space"
NOT_EXPLAINED = "not explained"

Whys = Mapping[tuple[str, int], str]


def compare(texts: Sequence[str]) -> None:
    """Decide and print."""
    ours, values = judge(texts)
    own, white = judge_peer(texts), judge_peer(texts, WHITE_SPACE)
    whys = explain(texts, ours, values, white, differing(ours, white))
    by_words = set(differing(ours, own)) - set(differing(ours, white))
    for title, theirs, because in (
        ("words split at white space, as ours are", white, whys),
        ("its own words, spaCy's", own, dict(whys) | dict.fromkeys(by_words, WORDS)),
    ):
        show(
            f"filtered: decisions on {len(texts):,} texts; datatrove with {title}",
            ["", "equal", "both keep", "both reject", "only we keep", "only datatrove keeps", "equal reasons"],
            [counts(name, ours, theirs) for name in peers.FILTERS],
        )
        show(
            "  … and those decided otherwise",
            ["", "ours", "datatrove's", "texts", "how ours differs"],
            [row for name in peers.FILTERS for row in classes(name, ours, theirs, because)],
        )
    compare_lines(texts, ours, white)


def compare_lines(texts: Sequence[str], ours: Judged, theirs: Judged) -> None:
    """Print how many texts C4's line rules leave with the same lines, white space aside, and why not the others."""
    compared = [text for text, lines in enumerate(theirs.cleaned) if lines is not None]
    other = [text for text in compared if not same_lines(ours.cleaned[text], theirs.cleaned[text])]
    found = explain_lines(texts, ours, other)
    whys = Counter(found.get(text, NOT_EXPLAINED) for text in other)
    equal = 1 - len(other) / max(1, len(compared))
    show(
        f"  … and what c4 leaves of {len(compared):,} texts, whatever the pages' rules say",
        ["", "texts", "how ours differs"],
        [["the same lines", f"{equal:.2%}", ""], *(["other lines", f"{n:,}", why] for why, n in whys.most_common())],
    )


def judge(texts: Sequence[str]) -> tuple[Judged, Mapping[str, Any]]:
    """Our decisions, and the signals that they compare."""
    array = pa.array(texts, pa.large_string())
    chosen = {name: rules.of_set(RULE_SETS[name]()) for name in peers.FILTERS}
    decided = {name: decide(array, own) for name, own in chosen.items()}
    reasons = {
        name: [KEPT if first < 0 else chosen[name][first].reason.split(".")[1] for first in found.first.tolist()]
        for name, found in decided.items()
    }
    values = {signal: numbers for found in decided.values() for signal, numbers in found.values.items()}
    cuts = concatenate([c4.cut(part, LineRules()) for part in slices(array)])
    cleaned = edits.apply(array, cuts, [b""] * len(c4.REASONS)).texts.to_pylist()
    return Judged(reasons=reasons, cleaned=cleaned), values


def judge_peer(texts: Sequence[str], options: Sequence[str] = ()) -> Judged:
    """datatrove's decisions."""
    found = peers.decisions(texts, peers.FILTERS, *options)
    reasons = {
        name: [KEPT if (why := one["reasons"][name]) is None else LIMITS.get(why, why) for one in found]
        for name in peers.FILTERS
    }
    pages = peers.decisions(texts, ["c4"], "--any-sentences")
    return Judged(reasons=reasons, cleaned=[one["kept"] for one in pages])


def differing(ours: Judged, theirs: Judged) -> list[tuple[str, int]]:
    """(rule set, number of the text) of which one is kept by one side alone."""
    return [
        (name, text)
        for name in peers.FILTERS
        for text, pair in enumerate(zip(ours.reasons[name], theirs.reasons[name], strict=True))
        if (pair[0] == KEPT) != (pair[1] == KEPT)
    ]


def counts(name: str, ours: Judged, theirs: Judged) -> list[str]:
    """A row of the table of decisions."""
    pairs = list(zip(ours.reasons[name], theirs.reasons[name], strict=True))
    kinds = Counter((mine == KEPT, other == KEPT) for mine, other in pairs)
    equal, rejected = kinds[True, True] + kinds[False, False], kinds[False, False]
    same = sum(mine == other != KEPT for mine, other in pairs)
    numbers = [kinds[True, True], rejected, kinds[True, False], kinds[False, True]]
    return [name, f"{equal / len(pairs):.2%}", *(f"{n:,}" for n in numbers), f"{same / max(1, rejected):.1%}"]


def classes(name: str, ours: Judged, theirs: Judged, whys: Whys) -> list[list[str]]:
    """The most frequent kinds of texts decided otherwise: rows of (rule set, our reason, datatrove's, texts, why)."""
    found = Counter(
        (ours.reasons[name][text], theirs.reasons[name][text], whys.get((name, text), NOT_EXPLAINED))
        for own, text in differing(ours, theirs)
        if own == name
    )
    rows = [[name, mine, other, f"{n:,}", why] for (mine, other, why), n in found.most_common(SHOWN)]
    more = found.total() - sum(n for _, n in found.most_common(SHOWN))
    return rows + ([[name, "", "", f"{more:,}", f"{len(found) - SHOWN} other kinds"]] if more else [])
