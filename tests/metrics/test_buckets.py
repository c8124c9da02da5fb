"""Buckets of throughput on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from stompconsole.metrics import buckets
from stompconsole.metrics.tally import Counts
from stompconsole.models import Broker, Consumer, ThroughputBucket
from stompconsole.models.throughput import WIDTHS_S

NOW = datetime(2026, 3, 1, 12, 34, 56, 789_000, UTC)
SOME = Counts(received=5, acked=3, retried=1, dead_lettered=1, handler_seconds=2.5, latency=(0, 5, *[0] * 14))


@pytest.fixture
def consumer(transactional_db: None) -> Consumer:
    broker = Broker.objects.create(name="b")
    return Consumer.objects.create(name="orders", broker=broker, destination="/queue/orders", handler="h")


def test_a_bucket_begins_at_a_whole_multiple_of_its_width() -> None:
    assert buckets.start_of(NOW, 10) == datetime(2026, 3, 1, 12, 34, 50, tzinfo=UTC)
    assert buckets.start_of(NOW, 60) == datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
    assert buckets.start_of(NOW, 3600) == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_counts_are_added_to_one_bucket_of_each_width(consumer: Consumer) -> None:
    buckets.add(consumer.pk, SOME, NOW)
    buckets.add(consumer.pk, SOME, NOW)
    assert sorted(ThroughputBucket.objects.values_list("width_s", flat=True)) == sorted(WIDTHS_S)
    for bucket in ThroughputBucket.objects.all():
        assert bucket.start == buckets.start_of(NOW, bucket.width_s)
        assert (bucket.received, bucket.acked, bucket.retried, bucket.dead_lettered) == (10, 6, 2, 2)
        assert bucket.handler_seconds == 5.0
        assert bucket.latency[1] == 10


def test_nothing_counted_makes_no_bucket(consumer: Consumer) -> None:
    buckets.add(consumer.pk, Counts(), NOW)
    assert not ThroughputBucket.objects.exists()


def test_a_consumer_that_was_deleted_is_left_out_and_the_others_are_counted(consumer: Consumer) -> None:
    buckets.add_all({consumer.pk: SOME, consumer.pk + 1: SOME}, NOW)
    assert set(ThroughputBucket.objects.values_list("consumer_id", flat=True)) == {consumer.pk}


@pytest.mark.long
def test_workers_that_add_at_the_same_time_lose_nothing(consumer: Consumer) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(_add_ten_times, [consumer.pk] * 6))
    for bucket in ThroughputBucket.objects.all():
        assert (bucket.received, bucket.latency[1]) == (300, 300)


def _add_ten_times(consumer_id: int) -> None:
    try:
        for _ in range(10):
            buckets.add(consumer_id, SOME, NOW)
    finally:
        connection.close()


def test_buckets_are_kept_as_long_as_their_width_is_looked_at(consumer: Consumer) -> None:
    for age in (timedelta(0), timedelta(hours=3), timedelta(days=4), timedelta(days=91)):
        buckets.add(consumer.pk, SOME, NOW - age)
    deleted = buckets.purge(NOW, (2 * 3600.0, 3 * 86_400.0, 90 * 86_400.0))
    left = {width: ThroughputBucket.objects.filter(width_s=width).count() for width in WIDTHS_S}
    assert left == {10: 1, 60: 2, 3600: 3}
    assert deleted == 6
