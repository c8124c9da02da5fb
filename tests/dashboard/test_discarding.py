"""Discarding dead letters, and taking it back."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from stompconsole.models import AuditEntry, DeadLetter
from tests.dashboard import rows
from tests.dashboard.reading import elements, text

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
