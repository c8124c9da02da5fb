"""The page of a consumer, the workers, the audit, and the probes."""

from __future__ import annotations

import json
from datetime import timedelta
from unittest import mock

import pytest
from django.db import OperationalError, connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stompconsole import audit
from stompconsole.models import AuditEntry, Purpose, SubscriptionState, WorkerState
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, inside, text


def test_a_consumers_page_shows_figures_definition_and_slots(client: Client) -> None:
    orders = rows.make_running(name="orders", destination="/queue/orders", max_attempts=3)
    worker = rows.make_worker(hostname="web-2", pid=88)
    rows.make_slot(orders, worker, purpose=Purpose.CAPTURE, server="RabbitMQ/3.13", endpoint="rabbit:61613")
    rows.make_letter(orders)
    audit.record(
        "consumer paused", "consumer orders", actor=rows.make_user(name="ann"), consumer=orders, detail="deploy"
    )
    page = client.get("/console/consumers/orders/?range=1h")
    assert inside(page, f"c{orders.pk}-in") == "412"
    assert inside(page, f"c{orders.pk}-state") == "running 1 of 1"
    assert "Handler orders.handlers.handle" in text(page)
    assert "3; first retry after 1 s, then 2 times that, at most 60 s" in text(page)
    assert "Dead letters /queue/DLQ.orders" in text(page)
    assert "dead letters running web-2:88" in text(page)
    assert "RabbitMQ/3.13 rabbit:61613" in text(page)
    assert "KeyError: 'sku'" in text(page)
    assert "orders paused by ann: deploy" in text(page)
    assert elements(page, "a", href=f"/admin/stompconsole/consumer/{orders.pk}/change/")


def test_a_consumers_page_draws_what_was_acked_and_what_failed(client: Client) -> None:
    orders = rows.make_running(name="orders")
    at = timezone.now() - timedelta(seconds=120)
    rows.make_bucket(orders, at, acked=1_000, dead_lettered=20, retried=10)
    page = client.get("/console/consumers/orders/")
    assert inside(page, "chart-top") == "100"
    assert inside(page, "chart-total") == "1,000 acked, 30 failed in 15 minutes"


