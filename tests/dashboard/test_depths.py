"""How much waits and since when, on the overview, on a consumer's page and for Prometheus."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from stompconsole.dashboard import formats
from stompconsole.models import Consumer, Purpose, QueueDepth
from tests.dashboard import rows
from tests.dashboard.reading import html, inside, text
from tests.metrics.test_exposition import values

URL = "/console/"


def make_depth(consumer: Consumer, *, ago_s: float = 4, oldest_s: float | None = None, **fields: Any) -> QueueDepth:
    now = timezone.now()
    since = None if oldest_s is None else now - timedelta(seconds=oldest_s)
    defaults = {"purpose": Purpose.CONSUME, "destination": consumer.destination, "oldest_at": since}
    return QueueDepth.objects.create(
        consumer=consumer, read_at=now - timedelta(seconds=ago_s), **{**defaults, **fields}
    )


def test_the_overview_says_how_many_wait_and_for_how_long(client: Client) -> None:
    orders = rows.make_running(name="orders")
    make_depth(orders, waiting=8_120, in_flight=3, oldest_s=125)
    page = client.get(URL)
    assert inside(page, f"c{orders.pk}-waiting") == "8,120"
    assert inside(page, f"c{orders.pk}-oldest") == "2 min"
    assert "Oldest waiting2 min orders, 8,120 waiting" in text(page)


def test_where_nothing_waits_there_is_no_oldest(client: Client) -> None:
    orders = rows.make_running(name="orders")
    make_depth(orders, waiting=0)
    page = client.get(URL)
    assert inside(page, f"c{orders.pk}-waiting") == "0"
    assert inside(page, f"c{orders.pk}-oldest") == formats.NONE
    assert f"Oldest waiting{formats.NONE} nothing waits" in text(page)


def test_what_is_not_known_says_why(client: Client) -> None:
    orders = rows.make_running(name="orders")
    make_depth(orders, waiting=None, reason=f"RabbitMQ {rows.HOSTILE}")
    page = client.get(URL)
    assert inside(page, f"c{orders.pk}-waiting").startswith("?not known: RabbitMQ <script>")
    assert "<script>alert" not in html(page)
    assert "Oldest waiting? RabbitMQ" in text(page)


def test_a_depth_that_nobody_has_asked_for_or_that_is_old_is_not_known(client: Client) -> None:
    fresh, stale = rows.make_running(name="fresh"), rows.make_running(name="stale")
    make_depth(stale, waiting=7, ago_s=600, oldest_s=700)
    page = client.get(URL)
    assert "not read yet: a worker asks the broker every 10 s" in inside(page, f"c{fresh.pk}-waiting")
    assert "no worker has read it since" in inside(page, f"c{stale.pk}-waiting")


def test_an_age_that_the_broker_does_not_tell_is_not_known(client: Client) -> None:
    orders = rows.make_running(name="orders")
    make_depth(orders, waiting=7)
    page = client.get(URL)
    assert "carry a timestamp" in inside(page, f"c{orders.pk}-oldest")
    assert "Oldest waiting? since when is not told: orders, 7 waiting" in text(page)


def test_a_consumer_s_page_shows_both_queues_and_as_of_when(client: Client) -> None:
    orders = rows.make_running(name="orders", destination="/queue/orders")
    make_depth(orders, waiting=8_120, in_flight=3, consumers=2, oldest_s=125)
    make_depth(orders, waiting=12, purpose=Purpose.CAPTURE, destination="/queue/DLQ.orders", ago_s=90)
    page = client.get(f"{URL}consumers/orders/")
    shown = inside(page, "depths")
    assert "/queue/orders" in shown
    assert "8,120 3 2 2 min 4 s ago" in shown
    assert "/queue/DLQ.orders" in shown
    assert "no worker has read it since" in shown
    assert inside(page, f"c{orders.pk}-waiting") == "8,120"
    assert "In the broker" in text(page)


def test_prometheus_gets_what_is_known_by_broker_and_destination(client: Client) -> None:
    rabbit = rows.make_broker(name="rabbit")
    one, two = (rows.make_consumer(broker=rabbit, destination="/queue/shared") for _ in range(2))
    for each in (one, two):
        make_depth(each, waiting=5)
    make_depth(one, purpose=Purpose.CAPTURE, destination="/queue/DLQ.shared", waiting=1)
    make_depth(two, purpose=Purpose.CAPTURE, destination="/queue/DLQ.other", waiting=None, reason="it is away")
    assert values("stompconsole_queue_depth") == {("rabbit", "/queue/shared"): 5, ("rabbit", "/queue/DLQ.shared"): 1}
