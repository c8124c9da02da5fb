"""Leases of slots: conditional UPDATEs on Subscription rows, by the database's clock. Blocking calls, no threads.

A lease is a promise of the database that nobody else runs a slot until ``lease_until``. The worker's side of it is
a deadline on its own steady clock, earlier than that: ``Lease.deadline_s``. What it holds is never judged by the
time of this machine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from stompconsole.delivery.specs import SubscriptionState
from stompconsole.models import Consumer, Subscription
from stompconsole.worker.wanted import SlotKey

logger = logging.getLogger(__name__)

SAFE_PART = 0.8
"""The part of a lease after which a worker that could not renew it stops; the rest is for stopping."""

_IDLE: Mapping[str, Any] = {
    "endpoint": "",
    "server": "",
    "in_flight": 0,
    "received_per_s": 0.0,
    "acked_per_s": 0.0,
    "failed_per_s": 0.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease that was won. ``deadline_s`` on the steady clock; the totals are what the slot has counted so far."""

    pk: int
    deadline_s: float
    received: int = 0
    acked: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How a renewal went. ``orphaned``: lost with their consumer, so that nobody else can run them."""

    deadline_s: float
    lost: frozenset[SlotKey]
    orphaned: frozenset[SlotKey]


class Leases:
    """The leases of one worker, ``lease_s`` seconds long."""

    def __init__(self, worker_id: UUID, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._worker_id = worker_id
        self._lease_s = lease_s
        self._clock = clock

    def ensure(self, keys: Iterable[SlotKey]) -> None:
        """Have a row for each slot."""
        rows = [Subscription(consumer_id=key.consumer_id, purpose=key.purpose.value, slot=key.slot) for key in keys]
        try:
            Subscription.objects.bulk_create(rows, ignore_conflicts=True)
        except IntegrityError:
            logger.debug("a consumer was deleted while its slots were made")

    def acquire(self, key: SlotKey) -> Lease | None:
        """Win a slot that is free, ours, or broken for whoever holds it; None if it can't be had."""
        return self._take(key, self._open() | Q(state=SubscriptionState.BROKEN.value), SubscriptionState.STARTING, "")

    def hold_broken(self, key: SlotKey, reason: str) -> Lease | None:
        """Win a slot that is free or ours, only to say why it does not run; None if it can't be had."""
        return self._take(key, self._open(), SubscriptionState.BROKEN, reason)

    def renew(self, held: Mapping[SlotKey, Lease]) -> Renewal:
        """Renew these leases in one UPDATE, as far as they still live."""
        started_s = self._clock()
        mine = self._mine(lease.pk for lease in held.values()).filter(lease_until__gt=Now())
        renewed = mine.update(lease_until=self._until(), reported_at=Now()) if held else 0
        lost = frozenset[SlotKey]() if renewed == len(held) else self._lost(held, mine)
        return Renewal(
            deadline_s=self._deadline(started_s), lost=lost, orphaned=_orphaned(lost) if lost else frozenset()
        )

    def release(self, pk: int, reason: str) -> None:
        """Give a slot up, if it is still ours."""
        self._mine([pk]).update(**_RELEASED, reason=_clean(reason), state_since=Now(), reported_at=Now())

    def release_all(self, reason: str) -> None:
        """Give up every slot whose row says it is ours."""
        rows = Subscription.objects.filter(worker_id=self._worker_id)
        rows.update(**_RELEASED, reason=_clean(reason), state_since=Now(), reported_at=Now())

    def forget(self, key: SlotKey) -> None:
        """Delete the row of a slot, if nobody holds it."""
        # Held first: Django may turn a conditional DELETE into a SELECT and a DELETE by id.
        lease = self._take(key, self._open(), SubscriptionState.STOPPED, "")
        if lease is not None:
            self._mine([lease.pk]).delete()

    def _take(self, key: SlotKey, condition: Q, state: SubscriptionState, reason: str) -> Lease | None:
        started_s = self._clock()
        row = Subscription.objects.filter(consumer_id=key.consumer_id, purpose=key.purpose.value, slot=key.slot)
        try:
            won = row.filter(condition).update(
                **_IDLE,
                worker_id=self._worker_id,
                lease_until=self._until(),
                state=state.value,
                reason=_clean(reason),
                state_since=Now(),
                reported_at=Now(),
            )
        except IntegrityError:
            logger.warning(
                "slot %s is not taken: this worker's own row is gone, the next heart-beat makes it anew", key
            )
            return None
        return self._won(row, started_s) if won else None

    def _won(self, row: QuerySet[Subscription], started_s: float) -> Lease | None:
        found = row.filter(worker_id=self._worker_id).values_list("pk", "received", "acked", "failed").first()
        if found is None:
            return None
        pk, received, acked, failed = found
        return Lease(pk=pk, deadline_s=self._deadline(started_s), received=received, acked=acked, failed=failed)

    def _lost(self, held: Mapping[SlotKey, Lease], mine: QuerySet[Subscription]) -> frozenset[SlotKey]:
        kept = set(mine.values_list("pk", flat=True))
        return frozenset(key for key, lease in held.items() if lease.pk not in kept)

    def _mine(self, pks: Iterable[int]) -> QuerySet[Subscription]:
        return Subscription.objects.filter(pk__in=list(pks), worker_id=self._worker_id)

    def _open(self) -> Q:
        return free() | Q(worker_id=self._worker_id)

    def _until(self) -> Any:
        return Now() + timedelta(seconds=self._lease_s)

    def _deadline(self, started_s: float) -> float:
        # From before the UPDATE was sent: the database's lease began later, so ours ends first.
        return started_s + self._lease_s * SAFE_PART


_RELEASED: Mapping[str, Any] = {
    **_IDLE,
    "worker_id": None,
    "lease_until": None,
    "state": SubscriptionState.STOPPED.value,
}


def free() -> Q:
    """Rows that nobody holds by the database's clock."""
    return Q(worker__isnull=True) | Q(lease_until__isnull=True) | Q(lease_until__lte=Now())


def _orphaned(lost: Sequence[SlotKey] | frozenset[SlotKey]) -> frozenset[SlotKey]:
    asked = {key.consumer_id for key in lost}
    there = set(Consumer.objects.filter(pk__in=asked).values_list("pk", flat=True))
    return frozenset(key for key in lost if key.consumer_id not in there)


def _clean(reason: str) -> str:
    """PostgreSQL stores no NUL; a broker's words may hold one."""
    return reason.replace("\0", "")
