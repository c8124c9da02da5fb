"""A small sample of messages that were handled well: what failures are compared with."""

from __future__ import annotations

from django.db import models

from stompconsole.models.consumer import Consumer


class HandledSample(models.Model):
    """One message that was handled well. At most one a second of each consumer, whatever the number of workers."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="samples", db_index=False)
    at = models.DateTimeField(help_text="To the second.")
    origin = models.CharField(max_length=500)
    headers = models.JSONField(default=dict)
    document = models.JSONField(null=True, help_text="The body, where it is JSON and not large; else nothing of it.")
    size = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["consumer", "at"], name="one_sample_a_second")]

    def __str__(self) -> str:
        return f"{self.consumer_id} {self.at:%Y-%m-%d %H:%M:%S}"
