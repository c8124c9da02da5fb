"""Edit and replay: checked as it is typed, the difference before it is sent, the original kept."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client

from stompconsole.models import AuditEntry, DeadLetter, LetterEdit, Replay, ReplayItem
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

HEADERS = {"color": "red", "content-type": "application/json", "stompconsole-consumer": "orders", "redelivered": "true"}


@pytest.fixture
def letter(db: None) -> DeadLetter:
    return rows.make_letter(rows.make_consumer(name="orders"), headers=HEADERS, body=b'{"sku": null}')


def url(letter: DeadLetter) -> str:
    return f"/console/dead-letters/{letter.pk}/edit/"


def change(**fields: object) -> dict[str, object]:
    return {"name": ["color", "content-type"], "value": ["blue", "application/json"], "body": '{"sku": 1}', **fields}


def names(page: HttpResponse) -> list[str]:
    return [field["value"] for field in elements(page, "input", name="name")]


def test_the_form_holds_what_can_be_changed_and_shows_what_is_locked(client: Client, letter: DeadLetter) -> None:
    page = client.get(url(letter))
    assert names(page)[:2] == ["color", "content-type"]
    assert "2 locked" in text(page)
    assert "{&quot;sku&quot;: null}" in html(page)


def test_the_difference_is_shown_before_anything_is_sent(client: Client, letter: DeadLetter) -> None:
    page = client.post(url(letter), change(reason="sku was missing"))
    assert "- &quot;sku&quot;: null" in " ".join(html(page).split())
    assert "+ color: blue" in text(page)
    assert "- color: red" in text(page)
    assert not Replay.objects.exists()
    back = client.post(url(letter), change(back="yes"))
    assert "blue" in html(back)


def test_the_edited_message_is_sent_and_the_original_kept(client: Client, letter: DeadLetter) -> None:
    client.post(url(letter), change(confirmed="yes", reason="sku was missing"))
    edit = LetterEdit.objects.get()
    assert ReplayItem.objects.get().edit == edit
    assert (bytes(edit.body), edit.headers["color"], edit.headers["redelivered"]) == (b'{"sku": 1}', "blue", "true")
    letter.refresh_from_db()
    assert (bytes(letter.body), letter.headers, letter.state) == (b'{"sku": null}', HEADERS, "replaying")
    entry = AuditEntry.objects.get(action="dead letter edited")
    assert entry.data["headers changed"] == ["color"]
    assert "blue" not in str(entry.data), "values may be secrets"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"body": "{"}, "It is no JSON"),
        ({"name": ["destination"], "value": ["/queue/x"]}, "destination is locked"),
        ({"name": ["stompconsole-replay-id"], "value": ["1"]}, "is locked"),
        ({"name": ["a:b"], "value": ["1"]}, "can't be a header"),
        ({"name": [""], "value": ["no name"]}, "can't be a header"),
        ({"name": ["x"], "value": ["y" * 9_000]}, "longer than 8,000 bytes"),
        ({"name": [f"h{number}" for number in range(90)], "value": ["1"] * 90}, "are too many"),
    ],
)
def test_what_can_not_be_sent_is_told_with_what_was_typed(
    client: Client, letter: DeadLetter, fields: dict[str, object], told: str
) -> None:
    page = client.post(url(letter), change(confirmed="yes", **fields))
    assert page.status_code == 400
    assert told in text(page)
    assert not Replay.objects.exists()
    assert not LetterEdit.objects.exists()


def test_of_a_binary_body_only_the_headers_can_be_changed(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(), body=b"\xff\x00", headers={"color": "red"})
    assert "It is no text" in text(client.get(url(letter)))
    client.post(url(letter), {"name": ["color"], "value": ["blue"], "confirmed": "yes"})
    assert bytes(LetterEdit.objects.get().body) == b"\xff\x00"


def test_line_breaks_of_a_text_stay_as_they_were(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(), body=b"a\nb", headers={"content-type": "text/plain"})
    typed = {"name": ["content-type"], "value": ["text/plain"], "body": "a\r\nb\r\nc", "confirmed": "yes"}
    client.post(url(letter), typed)
    assert bytes(LetterEdit.objects.get().body) == b"a\nb\nc"


def test_what_is_not_dead_can_not_be_edited(client: Client) -> None:
    letter = rows.make_letter(None, state="discarded")
    page = client.post(url(letter), change(confirmed="yes"), follow=True)
    assert "Only what is dead can be edited" in text(page)


def test_hostile_text_comes_out_as_text(client: Client) -> None:
    letter = rows.make_letter(None, body=rows.HOSTILE.encode(), headers={rows.HOSTILE: rows.HOSTILE})
    for page in (
        client.get(url(letter)),
        client.post(url(letter), {"name": ["x"], "value": [rows.HOSTILE], "body": ""}),
    ):
        assert "<script>alert" not in html(page)


def test_editing_takes_a_permission_of_its_own(letter: DeadLetter) -> None:
    replayer = Client()
    replayer.force_login(rows.make_user("view_console", "replay_deadletter", name="replayer"))
    assert replayer.get(url(letter)).status_code == 403
    page = replayer.get(f"/console/dead-letters/{letter.pk}/")
    [button] = [each for each in elements(page, "button") if "edit" in each.get("title", "")]
    assert "disabled" in button
