"""supervisord's configuration: ``command``, ``environment`` and ``numprocs`` of each ``[program:…]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from stompconsole.importing.reading.commands import COMMAND
from stompconsole.importing.reading.found import Around, Environment, Reading, instances_of, joined, trouble
from stompconsole.importing.reading.ini import Entry, entries
from stompconsole.importing.reading.scripts import read_script

PROGRAMS = ("program:", "fcgi-program:")
COMMENT = re.compile(r"(?:^|\s);.*")
EXPANSION = re.compile(r"%\((?P<name>\w+)\)(?P<format>0?\d?)[sd]|%%")
VARIABLE = re.compile(r"""\s*(?P<name>\w+)\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^,\n]*))\s*,?""")
NUMBERED = re.compile(r"%\(process_num\)")


def read_supervisor(text: str, around: Around) -> Reading:
    """Every ``pubsub`` of its programs, as often as ``numprocs`` says."""
    every = list(entries(text))
    common = [entry for entry in every if entry.section == "supervisord" and entry.key == "environment"]
    within = around.with_environment(_environment(common))
    sections = groupby(every, key=lambda entry: entry.section)
    return joined(_of_section(name, list(section), within) for name, section in sections)


def _of_section(name: str, section: Sequence[Entry], around: Around) -> Reading:
    if not name.startswith(PROGRAMS):
        return joined(_elsewhere(section, around))
    within = around.with_environment(_environment(section))
    values = {entry.key: COMMENT.sub("", entry.value).strip() for entry in section}
    commands = (entry for entry in section if entry.key == "command" and COMMAND in entry.value)
    return joined(_of_command(entry, name.partition(":")[2], values, within) for entry in commands)


def _of_command(entry: Entry, program: str, values: Mapping[str, str], around: Around) -> Reading:
    count = instances_of(values.get("numprocs", "1"))
    if isinstance(count, str):
        return trouble(around.file, entry.line, f"numprocs: {count}")
    first = values.get("numprocs_start", "0")
    numbers = range(int(first), int(first) + count) if first.isdigit() and len(first) < 7 else range(count)
    # Only a number in the command makes them differ.
    different = numbers if NUMBERED.search(entry.value) else numbers[:1]
    each = joined(_of_process(entry, program, number, around) for number in different)
    return each if len(different) == count else _times(each, count)


def _of_process(entry: Entry, program: str, number: int, around: Around) -> Reading:
    names = {"program_name": program, "process_num": str(number)}
    command = COMMENT.sub("", _expanded(entry.value, names)).replace("\n", " ")
    return read_script(command, around, line=entry.line)


def _times(reading: Reading, count: int) -> Reading:
    return Reading(found=tuple(each.times(count) for each in reading.found), problems=reading.problems)


def _expanded(value: str, names: Mapping[str, str]) -> str:
    def put_in(found: re.Match[str]) -> str:
        if found["name"] is None:
            return "%"
        known = names.get(found["name"])
        if known is None:
            return f"${{{found[0]}}}"  # as a shell writes what is not known: its parentheses would end the command
        width = found["format"]
        return known.rjust(int(width or 0), "0" if width.startswith("0") else " ")

    return EXPANSION.sub(put_in, value)


def _environment(section: Sequence[Entry]) -> Environment:
    found: dict[str, str | None] = {}
    for entry in section:
        if entry.key == "environment":
            found |= dict(_variables(COMMENT.sub("", entry.value)))
    return found


def _variables(text: str) -> Iterator[tuple[str, str | None]]:
    for each in VARIABLE.finditer(text):
        value = each["double"] if each["double"] is not None else each["single"]
        value = (each["bare"] or "").strip() if value is None else value
        yield each["name"], None if "%(" in value else value


def _elsewhere(section: Sequence[Entry], around: Around) -> Iterator[Reading]:
    for entry in section:
        if COMMAND in entry.value and read_script(entry.value, around).found:
            yield trouble(
                around.file, entry.line, f"pubsub in [{entry.section}]; only programs of supervisor are understood."
            )
