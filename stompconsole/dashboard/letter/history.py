"""What became of a dead letter, newest first: its deaths, its replays, discarding and undo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.urls import reverse

from stompconsole.audit import Action
from stompconsole.deadletters import versions
from stompconsole.models import (
    AuditEntry,
    DeadLetter,
    DeadLetterState,
    Failure,
    ReplayItem,
    ReplayItemState,
    TrialItemState,
)

MOST_ACTS = 20

_TRIED: dict[str, str] = {
    TrialItemState.PASSED: "it would pass",
    TrialItemState.FAILED: "it would fail",
    TrialItemState.TIMED_OUT: "the handler did not return in time",
    TrialItemState.SKIPPED: "it can't be tried",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. ``by`` did it, ``note`` says more, ``href`` leads to it."""

    at: datetime
    what: str
    by: str = ""
    note: str = ""
    href: str = ""


def history(letter: DeadLetter) -> list[Event]:
    """Five queries, however long it is."""
    failures = list(letter.failures.order_by("at"))
    items = list(letter.replay_items.select_related("replay", "replay__created_by"))
    events = [
        Event(at=letter.captured_at, what=f"captured from {letter.destination}"),
        *_deaths(letter, failures),
        *(event for item in items for event in _of_item(item)),
        *_trials(letter),
        *_acts(letter),
    ]
    return sorted(events, key=lambda event: event.at, reverse=True)


def _deaths(letter: DeadLetter, failures: list[Failure]) -> Iterator[Event]:
    for number, failure in enumerate(failures):
        what = "failed again" if number else "failed"
        where = f"on {failure.worker}" if failure.worker else ""
        yield Event(at=failure.at, what=f"{what}: {failure.error_type or 'no error told'}", by=where)
    if not failures:
        yield Event(at=letter.failed_at, what="dead-lettered by the broker")


def _of_item(item: ReplayItem) -> Iterator[Event]:
    href = reverse("stompconsole:replay", args=[item.replay_id])
    who = item.replay.created_by
    yield Event(
        at=item.replay.created_at,
        what=f"{'due, ' if item.replay.routine else ''}put into replay {item.replay_id}",
        by=f"by {who.get_username()}" if who else "",
        note=item.replay.reason,
        href=href,
    )
    if versions.is_edited(item):
        what = reverse("stompconsole:dead-letter-edited", args=[item.dead_letter_id, item.pk])
        yield Event(at=item.replay.created_at, what="edited for it; the original is kept", href=what)
    if item.sent_at and item.state != ReplayItemState.SKIPPED:
        yield Event(at=item.sent_at, what="sent back", note=item.note, href=href)
    if item.outcome_at and item.state == ReplayItemState.PROCESSED:
        yield Event(at=item.outcome_at, what="processed", href=href)
    if item.outcome_at and item.state == ReplayItemState.SKIPPED:
        yield Event(at=item.outcome_at, what="skipped", note=item.note, href=href)


def _trials(letter: DeadLetter) -> Iterator[Event]:
    items = letter.trial_items.select_related("trial", "trial__created_by").defer("output", "traceback")
    for item in items.exclude(finished_at=None).order_by("-pk")[:MOST_ACTS]:
        who = item.trial.created_by
        yield Event(
            at=item.finished_at or item.trial.created_at,
            what=f"tried: {_TRIED[item.state]}",
            by=f"by {who.get_username()}" if who else "",
            note=f"{item.error_type}: {item.error_message}"[:200] if item.error_type else "",
            href=f"{item.trial.get_absolute_url()}?item={item.pk}",
        )


def _acts(letter: DeadLetter) -> Iterator[Event]:
    named = Q(data__ids__icontains=str(letter.pk))
    if letter.state == DeadLetterState.DISCARDED or letter.due_at is not None:
        named |= Q(data__at=letter.state_at.isoformat())
    # A replay shows by its items, which know more of it.
    acts = Q(action__contains="discard") | Q(action__in=(Action.RETRIES_CANCELLED, Action.RETRIES_RESTORED))
    entries = AuditEntry.objects.filter(named, acts, at__gte=letter.captured_at)
    for entry in entries.order_by("-at")[:MOST_ACTS]:
        yield Event(at=entry.at, what=entry.action, by=f"by {entry.actor_name}", note=entry.detail)
