"""What compose files and Kubernetes manifests have in common: the command of a container, as a text or a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stompconsole.importing.reading.commands import COMMAND
from stompconsole.importing.reading.documents import Text, line_of
from stompconsole.importing.reading.found import NOTHING, Around, Environment, Reading, trouble
from stompconsole.importing.reading.scripts import read_statements
from stompconsole.importing.reading.shell import statements, uncut
from stompconsole.importing.reading.words import Statement

Command = tuple[Statement, ...]


def read_command(parts: Sequence[Any], around: Around) -> Reading:
    """Every ``pubsub`` of a container's entry point and command, which follow one another in one command line."""
    if not any(COMMAND in text for part in parts for text in _texts(part)):
        return NOTHING
    if not all(_is_command(part) for part in parts):
        line = next(filter(None, map(line_of, parts)), 0)
        return trouble(around.file, line, "a command is a text, or a list of texts.")
    return read_statements(_following(_split(part) for part in parts), around)


def environment_of(value: Any) -> Environment:
    """Variables from ``NAME: value`` or ``- NAME=value``; what comes from elsewhere is not known."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [
            (name, given if found else None) for name, found, given in (str(each).partition("=") for each in value)
        ]
    return {str(name): _known(given) for name, given in pairs}


def _known(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and "$" not in value else None


def _texts(part: Any) -> list[str]:
    # Only one level down: what is nested by aliases may be larger than any memory once it is written out.
    given = part if isinstance(part, list) else [part]
    return [each for each in given if isinstance(each, str)]


def _is_command(part: Any) -> bool:
    if isinstance(part, list):
        return all(isinstance(each, Text) for each in part)
    return part is None or isinstance(part, Text)


def _split(part: Any) -> Command:
    if isinstance(part, Text):
        return statements(part, part.line)
    words = tuple(uncut(each, each.line) for each in part or [])
    return (Statement(words=words),) if words else ()


def _following(commands: Any) -> Command:
    together: Command = ()
    for command in commands:
        if together and command:
            first, *others = command
            last = Statement(words=(*together[-1].words, *first.words), unclosed=first.unclosed)
            together = (*together[:-1], last, *others)
        else:
            together += command
    return together
