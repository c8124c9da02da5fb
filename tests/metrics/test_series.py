"""Throughput over a span, read whole or refreshed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.models import Consumer, ThroughputBucket
from tests.dashboard.rows import make_bucket, make_consumer

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


@pytest.fixture
def orders(db: None) -> Consumer:
    return make_consumer(name="orders")


def read(span: Span, now: datetime = NOW) -> Window:
    window = Window(span)
    window.refresh(now)
    return window


@pytest.mark.parametrize(("span", "points"), [(Span.MINUTE, 7), (Span.QUARTER, 90), (Span.HOUR, 60), (Span.DAY, 24)])
def test_a_span_has_a_point_for_each_bucket(orders: Consumer, span: Span, points: int) -> None:
    make_bucket(orders, NOW - timedelta(seconds=span.width_s), span.width_s, received=span.width_s * 5)
    series = read(span).of(orders.pk)
    assert len(series.received) == points
    assert series.received[-2] == 5.0


def test_buckets_of_another_width_or_time_are_left_out(orders: Consumer) -> None:
    make_bucket(orders, NOW - timedelta(minutes=16), received=9)
    make_bucket(orders, NOW - timedelta(seconds=60), 60, received=9)
    assert not any(read(Span.QUARTER).of(orders.pk).received)


def test_the_bucket_that_is_filling_is_taken_over_the_time_it_has_had(orders: Consumer) -> None:
    make_bucket(orders, NOW, received=12)
    assert read(Span.MINUTE).of(orders.pk).received[-1] == 2.0


def test_a_young_bucket_keeps_the_rate_before_it(orders: Consumer) -> None:
    make_bucket(orders, NOW - timedelta(seconds=10), received=30)
    make_bucket(orders, NOW, received=1)
    young = NOW.replace(second=51)
    assert read(Span.MINUTE, young).of(orders.pk).received[-2:] == (3.0, 3.0)


def test_what_failed_is_retried_and_dead_lettered_together(orders: Consumer) -> None:
    make_bucket(orders, NOW - timedelta(seconds=30), acked=40, retried=10, dead_lettered=20)
    series = read(Span.MINUTE).of(orders.pk)
    assert max(series.failed) == 3.0
    assert (series.total_acked, series.total_failed) == (40, 30)


def test_a_consumer_that_did_nothing_is_all_zeros(orders: Consumer) -> None:
    series = read(Span.QUARTER).of(orders.pk)
    assert set(series.received) == {0.0}
    assert series.p50 is None


def test_refreshing_reads_the_newest_buckets_only_and_misses_nothing(orders: Consumer) -> None:
    for number in range(90):
        make_bucket(orders, NOW - timedelta(seconds=10 * number), received=10)
    window = read(Span.QUARTER)
    # A flush that came late still adds to a bucket that is over.
    late = ThroughputBucket.objects.order_by("-start")[1]
    ThroughputBucket.objects.filter(pk=late.pk).update(received=50)
    make_bucket(orders, NOW + timedelta(seconds=10), received=60)
    with CaptureQueriesContext(connection) as captured:
        window.refresh(NOW + timedelta(seconds=10))
    assert len(captured) == 1
    assert window.of(orders.pk) == read(Span.QUARTER, NOW + timedelta(seconds=10)).of(orders.pk)


def test_a_window_that_is_kept_for_long_forgets_what_is_over(orders: Consumer) -> None:
    make_bucket(orders, NOW, received=10)
    window = read(Span.MINUTE)
    window.refresh(NOW + timedelta(hours=1))
    assert not any(window.of(orders.pk).received)


def test_a_span_that_makes_no_sense_is_fifteen_minutes() -> None:
    assert Span.from_text("nope") is Span.QUARTER
    assert Span.from_text("1h") is Span.HOUR
