"""Dead letters that stay in the broker: what an operator has a worker do with them there."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from stompconsole.models.consumer import MAX_DESTINATION, Consumer
from stompconsole.models.worker import Worker


class ErrandState(models.TextChoices):
    """``waiting -> running -> done``; ``cancelled`` by an operator, ``failed`` when there was no point in going on."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BrokerReplay(models.Model):
    """Moves dead letters from the broker's queue back to where each came from. Counts, not messages: those are the
    broker's alone."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="broker_replays")
    state = models.CharField(max_length=10, choices=ErrandState.choices, default=ErrandState.WAITING)
    source = models.CharField(max_length=MAX_DESTINATION)
    unknown_to = models.CharField(max_length=MAX_DESTINATION, blank=True)
    limit = models.PositiveIntegerField(null=True, help_text="How many at most; until it is empty without.")
    reason = models.CharField(max_length=200, blank=True)
    moved = models.PositiveBigIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0, help_text="Left there: their origin is not known.")
    failed = models.PositiveIntegerField(default=0, help_text="Left there: their origin does not take them.")
    failed_again = models.PositiveIntegerField(default=0, help_text="Left there: sent back before, and dead again.")
    note = models.TextField(blank=True, help_text="What it waits for, how it ended, why some are left; in words.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="+")
    lease_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["consumer"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="one_broker_replay_at_a_time",
            ),
        ]
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"broker replay {self.pk} of {self.source}"


class BrokerBrowse(models.Model):
    """A look at the first dead letters in the broker, asked for on a page, carried out by a worker."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="browses")
    state = models.CharField(max_length=10, choices=ErrandState.choices, default=ErrandState.WAITING)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, help_text="Why nothing could be shown.")
    messages = models.JSONField(default=list)
    more = models.BooleanField(default=False)

    class Meta:
        ordering = ["-asked_at", "-id"]

    def __str__(self) -> str:
        return f"look {self.pk} at the dead letters of {self.consumer_id}"
