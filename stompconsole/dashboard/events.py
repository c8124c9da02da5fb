"""The last audit entries as they read in a list: who or what, what happened, by whom, why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.template.loader import render_to_string

from stompconsole.audit import Action
from stompconsole.models import AuditEntry

LAST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line. ``subject`` leads to ``href``; ``by`` is "" for what a worker reports of itself."""

    at: datetime
    subject: str = ""
    href: str = ""
    what: str = ""
    target: str = ""
    by: str = ""
    detail: str = ""


def last_events(rows: QuerySet[AuditEntry] | None = None) -> list[Event]:
    """The newest of ``rows``, of all entries if none are given. One query."""
    entries = AuditEntry.objects.all() if rows is None else rows
    return [_event(entry) for entry in entries.select_related("consumer")[:LAST]]


def events_html(events: Iterable[Event], now: datetime) -> str:
    """As a list."""
    return render_to_string("stompconsole/parts/events.html", {"events": list(events), "now": now})


def _event(entry: AuditEntry) -> Event:
    by = f"by {entry.actor_name}" if entry.actor_id else ""
    if entry.consumer is None or not entry.action.startswith("consumer "):
        return Event(at=entry.at, what=entry.action, target=entry.target, by=by, detail=entry.detail)
    said = {Action.CONSUMER_STATE, Action.CONSUMER_BREAKER}
    what = "" if entry.action in said else entry.action.removeprefix("consumer ")
    href = entry.consumer.get_absolute_url()
    return Event(at=entry.at, subject=entry.consumer.name, href=href, what=what, by=by, detail=entry.detail)
