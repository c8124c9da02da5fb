"""Discarding dead letters, and taking it back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from stompconsole.deadletters.filters import MAX_GROUPS
from stompconsole.models import AuditEntry, DeadLetter
from tests.dashboard import rows
from tests.dashboard.reading import elements, fields_of, text

DISCARD = "/console/dead-letters/discard/"
UNDO = "/console/dead-letters/undo/"


def states() -> list[str]:
    return list(DeadLetter.objects.order_by("failed_at").values_list("state", flat=True))


def test_what_was_selected_is_discarded_with_an_undo(client: Client) -> None:
    letters = [rows.make_letter(rows.make_consumer(), ago_s=3 - number) for number in range(3)]
    data = {"id": [str(letter.pk) for letter in letters[:2]], "next": "/console/dead-letters/?consumer=a"}
    response = client.post(DISCARD, data, follow=True)
    assert response.redirect_chain == [("/console/dead-letters/?consumer=a", 302)]
    assert "2 dead letters discarded." in text(response)
    assert states() == ["discarded", "discarded", "dead"]

    [act] = elements(response, "input", name="at")
    response = client.post(UNDO, {"at": act["value"]}, follow=True)
    assert "2 dead letters brought back." in text(response)
    assert states() == ["dead", "dead", "dead"]
    assert list(AuditEntry.objects.values_list("actor_name", flat=True)) == ["operator", "operator"]


def test_all_that_match_are_discarded_only_after_their_number_was_confirmed(client: Client) -> None:
    consumer = rows.make_consumer(name="orders")
    for _ in range(2):
        rows.make_letter(consumer)
    rows.make_letter(rows.make_consumer(), ago_s=1)
    choice = {"scope": "matching", "consumer": "orders"}
    page = client.post(DISCARD, choice)
    assert "Discard 2 messages" in text(page)
    assert "They can be brought back for 7 days" in text(page)
    assert states() == ["dead"] * 3

    form = {
        field["name"]: field["value"] for field in elements(page, "input", type="hidden") if field["name"] != "next"
    }
    response = client.post(DISCARD, {**form, "reason": "tests"}, follow=True)
    assert "2 dead letters discarded." in text(response)
    assert states() == ["discarded", "discarded", "dead"]


@pytest.mark.usefixtures("slices")
def test_very_many_are_discarded_slice_by_slice_on_a_page_that_shows_how_far_it_is(client: Client) -> None:
    for _ in range(5):
        rows.make_letter(rows.make_consumer())
    form = {"scope": "matching", "as_of": timezone.now().isoformat(), "count": "5", "reason": "a <b>test</b>"}
    page = client.post(DISCARD, {**form, "next": "/console/dead-letters/?state=all"})
    assert "2 of 5 discarded" in text(page)
    assert elements(page, "div", role="progressbar")[0]["aria-valuenow"] == "2"
    [form_of_page] = elements(page, "form", **{"hx-trigger": "load"})
    assert (form_of_page["hx-post"], form_of_page["hx-select"]) == (DISCARD, "#going-on"), "it goes on by itself"
    page = client.post(DISCARD, fields_of(page))
    assert "4 of 5 discarded" in text(page)
    page = client.post(DISCARD, fields_of(page), headers={"HX-Request": "true"})
    assert (page.status_code, page.headers["HX-Redirect"]) == (204, "/console/dead-letters/?state=all")
    page = client.get("/console/dead-letters/?state=all")
    assert "5 dead letters discarded." in text(page)
    assert [entry.detail for entry in AuditEntry.objects.all()] == ["a <b>test</b>"]

    [act] = elements(page, "input", name="at")
    page = client.post(UNDO, {"at": act["value"], "next": "/console/dead-letters/"})
    assert "2 of 5 brought back" in text(page)
    page = client.post(UNDO, fields_of(page))
    assert "4 of 5 brought back" in text(page)
    page = client.post(UNDO, fields_of(page), follow=True)
    assert "5 dead letters brought back." in text(page)
    assert states() == ["dead"] * 5


@pytest.mark.usefixtures("slices")
def test_a_large_discard_can_be_stopped_and_what_it_did_be_undone(client: Client) -> None:
    for _ in range(5):
        rows.make_letter(rows.make_consumer())
    form = {"scope": "matching", "as_of": timezone.now().isoformat(), "count": "5", "next": "/console/dead-letters/"}
    page = client.post(DISCARD, {**fields_of(client.post(DISCARD, form)), "stop": "1"}, follow=True)
    assert "Stopped: 2 dead letters discarded, the others left as they were." in text(page)
    assert sorted(states()) == ["dead"] * 3 + ["discarded"] * 2
    [act] = elements(page, "input", name="at")
    assert "2 dead letters brought back." in text(client.post(UNDO, {"at": act["value"]}, follow=True))


@pytest.mark.usefixtures("slices")
def test_bringing_back_very_many_can_be_stopped_too(client: Client) -> None:
    at = timezone.now()
    for _ in range(3):
        rows.make_letter(None, state="discarded", state_at=at)
    page = client.post(UNDO, {"at": at.isoformat(), "next": "/console/dead-letters/"})
    page = client.post(UNDO, {**fields_of(page), "stop": "1"}, follow=True)
    assert "Stopped: 2 dead letters brought back, the others stay discarded." in text(page)
    assert sorted(states()) == ["dead", "dead", "discarded"]


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize(
    "bad", [{"going_on": "nope"}, {"done": "-1"}, {"done": "9" * 20}, {"going_on": "", "stop": "1"}]
)
def test_a_form_that_says_nonsense_of_what_was_done_begins_anew(client: Client, bad: dict[str, str]) -> None:
    for _ in range(2):
        rows.make_letter(rows.make_consumer())
    form = {"scope": "matching", "as_of": timezone.now().isoformat(), "count": "2", "done": "1"}
    claimed = {"going_on": timezone.now().isoformat(), **bad}
    assert "2 dead letters discarded." in text(client.post(DISCARD, {**form, **claimed}, follow=True))


def test_more_than_was_counted_is_never_discarded(client: Client) -> None:
    for _ in range(3):
        rows.make_letter(rows.make_consumer())
    form = {"scope": "matching", "as_of": timezone.now().isoformat(), "count": "1"}
    assert "Nothing was changed" in text(client.post(DISCARD, form, follow=True))
    assert states() == ["dead"] * 3


def test_a_choice_of_nothing_says_so(client: Client) -> None:
    rows.make_letter(None)
    assert "Nothing was selected" in text(client.post(DISCARD, {"id": "nope"}, follow=True))
    assert "Nothing to undo" in text(client.post(UNDO, {"id": "nope", "at": "nope"}, follow=True))
    assert states() == ["dead"]


def test_selected_ones_can_be_brought_back_from_their_tab(client: Client) -> None:
    letter = rows.make_letter(None, state="discarded")
    page = client.get("/console/dead-letters/?state=discarded")
    assert elements(page, "button", formaction=UNDO)
    client.post(UNDO, {"id": str(letter.pk)})
    assert states() == ["dead"]


def test_what_was_discarded_long_ago_is_not_brought_back(client: Client) -> None:
    old = timezone.now() - timedelta(days=8)
    letter = rows.make_letter(None, state="discarded", state_at=old)
    assert "can't be brought back" in text(client.get("/console/dead-letters/?state=discarded"))
    assert "discarded too long ago" in text(client.post(UNDO, {"id": str(letter.pk)}, follow=True))
    [button] = elements(client.get(letter.get_absolute_url()), "button", formaction=UNDO)
    assert "disabled" in button


def test_a_plan_says_how_many_have_errors_that_are_not_listed(client: Client) -> None:
    consumer = rows.make_consumer()
    for number in range(MAX_GROUPS + 2):
        rows.make_letter(consumer, error_type=f"Error{number:02}", origin=f"/queue/{number:02}")
    plan = text(client.post(DISCARD, {"scope": "matching"}))
    assert "other errors 2" in plan
    assert "others 2" in plan
