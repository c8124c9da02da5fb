"""The tabs of the dead letters: one for each state, and how a list's URL is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from stompconsole.deadletters.selection import Filters
from stompconsole.models import DeadLetterState

ALL = "all"
"""In the URL of a list: whatever the state. Without a state a list shows what is dead."""

_LABELS = {
    DeadLetterState.DEAD: "Dead",
    DeadLetterState.REPLAYING: "Replaying",
    DeadLetterState.SENT: "Sent",
    DeadLetterState.PROCESSED: "Processed",
    DeadLetterState.DISCARDED: "Discarded",
    DeadLetterState.SCHEDULED: "Scheduled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One tab: what it lists, how many, where it leads."""

    label: str
    count: int
    query: str
    current: bool


def list_filters(query: Mapping[str, str]) -> Filters:
    """The filters of a list: dead unless the URL names a state."""
    filters = Filters.from_query(query)
    if filters.state == ALL:
        return replace(filters, state="")
    return filters if filters.state else replace(filters, state=DeadLetterState.DEAD)


def list_query(filters: Filters) -> str:
    """The query of a list's URL, so that it reads back as the same filters."""
    rest = replace(filters, state="").query_string()
    state = "" if filters.state == DeadLetterState.DEAD else urlencode({"state": filters.state or ALL})
    return "&".join(part for part in (state, rest) if part)


def tabs(filters: Filters, counts: Mapping[str, int]) -> list[Tab]:
    """A tab for each state, and one for all."""
    each = [_tab(_LABELS[state], filters, state, counts.get(state, 0)) for state in DeadLetterState]
    return [*each, _tab("All", filters, "", sum(counts.values()))]


def _tab(label: str, filters: Filters, state: str, count: int) -> Tab:
    query = list_query(replace(filters, state=state))
    return Tab(label=label, count=count, query=query, current=filters.state == state)
