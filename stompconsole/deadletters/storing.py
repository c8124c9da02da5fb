"""Captured messages into rows: new ones, copies of known ones, and those that died again after a replay.

One transaction for all that are given; nothing of it stays when one of them can't be stored.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from stompconsole.deadletters import grouping, inserting, sealing, tallies, transitions, versions
from stompconsole.deadletters.captured import Captured, Death
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Failure, ReplayItemState

ROWS_PER_UPDATE = 50

_TOLD = tuple(field.name for field in fields(Death))


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Whose dead letters they are: of the consumer a message names, else of the one whose queue it lay in."""

    consumer_id: int | None
    consumer_name: str
    by_name: Mapping[str, int]

    def of(self, message: Captured) -> tuple[int | None, str]:
        """The consumer's id, None if it is deleted, and its name."""
        if message.consumer in self.by_name:
            return self.by_name[message.consumer], message.consumer
        return self.consumer_id, self.consumer_name


@transaction.atomic
def store(messages: Sequence[Captured], consumer_id: int, consumer_name: str) -> None:
    """Store each death once. A row whose message died again takes its newest failure, headers and body."""
    known = _known({message.dead_letter_id for message in messages})
    fresh = _not_stored_yet(messages)
    owners = _owners(fresh, consumer_id, consumer_name)
    groups = _Groups(fresh, owners)
    now = timezone.now()
    new = [message for message in fresh if message.dead_letter_id not in known]
    # Of two deaths of one new message the later one is kept in the row, both as failures.
    rows = {message.dead_letter_id: _row(message, owners, groups, now) for message in new}
    # In the order of ids: of two workers that are given the same, one waits for the other and none in a circle.
    inserting.insert(DeadLetter, sorted(rows.values(), key=_in_order))
    inserting.insert(Failure, sorted(map(_failure, fresh), key=_in_order))
    counts = Counter(map(tallies.cell_of, rows.values()))
    counts.subtract(map(tallies.cell, known.values()))
    _come_back([message for message in fresh if message.dead_letter_id in known], known, owners, groups, now)
    counts.update(map(tallies.cell, known.values()))
    tallies.add(counts)
    tallies.died((groups.id_of(message), message.failed_at) for message in fresh if message.due_at is None)
    grouping.failed((groups.id_of(message), message.failed_at) for message in fresh)


def _known(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, DeadLetter]:
    """Those that have a row already, locked: hardly ever one, and the others can't be locked."""
    transitions.write_first()
    stored = transitions.by_id(list(transitions.by_id(ids).values_list("pk", flat=True)))
    transitions.lock(stored)
    return stored.only("pk", "state", "replays", "origin", "group_id", "worker", "day", "failed_at").in_bulk()


class _Groups:
    """The failure groups of a batch."""

    def __init__(self, messages: Sequence[Captured], owners: Owners) -> None:
        grouped = {message.failure_id: _grouped(message, owners) for message in messages}
        ids = grouping.ids_of(grouped.values())
        self._ids = {failure_id: ids[failure.fingerprint.key] for failure_id, failure in grouped.items()}

    def id_of(self, message: Captured) -> int:
        return self._ids[message.failure_id]


def _grouped(message: Captured, owners: Owners) -> grouping.Grouped:
    consumer_id, consumer_name = owners.of(message)
    death = message.death
    return grouping.group_of(
        consumer_id=consumer_id,
        consumer_name=consumer_name,
        error_type=death.error_type,
        error_message=death.error_message,
        traceback=death.traceback,
        handler=death.handler,
        at=message.failed_at,
    )


def _not_stored_yet(messages: Sequence[Captured]) -> list[Captured]:
    """One of each death, oldest first, less those the broker gave again because our ACK was lost."""
    deaths = {message.failure_id: message for message in messages}
    stored = set(Failure.objects.filter(pk__among=deaths).values_list("pk", flat=True))
    fresh = [message for failure_id, message in deaths.items() if failure_id not in stored]
    return sorted(fresh, key=lambda message: message.failed_at)


