"""The figures in Prometheus' format."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from stompconsole.metrics.exposition import exposition
from stompconsole.models import Consumer, SubscriptionState
from tests.dashboard import rows

pytestmark = pytest.mark.django_db


def values(name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name by the values of their labels."""
    text, _ = exposition("text/plain")
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }


def make_hours(consumer: Consumer) -> None:
    latency = [0, 0, 0, 7, 3] + [0] * 11
    rows.make_bucket(
        consumer,
        timezone.now(),
        3600,
        received=12,
        acked=10,
        retried=1,
        dead_lettered=2,
        handler_seconds=1.5,
        latency=latency,
    )
    rows.make_bucket(consumer, timezone.now() - timedelta(days=1), 3600, acked=1_000_000, latency=latency)
    rows.make_bucket(consumer, timezone.now(), 60, acked=1_000_000)


def test_messages_are_counted_by_outcome_since_midnight() -> None:
    make_hours(rows.make_consumer(name="orders"))
    assert values("stompconsole_messages_total") == {
        ("orders", "received"): 12,
        ("orders", "acked"): 10,
        ("orders", "retried"): 1,
        ("orders", "dead_lettered"): 2,
    }


def test_handler_times_are_a_histogram() -> None:
    make_hours(rows.make_consumer(name="orders"))
    buckets = values("stompconsole_handler_seconds_bucket")
    assert buckets["orders", "0.01"] == 7
    assert buckets["orders", "0.02"] == 10
    assert buckets["orders", "+Inf"] == 10
    assert values("stompconsole_handler_seconds_sum") == {("orders",): 1.5}
    assert values("stompconsole_handler_seconds_count") == {("orders",): 10}


def test_slots_and_messages_in_flight_are_told_by_consumer() -> None:
    rows.make_running(name="orders")
    broken = rows.make_consumer(name="broken")
    rows.make_slot(broken, rows.make_worker(), SubscriptionState.BROKEN)
    rows.make_slot(broken, None)
    stale = rows.make_consumer(name="stale")
    rows.make_slot(stale, rows.make_worker(silent_s=60), in_flight=9)
    assert values("stompconsole_in_flight") == {("orders",): 18, ("broken",): 0}
    assert values("stompconsole_subscriptions") == {
        ("orders", "running"): 1,
        ("broken", "broken"): 1,
        ("broken", "free"): 1,
        ("stale", "stale"): 1,
    }


def test_dead_letters_are_counted_by_state() -> None:
    orders = rows.make_consumer(name="orders")
    rows.make_letter(orders)
    rows.make_letter(orders, state="discarded")
    rows.make_letter(None)
    assert values("stompconsole_dead_letters") == {("orders", "dead"): 1, ("orders", "discarded"): 1, ("", "dead"): 1}


def test_heart_beats_are_told_as_times() -> None:
    worker = rows.make_worker(hostname="web", pid=7)
    assert values("stompconsole_worker_heartbeat_timestamp_seconds") == {
        ("web:7",): pytest.approx(worker.heartbeat_at.timestamp(), abs=1)
    }


def test_the_format_is_the_one_that_is_asked_for() -> None:
    body, content_type = exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_scrape_costs_as_many_queries_for_twenty_consumers_as_for_one() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            exposition("")
        return len(captured)

    rows.make_running()
    one = queries()
    for _ in range(19):
        rows.make_running()
    assert queries() == one
