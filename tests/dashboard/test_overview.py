"""The first page: is everything running, how fast, what needs a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from stompconsole import audit
from stompconsole.dashboard import formats
from stompconsole.delivery.giving_up import HELD_UP
from stompconsole.models import AuditEntry, Consumer, SubscriptionState, WorkerState
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, inside, text

URL = "/console/"


def cell(client: Client, consumer: Consumer, column: str, query: str = "") -> str:
    return inside(client.get(URL + query), f"c{consumer.pk}-{column}")


def test_a_running_consumer_shows_its_figures(client: Client) -> None:
    orders = rows.make_running(name="orders", prefetch=200)
    page = client.get(URL)
    assert inside(page, f"c{orders.pk}-state") == "running 1 of 1"
    assert inside(page, f"c{orders.pk}-in") == "412"
    assert inside(page, f"c{orders.pk}-acked") == "400"
    assert inside(page, f"c{orders.pk}-failed") == "3.1"
    assert inside(page, f"c{orders.pk}-flight") == "18/200"
    assert "412" not in inside(page, "tile-handled")
    assert "400 /s3.1 failed/s" in text(page)


def test_figures_of_all_slots_are_added_up(client: Client) -> None:
    orders = rows.make_running(instances=2, prefetch=100)
    rows.make_slot(orders, rows.make_worker(), received_per_s=88, acked_per_s=1, in_flight=2)
    page = client.get(URL)
    assert inside(page, f"c{orders.pk}-state") == "running 2 of 2"
    assert inside(page, f"c{orders.pk}-in") == "500"
    assert inside(page, f"c{orders.pk}-flight") == "20/200"


def test_a_broken_slot_shows_its_reason(client: Client) -> None:
    consumer = rows.make_consumer()
    rows.make_slot(consumer, rows.make_worker(), SubscriptionState.BROKEN, reason="handler x does not import")
    assert cell(client, consumer, "state") == "broken 0 of 1 handler x does not import"


def test_a_consumer_whose_dead_letters_can_t_be_sent_runs_needs_a_person_and_says_why(client: Client) -> None:
    consumer = rows.make_consumer(name="orders", broker=rows.make_broker(name="rabbit"))
    why = f"{HELD_UP} to /queue/DLQ.orders, what failed stays with the broker: the broker does not confirm"
    rows.make_slot(consumer, rows.make_worker(), reason=why)
    assert cell(client, consumer, "state") == f"running 1 of 1 {why}"
    shown = text(client.get(URL + "?show=attention"))
    assert "orders held up" in shown
    assert "rabbit takes no dead letters" in shown


def test_without_a_worker_the_page_says_how_to_start_one(client: Client) -> None:
    consumer = rows.make_consumer()
    page = client.get(URL)
    assert "no worker is running: start one with `python manage.py runworker stomp`" in inside(
        page, f"c{consumer.pk}-state"
    )
    assert "No worker is running. Start one with" in text(page)


def test_a_slot_nobody_has_taken_yet_is_waited_for(client: Client) -> None:
    rows.make_worker()
    consumer = rows.make_consumer()
    assert cell(client, consumer, "state") == "starting 0 of 1 waiting for a worker to take it"


@pytest.mark.parametrize("lease_s", [-1, 10])
def test_figures_of_a_silent_worker_are_called_stale_instead_of_shown(client: Client, lease_s: float) -> None:
    consumer = rows.make_consumer()
    silent = rows.make_worker(hostname="old", pid=7, silent_s=60)
    rows.make_slot(consumer, silent, lease_s=lease_s, received_per_s=412, in_flight=9)
    page = client.get(URL)
    assert inside(page, f"c{consumer.pk}-state").startswith("stale 0 of 1 worker old:7 has gone silent")
    assert inside(page, f"c{consumer.pk}-in") == "stale"
    assert inside(page, f"c{consumer.pk}-flight") == "stale"
    assert "412" not in text(page)


def test_a_slot_whose_lease_ran_out_is_not_believed(client: Client) -> None:
    consumer = rows.make_consumer()
    rows.make_slot(consumer, rows.make_worker(), lease_s=-1, received_per_s=412)
    page = client.get(URL)
    assert inside(page, f"c{consumer.pk}-state").startswith("starting 0 of 1")
    assert inside(page, f"c{consumer.pk}-in") == formats.NONE


def test_zero_instances_want_one_slot_in_every_live_worker(client: Client) -> None:
    consumer = rows.make_running(instances=0)
    rows.make_worker()
    rows.make_worker(state=WorkerState.STOPPED)
    assert cell(client, consumer, "state").startswith("starting 1 of 2")


def test_a_paused_consumer_says_by_whom_and_why(client: Client) -> None:
    consumer = rows.make_consumer(paused=True, paused_by=rows.make_user(name="ann"), paused_reason="schema change")
    assert cell(client, consumer, "state") == "paused by ann: schema change"


def test_pausing_drains_before_it_is_paused(client: Client) -> None:
    consumer = rows.make_running(paused=True)
    assert cell(client, consumer, "state").startswith("draining")


def test_what_needs_a_person_comes_first(client: Client) -> None:
    rows.make_running(name="aaa")
    broken = rows.make_consumer(name="zzz")
    rows.make_slot(broken, rows.make_worker(), SubscriptionState.BROKEN, reason="why")
    page = html(client.get(URL))
    assert page.index(">zzz<") < page.index(">aaa<")


def test_consumers_can_be_filtered_by_name_destination_and_state(client: Client) -> None:
    rows.make_running(name="orders", destination="/queue/a")
    rows.make_running(name="mail", destination="/topic/b")
    rows.make_consumer(name="resting", paused=True)
    rows.make_letter(Consumer.objects.get(name="mail"))

    def shown(query: str) -> set[str]:
        links = elements(client.get(URL + query), "a", **{"class": "name"})
        return {link["href"].split("/")[-2] for link in links}

    assert shown("?q=ORD") == {"orders"}
    assert shown("?q=/topic/") == {"mail"}
    assert shown("?show=paused") == {"resting"}
    assert shown("?show=attention") == {"mail"}
    assert shown("") == {"orders", "mail", "resting"}


def test_each_empty_page_says_why_and_what_to_do_next(client: Client) -> None:
    assert "There is no broker yet" in text(client.get(URL))
    assert elements(client.get(URL), "a", href="/admin/stompconsole/broker/add/")
    rows.make_broker()
    assert "There is no consumer yet" in text(client.get(URL))
    assert elements(client.get(URL), "a", href="/admin/stompconsole/consumer/add/")
    rows.make_running()
    assert "All is well" in text(client.get(URL + "?show=attention"))
    assert "No consumer is paused" in text(client.get(URL + "?show=paused"))
    assert "No consumer matches" in text(client.get(URL + "?q=zzz"))


def test_dead_letters_lead_to_the_list_of_that_consumer(client: Client) -> None:
    consumer = rows.make_running(name="orders")
    for _ in range(3):
        rows.make_letter(consumer)
    rows.make_letter(consumer, state="discarded")
    page = client.get(URL)
    assert inside(page, f"c{consumer.pk}-dead") == "3"
    [link] = elements(page, "a", id=f"c{consumer.pk}-dead")
    assert link["href"] == "/console/dead-letters/?consumer=orders"
    assert link["title"] == "KeyError: 'sku'"


def test_every_tile_is_a_link(client: Client) -> None:
    rows.make_running()
    tiles = elements(client.get(URL), "a", **{"class": "tile"})
    assert len(tiles) == 7
    assert all(tile["href"] for tile in tiles)


@pytest.mark.long
def test_the_span_of_the_sparklines_is_chosen_in_the_url(client: Client) -> None:
    consumer = rows.make_running()
    now = timezone.now()
    rows.make_bucket(consumer, now - timedelta(hours=3), 3600, received=7200, latency=[0] * 4 + [50] * 2 + [0] * 10)
    assert "nothing" in html(client.get(URL))
    page = html(client.get(URL + "?range=24h"))
    assert "messages in over the last 24 hours, at most 2.0 a second" in page


def test_handler_times_are_read_from_the_histogram(client: Client) -> None:
    consumer = rows.make_running()
    rows.make_bucket(consumer, timezone.now() - timedelta(seconds=60), acked=100, latency=[0, 0, 100] + [0] * 13)
    assert cell(client, consumer, "times") == "4 / 5"


def test_workers_and_last_events_are_told(client: Client) -> None:
    worker = rows.make_worker(hostname="web-1", pid=4121, memory_bytes=104 * 2**20)
    consumer = rows.make_consumer(name="orders")
    rows.make_slot(consumer, worker)
    audit.record("consumer state", "orders", actor=None, actor_name="w", consumer=consumer, detail="running at last")
    audit.record("replay created", "60 dead letters", actor=rows.make_user(name="ann"), detail="fixed")
    page = text(client.get(URL))
    assert "web-1:4121 running 1 104 MB just now" in page
    assert "orders running at last" in page
    assert "Replay created: 60 dead letters by ann: fixed" in page


def test_a_worker_that_died_yesterday_is_no_fault_of_today(client: Client) -> None:
    rows.make_worker(hostname="ancient", silent_s=25 * 3600)
    rows.make_worker(hostname="recent", silent_s=600)
    page = text(client.get(URL))
    assert "ancient" not in page
    assert "recent" in page


@pytest.mark.parametrize(
    "query",
    [
        "?range=nope",
        "?show=nope",
        "?q=%00",
        "?q=%F0%9F%92%A9",
        "?range=&show=&q=",
        "?q=" + "x" * 5000,
        "?page=x",
        "?q=%ff",
    ],
)
def test_a_bad_query_string_shows_the_page_all_the_same(client: Client, query: str) -> None:
    rows.make_running()
    assert client.get(URL + query).status_code == 200


def test_hostile_text_comes_out_as_text(client: Client) -> None:
    consumer = rows.make_consumer(destination=rows.HOSTILE, paused=True, paused_reason=rows.HOSTILE)
    slot_of = rows.make_consumer(destination=rows.HOSTILE)
    rows.make_slot(slot_of, rows.make_worker(hostname=rows.HOSTILE), SubscriptionState.BROKEN, reason=rows.HOSTILE)
    rows.make_letter(consumer, error_type=rows.HOSTILE, error_message=rows.HOSTILE)
    audit.record(rows.HOSTILE, rows.HOSTILE, actor=None, actor_name=rows.HOSTILE, detail=rows.HOSTILE)
    page = html(client.get(URL + "?q=%3Cscript%3E")) + html(client.get(URL))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_page_costs_as_many_queries_for_twenty_consumers_as_for_one(client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(URL)
        return len(captured)

    rows.make_running()
    one = queries()
    for _ in range(19):
        rows.make_letter(rows.make_running(paused_by=rows.make_user()))
    assert queries() == one


def test_pausing_and_resuming_are_written_down(client: Client) -> None:
    consumer = rows.make_running(name="orders")
    pause = reverse("stompconsole:consumer-pause", args=["orders"])
    response = client.post(pause, {"reason": "deploy\0 4.2", "next": URL}, follow=True)
    assert response.redirect_chain == [(URL, 302)]
    assert "orders is paused" in text(response)
    consumer.refresh_from_db()
    assert (consumer.paused, consumer.paused_reason) == (True, "deploy 4.2")
    assert consumer.paused_by is not None
    assert consumer.paused_by.username == "operator"

    client.post(reverse("stompconsole:consumer-resume", args=["orders"]))
    consumer.refresh_from_db()
    assert (consumer.paused, consumer.paused_reason) == (False, "")
    assert Consumer.objects.get().paused_by is None
    entries = list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name", "detail", "remote_address"))
    assert entries == [
        ("consumer paused", "operator", "deploy 4.2", "127.0.0.1"),
        ("consumer resumed", "operator", "", "127.0.0.1"),
    ]


def test_pausing_twice_is_written_down_once(client: Client) -> None:
    consumer = rows.make_consumer()
    url = reverse("stompconsole:consumer-pause", args=[consumer.name])
    client.post(url)
    assert "was paused already" in text(client.post(url, follow=True))
    assert AuditEntry.objects.count() == 1