def _owners(messages: Sequence[Captured], consumer_id: int, consumer_name: str) -> Owners:
    names = {message.consumer for message in messages}
    rows = Consumer.objects.filter(Q(pk=consumer_id) | Q(name__in=names))
    by_name = {name: pk for pk, name in rows.values_list("pk", "name")}
    own = consumer_id if consumer_id in by_name.values() else None
    return Owners(consumer_id=own, consumer_name=consumer_name, by_name=by_name)


def _come_back(
    messages: Sequence[Captured],
    known: Mapping[uuid.UUID, DeadLetter],
    owners: Owners,
    groups: _Groups,
    now: datetime,
) -> None:
    """Known dead letters that failed once more: dead again, or scheduled, unless a later replay is under way."""
    ids = {message.dead_letter_id for message in messages}
    open_items = {item.dead_letter_id: item for item in transitions.open_items(ids)}
    failed_again: dict[int, Captured] = {}
    changed: dict[uuid.UUID, DeadLetter] = {}
    for message in messages:
        item = open_items.get(message.dead_letter_id)
        if item is not None and item.replay_id != message.replay_id:
            continue
        row = known[message.dead_letter_id]
        if item is None and row.state == DeadLetterState.DEAD and message.failed_at < row.failed_at:
            # Two captures at once may be given a newer death first: the row keeps that one.
            continue
        if item is not None:
            failed_again[open_items.pop(message.dead_letter_id).pk] = message
        row.replays += row.state == DeadLetterState.REPLAYING
        _assign(row, {**_newest(message, owners, groups, now), "origin": message.origin or row.origin})
        changed[row.pk] = row
    if changed:
        versions.keep_originals(failed_again, {message.dead_letter_id: message for message in failed_again.values()})
        names = [*_newest(messages[0], owners, groups, now), "replays"]
        DeadLetter.objects.bulk_update(changed.values(), names, batch_size=ROWS_PER_UPDATE)
        transitions.settle_items(failed_again.keys(), ReplayItemState.FAILED_AGAIN, now)


def _row(message: Captured, owners: Owners, groups: _Groups, now: datetime) -> dict[str, Any]:
    newest = _newest(message, owners, groups, now)
    return {"id": message.dead_letter_id, "first_failed_at": message.first_failed_at, **newest}


def _newest(message: Captured, owners: Owners, groups: _Groups, now: datetime) -> dict[str, Any]:
    """What a row says of its newest death."""
    consumer_id, consumer_name = owners.of(message)
    return {
        "consumer_id": consumer_id,
        "consumer_name": consumer_name,
        "group_id": groups.id_of(message),
        "day": grouping.day_of(message.failed_at),
        "state": DeadLetterState.DEAD if message.due_at is None else DeadLetterState.SCHEDULED,
        "state_at": now,
        "due_at": message.due_at,
        "retry_step": message.retry_step,
        "origin": message.origin,
        "destination": message.destination,
        "message_id": message.message_id,
        "correlation_id": message.headers.get("correlation-id", "")[:255],
        "content_type": message.headers.get("content-type", "")[:255],
        "headers": message.headers,
        "body": message.body,
        "body_size": message.body_size,
        "sealed": sealing.seal(message.parts),
        "held": message.held,
        "held_on_id": message.held_on,
        "held_copy": message.failure_id if message.held else None,
        "search_text": message.search_text,
        "document": message.document,
        "failed_at": message.failed_at,
        "captured_at": now,
        **_told(message.death),
    }


def _failure(message: Captured) -> dict[str, Any]:
    told = _told(message.death)
    return {"id": message.failure_id, "dead_letter_id": message.dead_letter_id, "at": message.failed_at, **told}


def _in_order(row: Mapping[str, Any]) -> int:
    number: int = row["id"].int
    return number


def _told(death: Death) -> dict[str, Any]:
    return {name: getattr(death, name) for name in _TOLD}


def _assign(row: DeadLetter, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
