"""Edit and replay for many: what the edits make of some is shown, then they go into the plan, and into the lineage."""

from __future__ import annotations

import json
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from stompconsole.models import AuditEntry, DeadLetter, LetterEdit, Replay
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

URL = "/console/replays/new/edit/"
PLAN = "/console/replays/new/"
MATCHING = {"scope": "matching", "consumer": "orders", "state": "dead"}


@pytest.fixture
def letters(db: None) -> list[DeadLetter]:
    consumer = rows.make_consumer(name="orders")
    made = [rows.make_letter(consumer, body=b'{"price": 1.10}', headers={"color": "red"}) for _ in range(3)]
    rows.make_letter(consumer, body=b"<xml/>")
    rows.make_letter(consumer, body=b'{"sku": "B"}')
    rows.make_letter(rows.make_consumer(name="others"), body=b"{}")
    return made


def edits(*typed: tuple[str, ...]) -> dict[str, list[str]]:
    padded = [(*row, *[""] * (5 - len(row))) for row in typed]
    return dict(zip(("act", "target", "value", "when", "expected"), map(list, zip(*padded, strict=True)), strict=True))


SET_SKU = ("set json", "sku", '"A"', "missing")


def kept(page: HttpResponse) -> str:
    [field] = elements(page, "input", name="edits")
    return unescape(field["value"])


def test_a_list_s_choice_goes_into_the_url(client: Client, letters: list[DeadLetter]) -> None:
    assert client.post(URL, MATCHING)["Location"] == f"{URL}?scope=matching&consumer=orders&state=dead"
    ids = client.post(URL, {"id": [str(letters[0].pk)]})
    assert "Edit and replay 1 message" in text(client.get(ids["Location"]))
    nothing = client.post(URL, {}, follow=True)
    assert "Nothing was selected" in text(nothing)
    assert "Nothing to edit" in text(client.get(f"{URL}?scope=matching&consumer=nope"))


@pytest.mark.usefixtures("letters")
def test_what_changes_is_counted_and_shown_before_anything_is_planned(client: Client) -> None:
    page = client.post(URL, {**MATCHING, **edits(SET_SKU, ("set header", "", "dropped"))})
    told = text(page)
    assert "all 5 messages looked at" in told
    assert "3 would change 1 stay as they are and go out so 1 can't be edited and stay dead" in told
    assert "it is no JSON" in told
    assert '+ "sku": "A"' in told.replace("  ", " ")
    assert '"price": 1.10' in told
    assert not Replay.objects.exists()


@pytest.mark.usefixtures("letters")
def test_edits_go_through_the_plan_into_the_replay(client: Client) -> None:
    page = client.post(URL, {**MATCHING, **edits(SET_SKU)})
    plan = client.post(PLAN, {**MATCHING, "edits": kept(page)})
    assert 'set JSON sku to "A" where it is missing' in text(plan)
    changed = client.post(URL, {**MATCHING, "edits": kept(plan)})
    assert elements(changed, "input", name="target")[0]["value"] == "sku"
    confirmed = {"as_of": timezone.now().isoformat(), "count": "5", "rate": "10", "edits": kept(plan)}
    wrong = client.post(PLAN, {**MATCHING, **confirmed, "rate": "x"})
    assert (wrong.status_code, kept(wrong)) == (400, kept(plan))
    replay_page = client.post(PLAN, {**MATCHING, **confirmed}, follow=True)
    replay = Replay.objects.get()
    assert (replay.total, replay.rate, replay.edits[0]["target"]) == (5, 10, "sku")
    assert 'set JSON sku to "A"' in text(replay_page)
    entry = AuditEntry.objects.get(action="replay created")
    assert "set JSON sku where it is missing" in entry.data["plan"]


def test_the_lineage_shows_both_versions(client: Client, letters: list[DeadLetter]) -> None:
    plan = {"as_of": timezone.now().isoformat(), "count": "1", "id": str(letters[0].pk)}
    page = client.post(URL, {"id": str(letters[0].pk), **edits(SET_SKU)})
    client.post(PLAN, {**plan, "edits": kept(page)})
    detail = client.get(letters[0].get_absolute_url())
    assert "edited for it; the original is kept" in text(detail)
    [link] = [a["href"] for a in elements(detail, "a") if "/edited/" in a.get("href", "")]
    shown = text(client.get(link))
    assert 'set JSON sku to "A"' in shown
    assert '+ "sku": "A"' in shown.replace("  ", " ")
    assert client.get(link.replace("/edited/", "/edited/9")).status_code == 404
    assert not LetterEdit.objects.exists()


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("set json", "sku", "A-17"), "is A-17, which is no JSON"),
        (("set header", "destination", "x"), "destination is locked"),
        (("nonsense", "x"), "nothing that can be done"),
        (("set header", "x" * 9_000, "1"), "longer than 8,000 bytes"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_was_typed(client: Client, typed: tuple[str, ...], told: str) -> None:
    page = client.post(URL, {**MATCHING, **edits(typed)})
    assert page.status_code == 400
    assert told in text(page)
    assert elements(page, "input", name="target")[0]["value"] == typed[1]
    assert not elements(page, "input", name="edits")


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("tampered", ["{", "[1]", json.dumps([{"act": "set header", "target": "ack", "value": "1"}])])
def test_edits_that_were_tampered_with_send_nothing(client: Client, tampered: str) -> None:
    form = {**MATCHING, "as_of": timezone.now().isoformat(), "count": "5", "edits": tampered}
    assert client.post(PLAN, form).status_code == 400
    assert not Replay.objects.exists()


@pytest.mark.usefixtures("letters")
def test_it_takes_both_permissions() -> None:
    replayer = Client()
    replayer.force_login(rows.make_user("view_console", "replay_deadletter", name="replayer"))
    assert replayer.get(f"{URL}?scope=matching").status_code == 403
    stolen = json.dumps([{"act": "set header", "target": "x", "value": "1"}])
    form = {**MATCHING, "as_of": timezone.now().isoformat(), "count": "5", "edits": stolen}
    assert replayer.post(PLAN, form).status_code == 403
    assert not Replay.objects.exists()
    [button] = elements(replayer.get("/console/dead-letters/"), "button", formaction=URL)
    assert "disabled" in button


def test_hostile_values_come_out_as_text(client: Client) -> None:
    rows.make_letter(rows.make_consumer(name="orders"), body=b"{}", headers={"x": rows.HOSTILE})
    value = json.dumps(rows.HOSTILE)
    page = client.post(URL, {**MATCHING, **edits(("set json", rows.HOSTILE.replace(".", ""), value))})
    assert "<script>alert" not in html(page)
    plan = client.post(PLAN, {**MATCHING, "edits": kept(page)})
    assert "<script>alert" not in html(plan)
