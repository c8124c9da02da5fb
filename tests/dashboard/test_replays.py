"""Replays: planned, confirmed, watched, cancelled."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from stompconsole.models import AuditEntry, DeadLetter, DeadLetterState, Replay, ReplayItem, ReplayState, Worker
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, inside, text

PLAN = "/console/replays/new/"


def confirm(client: Client, url: str, **fields: str) -> Replay | None:
    """Read the plan, then send its form as it stands."""
    page = client.get(url)
    hidden: dict[str, list[str]] = {}
    for field in elements(page, "input", type="hidden"):
        hidden.setdefault(field["name"], []).append(field["value"])
    wanted = {name: values for name, values in hidden.items() if name in ("id", "scope", "as_of", "count", "consumer")}
    client.post(PLAN, {**wanted, **fields})
    return Replay.objects.order_by("pk").last()


def typed(page: HttpResponse) -> dict[str, str]:
    """What stands in the fields of a page, the last of each name."""
    return {field["name"]: field.get("value", "") for field in elements(page, "input") if "name" in field}


def test_a_list_leads_to_a_plan_with_the_choice_in_its_url(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    assert client.post(PLAN, {"id": [str(letter.pk)]})["Location"] == f"{PLAN}?id={letter.pk}"
    assert client.post(PLAN, {"scope": "matching", "consumer": "a", "text": "b"})["Location"] == (
        f"{PLAN}?scope=matching&consumer=a&text=b"
    )
    assert Replay.objects.count() == 0


def test_a_choice_of_nothing_goes_back_to_the_list_and_says_so(client: Client) -> None:
    for data in ({}, {"id": ["nope", ""]}):
        response = client.post(PLAN, {**data, "next": "/console/dead-letters/?state=all"}, follow=True)
        assert response.redirect_chain == [("/console/dead-letters/?state=all", 302)]
        assert "Nothing was selected" in text(response)


def test_the_plan_says_what_it_holds_before_anything_is_done(client: Client) -> None:
    consumer = rows.make_consumer(name="orders")
    for _ in range(3):
        rows.make_letter(consumer)
    rows.make_letter(consumer, error_type="TimeoutError", replays=1)
    rows.make_letter(consumer, origin="")
    rows.make_letter(None)
    page = text(client.get(f"{PLAN}?scope=matching"))
    assert "Replay 6 messages" in page
    assert "KeyError 5 TimeoutError 1" in page
    assert "/queue/orders 5 not known 1" in page
    assert "Replayed before 1 Origin not known 1 Consumer is gone 1" in page
    assert "Whose consumer is gone has nowhere to go back to: it is skipped and stays dead." in page
    assert "where to send the 1 message whose origin no broker has told; empty skips them" in page
    assert "Dead letters of orders." in text(client.get(f"{PLAN}?scope=matching&consumer=orders"))
    assert Replay.objects.count() == 0


def test_the_plan_says_what_may_stand_in_the_way(client: Client) -> None:
    paused = rows.make_consumer(broker=rows.make_broker(kind="rabbitmq"), paused=True)
    rows.make_letter(paused, replays=2, ago_s=7_200)
    large = rows.make_letter(paused)
    DeadLetter.objects.filter(pk=large.pk).update(body_size=5 * 2**20)
    page = text(client.get(f"{PLAN}?scope=matching&text=keyerror"))
    assert "Failed in the last hour 1 Failed in the last day 1 Oldest failed 2 h ago" in page
    assert "Replayed before 1 More than once 1" in page
    assert "Consumer is paused 2 Larger than usual limits 1" in page
    assert "waits in its queue until that is resumed" in page
    assert "1 message may be too large for the broker" in page
    [link] = [a["href"] for a in elements(client.get(f"{PLAN}?scope=matching"), "a") if "replayed%3Ano" in a["href"]]
    assert "Replay 1 message" in text(client.get(link.replace("&amp;", "&")))


def test_the_result_leads_to_its_audit(client: Client) -> None:
    replay = confirm(client, f"{PLAN}?id={rows.make_letter(rows.make_consumer()).pk}", reason="deployed")
    assert replay is not None
    href = f"/console/audit/?replay={replay.pk}"
    assert elements(client.get(replay.get_absolute_url()), "a", href=href)
    assert "replay created" in text(client.get(href))
    assert "No entry matches" in text(client.get("/console/audit/?replay=99"))
    assert "'x' is no number" in text(client.get("/console/audit/?replay=x"))


def test_confirming_a_selection_makes_the_replay(client: Client) -> None:
    letters = [rows.make_letter(rows.make_consumer()) for _ in range(3)]
    replay = confirm(client, f"{PLAN}?id={letters[0].pk}&id={letters[1].pk}", reason="deployed\0")
    assert replay is not None
    assert (replay.total, replay.reason) == (2, "deployed")
    assert set(replay.items.values_list("dead_letter_id", flat=True)) == {letters[0].pk, letters[1].pk}
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.detail, entry.remote_address) == ("operator", "deployed", "127.0.0.1")


def test_what_arrives_after_the_count_is_not_part_of_the_replay(client: Client) -> None:
    consumer = rows.make_consumer(name="orders")
    rows.make_letter(consumer)
    rows.make_letter(rows.make_consumer())
    page = client.get(f"{PLAN}?scope=matching&consumer=orders")
    [as_of] = elements(page, "input", name="as_of")
    rows.make_letter(consumer, ago_s=-1)
    form = {"scope": "matching", "consumer": "orders", "as_of": as_of["value"], "count": "1"}
    response = client.post(PLAN, form)
    replay = Replay.objects.get()
    assert response["Location"] == replay.get_absolute_url()
    assert replay.total == 1


def test_two_clicks_make_one_replay(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    confirm(client, f"{PLAN}?id={letter.pk}")
    form = {"id": str(letter.pk), "as_of": timezone.now().isoformat(), "count": "1"}
    response = client.post(PLAN, form, follow=True)
    assert Replay.objects.count() == 1
    assert "None of them is dead any more" in text(response)


@pytest.mark.parametrize("count", ["", "x", "-1", "9" * 40, "²"])
def test_a_confirmation_that_makes_no_sense_leads_back_to_the_plan(client: Client, count: str) -> None:
    rows.make_letter(rows.make_consumer())
    form = {"scope": "matching", "as_of": timezone.now().isoformat(), "count": count}
    assert client.post(PLAN, form)["Location"] == f"{PLAN}?scope=matching"
    assert client.post(PLAN, {**form, "count": "1", "as_of": "yesterday"})["Location"] == f"{PLAN}?scope=matching"
    assert Replay.objects.count() == 0


@pytest.mark.parametrize("query", ["", "?id=nope", "?id=%00", "?scope=matching&consumer=nope", "?scope=nope"])
def test_a_plan_of_nothing_says_so(client: Client, query: str) -> None:
    rows.make_letter(rows.make_consumer())
    assert "Nothing to replay" in text(client.get(PLAN + query))


def make_replay(**counts: int) -> Replay:
    """A replay with so many items in each state; a blank is written as an underscore."""
    replay = Replay.objects.create(selection="all", state="running", total=sum(counts.values()))
    now = timezone.now()
    for state, count in counts.items():
        for _ in range(count):
            item = {"state": state.replace("_", " "), "active": state == "waiting"}
            sent = None if state == "waiting" else now
            ReplayItem.objects.create(replay=replay, dead_letter=rows.make_letter(None), sent_at=sent, **item)
    return replay


def test_a_replay_that_no_worker_can_carry_out_says_so(client: Client) -> None:
    replay = make_replay(waiting=4)
    words = "no worker is running. Start one with python manage.py runworker stomp"
    assert words in text(client.get(replay.get_absolute_url()))
    assert words in text(client.get("/console/replays/"))
    rows.make_worker(silent_s=60)
    assert words in text(client.get(replay.get_absolute_url()))
    rows.make_worker()
    assert words not in text(client.get(replay.get_absolute_url()))
    Worker.objects.all().delete()
    Replay.objects.update(state="paused")
    assert words not in text(client.get(replay.get_absolute_url()))


def test_what_is_not_set_aside_yet_is_not_said_to_be_deleted(client: Client) -> None:
    replay = Replay.objects.create(selection="all", total=5, unfrozen={"filters": {}, "as_of": ""})
    assert "None is set aside for it yet" in inside(client.get(replay.get_absolute_url()), "items")
    Replay.objects.update(unfrozen=None)
    assert "have been deleted" in inside(client.get(replay.get_absolute_url()), "items")


def test_a_replay_shows_how_it_goes(client: Client) -> None:
    rows.make_worker()
    replay = make_replay(waiting=4, sent=1, processed=3, failed_again=1, skipped=1)
    page = client.get(replay.get_absolute_url())
    assert "3 processed1 sent1 failed again1 skipped4 to send" in text(page)
    assert inside(page, "sentence") == (
        "3 of 10 messages processed, 1 failed again, 1 sent and not yet handled, 1 skipped, 4 still to send."
    )
    assert "KeyError 1" in text(page)
    assert elements(page, "rect", **{"class": "processed", "width": "300.0"})
    assert "/s · about" in text(page)


def test_a_replay_that_is_over_can_not_be_cancelled(client: Client) -> None:
    replay = make_replay(processed=2)
    Replay.objects.update(state=ReplayState.DONE)
    page = client.get(replay.get_absolute_url())
    assert inside(page, "sentence") == "2 of 2 messages processed."
    assert not elements(page, "i", **{"data-going": ""})
    assert not elements(page, "i", **{"data-resting": ""})
    assert "had ended before" in text(client.post(reverse("stompconsole:replay-cancel", args=[replay.pk]), follow=True))


def test_cancelling_gives_back_what_was_not_sent(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    replay = confirm(client, f"{PLAN}?id={letter.pk}")
    assert replay is not None
    client.post(reverse("stompconsole:replay-cancel", args=[replay.pk]))
    replay.refresh_from_db()
    assert replay.state == ReplayState.CANCELLED
    assert DeadLetter.objects.get().state == DeadLetterState.DEAD


def test_all_replays_are_listed_newest_first(client: Client) -> None:
    first, second = make_replay(processed=1), make_replay(waiting=2)
    page = client.get("/console/replays/")
    links = [link["href"] for link in elements(page, "a", **{"class": "name"})]
    assert links == [second.get_absolute_url(), first.get_absolute_url()]
    assert "1 processed" in text(page)


def test_no_replay_yet_leads_to_the_dead_letters(client: Client) -> None:
    assert "Nothing has been replayed yet" in text(client.get("/console/replays/"))


def test_hostile_text_comes_out_as_text(client: Client) -> None:
    replay = make_replay(skipped=1, failed_again=1)
    Replay.objects.update(selection=rows.HOSTILE, reason=rows.HOSTILE, note=rows.HOSTILE)
    ReplayItem.objects.update(note=rows.HOSTILE)
    DeadLetter.objects.update(error_type=rows.HOSTILE, origin=rows.HOSTILE, state="dead")
    for url in (replay.get_absolute_url(), "/console/replays/", f"{PLAN}?scope=matching&text=%3Cscript%3Ealert"):
        assert "<script>alert" not in html(client.get(url))


def test_a_plan_is_typed_confirmed_and_shown_on_the_replay(client: Client) -> None:
    letters = [rows.make_letter(rows.make_consumer(name=f"c{number}")) for number in range(2)]
    plan = client.get(PLAN, {"id": [str(letter.pk) for letter in letters]})
    form = {
        "id": [str(letter.pk) for letter in letters],
        "as_of": typed(plan)["as_of"],
        "count": "2",
        "rate": "5",
        "canary": "1",
        "stop_above": "10",
        "stop_on_same": "on",
        "destination": "/queue/elsewhere",
    }
    page = client.post(PLAN, form, follow=True)
    replay = Replay.objects.get()
    assert (replay.rate, replay.canary, replay.stop_above_percent, replay.stop_on_same) == (5.0, [1], 10.0, True)
    assert "To /queue/elsewhere, at most 5 a second, first 1, stopping above 10 % failed again" in text(page)


@pytest.mark.parametrize(("field", "value"), [("rate", "fast"), ("canary", "some"), ("start_at", "soon")])
def test_a_plan_that_makes_no_sense_is_told_by_field_and_nothing_is_replayed(
    client: Client, field: str, value: str
) -> None:
    letter = rows.make_letter(None)
    plan = client.get(PLAN, {"id": str(letter.pk)})
    form = {"id": str(letter.pk), "as_of": typed(plan)["as_of"], "count": "1", "reason": "fixed", field: value}
    page = client.post(PLAN, form)
    assert page.status_code == 400
    assert elements(page, "input", id=field, value=value, **{"aria-invalid": "true"})
    assert typed(page)["reason"] == "fixed", "what was typed is kept"
    assert not Replay.objects.exists()


def test_a_large_plan_offers_a_canary_and_a_small_one_does_not(client: Client) -> None:
    few = rows.make_letter(None)
    small = client.get(PLAN, {"id": str(few.pk)})
    assert typed(small)["canary"] == ""
    for _ in range(31):
        rows.make_letter(None)
    large = client.get(PLAN, {"scope": "matching"})
    assert (typed(large)["canary"], typed(large)["stop_above"]) == ("1, 5, 25", "10")


def test_a_replay_is_paused_changed_and_resumed(client: Client) -> None:
    replay = make_replay(waiting=3)

    def act(name: str, **fields: str) -> str:
        return text(client.post(reverse(f"stompconsole:replay-{name}", args=[replay.pk]), fields, follow=True))

    assert "The replay is paused." in act("pause")
    page = client.get(replay.get_absolute_url())
    assert elements(page, "i", **{"data-resting": ""})
    assert "Nothing to do: the replay is paused." in act("pause")
    assert "at most 2.5 messages a second" in act("rate", rate="2.5")
    assert "is no rate" in act("rate", rate="fast")
    assert "without a limit" in act("rate", rate="")
    assert "The replay goes on." in act("resume")
    assert "Nothing to do" in act("end-canary")
    replay.refresh_from_db()
    assert (replay.state, replay.rate) == (ReplayState.WAITING, None)


def test_what_may_have_been_sent_twice_is_said_by_id(client: Client) -> None:
    replay = make_replay(sent=2)
    item = replay.items.first()
    assert item is not None
    replay.items.filter(pk=item.pk).update(doubtful=True)
    page = client.get(replay.get_absolute_url())
    assert "1 message may have been sent twice" in text(page)
    assert str(item.dead_letter_id) in text(page)


def test_the_plan_says_when_every_subscriber_of_a_topic_would_get_it_again(client: Client) -> None:
    broker = rows.make_broker(kind="activemq")
    of_topic = rows.make_letter(rows.make_consumer(broker=broker, destination="/topic/prices"), origin="/topic/prices")
    of_queue = rows.make_letter(rows.make_consumer(broker=broker))
    said = "Every subscriber of /topic/prices gets these messages again"
    assert said in text(client.get(f"{PLAN}?id={of_topic.pk}"))
    assert said not in text(client.get(f"{PLAN}?id={of_queue.pk}"))


class TestWithoutAnOrigin:
    """Where a message came from is not known: the plan asks where to send it, and the others go back all the same."""

    def test_the_destination_named_for_them_is_kept_with_the_replay(self, client: Client) -> None:
        consumer = rows.make_consumer()
        rows.make_letter(consumer)
        rows.make_letter(consumer, origin="")
        replay = confirm(client, f"{PLAN}?scope=matching", unknown_to="/queue/orders")
        assert replay is not None
        assert (replay.total, replay.destination, replay.unknown_to) == (2, "", "/queue/orders")
        shown = text(client.get(f"/console/replays/{replay.pk}/"))
        assert "hat has no known origin to /queue/orders" in shown

    def test_one_that_makes_no_sense_is_refused_at_its_field(self, client: Client) -> None:
        consumer = rows.make_consumer()
        rows.make_letter(consumer)
        rows.make_letter(consumer, origin="")
        assert confirm(client, f"{PLAN}?scope=matching", unknown_to="/queue/a b") is None

    def test_some_may_be_left_out_but_a_replay_of_nothing_else_is_not_made(self, client: Client) -> None:
        consumer = rows.make_consumer(name="orders")
        lost = rows.make_letter(consumer, origin="")
        assert confirm(client, f"{PLAN}?id={lost.pk}") is None
        page = client.post(PLAN, {"id": str(lost.pk), "as_of": timezone.now().isoformat(), "count": "1"})
        assert page.status_code == 400
        assert "Where they came from is not known: name where to send them." in text(page)
        assert confirm(client, f"{PLAN}?id={lost.pk}", destination="/queue/a") is not None
        rows.make_letter(consumer)
        rows.make_letter(consumer, origin="")
        assert confirm(client, f"{PLAN}?scope=matching") is not None

    def test_nothing_is_asked_where_every_origin_is_known(self, client: Client) -> None:
        letter = rows.make_letter(rows.make_consumer())
        assert not elements(client.get(f"{PLAN}?id={letter.pk}"), "input", name="unknown_to")

    def test_the_page_of_one_says_that_its_replay_will_ask(self, client: Client) -> None:
        letter = rows.make_letter(rows.make_consumer(), origin="")
        assert "origin not known → /queue/DLQ.orders, a replay asks where to send it" in text(
            client.get(letter.get_absolute_url())
        )

    def test_edit_and_replay_asks_as_well(self, client: Client) -> None:
        letter = rows.make_letter(rows.make_consumer(), origin="")
        url = f"{letter.get_absolute_url()}edit/"
        change = {"body": "{}", "confirmed": "yes"}
        assert "name where to send it" in text(client.post(url, change))
        assert client.post(url, {**change, "unknown_to": "/queue/ "}).status_code == 400
        assert Replay.objects.count() == 0
        client.post(url, {**change, "unknown_to": "/queue/orders"})
        assert Replay.objects.get().unknown_to == "/queue/orders"
