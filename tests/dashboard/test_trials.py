"""Trials on the pages: what is said before, what is shown as it goes, and who may ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from stompconsole.dashboard.stream.rendering import render_once
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.deadletters.trying import trial_rows
from stompconsole.models import AuditEntry, DeadLetter, Trial, TrialItem, TrialItemState, TrialState
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, inside, text

PLAN = "/console/trials/new/"


@pytest.fixture
def _on() -> Iterator[None]:
    with override_settings(STOMPCONSOLE={"TRY_HANDLERS": True}):
        yield


def make_trial(letters: list[DeadLetter], state: str = TrialState.RUNNING, **fields: object) -> Trial:
    trial = Trial.objects.create(selection="a sample", state=state, total=len(letters), **fields)
    TrialItem.objects.bulk_create([TrialItem(trial=trial, dead_letter=letter) for letter in letters])
    return trial


def button(client: Client, url: str) -> dict[str, str]:
    [found] = elements(client.get(url), "button", form="try")
    return found


def test_where_it_is_off_the_button_says_what_to_set_and_a_post_is_refused(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    group = reverse("stompconsole:group", args=[letter.group_id])
    for url in (letter.get_absolute_url(), group):
        found = button(client, url)
        assert "disabled" in found
        assert 'STOMPCONSOLE["TRY_HANDLERS"]' in found["title"]
    for response in (client.get(f"{PLAN}?id={letter.pk}"), client.post(PLAN, {"id": str(letter.pk)})):
        assert response.status_code == 403
        assert "Trying handlers is off" in text(response)
    assert not Trial.objects.exists()


@pytest.mark.usefixtures("_on")
def test_who_may_not_try_sees_the_button_with_the_reason(onlooker: Client, client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    assert button(onlooker, letter.get_absolute_url())["title"].startswith("You may not try handlers")
    assert "disabled" not in button(client, letter.get_absolute_url())


@pytest.mark.usefixtures("_on")
def test_before_a_message_is_tried_the_page_says_what_is_not_undone(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(handler="orders.handlers.price_of"))
    page = client.get(f"{PLAN}?id={letter.pk}")
    assert "Try today's handler on this message orders.handlers.price_of" in text(page)
    assert "HTTP calls, files, mails, caches, other brokers" in text(page)
    assert f"at most {trial_rows.limit_s():.3g} s for each message" in text(page)
    response = client.post(PLAN, {"id": str(letter.pk)})
    trial = Trial.objects.get()
    assert response["Location"] == trial.get_absolute_url()
    assert trial.items.get().dead_letter == letter
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.remote_address) == ("trial started", "operator", "127.0.0.1")


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize(("size", "taken"), [("50", 12), ("10", 10), ("7", 10), ("x", 10), ("", 10)])
def test_a_group_is_tried_by_a_sample(client: Client, size: str, taken: int) -> None:
    consumer = rows.make_consumer()
    letters = [rows.make_letter(consumer) for _ in range(12)]
    page = client.get(f"{PLAN}?group={letters[0].group_id}")
    assert [option["value"] for option in elements(page, "option")] == ["10", "50", "100"]
    client.post(PLAN, {"group": str(letters[0].group_id), "size": size})
    assert Trial.objects.get().items.count() == taken


@pytest.mark.usefixtures("_on")
def test_a_group_of_which_none_is_dead_says_so(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(), state="processed")
    response = client.post(PLAN, {"group": str(letter.group_id), "size": "10"})
    assert response.status_code == 409
    assert "nothing to try" in text(response)


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize("query", ["", "?id=nope", "?id=%00", "?group=x", "?group=99999999999999999999", "?group=7777"])
def test_what_is_not_there_can_not_be_tried(client: Client, query: str) -> None:
    assert client.get(PLAN + query).status_code == 404


@pytest.mark.usefixtures("_on")
def test_a_result_stands_beside_the_old_failure(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(), traceback="Traceback …\nKeyError: 'sku'", error_message="'sku'")
    trial = make_trial([letter], TrialState.DONE)
    trial.items.update(
        state=TrialItemState.FAILED,
        seconds=0.1234,
        error_type="ValueError",
        error_message=rows.HOSTILE,
        output=rows.HOSTILE,
        notes=["It would have sent 2 messages to /queue/totals."],
    )
    page = client.get(trial.get_absolute_url())
    shown = text(page)
    assert "As it died" in shown
    assert "Traceback …" in shown
    assert "123 ms · fails otherwise than before" in shown
    assert "ValueError: <script>" in shown
    assert "<script>alert" not in html(page)
    assert "It would have sent 2 messages to /queue/totals." in shown
    assert inside(page, "sentence") == "0 of 1 would pass now; 1 now ValueError."
    assert "Whatever else it does is done" in shown


@pytest.mark.usefixtures("_on")
def test_a_sample_lists_what_would_not_pass_first_and_leads_to_a_replay(client: Client) -> None:
    consumer = rows.make_consumer()
    letters = [rows.make_letter(consumer) for _ in range(4)]
    trial = make_trial(letters, group=letters[0].group)
    good, bad, *_ = trial.items.order_by("pk")
    TrialItem.objects.filter(pk=good.pk).update(state=TrialItemState.PASSED)
    TrialItem.objects.filter(pk=bad.pk).update(
        state=TrialItemState.FAILED, error_type="KeyError", error_message="'sku'", same_as_before=True
    )
    page = client.get(trial.get_absolute_url())
    assert inside(page, "sentence") == "1 of 4 would pass now; 1 still KeyError; 2 not tried yet."
    links = [found["href"] for found in elements(page, "a") if "?item=" in found.get("href", "")]
    assert links[0] == f"{trial.get_absolute_url()}?item={bad.pk}#trial-item"
    assert "Plan a replay of this group" in text(page)
    assert "As it died" in text(client.get(f"{trial.get_absolute_url()}?item={good.pk}"))
    assert client.get(f"{trial.get_absolute_url()}?item=x").status_code == 200
    group_page = text(client.get(reverse("stompconsole:group", args=[trial.group_id])))
    assert "1 of 4 would pass now; 1 still KeyError" in group_page


@pytest.mark.usefixtures("_on")
def test_an_open_page_follows_the_trial(client: Client) -> None:
    trial = make_trial([rows.make_letter(rows.make_consumer())])
    page = client.get(trial.get_absolute_url())
    assert f"page=trial&amp;subject={trial.pk}" in html(page)
    trial.items.update(state=TrialItemState.PASSED)
    Trial.objects.update(state=TrialState.DONE)
    parts = render_once(Topic(page=Page.TRIAL, subject=f"{trial.pk}"))
    assert parts["sentence"] == "1 of 1 would pass now."
    assert all(f'id="{name}"' in html(page) for name in parts)
    assert "data-going" not in parts["trial-state"]
    for nonsense in ("", "x", "7777", ":", "9" * 30):
        assert render_once(Topic(page=Page.TRIAL, subject=nonsense)) == {}


@pytest.mark.usefixtures("_on")
def test_it_can_be_cancelled_once(client: Client) -> None:
    trial = make_trial([rows.make_letter(rows.make_consumer())])
    url = reverse("stompconsole:trial-cancel", args=[trial.pk])
    assert "The trial is cancelled" in text(client.post(url, follow=True))
    assert "had ended before" in text(client.post(url, follow=True))
    trial.refresh_from_db()
    assert (trial.state, trial.note) == (TrialState.CANCELLED, "cancelled by operator")


def test_the_history_of_a_dead_letter_tells_of_its_trials(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    trial = make_trial([letter], TrialState.DONE)
    trial.items.update(state=TrialItemState.PASSED, finished_at=letter.captured_at)
    page = client.get(letter.get_absolute_url())
    assert "tried: it would pass" in inside(page, "history")
