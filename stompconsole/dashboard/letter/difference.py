"""What an edit changes, line by line: headers first, then the body. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from stompconsole.dashboard.letter.bodies import set_out

MOST_LINES = 2_000
Message = tuple[Mapping[str, str], str]
"""Headers and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: ``kind`` is "added", "removed", "" for one that stays, "place" for where it goes on."""

    kind: str
    text: str


def difference(before: Message, after: Message) -> list[Line]:
    """The lines that differ, with a few around them; empty when nothing does."""
    lines = difflib.unified_diff(_lines(before), _lines(after), n=3, lineterm="")
    found = [_line(text) for number, text in enumerate(lines) if number > 1]
    if len(found) > MOST_LINES:
        more = Line(kind="place", text=f"{len(found) - MOST_LINES:,} more lines")
        return [*found[:MOST_LINES], more]
    return found


def _lines(message: Message) -> list[str]:
    # JSON gets a line for each member, so that one that changed is one line; numbers stay as they are spelt.
    headers, body = message
    return [*(f"{name}: {value}" for name, value in sorted(headers.items())), "", *(set_out(body) or body).splitlines()]


def _line(text: str) -> Line:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    kind = kinds.get(text[:1], "")
    return Line(kind=kind, text="…" if kind == "place" else text[1:])
