"""Throughput over a span, per consumer, as pages draw it.

A window can be kept and refreshed: it then reads again only the newest buckets, so that a tick of the stream
costs one small query however long the span is. Not for use from two threads at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stompconsole.metrics.quantiles import Quantile, added, quantile
from stompconsole.metrics.spans import Span
from stompconsole.models import ThroughputBucket

REREAD = 3
"""Buckets read again at each refresh: the one that is filling, and those that a late flush may still add to."""

YOUNG = 0.3
"""Below this share of its width a bucket says too little to be a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One consumer over a span, oldest first, in messages a second. Quantiles are over the whole span."""

    received: tuple[float, ...]
    acked: tuple[float, ...]
    failed: tuple[float, ...]
    p50: Quantile | None
    p95: Quantile | None
    total_acked: int
    total_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    received: int = 0
    acked: int = 0
    failed: int = 0
    latency: tuple[int, ...] = ()


class Window:
    """The buckets of one span."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._buckets: dict[int, dict[datetime, _Counted]] = {}
        self._newest: datetime | None = None
        self._now = datetime.fromtimestamp(0, tz=UTC)

    def refresh(self, now: datetime) -> None:
        """Read what is new since the last refresh. One query."""
        first = self.span.first_bucket(now)
        since = max(first, self._newest - timedelta(seconds=REREAD * self.span.width_s)) if self._newest else first
        fresh: dict[int, dict[datetime, _Counted]] = defaultdict(dict)
        for consumer_id, start, counted in _read(self.span.width_s, since):
            fresh[consumer_id][start] = counted
        for consumer_id in fresh.keys() | self._buckets.keys():
            old = self._buckets.get(consumer_id, {})
            kept = {start: counted for start, counted in old.items() if first <= start < since}
            self._buckets[consumer_id] = kept | fresh.get(consumer_id, {})
        self._newest = max((start for row in fresh.values() for start in row), default=self._newest)
        self._now = now

    def of(self, consumer_id: int) -> Series:
        """The series of one consumer; all zeros if it did nothing."""
        buckets = self._buckets.get(consumer_id, {})
        latency = added(counted.latency for counted in buckets.values())
        return Series(
            received=self._rates({start: counted.received for start, counted in buckets.items()}),
            acked=self._rates({start: counted.acked for start, counted in buckets.items()}),
            failed=self._rates({start: counted.failed for start, counted in buckets.items()}),
            p50=quantile(latency, 0.5),
            p95=quantile(latency, 0.95),
            total_acked=sum(counted.acked for counted in buckets.values()),
            total_failed=sum(counted.failed for counted in buckets.values()),
        )

    def _rates(self, counts: Mapping[datetime, int]) -> tuple[float, ...]:
        """A rate for each bucket of the span. The one that is filling is taken over the time it has had; while it
        is too young to say anything, the rate before it stands."""
        width = self.span.width_s
        first = self.span.first_bucket(self._now)
        starts = [first + timedelta(seconds=width * index) for index in range(self.span.points)]
        rates = [counts.get(start, 0) / width for start in starts]
        elapsed = (self._now - starts[-1]).total_seconds()
        rates[-1] = rates[-2] if elapsed < YOUNG * width else counts.get(starts[-1], 0) / elapsed
        return tuple(rates)


def _read(width_s: int, since: datetime) -> list[tuple[int, datetime, _Counted]]:
    rows = ThroughputBucket.objects.filter(width_s=width_s, start__gte=since).values_list(
        "consumer_id", "start", "received", "acked", "retried", "dead_lettered", "latency"
    )
    return [
        (consumer_id, start, _Counted(received=received, acked=acked, failed=retried + dead, latency=tuple(latency)))
        for consumer_id, start, received, acked, retried, dead, latency in rows
    ]
