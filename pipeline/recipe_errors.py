"""What is wrong with a recipe, as one paragraph: findings of PyYAML and pydantic → place, value and remedy."""

import typing
from collections.abc import Iterator
from types import UnionType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml import Mark, MarkedYAMLError, YAMLError
from yaml.reader import ReaderError

SHOWN_CHARACTERS = 80
MESSAGE_CHARACTERS = 1000  # of one finding; the longest list of what is known, the languages, has 700

EXAMPLES = {
    "name": "demo",
    "sequence_length": "2048",
    "budget_tokens": "20M",
    "tokenizer": "{train: {vocab_size: 16000}}",
    "train": "{vocab_size: 16000}",
    "vocab_size": "16000",
    "sources": "{code: {root: …, files: …, weight: …}}",
    "root": "data/raw/code",
    "files": '["*.jsonl.zst"]',
    "rules": "[gopher_quality]",
    "weight": "0.4",
    "storage": "{anon: true}",
    "max_passes": "4",
    "dedup": "{threshold: 0.8}",
    "keep": "{signal: n_words}",
    "signal": "n_words",
    "lines": "{max_documents: 6}",
    "max_documents": "6",
    "languages": "[en, de]",
    "decontaminate": "{sets: {gsm8k: {root: …, files: …, fields: [question, answer]}}}",
    "sets": "{gsm8k: {root: …, files: …, fields: [question, answer]}}",
    "fields": "[question, answer]",
    "take_down": "gone.txt",
    "against": "[/data/deduped/code/0123456789abcdef0123456789abcdef]",
    "holdout": "{documents: 200}",
    "documents": "200",
    "stages": "[{until_tokens: 16M}, {weights: {code: 0.2, docs: 0.8}}]",
    "weights": "{code: 0.2, docs: 0.8}",
    "acknowledge": "[max_rejected:code]",
}

REMEDIES = {
    "missing": "is missing; add it",
    "string_type": "must be text; write it in quotes",
    "string_too_short": "must not be empty; give a value, or leave the field out where it may be",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a group of fields",
    "model_type": "must be a group of fields",
    "too_short": "must not be empty",
    "invalid_key": "is not the name of a field; field names are text",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}
"""By pydantic's type of error, with what its context gives; `value_error`s are our own and say it themselves."""


def explain_yaml(error: YAMLError) -> str:
    """Why a text is no YAML, and where; the lines themselves, which may hold credentials, are not shown."""
    if isinstance(error, MarkedYAMLError):
        said = (_placed(error.context, error.context_mark), _placed(error.problem, error.problem_mark))
        told = ", ".join(filter(None, said))
    else:
        told = " ".join(str(error).replace('in "<unicode string>", line', "in line").split())
    if not isinstance(error, MarkedYAMLError | ReaderError):
        return told  # one of `strict_yaml`, which gives the remedy
    remedy = 'a text that begins with * needs quotes, as "*.jsonl"' if " alias " in told else "mend or quote it"
    return f"{told}; {remedy}"


def _placed(what: str | None, mark: Mark | None) -> str:
    place = f"in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{what or ''} {place}".strip()


def explain(recipe: type[BaseModel], error: ValidationError) -> str:
    """All findings, each once, parted by semicolons."""
    found = error.errors()
    # a list of which each entry is wrong counts as too short besides
    real = [detail for detail in found if detail["type"] != "too_short" or not detail["input"]]
    return "; ".join(dict.fromkeys(_explain(recipe, detail) for detail in real))


def _explain(recipe: type[BaseModel], detail: ErrorDetails) -> str:
    place = ".".join(_part(part) for part in detail["loc"] if part != "[key]")
    last = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        return f"unknown field {place}; known here are {', '.join(_known_fields(recipe, detail['loc'][:-1]))}"
    message = _one_line(detail["msg"].removeprefix("Value error, ").removeprefix(f"{last}: "), MESSAGE_CHARACTERS)
    if detail["type"] in REMEDIES:
        message = REMEDIES[detail["type"]].format_map(
            {name: _limit(value) for name, value in detail.get("ctx", {}).items()}
        )
        message += f", as {last}: {EXAMPLES[last]}" if last in EXAMPLES else ""
    if detail["type"] == "missing":
        return f"{place} {message}"
    if detail["type"] == "value_error" and isinstance(detail["input"], dict):  # of fields together: it names them
        return f"{place}: {message}" if place else message
    shown = "…" if "storage" in detail["loc"][2:] else _shown(detail["input"])  # credentials, below a source's name
    return f"{place} = {shown}: {message[0].lower() + message[1:]}"


def _part(part: int | str) -> str:
    return _one_line(str(part), SHOWN_CHARACTERS)


def _shown(value: object) -> str:
    return "nothing" if value is None else _one_line(str(value), SHOWN_CHARACTERS)


def _limit(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _one_line(text: str, most: int) -> str:
    """A text as a terminal can show it: blanks for white space, escapes for what is not printable, '' for nothing."""
    words = " ".join(text.split()) or "''"
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words[:most])
    return shown if len(words) <= most else shown[: most - 1] + "…"


def _known_fields(recipe: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The fields of the group at `path`; keys of mappings and numbers of lists are passed over."""
    model = recipe
    for part in path:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models(field.annotation), model)
    return sorted(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The groups of fields that a type holds: of `dict[Name, Source]`, Source."""
    if isinstance(annotation, type) and not isinstance(annotation, UnionType) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)
