"""Sections, keys and values with the lines they stand on, as supervisor and systemd write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SECTION = re.compile(r"\[(?P<name>[^\]]*)\]\s*([;#].*)?")
COMMENTS = ("#", ";")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One ``key = value``; the lines of a value that goes on are joined by line breaks."""

    section: str
    key: str
    value: str
    line: int


def entries(text: str) -> Iterator[Entry]:
    """The entries in their order. A value goes on on lines that are indented, and after a backslash at the end."""
    section, open_entry = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith(COMMENTS):
            continue
        if open_entry is not None and (line[0].isspace() or open_entry.value.endswith("\\")):
            open_entry = _longer(open_entry, line.strip())
            continue
        if open_entry is not None:
            yield open_entry
        heading = SECTION.fullmatch(line.strip())
        section = heading["name"].strip() if heading else section
        open_entry = None if heading else _entry(section, line, number)
    if open_entry is not None:
        yield open_entry


def _entry(section: str, line: str, number: int) -> Entry:
    key, _, value = line.partition("=")
    return Entry(section=section, key=key.strip(), value=value.strip(), line=number)


def _longer(entry: Entry, more: str) -> Entry:
    return Entry(section=entry.section, key=entry.key, value=f"{entry.value}\n{more}", line=entry.line)
