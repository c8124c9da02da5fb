"""How long dead letters are kept: discarded ones until their discard can't be undone, processed ones for a month.

Dead ones are kept for ever: only a person gives those up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from stompconsole.deadletters import tallies, transitions
from stompconsole.deadletters.selection import undo_possible_since
from stompconsole.models import DeadLetter, DeadLetterState

PROCESSED_KEPT = timedelta(days=30)
ROWS_PER_TRANSACTION = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """How many dead letters were deleted."""

    discarded: int
    processed: int


def purge(now: datetime | None = None) -> Purged:
    """Delete what is kept no longer, a few hundred rows at a time so that nobody waits long for the database."""
    now = now or timezone.now()
    return Purged(
        discarded=_purge(DeadLetterState.DISCARDED, undo_possible_since(now)),
        processed=_purge(DeadLetterState.PROCESSED, now - PROCESSED_KEPT),
    )


def _purge(state: DeadLetterState, before: datetime) -> int:
    total = 0
    while count := _purge_some(state, before):
        total += count
    return total


@transaction.atomic
def _purge_some(state: DeadLetterState, before: datetime) -> int:
    transitions.write_first()
    old = DeadLetter.objects.filter(state=state, state_at__lt=before).order_by("pk")
    ids = list(old.values_list("pk", flat=True)[:ROWS_PER_TRANSACTION])
    transitions.lock(transitions.by_id(ids))
    # Under the lock once more: one of them may have been brought back. Only ids, or the bodies come along.
    still_old = transitions.by_id(ids).filter(state=state, state_at__lt=before).only("pk")
    tallies.going(still_old)
    still_old.delete()
    return len(ids)
