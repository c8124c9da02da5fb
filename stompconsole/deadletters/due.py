"""Retries that are parked and due: made into replays, which the engine then carries out like any other.

One replay for each consumer at a time, in the order they were due, so that a broker that is away has one that waits and
not one for each second. Done by every living worker; two that do it at once share nothing: a dead letter is in one
active replay only. Blocking calls.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from stompconsole.deadletters import freezing
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Replay, ReplayState

MOST_AT_ONCE = 500
"""Retries of one look. The next look comes as soon as these are sent."""

_UNDER_WAY = (ReplayState.WAITING, ReplayState.RUNNING)


def gather(now: datetime | None = None) -> float | None:
    """Have sent what is due. Seconds until more of it will be, None when nothing else is scheduled."""
    now = now or timezone.now()
    for consumer_id, ids in _due(now).items():
        _replay(consumer_id, ids)
    later = DeadLetter.objects.filter(state=DeadLetterState.SCHEDULED, due_at__gt=now).order_by("due_at", "pk")
    next_at = later.values_list("due_at", flat=True).first()
    return (next_at - now).total_seconds() if next_at is not None else None


def _due(now: datetime) -> dict[int | None, list[uuid.UUID]]:
    """What is due by consumer; None for those whose consumer is deleted, which the replay will say."""
    rows = DeadLetter.objects.filter(state=DeadLetterState.SCHEDULED, due_at__lte=now).order_by("due_at", "pk")
    busy = Replay.objects.filter(routine=True, state__in=_UNDER_WAY, consumer__isnull=False)
    if ids := list(busy.values_list("consumer_id", flat=True)):
        rows = rows.exclude(consumer_id__in=ids)
    found: dict[int | None, list[uuid.UUID]] = defaultdict(list)
    for pk, consumer_id in rows.values_list("pk", "consumer_id")[:MOST_AT_ONCE]:
        found[consumer_id].append(pk)
    return found


@transaction.atomic
def _replay(consumer_id: int | None, ids: list[uuid.UUID]) -> None:
    consumer = Consumer.objects.filter(pk=consumer_id).first() if consumer_id is not None else None
    words = f"scheduled retries of {consumer.name if consumer is not None else 'a deleted consumer'}"
    replay = freezing.begin_routine(words, consumer)
    # In the order of ids, as whoever else takes some of them.
    if not freezing.freeze(replay, freezing.scheduled_by_id(sorted(ids))):
        transaction.set_rollback(True)
