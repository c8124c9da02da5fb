"""Redacted dead letters on the pages: markers, what they mean, and never what stands behind them."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings

from stompconsole.deadletters import concealing
from stompconsole.models import DeadLetter, LetterEdit
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

SECRET = "hunter2-of-the-card"
MEANING = "what stands behind the markers is kept encrypted, and put back when it is replayed"


@pytest.fixture
def letter(db: None) -> DeadLetter:
    found = rows.make_letter(
        rows.make_consumer(name="orders", redact="$.card.number\nx-token"),
        headers={"x-token": f"{SECRET}-token", "content-type": "application/json"},
        body=f'{{"card": {{"number": "{SECRET}"}}, "amount": 1}}'.encode(),
        error_message=f"no such card {SECRET}",
        traceback=f"Traceback …\nKeyError: {SECRET}",
    )
    list(concealing.redact(DeadLetter.objects.all(), what="all", actor_name="me"))
    found.refresh_from_db()
    return found


def pages(letter: DeadLetter) -> list[str]:
    url = f"/console/dead-letters/{letter.pk}/"
    return [url, f"{url}?body=text", f"{url}?body=hex", f"{url}edit/", f"{url}body", "/console/dead-letters/",
            "/console/groups/", "/console/audit/"]  # fmt: skip


def test_no_page_and_no_download_shows_a_value(client: Client, letter: DeadLetter) -> None:
    for url in pages(letter):
        page = client.get(url, follow=True)
        assert page.status_code == 200, url
        assert SECRET not in html(page)


def test_the_page_says_what_the_markers_are(client: Client, letter: DeadLetter) -> None:
    page = client.get(f"/console/dead-letters/{letter.pk}/")
    assert MEANING in text(page)
    assert "[redacted 1]" in text(page)
    assert "no such card [redacted]" in text(page)
    plain = rows.make_letter(rows.make_consumer())
    assert MEANING not in text(client.get(f"/console/dead-letters/{plain.pk}/"))


def test_the_difference_of_an_edit_shows_markers_and_the_change_alone(client: Client, letter: DeadLetter) -> None:
    form = {"name": ["x-token", "content-type"], "value": ["[redacted 1]", "application/json"]}
    form["body"] = '{"card": {"number": "[redacted 2]"}, "amount": 2}'  # type: ignore[assignment]
    page = client.post(f"/console/dead-letters/{letter.pk}/edit/", form)
    assert '+ "amount": 2' in text(page)
    assert "- x-token" not in text(page)
    assert SECRET not in html(page)
    client.post(f"/console/dead-letters/{letter.pk}/edit/", {**form, "confirmed": "yes"})
    assert "[redacted 2]" in bytes(LetterEdit.objects.get().body).decode()


def test_a_marker_that_was_moved_is_told_with_what_was_typed(client: Client, letter: DeadLetter) -> None:
    form = {"name": ["x-token"], "value": ["[redacted 1]"], "body": '{"note": "[redacted 2]"}', "confirmed": "yes"}
    page = client.post(f"/console/dead-letters/{letter.pk}/edit/", form)
    assert page.status_code == 400
    assert "[redacted 2] can only stay where it was" in text(page)
    assert not LetterEdit.objects.exists()


def test_a_letter_without_a_body_says_where_its_message_waits(client: Client) -> None:
    consumer = rows.make_consumer()
    held = rows.make_letter(consumer, body=b"", held="/queue/HELD.orders", held_on=consumer.broker)
    words = f"the message waits in /queue/HELD.orders on broker {consumer.broker.name}."
    page = client.get(f"/console/dead-letters/{held.pk}/")
    assert words in text(page)
    [edit] = [each for each in elements(page, "button") if "be edited" in each.get("title", "")]
    assert "disabled" in edit
    assert f"/console/dead-letters/{held.pk}/body/" not in html(page)
    assert words in text(client.get(f"/console/dead-letters/{held.pk}/edit/", follow=True))
    download = client.get(f"/console/dead-letters/{held.pk}/body/")
    assert download.status_code == 404


@override_settings(STOMPCONSOLE={"STORE_BODIES": "no"})
def test_a_search_in_bodies_says_that_there_are_none(client: Client) -> None:
    rows.make_letter(rows.make_consumer())
    for term in ("body:order", "json:order=1"):
        assert "body: and json: find none captured since" in text(client.get("/console/dead-letters/", {"text": term}))
    assert "Bodies are not stored" not in text(client.get("/console/dead-letters/", {"text": "order"}))
