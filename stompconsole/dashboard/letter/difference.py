"""What an edit changes, line by line: headers first, then the body. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stompconsole.dashboard.letter.bodies import set_out

MOST_LINES = 2_000
MOST_COMPARED = 3_000
MOST_CHARS = 2_000
"""Of one line."""
CONTEXT = 3
Message = tuple[Mapping[str, str], str]
"""Headers and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: ``kind`` is "added", "removed", "" for one that stays, "place" for where it goes on."""

    kind: str
    text: str


def difference(before: Message, after: Message) -> list[Line]:
    """The lines that differ, with a few around them; empty when nothing does."""
    found = [_line(text) for text in _compared(_lines(before), _lines(after))]
    if len(found) > MOST_LINES:
        more = Line(kind="place", text=f"{len(found) - MOST_LINES:,} more lines")
        return [*found[:MOST_LINES], more]
    return found


def _compared(before: list[str], after: list[str]) -> Iterator[str]:
    """A unified difference without its head. What both begin and end with is left out first: matching many lines that
    repeat takes minutes, and an edit is about a few."""
    first = _shared(before, after)
    last = _shared(before[first:][::-1], after[first:][::-1])
    start = max(0, first - CONTEXT)
    end = max(0, last - CONTEXT)
    one, other = before[start : len(before) - end], after[start : len(after) - end]
    if max(len(one), len(other)) > MOST_COMPARED:
        yield from _in_place(one, other)
        return
    yield from list(difflib.unified_diff(one, other, n=CONTEXT, lineterm=""))[2:]


def _in_place(one: list[str], other: list[str]) -> Iterator[str]:
    """Of many lines: line by line where there are as many as before, else all of them."""
    if len(one) != len(other):
        yield from (*(f"-{text}" for text in one), *(f"+{text}" for text in other))
        return
    last = -1
    for at, (before, after) in enumerate(zip(one, other, strict=True)):
        if before != after:
            yield from (*(["@"] if at > last + 1 else []), f"-{before}", f"+{after}")
            last = at


def _shared(one: list[str], other: list[str]) -> int:
    """How many lines both begin with."""
    return next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )


def _lines(message: Message) -> list[str]:
    # JSON gets a line for each member, so that one that changed is one line; numbers stay as they are spelt.
    headers, body = message
    return [*(f"{name}: {value}" for name, value in sorted(headers.items())), "", *(set_out(body) or body).splitlines()]


def _line(text: str) -> Line:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    kind = kinds.get(text[:1], "")
    shown = text[1:] if len(text) <= MOST_CHARS else f"{text[1:MOST_CHARS]}… ({len(text):,} characters)"
    return Line(kind=kind, text="…" if kind == "place" else shown)
