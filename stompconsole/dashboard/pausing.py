"""Pausing and resuming a consumer: the row, the audit entry, in one transaction. The worker sees to the rest."""

from __future__ import annotations

from django.db import transaction

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.dashboard.access import Operator
from stompconsole.models import Consumer


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


def _record(action: Action, row: Consumer, by: Operator, detail: str) -> None:
    audit.record(
        action, f"consumer {row.name}", actor=by.user, consumer=row, detail=detail, remote_address=by.remote_address
    )
