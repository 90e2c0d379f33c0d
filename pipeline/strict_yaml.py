"""YAML for people's files: what is legal and never meant is an error that tells the line.

A key given twice is not the last one's victory; every key is a plain word; a value holds neither itself nor, by aliases
of aliases, millions of others; whole numbers fit 64 bits, and no leading 0 makes them octal and no colon sixtieths, as
YAML 1.1 has it (010000 is 4096, 1:30:00 is 5400); text can be written as UTF-8 and holds no NUL.
"""

import re
from typing import Any

import yaml

MAX_VALUES = 100_000  # aliases counted as often as they stand
MAX_WHOLE_NUMBER = 2**63 - 1
MAX_DIGITS = 100  # in any base and with underscores
NOT_MEANT = re.compile(r"[-+]?0[0-9_]+|.*:.*")  # numbers in base 8 and base 60


def load(text: str) -> Any:
    """The value of a YAML text; `<<: *anchor` gives the fields that are not written beside it.

    Raises `yaml.YAMLError` that tells the line, where there is one.
    """
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _n_values(node, {}) > MAX_VALUES:
            raise yaml.YAMLError(f"it holds more than {MAX_VALUES} values; write out its aliases of aliases")
        return loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError("its brackets or groups are nested too deep; are some not closed?") from error
    finally:
        loader.dispose()


class _StrictLoader(yaml.SafeLoader):
    """`SafeLoader` whose scalars are checked, and refused with their line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        is_number = node.tag.endswith(":int")
        if is_number and len(node.value) > MAX_DIGITS:
            raise _refusal(node, f"is a larger number than any field takes (at most {MAX_WHOLE_NUMBER}); lower it")
        try:
            value = super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, AttributeError) as error:  # what PyYAML raises of `!!int ""` and such
            why = f" ({error})" if isinstance(error, ValueError) else ""
            raise _refusal(
                node, f"is no {node.tag.rpartition(':')[2]}{why}; mend it, or quote it if it is text"
            ) from error
        if (is_number or node.tag.endswith(":float")) and NOT_MEANT.fullmatch(node.value):
            raise _refusal(
                node, f"is {value} for YAML, in base {60 if ':' in node.value else 8}; write {value}, or quote the text"
            )
        if is_number and abs(value) > MAX_WHOLE_NUMBER:
            raise _refusal(node, f"is a larger number than any field takes (at most {MAX_WHOLE_NUMBER}); lower it")
        if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
            raise _refusal(node, "holds a NUL or half a surrogate pair, which no file or field is called; take it out")
        return value


def _mapping(loader: _StrictLoader, node: yaml.Node) -> dict[Any, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.YAMLError(
            f"what is marked !!map in line {node.start_mark.line + 1} holds no fields; leave !!map out"
        )
    seen = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.YAMLError(f"a field's name is not a plain word in line {line}; are there braces too many?")
        if key.value in seen:
            raise yaml.YAMLError(f"the field {key.value!r} is given twice, again in line {line}; keep one")
        seen.add(key.value)
    loader.flatten_mapping(node)
    return dict(loader.construct_pairs(node, deep=True))


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _n_values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds, itself included. `known`: those of nodes seen before by their id, 0 while a node
    is being counted."""
    if known.get(id(node)) == 0:
        raise yaml.YAMLError(
            f"the value that begins in line {node.start_mark.line + 1} holds itself; write out what it is to hold"
        )
    if id(node) not in known:
        known[id(node)] = 0
        known[id(node)] = 1 + sum(_n_values(inner, known) for inner in _inner(node))
    return known[id(node)]


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refusal(node: yaml.ScalarNode, what: str) -> yaml.YAMLError:
    shown = node.value if len(node.value) <= 40 else node.value[:39] + "…"
    return yaml.YAMLError(f"{shown!r} in line {node.start_mark.line + 1} {what}")
