"""YAML as plain texts, lists and maps, each text with its line. Nothing is converted, no tag is obeyed.

PyYAML's safe loader does the work, merge keys and anchors included; numbers and dates stay as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml


class Text(str):
    """A text of the document. ``line`` is the line its content begins on."""

    __slots__ = ("line",)
    line: int


class Malformed(Exception):
    """Raised for what is no YAML; ``line`` is where, 0 if that can't be said."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Knows no sort of value but text, list and map."""

    yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile(r"<<"))]}

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        # A key that comes in by several merges is kept once, the last: else merges of merges grow without limit.
        node.value = list({_key(key): (key, value) for key, value in node.value}.values())


def _key(node: yaml.Node) -> object:
    return node.value if isinstance(node, yaml.ScalarNode) else id(node)


def _construct(loader: _Loader, node: yaml.Node) -> Any:
    match node:
        case yaml.MappingNode():
            return loader.construct_mapping(node, deep=True)
        case yaml.SequenceNode():
            return loader.construct_sequence(node, deep=True)
        case _:
            return _scalar(node)


def _scalar(node: yaml.Node) -> Text | None:
    style = getattr(node, "style", None)
    if not style and node.value in {"", "~", "null", "Null", "NULL"}:
        return None
    text = Text(node.value)
    text.line = node.start_mark.line + (2 if style in {"|", ">"} else 1)
    return text


_Loader.yaml_constructors = {None: _construct}


def documents(text: str) -> Iterator[Any]:
    """The documents of a file. Raises Malformed."""
    try:
        yield from yaml.load_all(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Malformed(getattr(error, "problem", None) or "no YAML", mark.line + 1 if mark else 0) from error
    except RecursionError as error:
        raise Malformed("nested too deeply", 0) from error


def line_of(value: Any) -> int:
    """The line of a text, or of the first text in a list; 0 if there is none."""
    match value:
        case Text():
            return value.line
        case [first, *_]:
            return line_of(first)
        case _:
            return 0


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is a map, else an empty one; keys that are no texts are left out."""
    return {key: each for key, each in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []
