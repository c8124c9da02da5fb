"""Where in the text of a JSON body the parts are that paths lead to. Pure; changes nothing of the rest of the text.

Owns the walk. Doubled keys, escapes and the spelling of numbers are seen as they stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from stompconsole.conf.redact import Path

# Numbers as they are spelt: a long one is slow to read, and is not to be changed.
_read = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_BLANKS = re.compile(r"[ \t\n\r]*")

_States = frozenset[tuple[Path, int]]
"""How far along each path the walk is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of the text from ``start`` to ``end``, and what it reads as; numbers are texts."""

    start: int
    end: int
    value: Any


def find(text: str, paths: Iterable[Path]) -> list[Span]:
    """The outermost parts that the paths lead to, in their order. Raises ValueError or RecursionError for no JSON."""
    # The walk trusts that it is JSON.
    _read.decode(text)
    found: list[Span] = []
    _value(text, _after_blanks(text, 0), frozenset((path, 0) for path in paths), found)
    return found


def leaves(value: Any) -> Iterator[str]:
    """The texts and numbers in a part, as texts."""
    match value:
        case str():
            yield value
        case dict():
            for member in value.values():
                yield from leaves(member)
        case list():
            for member in value:
                yield from leaves(member)


def below(states: _States, key: str) -> _States:
    """How far the paths are at a member."""
    found = set()
    for path, position in states:
        step = path[position]
        if step.deep:
            found.add((path, position))
        if step.takes(key):
            found.add((path, position + 1))
    return frozenset(found)


def arrived(states: _States) -> bool:
    """Whether a path ends here."""
    return any(position == len(path) for path, position in states)


def _value(text: str, at: int, states: _States, found: list[Span]) -> int:
    """Walk the value at a position; where it ends."""
    if arrived(states):
        value, end = _read.raw_decode(text, at)
        found.append(Span(start=at, end=end, value=value))
        return end
    if not states or text[at] not in "{[":
        return _read.raw_decode(text, at)[1]
    return _object(text, at, states, found) if text[at] == "{" else _list(text, at, states, found)


def _object(text: str, at: int, states: _States, found: list[Span]) -> int:
    at = _after_blanks(text, at + 1)
    while text[at] != "}":
        key, at = _read.raw_decode(text, at)
        colon = _after_blanks(text, at)
        at = _after_comma(text, _value(text, _after_blanks(text, colon + 1), below(states, key), found))
    return at + 1


def _list(text: str, at: int, states: _States, found: list[Span]) -> int:
    at = _after_blanks(text, at + 1)
    index = 0
    while text[at] != "]":
        at = _after_comma(text, _value(text, at, below(states, str(index)), found))
        index += 1
    return at + 1


def _after_blanks(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    assert match is not None, "it matches nothing too"
    return match.end()


def _after_comma(text: str, at: int) -> int:
    at = _after_blanks(text, at)
    return _after_blanks(text, at + 1) if text[at] == "," else at
