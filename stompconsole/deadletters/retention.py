"""How long dead letters are kept: discarded ones until their discard can't be undone, processed ones for a month.

Dead ones are kept for ever, since only a person gives those up; unless their consumer says how many days, how many or
how many bytes of them to keep: then the oldest go, and the audit says how many.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import tallies, transitions
from stompconsole.deadletters.selection import undo_possible_since
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Replay, ReplayState

PROCESSED_KEPT = timedelta(days=30)
ROWS_PER_TRANSACTION = 500

_AT_REST = (DeadLetterState.DEAD, DeadLetterState.DISCARDED, DeadLetterState.PROCESSED)
"""States in which nothing is about to happen to a dead letter."""

_OVER = (ReplayState.DONE, ReplayState.CANCELLED)

_Edge = tuple[datetime, uuid.UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """How many dead letters were deleted; ``limited`` are those beyond what their consumer keeps."""

    discarded: int
    processed: int
    limited: int = 0


def purge(now: datetime | None = None) -> Purged:
    """Delete what is kept no longer, a few hundred rows at a time so that nobody waits long for the database."""
    now = now or timezone.now()
    discarded = DeadLetter.objects.filter(state=DeadLetterState.DISCARDED, state_at__lt=undo_possible_since(now))
    processed = DeadLetter.objects.filter(state=DeadLetterState.PROCESSED, state_at__lt=now - PROCESSED_KEPT)
    return Purged(discarded=_delete(discarded), processed=_delete(processed), limited=_purge_limited(now))


def _purge_limited(now: datetime) -> int:
    asked = ~Q(keep_days=None) | ~Q(keep_count=None) | ~Q(keep_bytes=None)
    return sum(_purge_consumer(consumer, now) for consumer in Consumer.objects.filter(asked).order_by("pk"))


def _purge_consumer(consumer: Consumer, now: datetime) -> int:
    rows = DeadLetter.objects.filter(consumer=consumer, state__in=_AT_REST)
    gone = 0
    if consumer.keep_days is not None:
        gone += _delete(rows.filter(failed_at__lt=now - timedelta(days=consumer.keep_days)))
    for edge in (_edge_of_count(rows, consumer.keep_count), _edge_of_bytes(rows, consumer.keep_bytes)):
        gone += _delete(_from(rows, edge)) if edge is not None else 0
    if gone:
        target = f"{gone} dead letters of {consumer.name}"
        audit.record(Action.PURGED, target, actor=None, actor_name="retention", consumer=consumer)
    return gone


def _edge_of_count(rows: QuerySet[DeadLetter], keep: int | None) -> _Edge | None:
    """The newest one that is too many."""
    if keep is None:
        return None
    return rows.order_by("-failed_at", "-pk").values_list("failed_at", "pk")[keep : keep + 1].first()


def _edge_of_bytes(rows: QuerySet[DeadLetter], keep: int | None) -> _Edge | None:
    """The newest one with which the bodies are too large together."""
    if keep is None:
        return None
    size = 0
    newest_first = rows.order_by("-failed_at", "-pk").values_list("failed_at", "pk", "body_size")
    for failed_at, pk, body_size in newest_first.iterator(chunk_size=2_000):
        size += body_size
        if size > keep:
            return failed_at, pk
    return None


def _from(rows: QuerySet[DeadLetter], edge: _Edge) -> QuerySet[DeadLetter]:
    failed_at, pk = edge
    return rows.filter(Q(failed_at__lt=failed_at) | Q(failed_at=failed_at, pk__lte=pk))


def _delete(rows: QuerySet[DeadLetter]) -> int:
    total = 0
    while count := _delete_some(rows):
        total += count
    return total


@transaction.atomic
def _delete_some(rows: QuerySet[DeadLetter]) -> int:
    transitions.write_first()
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_PER_TRANSACTION])
    transitions.lock(transitions.by_id(ids))
    # Under the lock once more: one of them may have been brought back. Only ids, or the bodies come along.
    still_old = rows.filter(pk__in=ids).order_by().only("pk")
    tallies.going(still_old)
    routine = Replay.objects.filter(routine=True, state__in=_OVER, items__dead_letter__in=ids)
    replays = list(routine.order_by().values_list("pk", flat=True).distinct())
    still_old.delete()
    # Of retries there may be a replay each second, which tells of nothing once its messages are gone.
    Replay.objects.filter(pk__in=replays, items=None).delete()
    return len(ids)
