"""Throughput in buckets of 10 s, 1 min and 1 h: counted in memory, added up here on the beat."""

from __future__ import annotations

from django.db import models

from stompconsole.models.consumer import Consumer

WIDTHS_S = (10, 60, 3600)
"""Widths of the buckets, in seconds; a flush adds to one of each."""

LATENCY_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the handler-time histogram, in seconds; one more slot counts what is beyond."""


class ThroughputBucket(models.Model):
    """What one consumer did in one span of time, over all workers."""

    consumer = models.ForeignKey(Consumer, on_delete=models.CASCADE, related_name="throughput")
    width_s = models.PositiveIntegerField()
    start = models.DateTimeField()
    received = models.PositiveBigIntegerField(default=0)
    acked = models.PositiveBigIntegerField(default=0)
    retried = models.PositiveBigIntegerField(default=0)
    dead_lettered = models.PositiveBigIntegerField(default=0)
    handler_seconds = models.FloatField(default=0)
    latency = models.JSONField(default=list, help_text="Counts by LATENCY_BOUNDS_S, one more for what is beyond.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["consumer", "width_s", "start"], name="one_bucket_per_span")]
        indexes = [models.Index(fields=["width_s", "start"])]

    def __str__(self) -> str:
        return f"{self.consumer_id} {self.width_s}s {self.start:%Y-%m-%d %H:%M:%S}"
