"""What a test reads of a file: ``DESTINATION HANDLER`` lines, and the problems in words."""

from __future__ import annotations

from stompconsole.importing.reading import Found, Reading, read


def reading(text: str, name: str = "run.sh") -> Reading:
    return read(name, text.encode())


def one(text: str, name: str = "run.sh") -> Found:
    """The only command of a text that has no problems."""
    found = reading(text, name)
    assert found.problems == ()
    (only,) = found.found
    return only


def pairs(text: str, name: str = "run.sh") -> list[tuple[str, str]]:
    return [(found.destination, found.handler) for found in reading(text, name).found]


def problems(text: str, name: str = "run.sh") -> list[str]:
    return [str(problem) for problem in reading(text, name).problems]
