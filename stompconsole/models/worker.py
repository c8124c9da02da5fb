"""Workers: one row per ``runworker stomp`` process, kept alive by its heart-beat."""

from __future__ import annotations

import uuid

from django.db import models


class WorkerState(models.TextChoices):
    """What a worker says of itself; *stale* is what readers conclude from its silence."""

    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


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
