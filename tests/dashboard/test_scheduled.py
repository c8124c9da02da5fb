"""Retries that are parked, on their tab and their own page: when, how often still, and the two buttons."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from stompconsole.models import AuditEntry, DeadLetter, Replay
from tests.dashboard import rows
from tests.dashboard.reading import elements, fields_of, html, text

LIST = "/console/dead-letters/?state=scheduled"
SEND = "/console/dead-letters/send-now/"
CANCEL = "/console/dead-letters/cancel/"
RESTORE = "/console/dead-letters/restore/"


def scheduled(in_s: float = 270, **fields: Any) -> DeadLetter:
    consumer = fields.pop("consumer", None) or rows.make_consumer(retry_later="5m, 1h, 6h")
    due_at = timezone.now() + timedelta(seconds=in_s)
    return rows.make_letter(consumer, state="scheduled", due_at=due_at, **{"retry_step": 1, **fields})


def states() -> list[str]:
    return sorted(DeadLetter.objects.values_list("state", flat=True))


def test_the_tab_lists_what_is_due_with_its_step_the_soonest_first(client: Client) -> None:
    later = scheduled(7_300, error_message="later", retry_step=2)
    sooner = scheduled(270, error_message="sooner")
    page = client.get(LIST)
    words = text(page)
    assert words.index("sooner") < words.index("later")
    assert "in 4 min" in words
    assert "in 2 h" in words
    assert "step 1 of 3" in words
    assert "step 2 of 3" in words
    titles = {each.get("title") for each in elements(page, "time")}
    assert f"{sooner.due_at:%Y-%m-%d %H:%M:%S} UTC" in titles
    assert [each["value"] for each in elements(page, "input", name="id")] == [str(sooner.pk), str(later.pk)]


def test_a_message_whose_handler_asked_says_so(client: Client) -> None:
    scheduled(error_type="Retry", error_message="the shop is closed", retry_step=0)
    assert "as its handler asked" in text(client.get(LIST))


def test_pages_go_from_what_is_due_soon_to_what_is_due_late(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stompconsole.dashboard.paging.page_ahead.__defaults__", (2,))
    consumer = rows.make_consumer()
    for number in range(5):
        scheduled(60 * (number + 1), consumer=consumer, error_message=f"no {number}")

    def shown(page: Any) -> list[str]:
        return [row.error_message for row in page.context["page"].rows]

    first = client.get(LIST)
    assert shown(first) == ["no 0", "no 1"]
    [onward] = elements(first, "a", rel="next")
    second = client.get(f"/console/dead-letters/{onward['href']}")
    assert shown(second) == ["no 2", "no 3"]
    [back] = elements(second, "a", rel="prev")
    assert shown(client.get(f"/console/dead-letters/{back['href']}")) == ["no 0", "no 1"]
    [onward] = elements(second, "a", rel="next")
    last = client.get(f"/console/dead-letters/{onward['href']}")
    assert shown(last) == ["no 4"]
    assert elements(last, "a", rel="next") == []


def test_an_empty_tab_says_where_retries_would_come_from(client: Client) -> None:
    assert "Nothing waits to be tried again. A consumer's long retry steps" in text(client.get(LIST))


def test_a_letter_s_page_says_when_it_is_tried_again_with_both_buttons(client: Client) -> None:
    letter = scheduled()
    page = client.get(letter.get_absolute_url())
    assert "is tried again in 4 min (step 1 of 3)" in text(page)
    assert elements(page, "button", formaction=SEND)
    assert elements(page, "button", formaction=CANCEL)


def test_one_letter_leads_to_the_next_that_is_due(client: Client) -> None:
    first, second, third = (scheduled(60 * number) for number in (1, 2, 3))
    page = client.get(f"{second.get_absolute_url()}?state=scheduled")
    assert "2 of 3" in text(page)
    assert str(first.pk) in elements(page, "a", rel="prev")[0]["href"]
    assert str(third.pk) in elements(page, "a", rel="next")[0]["href"]


def test_what_was_selected_is_sent_now(client: Client) -> None:
    letters = [scheduled() for _ in range(2)]
    response = client.post(SEND, {"id": str(letters[0].pk), "next": LIST}, follow=True)
    assert "1 retry sent now." in text(response)
    assert states() == ["replaying", "scheduled"]
    replay = Replay.objects.get()
    assert str(replay.created_by) == "operator"
    history = text(client.get(letters[0].get_absolute_url()))
    assert f"put into replay {replay.pk} by operator" in history
    assert f"/console/replays/{replay.pk}/" in html(client.get("/console/replays/"))


def test_what_was_cancelled_is_dead_and_the_toast_takes_it_back(client: Client) -> None:
    letter = scheduled()
    response = client.post(CANCEL, {"id": str(letter.pk), "next": LIST}, follow=True)
    assert "1 retry cancelled." in text(response)
    assert states() == ["dead"]
    assert "retries cancelled by operator" in text(client.get(letter.get_absolute_url()))

    assert elements(response, "form", action=RESTORE)
    [act] = elements(response, "input", name="at")
    response = client.post(RESTORE, {"at": act["value"]}, follow=True)
    assert "1 retry scheduled anew." in text(response)
    assert states() == ["scheduled"]
    assert set(AuditEntry.objects.values_list("actor_name", flat=True)) == {"operator"}


@pytest.mark.parametrize(
    ("url", "words", "left"),
    [(SEND, "Send now: 2 retries", ["replaying", "replaying"]), (CANCEL, "Cancel: 2 retries", ["dead", "dead"])],
)
def test_all_that_match_only_after_a_page_has_said_how_many(
    client: Client, url: str, words: str, left: list[str]
) -> None:
    consumer = rows.make_consumer(name="orders")
    for _ in range(2):
        scheduled(consumer=consumer)
    scheduled()
    page = client.post(url, {"scope": "matching", "consumer": "orders", "state": "scheduled"})
    assert words in text(page)
    assert states() == ["scheduled"] * 3
    form = {field["name"]: field["value"] for field in elements(page, "input", type="hidden")}
    client.post(url, form, follow=True)
    assert states() == sorted([*left, "scheduled"])


def test_all_that_match_are_sent_by_a_replay_whose_page_comes_next(client: Client) -> None:
    for _ in range(2):
        scheduled()
    asked = client.post(SEND, {"scope": "matching", "state": "scheduled"})
    letter = DeadLetter.objects.first()
    assert letter is not None
    client.post(CANCEL, {"id": str(letter.pk)})
    page = client.post(SEND, fields_of(asked), follow=True)
    assert page.redirect_chain[-1][0] == f"/console/replays/{Replay.objects.get().pk}/"
    assert "1 retry left out: not scheduled any more." in text(page)


def begun(client: Client, count: int) -> Any:
    """The page of a large cancel, after its first slice."""
    consumer = rows.make_consumer(retry_later="5m, 1h, 6h")
    for _ in range(count):
        scheduled(consumer=consumer)
    return client.post(
        CANCEL, fields_of(client.post(CANCEL, {"scope": "matching", "state": "scheduled", "next": LIST}))
    )


@pytest.mark.usefixtures("slices")
def test_very_many_are_cancelled_and_scheduled_anew_slice_by_slice(client: Client) -> None:
    page = begun(client, 5)
    assert "Cancelling the retries of 5 messages" in text(page)
    assert "2 of 5 cancelled" in text(page)
    page = client.post(CANCEL, fields_of(page))
    assert "4 of 5 cancelled" in text(page)
    page = client.post(CANCEL, fields_of(page), follow=True)
    assert "5 retries cancelled." in text(page)
    assert states() == ["dead"] * 5
    assert [entry.target for entry in AuditEntry.objects.all()] == ["5 retries, dead letters"]

    [act] = elements(page, "input", name="at")
    page = client.post(RESTORE, {"at": act["value"], "next": LIST})
    assert "2 of 5 scheduled anew" in text(page)
    page = client.post(RESTORE, fields_of(client.post(RESTORE, fields_of(page))), follow=True)
    assert "5 retries scheduled anew." in text(page)
    assert states() == ["scheduled"] * 5
    assert sorted(AuditEntry.objects.values_list("action", flat=True)) == [
        "retries cancelled",
        "retries scheduled anew",
    ]


@pytest.mark.usefixtures("slices")
def test_a_large_cancel_can_be_stopped_and_what_it_did_be_undone(client: Client) -> None:
    page = client.post(CANCEL, {**fields_of(begun(client, 5)), "stop": "1"}, follow=True)
    assert "Stopped: 2 retries cancelled, the others left as they were." in text(page)
    assert states() == ["dead"] * 2 + ["scheduled"] * 3
    assert AuditEntry.objects.get(action="cancel of retries stopped").target == "2 of 5 retries were"
    [act] = elements(page, "input", name="at")
    assert "2 retries scheduled anew." in text(client.post(RESTORE, {"at": act["value"]}, follow=True))


@pytest.mark.usefixtures("slices")
def test_scheduling_very_many_anew_can_be_stopped_too(client: Client) -> None:
    page = client.post(CANCEL, fields_of(client.post(CANCEL, fields_of(begun(client, 5)))), follow=True)
    [act] = elements(page, "input", name="at")
    page = client.post(RESTORE, {"at": act["value"], "next": LIST})
    page = client.post(RESTORE, {**fields_of(page), "stop": "1"}, follow=True)
    assert "Stopped: 2 retries scheduled anew, the others stay cancelled." in text(page)
    assert states() == ["dead"] * 3 + ["scheduled"] * 2


def test_a_choice_of_nothing_says_so(client: Client) -> None:
    assert "Nothing was selected" in text(client.post(SEND, {"id": "nope"}, follow=True))
    assert "None of it is scheduled any more" in text(client.post(CANCEL, {"scope": "matching"}))
    assert "Nothing to undo" in text(client.post(RESTORE, {"at": "nope"}, follow=True))


def test_who_may_not_replay_sees_why(onlooker: Client) -> None:
    letter = scheduled()
    for page in (onlooker.get(LIST), onlooker.get(letter.get_absolute_url())):
        for url in (SEND, CANCEL):
            [button] = elements(page, "button", formaction=url)
            assert button["title"] == "You may not replay dead letters: ask for the permission to replay dead letters."


def test_a_retry_is_not_dead_and_makes_nothing_red(client: Client) -> None:
    letter = scheduled(consumer=rows.make_running(name="orders", retry_later="5m"))
    overview = client.get("/console/")
    assert re.search(r"Dead letters ?0 ?none", text(overview))
    assert "1 retry scheduled" in text(overview)
    assert letter.group is not None
    assert "KeyError" not in text(client.get("/console/groups/"))
    tab = next(tab for tab in client.get("/console/groups/").context["tabs"] if tab.label == "Scheduled")
    assert tab.count == "1"


def test_retries_that_were_due_are_not_among_the_replays_people_asked_for(client: Client) -> None:
    routine = Replay.objects.create(
        selection="scheduled retries of orders", scheduled=True, routine=True, state="running"
    )
    scheduled()
    page = client.get("/console/replays/")
    assert "scheduled retries of orders" not in text(page)
    assert "1 retry scheduled." in text(page)
    assert re.search(r"Replays ?0 running", text(client.get("/console/")))
    assert "by itself, when they were due" in text(client.get(routine.get_absolute_url()))


def test_the_metrics_count_them_by_their_own_state(client: Client) -> None:
    scheduled(consumer=rows.make_consumer(name="orders"))
    assert 'stompconsole_dead_letters{consumer="orders",state="scheduled"} 1.0' in html(client.get("/console/metrics"))


def test_an_onlooker_s_stream_ticks_the_state(client: Client) -> None:
    from stompconsole.dashboard.letter.page import fragments

    assert "is tried again" in fragments(str(scheduled().pk))["letter-state"]
