"""A value at a path in a JSON text: found, put in, taken out. The rest of the text stays as it is, to the character.

So numbers keep their spelling, members their order, and doubled names stay where they are. Refuses what is no JSON, a
path that leads nowhere, and a name on the path that stands there twice. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

MOST_STEPS = 20

_BLANKS = " \t\n\r"
_SPACE = re.compile(f"[{_BLANKS}]*")
# Numbers are stepped over, not read: a long one is slow or refused.
_STEPPING = json.JSONDecoder(parse_int=str, parse_float=str)


class Unchangeable(ValueError):
    """Says why a text can't be changed at a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """Where a member stands: its name from ``start`` to ``named``, its value from ``value`` to ``end``. A member of a
    list has its place for a name, and none written down."""

    name: str
    start: int
    named: int
    value: int
    end: int


def steps(path: str) -> tuple[str, ...]:
    """The steps of ``order.lines[0].sku`` or ``$.order``; empty when it is no path."""
    found = path.removeprefix("$.").replace("[", ".").replace("]", "").split(".") if path else []
    return tuple(found) if all(found) and len(found) <= MOST_STEPS else ()


def look(text: str, path: tuple[str, ...]) -> str | None:
    """The text of the value at a path, None where there is none. Raises Unchangeable."""
    check(text)
    found = _locate(text, path)
    return None if found is None else text[found.value : found.end]


def put(text: str, path: tuple[str, ...], value: str) -> str:
    """The text with ``value``, JSON, at a path. A last step that is not there is added to its object. Raises
    Unchangeable."""
    check(text)
    found = _locate(text, path)
    if found is not None:
        return text[: found.value] + value + text[found.end :]
    parent = _locate(text, path[:-1])
    if parent is None:
        raise Unchangeable(f"there is no {'.'.join(path[:-1])} in it")
    if text[parent.value] != "{":
        raise Unchangeable(f"{'.'.join(path[:-1]) or 'the body'} is no object that could have a member {path[-1]}")
    return _added(text, parent, json.dumps(path[-1], ensure_ascii=False), value)


def take_out(text: str, path: tuple[str, ...]) -> str:
    """The text without the member at a path; as it is where there is none. Raises Unchangeable."""
    check(text)
    found, parent = _locate(text, path), _locate(text, path[:-1])
    if found is None or parent is None:
        return text
    after = _SPACE.match(text, found.end)
    if after is not None and text[after.end()] == ",":
        following = _skip(text, after.end() + 1)
        return text[: found.start] + text[following:]
    before = text[: found.start].rstrip(_BLANKS)
    return before.removesuffix(",") + text[found.end :]


def check(text: str) -> None:
    """Raise Unchangeable for what is no JSON."""
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except RecursionError:
        raise Unchangeable("its JSON is nested too deeply to be read") from None
    except json.JSONDecodeError as error:
        # Without the place: reasons are counted together.
        raise Unchangeable(f"it is no JSON ({error.msg})") from None


def same(one: str, other: str) -> bool:
    """Whether two JSON texts mean the same value, numbers compared exactly. False for what can't be read."""
    try:
        first, second = (json.loads(text, parse_int=Decimal, parse_float=Decimal) for text in (one, other))
        return _same(first, second)
    except (ValueError, RecursionError, InvalidOperation):
        return False


def _same(one: Any, other: Any) -> bool:
    # Python takes true for 1.
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _locate(text: str, path: tuple[str, ...]) -> _Member | None:
    at = _skip(text, 0)
    found: _Member | None = _Member(name="", start=at, named=at, value=at, end=_end(text, at))
    for step in path:
        if found is None or text[found.value] not in "{[":
            return None
        named = [member for member in _members(text, found.value) if member.name == step]
        if len(named) > 1:
            raise Unchangeable(f"{step} stands there {len(named)} times: which one is meant is not clear")
        found = named[0] if named else None
    return found


def _members(text: str, opening: int) -> Iterator[_Member]:
    """The members of the object or list that begins at ``opening``, in a text that was checked."""
    at, place = _skip(text, opening + 1), 0
    while text[at] not in "}]":
        start, name, named = at, str(place), at
        if text[opening] == "{":
            name, named = _STEPPING.raw_decode(text, at)
            at = _skip(text, _skip(text, named) + 1)
        end = _end(text, at)
        yield _Member(name=name, start=start, named=named, value=at, end=end)
        at, place = _skip(text, end), place + 1
        if text[at] == ",":
            at = _skip(text, at + 1)


def _added(text: str, parent: _Member, name: str, value: str) -> str:
    last = None
    for last in _members(text, parent.value):  # noqa: B007 - the last one, without a list of all
        pass
    if last is None:
        return f"{text[: parent.value + 1]}{name}: {value}{text[parent.end - 1 :]}"
    # Written as its neighbour is: on a line of its own, or close by.
    before = text[: last.start]
    indent = before[len(before.rstrip(_BLANKS)) :]
    return f"{text[: last.end]},{indent}{name}{text[last.named : last.value]}{value}{text[last.end :]}"


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _end(text: str, at: int) -> int:
    end: int = _STEPPING.raw_decode(text, at)[1]
    return end
