"""Dead letters: messages given up on, with why, and what became of them."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

from django.db import models
from django.urls import reverse

from stompconsole.models.broker import Broker
from stompconsole.models.consumer import Consumer


class DeadLetterState(models.TextChoices):
    """``dead -> replaying -> sent -> processed | dead``; ``dead -> discarded -> (undo) dead``.

    ``scheduled`` is not dead yet: it is replayed by itself when it is due, or ``-> (cancel) dead -> (undo) scheduled``.
    """

    DEAD = "dead"
    SCHEDULED = "scheduled"
    REPLAYING = "replaying"
    SENT = "sent"
    PROCESSED = "processed"
    DISCARDED = "discarded"


def today() -> date:
    """The day it is, UTC."""
    return datetime.now(UTC).date()


class DeadLetter(models.Model):
    """One message that was given up on. The id travels with it, so a second death finds the same row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Its index is the one below that begins with it.
    consumer = models.ForeignKey(
        Consumer, null=True, on_delete=models.SET_NULL, related_name="dead_letters", db_index=False
    )
    consumer_name = models.CharField(max_length=50)
    group = models.ForeignKey(
        "stompconsole.FailureGroup", null=True, on_delete=models.SET_NULL, related_name="letters", db_index=False
    )
    day = models.DateField(default=today, help_text="The day it failed last, UTC: what it is counted under.")
    state = models.CharField(max_length=10, choices=DeadLetterState.choices, default=DeadLetterState.DEAD)
    state_at = models.DateTimeField()
    origin = models.CharField(max_length=500, blank=True, help_text="Where the message was first; empty if not known.")
    destination = models.CharField(max_length=500, help_text="The dead-letter destination it was captured from.")
    message_id = models.CharField(max_length=500, blank=True)
    correlation_id = models.CharField(max_length=255, blank=True)
    content_type = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(
        default=dict, help_text="The headers it was captured with, ours included but for the traceback."
    )
    body = models.BinaryField()
    body_size = models.PositiveBigIntegerField()
    search_text = models.TextField(blank=True, help_text="Start of the body as text, for searching.")
    document = models.JSONField(null=True, help_text="The body, where it is JSON and not large: JSON paths look here.")
    sealed = models.BinaryField(
        null=True, help_text="What was redacted, encrypted: put back when it is replayed. None: nothing was."
    )
    held = models.CharField(max_length=500, blank=True, help_text="The queue where it waits if its body is not stored.")
    held_on = models.ForeignKey(Broker, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    held_copy = models.UUIDField(null=True, help_text="Which of the copies there is the newest: the failure's id.")
    error_type = models.CharField(max_length=255, blank=True)
    error_message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    handler = models.CharField(max_length=500, blank=True)
    worker = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    replays = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, help_text="When it is tried again, or was to be: see the state.")
    retry_step = models.PositiveIntegerField(default=0, help_text="Long steps of its consumer that are used.")
    first_failed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField()
    captured_at = models.DateTimeField()

    class Meta:
        ordering = ["-failed_at", "-id"]
        # Each is written anew whenever the state changes: none that another one can stand in for.
        indexes = [
            # The state at its end: those of a time are counted by state without reading their rows.
            models.Index(fields=["-failed_at", "-id", "state"]),
            models.Index(fields=["state", "-failed_at", "-id"]),
            models.Index(fields=["consumer", "state", "-failed_at"]),
            models.Index(fields=["group", "state", "-failed_at", "-id"]),
            # Looked at by every worker each second. Not by the state: SQLite can't tell that a parameter is the one.
            models.Index(
                fields=["state", "due_at", "id"], condition=models.Q(due_at__isnull=False), name="stompconsole_due"
            ),
            models.Index(fields=["held_on"], condition=models.Q(held_on__isnull=False), name="stompconsole_held_on"),
            # Of ``id:`` in a search; those of headers, document and text are in ``models.postgres``.
            models.Index(fields=["message_id"]),
            models.Index(fields=["correlation_id"]),
        ]
        permissions = [
            ("replay_deadletter", "Can replay dead letters"),
            ("edit_deadletter", "Can edit dead letters to replay them"),
            ("discard_deadletter", "Can discard dead letters"),
            ("try_deadletter", "Can try handlers on dead letters"),
        ]

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}"[:200] if self.error_type else str(self.id)

    def get_absolute_url(self) -> str:
        return reverse("stompconsole:dead-letter", args=[self.pk])


class Failure(models.Model):
    """One death of a message. Its id is made when it dies, so capturing it twice leaves one row."""

    id = models.UUIDField(primary_key=True)
    dead_letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="failures")
    at = models.DateTimeField()
    error_type = models.CharField(max_length=255, blank=True)
    error_message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    handler = models.CharField(max_length=500, blank=True)
    worker = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.error_type} {self.at:%Y-%m-%d %H:%M:%S}"
