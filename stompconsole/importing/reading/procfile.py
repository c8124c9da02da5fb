"""A Procfile: ``name: command`` lines, the command a shell's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stompconsole.importing.reading.commands import COMMAND
from stompconsole.importing.reading.found import Around, Reading, joined, trouble
from stompconsole.importing.reading.scripts import read_script

LINE = re.compile(r"[\w.-]+:\s*(?P<command>.*)")


def read_procfile(text: str, around: Around) -> Reading:
    """Every ``pubsub`` of its processes; how many of each run is not in the file."""
    return joined(_readings(text, around))


def looks_like_one(text: str) -> bool:
    """Whether every line that says something is one of a Procfile."""
    told = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(told) and all((found := LINE.fullmatch(line)) and found["command"] for line in told)


def _readings(text: str, around: Around) -> Iterator[Reading]:
    for number, line in enumerate(text.splitlines(), start=1):
        found = LINE.fullmatch(line.strip())
        if found:
            yield read_script(found["command"], around, line=number)
        elif COMMAND in line and not line.lstrip().startswith("#"):
            yield trouble(around.file, number, "not a line of a Procfile; one is written as name: command.")
