"""A subscription: one live slot of a consumer held by one worker. The row is its lease and its status."""

from __future__ import annotations

from django.db import models

from stompconsole.delivery.breaker import PAUSED
from stompconsole.delivery.specs import Purpose, SubscriptionState
from stompconsole.models.consumer import Consumer
from stompconsole.models.worker import Worker


def open_breakers() -> models.Q:
    """The slots that take no messages because their breaker is open, as far as their workers have told."""
    return models.Q(
        purpose=Purpose.CONSUME.value,
        state=SubscriptionState.BACKING_OFF.value,
        reason__contains=PAUSED,
        worker__isnull=False,
    )


class Subscription(models.Model):
    """One slot. Free while ``worker`` is null or the lease has run out by the database's clock."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="subscriptions")
    purpose = models.CharField(
        max_length=10, choices=[(p.value, p.value) for p in Purpose], default=Purpose.CONSUME.value
    )
    slot = models.CharField(max_length=40, help_text="A number, or the worker's id where every worker has one.")
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="subscriptions")
    lease_until = models.DateTimeField(null=True)
    state = models.CharField(
        max_length=12,
        choices=[(state.value, state.value) for state in SubscriptionState],
        default=SubscriptionState.STOPPED.value,
    )
    reason = models.TextField(blank=True)
    state_since = models.DateTimeField(null=True)
    endpoint = models.CharField(max_length=300, blank=True)
    server = models.CharField(max_length=200, blank=True)
    received_per_s = models.FloatField(default=0)
    acked_per_s = models.FloatField(default=0)
    failed_per_s = models.FloatField(default=0)
    in_flight = models.PositiveIntegerField(default=0)
    received = models.PositiveBigIntegerField(default=0)
    acked = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    reported_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["consumer", "purpose", "slot"], name="one_row_per_slot"),
        ]
        ordering = ["consumer", "purpose", "slot"]

    def __str__(self) -> str:
        return f"{self.consumer_id}/{self.purpose}/{self.slot}"
