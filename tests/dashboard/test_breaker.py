"""A breaker on the pages: how it stands, what it did, and the button that has it try now."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.delivery.breaker import PAUSED
from stompconsole.models import AuditEntry, Consumer, Replay, ReplayItem, ReplayState, SubscriptionState
from tests.dashboard import rows
from tests.dashboard.reading import elements, inside, text

REASON = f"{PAUSED}: 5 failures in a row, last ConnectionError: refused; one message is tried in 24 s"
TRY = "/console/consumers/orders/try/"


@pytest.fixture
def orders(db: None) -> Consumer:
    """A consumer whose breaker is open."""
    consumer = rows.make_consumer(name="orders", breaker_in_a_row=5, breaker_percent=50)
    rows.make_slot(consumer, rows.make_worker(), SubscriptionState.BACKING_OFF, reason=REASON)
    return consumer


def test_the_overview_lists_it_first_and_says_why(client: Client, orders: Consumer) -> None:
    rows.make_running(name="calm")
    page = client.get("/console/")
    assert inside(page, f"c{orders.pk}-state").endswith(REASON)
    assert text(page).index("/queue/") < text(page).index("calm")
    assert text(client.get("/console/?show=attention")).count(REASON) == 1


def test_its_page_shows_the_policy_the_state_and_a_button(client: Client, orders: Consumer) -> None:
    page = client.get("/console/consumers/orders/")
    assert "backing off" in inside(page, f"c{orders.pk}-state")
    assert elements(page, "span", **{"data-standing": "backing off", "data-breaker": ""})
    assert "Breaker opens after 5 failures in a row or when more than 50 % of the last messages failed;" in text(page)
    assert elements(page, "form", action=TRY)


def test_a_try_is_stamped_on_the_row_and_audited(client: Client, orders: Consumer) -> None:
    before = timezone.now()
    page = client.post(TRY, follow=True)
    assert "orders tries one message now." in text(page)
    orders.refresh_from_db()
    assert orders.breaker_tried_at is not None
    assert orders.breaker_tried_at >= before
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.consumer, entry.actor_name) == ("consumer tried now", orders, "operator")
    assert "orders tried now by operator" in text(page)


@pytest.mark.parametrize("how", ["running", "paused"])
def test_there_is_nothing_to_try_unless_it_is_open(client: Client, orders: Consumer, how: str) -> None:
    if how == "paused":
        Consumer.objects.update(paused=True)
    else:
        orders.subscriptions.update(state="running", reason="")
    assert "has no open breaker" in text(client.post(TRY, follow=True))
    orders.refresh_from_db()
    assert (orders.breaker_tried_at, AuditEntry.objects.count()) == (None, 0)


def test_who_may_only_look_sees_the_button_locked(onlooker: Client, orders: Consumer) -> None:
    page = onlooker.get("/console/consumers/orders/")
    assert "You may not pause and resume consumers" in str(elements(page, "button", **{"class": "primary"}))
    assert onlooker.post(TRY).status_code == 403
    orders.refresh_from_db()
    assert orders.breaker_tried_at is None


def test_what_it_did_is_among_the_last_events(client: Client, orders: Consumer) -> None:
    audit.record(
        Action.CONSUMER_BREAKER,
        "orders, consume slot 0",
        actor=None,
        actor_name="web:1",
        consumer=orders,
        detail="breaker half-open, probing",
    )
    assert "orders breaker half-open, probing" in text(client.get("/console/"))


def test_the_plan_of_a_replay_says_that_a_breaker_is_open(client: Client, orders: Consumer) -> None:
    rows.make_letter(orders)
    rows.make_letter(rows.make_running())
    page = text(client.get("/console/replays/new/?scope=matching"))
    assert "Consumer's breaker is open 1" in page
    assert "paused by its breaker waits in its queue" in page
    orders.subscriptions.all().delete()
    assert "breaker" not in text(client.get("/console/replays/new/?scope=matching"))


def test_a_replay_says_that_a_consumer_of_it_takes_nothing_now(client: Client, orders: Consumer) -> None:
    replay = Replay.objects.create(selection="all", state=ReplayState.RUNNING, total=1)
    ReplayItem.objects.create(replay=replay, dead_letter=rows.make_letter(orders))
    other = Replay.objects.create(selection="all", state=ReplayState.RUNNING, total=1)
    ReplayItem.objects.create(replay=other, dead_letter=rows.make_letter(rows.make_running()))
    assert "orders is paused by its breaker" in text(client.get(f"/console/replays/{replay.pk}/"))
    assert "breaker" not in text(client.get(f"/console/replays/{other.pk}/"))
