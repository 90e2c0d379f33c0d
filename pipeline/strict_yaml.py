"""YAML in which a key given twice is an error, not the last one's victory, and every key is a plain word."""

from typing import Any

import yaml


def load(text: str) -> Any:
    """The value of a YAML text; `<<: *anchor` gives the fields that are not written beside it.

    Raises `yaml.YAMLError` that tells the line, `ValueError` for a date that is none or a number of thousands of
    digits, and `RecursionError` for thousands of brackets.
    """
    return yaml.load(text, Loader=_StrictLoader)


class _StrictLoader(yaml.SafeLoader):
    pass


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.YAMLError(f"a field's name is not a plain word in line {line}; are there braces too many?")
        if key.value in seen:
            raise yaml.YAMLError(f"the field {key.value!r} is given twice, again in line {line}")
        seen.add(key.value)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
