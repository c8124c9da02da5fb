"""What the overview shows: tiles, consumers, workers, events. Reads nothing."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string

from stompconsole.dashboard import formats
from stompconsole.dashboard.cells import consumer_cells
from stompconsole.dashboard.events import Event, events_html
from stompconsole.dashboard.notices import notices_html
from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.dashboard.tiles import Tile
from stompconsole.metrics.lines import ConsumerLine, Live
from stompconsole.metrics.spans import Span
from stompconsole.metrics.standing import Standing

_URGENCY = {
    Standing.BROKEN: 0,
    Standing.BACKING_OFF: 1,
    Standing.STALE: 2,
    Standing.STOPPED: 3,
}
_HELD_UP = 4
_CALM = 9


class Show(enum.StrEnum):
    """Which consumers a page lists. The value is what stands in the URL."""

    ALL = "all"
    ATTENTION = "attention"
    PAUSED = "paused"

    @classmethod
    def from_text(cls, text: str) -> Show:
        """What a URL asks for; all when it makes no sense."""
        return next((show for show in cls if show.value == text), cls.ALL)

    def holds(self, line: ConsumerLine) -> bool:
        """Whether a consumer is among them."""
        match self:
            case Show.ALL:
                return True
            case Show.ATTENTION:
                return line.needs_attention or line.dead > 0
            case Show.PAUSED:
                return line.verdict.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A consumer's row: the line, and its cells by column."""

    line: ConsumerLine
    cells: dict[str, Any]


def chosen(lines: Iterable[ConsumerLine], show: Show, text: str) -> list[ConsumerLine]:
    """The consumers a page asks for, those that need a person first."""
    wanted = text.casefold()
    found = [
        line
        for line in lines
        if show.holds(line) and (wanted in line.name.casefold() or wanted in line.destination.casefold())
    ]
    return sorted(found, key=lambda line: (_urgency(line), line.name))


def _urgency(line: ConsumerLine) -> int:
    return _URGENCY.get(line.verdict.standing, _HELD_UP if line.verdict.held_up else _CALM)


def rows(lines: Sequence[ConsumerLine], span: Span, now: datetime) -> list[Row]:
    """Rows for lines."""
    return [Row(line=line, cells=consumer_cells(line, span, now)) for line in lines]


def counts(live: Live) -> dict[Show, int]:
    """How many consumers each choice lists."""
    return {show: sum(show.holds(line) for line in live.consumers) for show in Show}


def fragments(live: Live, span: Span, page_tiles: Iterable[Tile], events: Iterable[Event]) -> Fragments:
    """All of the page that changes while it is open."""
    found: dict[str, str] = {tile.element: tile.html() for tile in page_tiles}
    for row in rows(live.consumers, span, live.now):
        found |= {f"c{row.line.id}-{column}": html for column, html in row.cells.items()}
    found |= {f"show-{show}": formats.number(count) for show, count in counts(live).items()}
    found["notices"] = notices_html(live)
    found["workers"] = workers_html(live)
    found["events"] = events_html(events, live.now)
    found["roster"] = roster(live)
    return found


def roster(live: Live) -> str:
    """The ids of all consumers: the script compares it with what the page was made of, and offers what is new."""
    return " ".join(str(line.id) for line in live.consumers)


def workers_html(live: Live) -> str:
    """The workers' table body."""
    return render_to_string("stompconsole/parts/workers.html", {"workers": live.workers, "now": live.now})
