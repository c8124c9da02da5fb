"""A unit of systemd: ``ExecStart`` and ``Environment`` of its ``[Service]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from stompconsole.importing.reading.found import Around, Environment, Reading, joined
from stompconsole.importing.reading.ini import Entry, entries
from stompconsole.importing.reading.scripts import read_script
from stompconsole.importing.reading.shell import statements

PREFIXES = "@-:+!|"
UNKNOWABLE = re.compile(r"[{}]|%[A-Za-z]")


def read_unit(text: str, around: Around) -> Reading:
    """Every ``pubsub`` it starts, once each: how many units of a template run is not in the file."""
    service = [entry for entry in entries(text) if entry.section == "Service"]
    environment = _environment(service)
    within = replace(
        around.with_environment(environment),
        known={name: value for name, value in environment.items() if value is not None},
        remarks=_remarks(service, around.file),
        unknowable=UNKNOWABLE,
    )
    starts = (entry for entry in service if entry.key == "ExecStart")
    return joined(_of_start(entry, within) for entry in starts)


def _of_start(entry: Entry, around: Around) -> Reading:
    return read_script(_one_line(entry.value).lstrip(PREFIXES).replace("%%", "%"), around, line=entry.line)


def _environment(service: Sequence[Entry]) -> Environment:
    found: dict[str, str | None] = {}
    for entry in service:
        if entry.key == "Environment":
            words = [word for statement in statements(_one_line(entry.value)) for word in statement.words]
            found |= dict(pair for word in words if (pair := word.assignment()) is not None)
    return found


def _remarks(service: Sequence[Entry], file: str) -> tuple[str, ...]:
    remarks = []
    if any(entry.key == "EnvironmentFile" for entry in service):
        remarks.append("its EnvironmentFile is not read: settings in it don't count here.")
    if "@." in PurePath(file).name:
        remarks.append("a template unit: set the instances to how many of it run.")
    return tuple(remarks)


def _one_line(value: str) -> str:
    return value.replace("\\\n", " ").replace("\n", " ")