def test_a_consumers_page_costs_as_many_queries_for_twenty_slots_as_for_one(client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/console/consumers/orders/")
        return len(captured)

    orders = rows.make_running(name="orders")
    rows.make_letter(orders)
    one = queries()
    for _ in range(19):
        rows.make_slot(orders, rows.make_worker())
        rows.make_letter(rows.make_running())
    assert queries() == one


def test_a_consumers_page_says_which_slot_has_what_trouble(client: Client) -> None:
    orders = rows.make_running(name="orders", instances=3)
    rows.make_slot(orders, rows.make_worker(), SubscriptionState.BACKING_OFF, reason="connection refused")
    rows.make_slot(orders, None)
    page = client.get("/console/consumers/orders/")
    assert inside(page, f"c{orders.pk}-state") == "backing off 1 of 3 connection refused"
    assert "backing off connection refused" in text(page)
    assert "free" in text(page)


def test_hostile_text_on_a_consumers_page_comes_out_as_text(client: Client) -> None:
    hostile = rows.HOSTILE
    orders = rows.make_consumer(name="orders", destination=hostile, handler=hostile, dead_letter_destination=hostile)
    rows.make_slot(
        orders,
        rows.make_worker(hostname=hostile),
        SubscriptionState.BROKEN,
        reason=hostile,
        server=hostile,
        endpoint=hostile,
    )
    rows.make_letter(orders, error_type=hostile, error_message=hostile)
    audit.record("consumer " + hostile[:20], hostile, actor=None, actor_name=hostile, consumer=orders, detail=hostile)
    page = html(client.get("/console/consumers/orders/"))
    assert "<script>alert" not in page


def test_all_workers_are_listed_with_their_state(client: Client) -> None:
    rows.make_worker(hostname="web", pid=1)
    rows.make_worker(hostname="web", pid=2, silent_s=300)
    rows.make_worker(hostname="web", pid=3, silent_s=3600, state=WorkerState.STOPPED)
    rows.make_worker(hostname="web", pid=4, state=WorkerState.DRAINING)
    page = text(client.get("/console/workers/"))
    for words in ("web:1 running", "web:2 stale", "web:3 stopped", "web:4 draining"):
        assert words in page


def test_no_worker_yet_says_how_to_start_one(client: Client) -> None:
    assert "python manage.py runworker stomp" in text(client.get("/console/workers/"))


def test_the_audit_is_filtered_by_text_and_consumer(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    audit.record("consumer paused", "consumer orders", actor=None, actor_name="ann", consumer=orders)
    audit.record("replay created", "60 dead letters", actor=None, actor_name="bob", detail="deployed")
    assert "ann consumer paused consumer orders" in text(client.get("/console/audit/?consumer=orders"))
    assert "bob" not in text(client.get("/console/audit/?consumer=orders"))
    assert "ann" not in text(client.get("/console/audit/?text=DEPLOY"))
    assert "No entry matches" in text(client.get("/console/audit/?text=zzz"))


def test_the_audit_is_filtered_by_action_person_and_time(client: Client) -> None:
    audit.record(audit.Action.DISCARDED, "one", actor=None, actor_name="ann")
    audit.record(audit.Action.REPLAY_CREATED, "two", actor=None, actor_name="bob")
    with mock.patch.object(timezone, "now", return_value=timezone.now() - timedelta(days=3)):
        audit.record(audit.Action.REPLAY_CREATED, "three", actor=None, actor_name="bob")
    for query, found in (
        ("action=replay+created", {"two", "three"}),
        ("who=ann", {"one"}),
        ("since=1d", {"one", "two"}),
        ("until=1d", {"three"}),
        ("since=nonsense", set()),
    ):
        page = text(client.get(f"/console/audit/?{query}"))
        assert {word for word in ("one", "two", "three") if f" {word} " in f"{page} "} == found, query
    assert "'nonsense' is no time" in text(client.get("/console/audit/?since=nonsense"))


def test_the_audit_is_exported_as_it_is_filtered(client: Client) -> None:
    audit.record("a", "one", actor=None, actor_name="ann", detail="<b>", data={"before": 1})
    audit.record("a", "two", actor=None, actor_name="bob")
    response = client.get("/console/audit/?who=ann&export=ndjson")
    assert response["Content-Disposition"].startswith("attachment")
    [line] = [json.loads(part) for part in response.getvalue().splitlines()]
    assert (line["who"], line["target"], line["detail"], line["data"]) == ("ann", "one", "<b>", {"before": 1})


def test_the_audit_is_read_page_by_page_with_the_filter_kept(client: Client) -> None:
    for number in range(51):
        audit.record("consumer state", f"number-{number}-", actor=None, actor_name="w")
    page = client.get("/console/audit/?text=number")
    assert "number-50-" in text(page)
    [older] = elements(page, "a", rel="next")
    assert "text=number" in older["href"]
    assert "number-0-" in text(client.get("/console/audit/" + older["href"]))


@pytest.mark.parametrize(
    "query", ["?text=%00", "?consumer=%00", "?before=x", "?before=2026-01-01T00:00:00Z_x", "?page=x"]
)
def test_a_bad_query_string_of_the_audit_is_no_error(client: Client, query: str) -> None:
    assert client.get(f"/console/audit/{query}").status_code == 200


def test_hostile_text_in_the_audit_comes_out_as_text(client: Client) -> None:
    audit.record(rows.HOSTILE, rows.HOSTILE, actor=None, actor_name=rows.HOSTILE, detail=rows.HOSTILE)
    assert AuditEntry.objects.count() == 1
    assert "<script>alert" not in html(client.get("/console/audit/"))


def test_probes_need_no_login(db: None) -> None:
    for name in ("healthz", "readyz"):
        response = Client().get(f"/console/{name}")
        assert (response.status_code, response.content) == (200, b"ok\n")


def test_readyz_says_when_the_database_is_away(db: None, caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch.object(connection, "cursor", side_effect=OperationalError("password=secret")):
        response = Client().get("/console/readyz")
    assert response.status_code == 503
    assert b"secret" not in response.content


def test_metrics_need_the_view_permission_when_there_is_no_token(client: Client, stranger: Client) -> None:
    assert client.get("/console/metrics").status_code == 200
    assert stranger.get("/console/metrics").status_code == 403
    assert Client().get("/console/metrics").status_code == 302


@override_settings(STOMPCONSOLE={"METRICS_TOKEN": "s3cret"})
def test_metrics_need_the_token_when_there_is_one(client: Client) -> None:
    right = Client().get("/console/metrics", headers={"Authorization": "Bearer s3cret"})
    assert right.status_code == 200
    for wrong in ("Bearer nope", "s3cret", "Bearer ", "Bearer s3cre\xe4"):
        response = client.get("/console/metrics", headers={"Authorization": wrong})
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
