"""Evaluation sets → the items that training data must not hold: read whole, on the driver, as sources are."""

import json
from collections.abc import Mapping
from functools import partial

from pipeline import storage
from pipeline.alarms import StageError
from pipeline.documents.reading import read_file
from pipeline.documents.records import Format, Quarantined, ReadParams
from pipeline.documents.spark import raw_files
from pipeline.recipe_parts import ItemSet

Item = tuple[str, str]


def read_items(sets: Mapping[str, ItemSet]) -> list[Item]:
    """The items of all sets: (name of the set, text: the item's fields, a line each).

    `StageError` where a set has no files or no items, or a record that cannot be read: an item that was lost here would
    look like one that no document holds.
    """
    return [
        (name, text) for name, item_set in sets.items() for text in _read_set(f"decontaminate.sets.{name}", item_set)
    ]


def _read_set(place: str, item_set: ItemSet) -> list[str]:
    first, *others = item_set.fields
    params = ReadParams(format=Format(item_set.format), text_field=first)
    texts = []
    for info in raw_files(place, item_set.root, item_set.files, item_set.storage):
        url = storage.join(item_set.root, info.path)
        for item in read_file(partial(storage.open_input, url, item_set.storage), info.path, info.bytes, params):
            if isinstance(item, Quarantined):
                raise StageError(f"{place}: record {item.record} of {url} cannot be read: {item.reason}, {item.detail}")
            texts.append(
                "\n".join([item.text.decode(), *_others(place, url, item.record, json.loads(item.meta), others)])
            )
    if not texts:
        raise StageError(f"{place}: its files below {item_set.root} hold no items")
    return texts


def _others(place: str, url: str, record: int, meta: Mapping[str, object], fields: list[str]) -> list[str]:
    if missing := [field for field in fields if field not in meta]:
        raise StageError(
            f"{place}.fields: record {record} of {url} has no field {missing[0]!r}; beside the first field it has "
            f"{sorted(meta)}"
        )
    return [_text(f"{place}.fields: field {field!r} of record {record} of {url}", meta[field]) for field in fields]


def _text(where: str, value: object) -> str:
    """A text as it is, a number as it is written, a list of these a line each."""
    if isinstance(value, list):
        return "\n".join(_text(where, one) for one in value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise StageError(f"{where} is {value!r}, not text; name other fields")
    return str(value)
