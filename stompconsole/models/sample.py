"""A small sample of messages that were handled well, to see what sets failures apart."""

from __future__ import annotations

from django.db import models

from stompconsole.models.consumer import Consumer


class HandledSample(models.Model):
    """One message that was handled well: at most one a second of each consumer, and the newest few hundred."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    headers = models.JSONField(default=dict, help_text="Redacted.")
    body = models.JSONField(null=True, help_text="Redacted; null when it is no JSON, or too large.")

    class Meta:
        indexes = [models.Index(fields=["consumer", "-at"])]

    def __str__(self) -> str:
        return f"{self.consumer_id} {self.at:%Y-%m-%d %H:%M:%S}"
