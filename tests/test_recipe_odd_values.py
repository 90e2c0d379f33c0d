"""Every field of a recipe given what nobody means: each is a `RecipeError` that names the place, or a recipe."""

import copy
import datetime
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pipeline import recipe
from pipeline.recipe import Mix, RecipeError
from pipeline.recipe_parts import Dedup, Source, TokenizerChoice, TrainTokenizer

WHOLE = yaml.safe_load("""
name: whole
seed: 3
sequence_length: 16
budget_tokens: 1K
tokenizer: {file: t.json, eos_token: x, bos_token: y, specials_in_text: true}
sources:
  code: {root: r, files: ["*.jsonl"], format: jsonl, storage: {anon: true}, text_field: t, url_field: u, id_field: i,
    rules: [gopher_quality, {gopher_repetition: {max_dup_line_share: 0.2}}, {signal: n_words, min: 20, max: 30},
      {c4: {terminal_mark: false, min_line_words: 3, bad_words: f}}, {mask_pii: [email]}],
    weight: 0.4, priority: 3, max_passes: 4, max_document_bytes: 1M, max_rejected: 0.5, languages: [en],
    min_language_score: 0.5}
dedup: {threshold: 0.8, ngram: 5, bands: 14, rows: 8, scope: global, exact: true, verify: signature, url: false,
  lines: {max_documents: 6}, keep: {signal: n_words, prefer: most}, against: [data/x], max_cluster: 1K,
  max_source_loss: 0.5, max_bucket: 5}
holdout: {documents: 3}
stages: [{until_tokens: 64, weights: {code: 1}}, {weights: {code: 2}}]
decontaminate: {sets: {a: {root: x, files: ["*"], format: jsonl, storage: {anon: true}, fields: [q, a]}}, ngram: 13,
  min_overlap: 0.8, action: document}
take_down: gone.txt
redistribute: false
max_quarantined: 0.01
acknowledge: ["max_rejected:code"]
packing: concat
compression: zstd
bos: true
eos: true
""")
Path = tuple[str | int, ...]
OTHERWISE: dict[Path, Any] = {  # what cannot stand beside the above
    ("tokenizer",): {"train": {"vocab_size": 300, "sample_bytes": "1M"}},
    ("dedup",): {"num_perm": 112},
    ("tokenizer", "hub"): "x",
}
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, -0.5, math.nan, math.inf, -math.inf, 2**63 - 1, 1e300, 5e-324),
    *("", "x", "-1", "1e400", "../x", "[", "{limit}", "\u2028\n\x1b", "é" * 3000, b"x"),
    *([], [None], [[]], [{}], ["x", "x"], {1, 2}, datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1)),
    *({}, {"x": 1}, {None: 1}, {"": {"y": []}}, {"signal": ["x"], "min": 3}, {"a": math.nan}),
]
"""All that `strict_yaml` can give, of each type."""

INTERNAL = re.compile(r"pydantic|\w+Error\b|Traceback|\[type=|nput should|validat|object has no|NoneType|dict\[|\n")


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The places of all values in a recipe, groups and lists included."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, one in inner:
        yield from paths(one, (*path, part))


def put(value: Any, path: Path, new: Any) -> Any:
    """The recipe with another value at one place."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


def refused(fields: dict[str, Any], place: str) -> bool:
    """Whether the recipe is refused; it must be by one line that names the place and nothing of our insides."""
    try:
        assert isinstance(recipe.check(fields, "mine.yaml"), Mix)
    except RecipeError as error:
        message = str(error)
        assert message.startswith("mine.yaml: ")
        assert place in message
        assert not INTERNAL.search(message), message
        assert len(message) < 3000
        return True
    return False


def place_of(path: Path) -> str:
    """The last field on the way that errors name: below `rules` they name it, and the rule in their own words."""
    names = [part for part in path if isinstance(part, str)]
    return "rules" if "rules" in names else names[-1]


@pytest.mark.parametrize("path", list(paths(WHOLE)), ids=str)
def test_odd_values_are_refused_with_their_place(path: Path) -> None:
    tried = [refused(put(WHOLE, path, odd), place_of(path)) for odd in ODD]
    assert sum(tried) > len(ODD) / 3 or "storage" in path


@pytest.mark.parametrize(("path", "value"), OTHERWISE.items(), ids=str)
def test_odd_values_of_the_other_ways(path: Path, value: Any) -> None:
    start = {**WHOLE, "tokenizer": {}, "bos": False, "dedup": {}}
    whole = put({**start, "tokenizer": {"hub": "x"}}, path, value)
    assert not refused(whole, "")
    for inner in paths(value, path):
        tried = [refused(put(whole, inner, odd), place_of(inner)) for odd in ODD]
        assert sum(tried) > len(ODD) / 3


@pytest.mark.parametrize("path", [path for path in paths(WHOLE) if isinstance(path[-1], str)], ids=str)
def test_a_field_beside_the_known_ones_is_refused(path: Path) -> None:
    above = WHOLE
    for part in path[:-1]:
        above = above[part]
    if path[-2:-1] not in [("storage",), ("sources",)]:
        assert refused(put(WHOLE, path[:-1], above | {"nonsense": 1}), "nonsense")


def test_the_recipe_that_is_changed_names_every_field() -> None:
    recipe.check(WHOLE, "here")
    assert set(WHOLE) == set(Mix.model_fields)
    assert set(WHOLE["sources"]["code"]) == set(Source.model_fields)
    assert {*WHOLE["dedup"], *OTHERWISE["dedup",]} == set(Dedup.model_fields)
    assert {*WHOLE["tokenizer"], *OTHERWISE["tokenizer",], "hub"} == set(TokenizerChoice.model_fields)
    assert set(OTHERWISE["tokenizer",]["train"]) == set(TrainTokenizer.model_fields)
