"""How much waited in a consumer's queues when a worker last asked the broker."""

from __future__ import annotations

from django.db import models

from stompconsole.delivery.specs import Purpose
from stompconsole.models.consumer import MAX_DESTINATION, Consumer


class QueueDepth(models.Model):
    """One queue of one consumer: its destination's, or the one of its dead letters. ``waiting`` is null when it is not
    known, ``reason`` says why then."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="depths")
    purpose = models.CharField(max_length=10, choices=[(p.value, p.value) for p in Purpose])
    destination = models.CharField(max_length=MAX_DESTINATION)
    waiting = models.PositiveBigIntegerField(null=True)
    in_flight = models.PositiveBigIntegerField(null=True)
    consumers = models.PositiveIntegerField(null=True)
    oldest_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField()
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["consumer", "purpose"], name="one_depth_per_queue_of_a_consumer")
        ]

    def __str__(self) -> str:
        return f"{self.destination}: {self.waiting if self.waiting is not None else self.reason}"
