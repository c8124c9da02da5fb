"""What happened just before a group's first failure: to its consumer, its broker, the workers. From the audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Q, QuerySet

from stompconsole.audit import Action
from stompconsole.models import AuditEntry, FailureGroup

WITHIN = timedelta(hours=1)
MOST_READ = 100
MOST_TOLD = 8
MOST_NAMED = 3

_OF_CONSUMER = (
    Action.CONSUMER_ADDED,
    Action.CONSUMER_CHANGED,
    Action.CONSUMER_PAUSED,
    Action.CONSUMER_RESUMED,
    Action.CONSUMER_STATE,
    Action.SLOT_TAKEN_OVER,
)
_OF_BROKER = (Action.BROKER_ADDED, Action.BROKER_CHANGED, Action.BROKER_SWITCHED)
_OF_WORKERS = (Action.WORKER_STARTED, Action.WORKER_STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One thing, ``before_s`` seconds before the first failure. ``detail`` may be empty."""

    at: datetime
    before_s: float
    words: str
    detail: str = ""


def before(group: FailureGroup) -> tuple[Happened, ...]:
    """What happened within an hour before the first failure, the nearest first. Two queries."""
    entries = list(_entries(group).order_by("-at", "-pk")[:MOST_READ])
    others = [entry for entry in entries if entry.action not in _OF_WORKERS]
    found = [_happened(group, entry, *_words(entry)) for entry in others]
    found += _starts(group, [entry for entry in entries if entry.action == Action.WORKER_STARTED])
    found += _stops(group, [entry for entry in entries if entry.action == Action.WORKER_STOPPED])
    return tuple(sorted(found, key=lambda each: each.before_s)[:MOST_TOLD])


def _entries(group: FailureGroup) -> QuerySet[AuditEntry]:
    asked = Q(action__in=_OF_WORKERS)
    if group.consumer is not None:
        asked |= Q(consumer=group.consumer, action__in=_OF_CONSUMER)
        asked |= Q(target=f"broker {group.consumer.broker.name}", action__in=_OF_BROKER)
    first = group.first_failed_at
    return AuditEntry.objects.filter(asked, at__gt=first - WITHIN, at__lte=first)


def _happened(group: FailureGroup, entry: AuditEntry, words: str, detail: str) -> Happened:
    return Happened(
        at=entry.at, before_s=(group.first_failed_at - entry.at).total_seconds(), words=words, detail=detail
    )


def _words(entry: AuditEntry) -> tuple[str, str]:
    what, by = entry.target.removeprefix("consumer "), f"by {entry.actor_name}"
    match entry.action:
        case Action.CONSUMER_CHANGED:
            return f"the definition of {what} was edited {by}", _changes(entry.detail)
        case Action.BROKER_CHANGED:
            return f"the definition of {what} was edited {by}", _changes(entry.detail)
        case Action.BROKER_SWITCHED:
            return f"{what} was switched to another endpoint", entry.detail
        case Action.SLOT_TAKEN_OVER:
            return f"{what} was taken over {by}", entry.detail
        case Action.CONSUMER_STATE:
            return what, entry.detail
        case _:
            done = entry.action.rpartition(" ")[2]
            return f"{what} was {done} {by}", entry.detail


def _changes(detail: str) -> str:
    """Lines such as ``handler: a -> b`` as a sentence."""
    told = []
    for line in detail.splitlines():
        name, _, values = line.partition(": ")
        old, arrow, new = values.partition(" -> ")
        told.append(f"{name} changed from {old} to {new}" if arrow else f"{name} changed")
    return ", ".join(told)


def _starts(group: FailureGroup, starts: Sequence[AuditEntry]) -> Iterator[Happened]:
    """Workers that started: each change of version by itself, the others together."""
    if not starts:
        return
    started = AuditEntry.objects.filter(action=Action.WORKER_STARTED, at__lte=starts[-1].at)
    earlier = started.exclude(pk__in=[entry.pk for entry in starts]).order_by("-at", "-pk").first()
    same = [] if earlier else [starts[-1]]
    for entry, previous in pairwise([*starts, *([earlier] if earlier else [])]):
        was, now = _version(previous), _version(entry)
        if was and now and was != now:
            words = f"the version of the workers changed from {was} to {now}"
            yield _happened(group, entry, words, f"{entry.target} started")
        else:
            same.append(entry)
    yield from _together(group, same, "started")


def _stops(group: FailureGroup, stops: Sequence[AuditEntry]) -> Iterator[Happened]:
    yield from _together(group, stops, "stopped")


def _together(group: FailureGroup, entries: Sequence[AuditEntry], done: str) -> Iterator[Happened]:
    """Several of the same as one, told at the nearest."""
    if not entries:
        return
    nearest_first = sorted(entries, key=lambda entry: entry.at, reverse=True)
    names = [entry.target.removeprefix("worker ") for entry in nearest_first]
    named = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
    one = len(names) == 1
    words = f"worker {named} {done}" if one else f"{len(names)} workers {done}"
    version = _version(nearest_first[0])
    detail = "" if one else named
    if version and done == "started":
        detail = "; ".join(filter(None, (detail, f"version {version}")))
    yield _happened(group, nearest_first[0], words, detail)


def _version(entry: AuditEntry) -> str:
    """The team's release where the settings name one, else that of stompconsole; empty where neither was told."""
    release, ours = entry.data.get("release", ""), entry.data.get("stompconsole", "")
    return str(release) if release else f"stompconsole {ours}" if ours else ""
