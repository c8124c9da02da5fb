"""Workers: one row per ``runworker stomp`` process, kept alive by its heart-beat."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models.functions import Now


class WorkerState(models.TextChoices):
    """What a worker says of itself; *stale* is what readers conclude from its silence."""

    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


def living_workers(stale_after_s: float) -> models.Q:
    """Workers that take up work and were heard of in the last seconds, by the database's clock."""
    return models.Q(state=WorkerState.RUNNING, heartbeat_at__gt=Now() - timedelta(seconds=stale_after_s))


class Worker(models.Model):
    """One process that runs subscriptions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    hostname = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=50)
    release = models.CharField(max_length=100, blank=True, help_text="The team's own, as the settings name it.")
    state = models.CharField(max_length=10, choices=WorkerState.choices, default=WorkerState.RUNNING)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField(db_index=True)
    memory_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["hostname", "pid"]

    def __str__(self) -> str:
        return f"{self.hostname}:{self.pid}"
