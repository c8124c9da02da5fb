"""Buckets of throughput: counts added up by consumer and span of time, kept for as long as they are looked at.

Several workers add to the same bucket at the same time. Refuses to know who counted: ``tally`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet

from stompconsole.metrics.tally import Counts, merged
from stompconsole.models import Consumer, ThroughputBucket
from stompconsole.models.throughput import WIDTHS_S

PURGE_BATCH = 5_000
"""Rows deleted at once: a long DELETE would keep everybody else from writing on SQLite."""


def start_of(moment: datetime, width_s: int) -> datetime:
    """Start of the bucket a moment falls into: whole multiples of the width since 1970, in UTC."""
    return datetime.fromtimestamp(int(moment.timestamp()) // width_s * width_s, UTC)


def add(consumer_id: int, counts: Counts, now: datetime) -> None:
    """Add counts to the bucket of each width that ``now`` falls into, all of them or none."""
    add_all({consumer_id: counts}, now)


def add_all(counts: Mapping[int, Counts], now: datetime) -> None:
    """The same for many consumers at once, all of them or none. Those that were deleted are left out."""
    try:
        _add_known(counts, now)
    except IntegrityError:
        # A consumer was deleted in between, which the commit noticed; now it is known to be gone.
        _add_known(counts, now)


def purge(now: datetime, keep_s: tuple[float, ...]) -> int:
    """Delete buckets that are older than is kept of their width, ``keep_s`` in seconds in the order of WIDTHS_S.

    Returns how many; at most PURGE_BATCH of each width at a time.
    """
    deleted = 0
    for width_s, keep in zip(WIDTHS_S, keep_s, strict=True):
        old = ThroughputBucket.objects.filter(width_s=width_s, start__lt=now - timedelta(seconds=keep))
        keys = list(old.order_by("start").values_list("pk", flat=True)[:PURGE_BATCH])
        if keys:
            deleted += ThroughputBucket.objects.filter(pk__in=keys).delete()[0]
    return deleted


def _add_known(counts: Mapping[int, Counts], now: datetime) -> None:
    known = Consumer.objects.filter(pk__in=counts).order_by("pk").values_list("pk", flat=True)
    # In one order everywhere: two workers that lock the same rows must not wait for each other.
    moved = [consumer_id for consumer_id in known if counts[consumer_id].moved]
    with transaction.atomic():
        for consumer_id in _held(moved):
            for width_s in WIDTHS_S:
                _add(consumer_id, width_s, start_of(now, width_s), counts[consumer_id])


def _held(consumer_ids: Sequence[int]) -> Sequence[int]:
    """Those that are still there, kept from being deleted until the transaction ends."""
    features = connection.features
    if not features.has_select_for_update:
        return consumer_ids  # there is one writer at a time
    # Before their buckets are locked, as whoever deletes a consumer does: neither waits for the other in a circle.
    rows = Consumer.objects.filter(pk__in=consumer_ids).order_by("pk")
    held = rows.select_for_update(no_key=features.has_select_for_no_key_update)
    return list(held.values_list("pk", flat=True))


def _add(consumer_id: int, width_s: int, start: datetime, counts: Counts) -> None:
    bucket = ThroughputBucket.objects.filter(consumer_id=consumer_id, width_s=width_s, start=start)
    if _add_to(bucket, counts):
        return
    try:
        with transaction.atomic():
            bucket.create(
                consumer_id=consumer_id,
                width_s=width_s,
                start=start,
                received=counts.received,
                acked=counts.acked,
                retried=counts.retried,
                dead_lettered=counts.dead_lettered,
                handler_seconds=counts.handler_seconds,
                latency=list(counts.latency),
            )
    except IntegrityError:
        # Another worker was first.
        _add_to(bucket, counts)


def _add_to(bucket: QuerySet[ThroughputBucket], counts: Counts) -> bool:
    """Add to a bucket that is there; false if it is not."""
    # First the UPDATE, which locks the row on any database, SQLite's deferred transactions included; under
    # that lock the histogram is read and written, since JSON can't be added up in an UPDATE everywhere.
    updated = bucket.update(
        received=F("received") + counts.received,
        acked=F("acked") + counts.acked,
        retried=F("retried") + counts.retried,
        dead_lettered=F("dead_lettered") + counts.dead_lettered,
        handler_seconds=F("handler_seconds") + counts.handler_seconds,
    )
    if not updated:
        return False
    if any(counts.latency):
        latency = bucket.values_list("latency", flat=True).get()
        bucket.update(latency=list(merged(latency, counts.latency)))
    return True
