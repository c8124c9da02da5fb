"""The page of dead letters that stay in the broker."""

from __future__ import annotations

import pytest
from django.test import Client

from stompconsole.models import AuditEntry, BrokerBrowse, BrokerReplay, Consumer, ErrandState, Purpose
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text
from tests.dashboard.test_depths import make_depth

pytestmark = pytest.mark.django_db


@pytest.fixture
def orders() -> Consumer:
    return rows.make_consumer(
        name="orders", destination="/queue/orders", capture=False, broker=rows.make_broker(kind="activemq")
    )


URL = "/console/consumers/orders/broker-letters/"


def test_the_page_says_how_many_wait_and_by_which_guarantee_they_go_back(client: Client, orders: Consumer) -> None:
    make_depth(orders, waiting=12, oldest_s=125, purpose=Purpose.CAPTURE, destination="/queue/DLQ.orders")
    page = text(client.get(URL))
    assert "Waiting 12 Oldest 2 min" in page
    assert "/queue/DLQ.orders" in page
    assert "At least once: each message is sent back, its receipt is waited for" in page
    assert "Nobody has looked lately" in page


def test_on_artemis_it_is_exactly_once_and_nothing_can_be_shown(client: Client) -> None:
    rows.make_consumer(name="orders", capture=False, broker=rows.make_broker(kind="artemis"))
    page = client.get(URL)
    assert "Exactly once, as long as Artemis remembers it" in text(page)
    assert "They can't be shown: Artemis shows no messages over STOMP without taking them" in text(page)
    assert f"{URL}look/" not in html(page)


def test_a_topic_whose_subscribers_would_all_get_them_again_is_named(client: Client) -> None:
    broker = rows.make_broker(kind="rabbitmq")
    rows.make_consumer(name="orders", capture=False, broker=broker, destination="/topic/orders")
    assert "Every subscriber of /topic/orders gets these messages again" in text(client.get(URL))
    Consumer.objects.update(durable=True)
    assert "Every subscriber" not in text(client.get(URL))


def test_where_capture_is_on_it_leads_to_the_dead_letters(client: Client) -> None:
    rows.make_consumer(name="orders")
    page = client.get(URL)
    assert "Capture is on: what arrives there is stored by the console" in text(page)
    assert f"{URL}replay/" not in html(page)
    client.post(f"{URL}replay/", {})
    client.post(f"{URL}look/")
    assert not BrokerReplay.objects.exists()
    assert not BrokerBrowse.objects.exists()


def test_sending_back_is_a_row_for_a_worker_and_written_down(client: Client, orders: Consumer) -> None:
    sent = {"limit": "1,000", "unknown_to": "/queue/orders", "reason": "fixed\0"}
    page = client.post(f"{URL}replay/", sent, follow=True)
    assert page.redirect_chain == [(URL, 302)]
    replay = BrokerReplay.objects.get()
    assert (replay.source, replay.limit, replay.unknown_to) == ("/queue/DLQ.orders", 1_000, "/queue/orders")
    assert (replay.reason, replay.state) == ("fixed", ErrandState.WAITING)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.target) == ("broker replay created", "operator", "/queue/DLQ.orders")
    assert "0 messages moved of at most 1,000." in text(page)
    (button,) = [each for each in elements(page, "button", type="submit") if each.get("class") == "primary"]
    assert "disabled" in button
    client.post(f"{URL}replay/", {})
    assert BrokerReplay.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"limit": "many"}, "'many' is no number of messages"),
        ({"limit": "0"}, "'0' is no number of messages"),
        ({"unknown_to": "/queue/a b"}, "It can't contain blanks"),
        ({"unknown_to": "/queue/DLQ.orders"}, "is where they are: name another"),
        ({"unknown_to": "/queue/a,/queue/b"}, "comma"),
    ],
)
def test_what_makes_no_sense_is_told_at_its_field(
    client: Client, orders: Consumer, fields: dict[str, str], problem: str
) -> None:
    page = client.post(f"{URL}replay/", fields)
    assert page.status_code == 400
    assert problem in text(page)
    assert not BrokerReplay.objects.exists()


def test_a_replay_tells_what_became_of_it_and_can_be_cancelled(client: Client, orders: Consumer) -> None:
    replay = BrokerReplay.objects.create(
        consumer=orders, source="/queue/DLQ.orders", state=ErrandState.RUNNING, moved=1_200, skipped=3, failed=1,
        note=rows.HOSTILE,
    )  # fmt: skip
    page = client.get(URL)
    assert (
        "running 1,200 messages moved; 3 skipped, since their origin is not known; 1 refused where they came from."
        in text(page)
    )
    assert "<script>alert" not in html(page)
    client.post(f"{URL}{replay.pk}/cancel/")
    replay.refresh_from_db()
    assert replay.state == ErrandState.CANCELLED
    assert "It had ended before." in text(client.post(f"{URL}{replay.pk}/cancel/", follow=True))


def test_a_replay_of_another_consumer_is_not_cancelled_from_here(client: Client, orders: Consumer) -> None:
    other = BrokerReplay.objects.create(consumer=rows.make_consumer(capture=False), source="/queue/DLQ.x")
    assert client.post(f"{URL}{other.pk}/cancel/").status_code == 404
    other.refresh_from_db()
    assert other.state == ErrandState.WAITING


def test_a_look_is_a_row_for_a_worker_and_what_it_saw_is_shown_as_text(client: Client, orders: Consumer) -> None:
    assert "A worker is asked to look" in text(client.post(f"{URL}look/", follow=True))
    look = BrokerBrowse.objects.get()
    message = {
        "headers": {"color": rows.HOSTILE}, "origin": "/queue/orders", "error_type": "KeyError",
        "error_message": rows.HOSTILE, "body": rows.HOSTILE, "cut": True, "size": 5_000,
    }  # fmt: skip
    BrokerBrowse.objects.update(state=ErrandState.DONE, done_at=look.asked_at, messages=[message], more=True)
    page = client.get(URL)
    assert "KeyError: <script>" in text(page)
    assert "from /queue/orders · 4.9 KB" in text(page)
    assert "There are more behind these 1." in text(page)
    assert "<script>alert" not in html(page)
    assert AuditEntry.objects.get().action == "broker letters shown"


def test_a_look_that_failed_says_why(client: Client, orders: Consumer) -> None:
    BrokerBrowse.objects.create(consumer=orders, state=ErrandState.FAILED, reason="can't reach it")
    assert "They can't be shown: can't reach it" in text(client.get(URL))


def test_consumers_without_capture_are_listed_under_a_tab_of_their_own(client: Client) -> None:
    captured = rows.make_consumer(name="captured")
    assert "In brokers" not in text(client.get("/console/groups/"))
    orders = rows.make_consumer(name="orders", capture=False)
    make_depth(orders, waiting=7, purpose=Purpose.CAPTURE)
    assert "In brokers" in text(client.get("/console/groups/"))
    assert "In brokers" in text(client.get("/console/dead-letters/"))
    page = client.get("/console/broker-letters/")
    assert "orders /queue/" in text(page)
    assert captured.name not in [each["href"] for each in elements(page, "a")]
    assert URL in html(page)
    assert URL in html(client.get("/console/consumers/orders/"))
