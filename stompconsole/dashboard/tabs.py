"""The tabs of the dead letters: groups, one for each state, and how a list's URL is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.urls import reverse

from stompconsole.dashboard import formats
from stompconsole.deadletters.counting import Counts
from stompconsole.deadletters.selection import Filters
from stompconsole.models import Consumer, DeadLetterState

ALL = "all"
"""In the URL of a list: whatever the state. Without a state a list shows what is dead."""

_LABELS = {
    DeadLetterState.DEAD: "Dead",
    DeadLetterState.SCHEDULED: "Scheduled",
    DeadLetterState.REPLAYING: "Replaying",
    DeadLetterState.SENT: "Sent",
    DeadLetterState.PROCESSED: "Processed",
    DeadLetterState.DISCARDED: "Discarded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """One tab: what it lists, how many in words, where it leads."""

    label: str
    count: str
    href: str
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


def tabs(filters: Filters | None, counts: Counts) -> list[Tab]:
    """Groups, a tab for each state, and one for all. ``filters`` are those of the list, None on the groups' page."""
    own = filters or Filters()
    groups = Tab(label="Groups", count="", href=reverse("stompconsole:groups"), current=filters is None)
    each = [_tab(_LABELS[state], own, state, counts, filters is not None) for state in DeadLetterState]
    return [groups, *each, _tab("All", own, "", counts, filters is not None), *_in_brokers(current=False)]


def broker_tabs(counts: Counts) -> list[Tab]:
    """The same on the page of what stays in the brokers."""
    own = Filters()
    groups = Tab(label="Groups", count="", href=reverse("stompconsole:groups"), current=False)
    each = [_tab(_LABELS[state], own, state, counts, False) for state in DeadLetterState]  # noqa: FBT003
    return [groups, *each, _tab("All", own, "", counts, False), *_in_brokers(current=True)]  # noqa: FBT003


def _in_brokers(*, current: bool) -> list[Tab]:
    """Only where there is such a consumer: with capture on nothing stays there."""
    if not Consumer.objects.filter(capture=False).exists():
        return []
    return [Tab(label="In brokers", count="", href=reverse("stompconsole:broker-letters-all"), current=current)]


def _tab(label: str, filters: Filters, state: str, counts: Counts, listed: bool) -> Tab:  # noqa: FBT001
    more = "" if counts.complete else "+"
    return Tab(
        label=label,
        count=f"{formats.number(counts.of(state))}{more}",
        href=f"{reverse('stompconsole:dead-letters')}?{list_query(replace(filters, state=state))}",
        current=listed and filters.state == state,
    )
