"""How much waits in the queues of consumers, as far as it can be believed. One query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from stompconsole.conf import settings_now
from stompconsole.metrics.lines import DepthLine
from stompconsole.models import Purpose, QueueDepth

BELIEVED_FOR_S = 45.0
"""A depth older than this, and than four rounds, says nothing of now."""

Depths = Mapping[tuple[int, Purpose], DepthLine]


def depth_lines(now: datetime) -> Depths:
    """By consumer and purpose: its destination's, and its dead-letter queue's."""
    limit = timedelta(seconds=max(BELIEVED_FOR_S, 4 * settings_now().depths_every_s))
    return {(row.consumer_id, Purpose(row.purpose)): _line(row, now - limit) for row in QueueDepth.objects.all()}


def not_read() -> DepthLine:
    """What is known of a queue that nobody has asked about."""
    every_s = settings_now().depths_every_s
    return DepthLine(reason=f"not read yet: a worker asks the broker every {every_s:g} s")


def _line(row: QueueDepth, believed_since: datetime) -> DepthLine:
    if row.waiting is not None and row.read_at < believed_since:
        return DepthLine(destination=row.destination, read_at=row.read_at, reason="no worker has read it since")
    return DepthLine(
        destination=row.destination,
        waiting=row.waiting,
        in_flight=row.in_flight,
        consumers=row.consumers,
        oldest_at=row.oldest_at,
        read_at=row.read_at,
        reason=row.reason,
    )
