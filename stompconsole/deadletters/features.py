"""What can be told of one message: its headers, where it came from, the shape and the values of its JSON.

Pure. The walk through JSON needs no recursion and ends early: what has too many parts is known by that alone.
"""

from __future__ import annotations

import enum
import json
from collections import deque
from collections.abc import KeysView, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

MOST_BYTES = 64 * 1024
MOST_NODES = 500
"""Parts of a body that are looked at; one with more is taken as too large."""

DEEPEST = 12
MOST_ITEMS = 20
"""Of a list: what comes after is like what comes first."""

MOST_CHARS = 100
"""Of a text that is compared; of a longer one only that it is there."""

ITEM = "\0"
"""The step into any item of a list. No key is that: a document with a NUL is not stored."""


class Kind(enum.IntEnum):
    """Sorts of features, the simplest first: of two that say the same the first is told."""

    BODY = 1
    PATH_MISSING = 2
    HEADER_MISSING = 3
    PATH_PRESENT = 4
    HEADER_PRESENT = 5
    PATH_TYPE = 6
    ORIGIN = 7
    PATH_VALUE = 8
    HEADER_VALUE = 9

    # That of an enum is written in Python, and this one is asked for with every part of every body.
    __hash__ = int.__hash__

    @property
    def of_json(self) -> bool:
        """Whether it is asked of messages alone whose JSON was looked into."""
        return self in _OF_JSON


_OF_JSON = frozenset({Kind.PATH_MISSING, Kind.PATH_PRESENT, Kind.PATH_TYPE, Kind.PATH_VALUE})

Path = tuple[str, ...]
Feature = tuple[Kind, Path, str]
"""A sort, what it is of (the steps of a path, a header's name), and the value, the type, or what the body is."""


class Body(enum.StrEnum):
    """What a body is that can't be looked into."""

    EMPTY = "empty"
    LARGE = "too large to be looked into"
    OTHER = "not JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is looked at of a message. ``headers`` are the team's; ``document`` is None where the body is no JSON, or
    not stored as such."""

    headers: Mapping[str, str]
    document: Any
    size: int
    origin: str


@dataclass(slots=True)
class Traits:
    """The features of a message, but for what it lacks. ``keys`` are those of each object at a path."""

    features: set[Feature] = field(default_factory=set)
    keys: dict[Path, list[KeysView[str]]] = field(default_factory=dict)
    headers: frozenset[str] = frozenset()
    looked_into: bool = False


def traits(message: Message) -> Traits:
    """What can be told of a message."""
    found = Traits(headers=frozenset(message.headers))
    found.features.add((Kind.ORIGIN, (), message.origin))
    for name, value in message.headers.items():
        found.features.add((Kind.HEADER_PRESENT, (name,), ""))
        if len(value) <= MOST_CHARS:
            found.features.add((Kind.HEADER_VALUE, (name,), value))
    if message.document is None:
        found.features.add((Kind.BODY, (), _without_json(message.size)))
    elif (walked := _walked(message.document)) is None:
        found.features.add((Kind.BODY, (), Body.LARGE))
    else:
        found.features |= walked.features
        found.keys, found.looked_into = walked.keys, True
    return found


def _without_json(size: int) -> Body:
    if not size:
        return Body.EMPTY
    return Body.LARGE if size > MOST_BYTES else Body.OTHER


def _walked(document: Any) -> Traits | None:
    """The features of JSON, gathered level by level; None when it has too many parts."""
    found = Traits()
    ahead: deque[tuple[Path, Any]] = deque([((), document)])
    left = MOST_NODES
    while ahead:
        path, node = ahead.popleft()
        left -= 1
        sort = type(node)
        found.features.add((Kind.PATH_PRESENT, path, ""))
        found.features.add((Kind.PATH_TYPE, path, _TYPES[sort]))
        if sort in _CONTAINERS:
            if len(path) < DEEPEST:
                ahead.extend(_inside(path, node, found))
        elif (value := _value(node)) is not None:
            found.features.add((Kind.PATH_VALUE, path, value))
        if len(ahead) > left:
            return None
    return found


def _inside(path: Path, node: Any, found: Traits) -> list[tuple[Path, Any]]:
    if isinstance(node, list):
        at = (*path, ITEM)
        return [(at, item) for item in node[:MOST_ITEMS]]
    found.keys.setdefault(path, []).append(node.keys())
    # One more than may be: then the walk ends.
    return [((*path, key), value) for key, value in islice(node.items(), MOST_NODES + 1)]


def _value(node: Any) -> str | None:
    """What a value is compared by: none for null, which is a type, and for what is long."""
    if isinstance(node, str):
        return f'"{node}"' if len(node) <= MOST_CHARS else None
    if node is None:
        return None
    if isinstance(node, bool):
        return "true" if node else "false"
    # An integer of thousands of digits is none that Python writes down.
    return repr(node) if isinstance(node, float) or -_LARGEST < node < _LARGEST else None


_LARGEST = 10**MOST_CHARS
_CONTAINERS = frozenset({dict, list})
_TYPES = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}

TYPES = tuple(dict.fromkeys(_TYPES.values()))


def written(path: Path) -> str:
    """A path as people read it: ``order.lines[].sku``; ``$`` is the body itself."""
    text = ""
    for step in path:
        if step == ITEM:
            text += "[]"
        else:
            text += ("." if text else "") + (step if _is_plain(step) else json.dumps(step, ensure_ascii=False))
    return text or "$"


def _is_plain(step: str) -> bool:
    return bool(step) and not any(each in step for each in ' .[]"=') and step.isprintable()
