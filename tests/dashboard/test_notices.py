"""What is said of brokers on top of the overview: TLS that nobody verifies, sessions on a standby, switches."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from stompconsole.delivery.observer import Switch
from stompconsole.delivery.specs import Failback
from stompconsole.models import Broker
from stompconsole.transport.session import Endpoint
from stompconsole.worker.events import Events
from tests.dashboard import rows
from tests.dashboard.reading import html, inside, text

URL = "/console/"
STANDBY = {"host": "rabbit-a", "port": 61613, "standby_host": "rabbit-b", "standby_port": 61614}


def notices(client: Client) -> str:
    return inside(client.get(URL), "notices")


def test_nothing_is_said_while_all_is_as_it_should_be(client: Client) -> None:
    rows.make_broker(use_tls=True)
    rows.make_broker(use_tls=False, tls_verify=False)
    consumer = rows.make_consumer(broker=rows.make_broker(**STANDBY))
    rows.make_slot(consumer, rows.make_worker(), endpoint="rabbit-a:61613")
    assert notices(client) == ""


def test_every_broker_whose_certificate_nobody_verifies_is_named_with_the_way_to_change_it(client: Client) -> None:
    one, other = (rows.make_broker(use_tls=True, tls_verify=False) for _ in range(2))
    page = client.get(URL)
    for broker in (one, other):
        assert f"{broker.name} TLS with 127.0.0.1:61613: its certificate is not verified" in inside(page, "notices")
        assert reverse("admin:stompconsole_broker_change", args=[broker.pk]) in html(page)


def on_standby(failback: Failback, **slot: object) -> Broker:
    broker = rows.make_broker(name="main", failback=failback, **STANDBY)
    worker = rows.make_worker()
    for _ in range(2):
        rows.make_slot(rows.make_consumer(broker=broker), worker, **{"endpoint": "rabbit-b:61614", **slot})  # type: ignore[arg-type]
    return broker


@pytest.mark.parametrize(
    ("failback", "goes_on"),
    [(Failback.STAY, "They stay until they end."), (Failback.RETURN, "They return as soon as it lets them in.")],
)
def test_subscriptions_on_a_standby_are_counted_and_their_way_back_told(
    client: Client, failback: Failback, goes_on: str
) -> None:
    on_standby(failback)
    told = notices(client)
    assert told == f"main 2 subscriptions on the standby rabbit-b:61614, in place of rabbit-a:61613. {goes_on}"


def test_what_a_silent_worker_last_wrote_is_not_told(client: Client) -> None:
    on_standby(Failback.STAY, lease_s=-1)
    assert notices(client) == ""


def test_a_switch_is_among_the_last_events(client: Client) -> None:
    was, now = Endpoint(host="rabbit-a", port=61613), Endpoint(host="rabbit-b", port=61613)
    Events("web:1").switched(Switch(broker="main", was=was, now=now, reason="can't reach rabbit-a:61613: \0refused"))
    events = inside(client.get(URL), "events")
    assert "Broker switched: broker main: rabbit-b:61613 in place of rabbit-a:61613, because can't reach" in events
    assert "broker switched" in text(client.get("/console/audit/")).lower()
