"""Pausing and resuming a consumer, having its open breaker try a message: the row, the audit entry, in one transaction.
The worker sees to the rest."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.dashboard.access import Operator
from stompconsole.models import Consumer, Subscription, open_breakers


@transaction.atomic
def pause(consumer: Consumer, by: Operator, reason: str) -> bool:
    """Have no slot of it run. False when it was paused before."""
    row = Consumer.objects.select_for_update().get(pk=consumer.pk)
    if row.paused:
        return False
    row.mark_paused(by.user, reason)
    row.save(update_fields=["paused", "paused_by", "paused_at", "paused_reason", "updated_at"])
    _record(Action.CONSUMER_PAUSED, row, by, reason)
    return True


@transaction.atomic
def resume(consumer: Consumer, by: Operator) -> bool:
    """Have it run again. False when it was not paused."""
    row = Consumer.objects.select_for_update().get(pk=consumer.pk)
    if not row.paused:
        return False
    row.mark_resumed()
    row.save(update_fields=["paused", "paused_by", "paused_at", "paused_reason", "updated_at"])
    _record(Action.CONSUMER_RESUMED, row, by, "")
    return True


@transaction.atomic
def try_now(consumer: Consumer, by: Operator) -> bool:
    """Have its open breakers try a message without waiting any longer. False when none is open."""
    row = Consumer.objects.select_for_update().get(pk=consumer.pk)
    if row.paused or not Subscription.objects.filter(open_breakers(), consumer=row).exists():
        return False
    row.breaker_tried_at = timezone.now()
    row.save(update_fields=["breaker_tried_at", "updated_at"])
    _record(Action.CONSUMER_TRIED, row, by, "")
    return True


def _record(action: Action, row: Consumer, by: Operator, detail: str) -> None:
    audit.record(
        action, f"consumer {row.name}", actor=by.user, consumer=row, detail=detail, remote_address=by.remote_address
    )
