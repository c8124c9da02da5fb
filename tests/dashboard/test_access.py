"""Who may see and do what."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from stompconsole.models import BrokerReplay, Consumer, DeadLetter, Replay, Trial
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

PAGES = (
    "overview",
    "consumer",
    "broker-letters",
    "broker-letters-all",
    "dead-letters",
    "dead-letter",
    "dead-letter-body",
    "groups",
    "group",
    "replays",
    "replay",
    "trial",
    "workers",
    "audit",
)
ACTIONS = {
    "consumer-pause": "operate_consumer",
    "consumer-resume": "operate_consumer",
    "consumer-try": "operate_consumer",
    "broker-letters-look": "replay_deadletter",
    "broker-letters-replay": "replay_deadletter",
    "broker-letters-cancel": "replay_deadletter",
    "replay-plan": "replay_deadletter",
    "replay-cancel": "replay_deadletter",
    "replay-pause": "replay_deadletter",
    "replay-resume": "replay_deadletter",
    "replay-rate": "replay_deadletter",
    "replay-end-canary": "replay_deadletter",
    "group-tend": "edit_failuregroup",
    "dead-letter-edit": "replay_deadletter",
    "trial-plan": "try_deadletter",
    "trial-cancel": "try_deadletter",
    "discard": "discard_deadletter",
    "undo": "discard_deadletter",
    "retries-send": "replay_deadletter",
    "retries-cancel": "replay_deadletter",
    "retries-restore": "replay_deadletter",
}


@pytest.fixture
def urls(db: None) -> dict[str, str]:
    """The URL of every page and action, of rows that are there."""
    consumer = rows.make_consumer()
    letter = rows.make_letter(consumer)
    replay = Replay.objects.create(selection="all")
    going_back = BrokerReplay.objects.create(consumer=consumer, source="/queue/DLQ.x")
    trial = Trial.objects.create(selection="all")
    keys: dict[str, list[object]] = {
        **{name: [consumer.name] for name in ("broker-letters", "broker-letters-look", "broker-letters-replay")},
        "broker-letters-cancel": [consumer.name, going_back.pk],
        "consumer": [consumer.name],
        "consumer-pause": [consumer.name],
        "consumer-resume": [consumer.name],
        "consumer-try": [consumer.name],
        "dead-letter": [letter.pk],
        "dead-letter-body": [letter.pk],
        "replay": [replay.pk],
        **{name: [replay.pk] for name in ACTIONS if name.startswith("replay-") and name != "replay-plan"},
        "dead-letter-edit": [letter.pk],
        "trial": [trial.pk],
        "trial-cancel": [trial.pk],
        "group": [letter.group_id],
        "group-tend": [letter.group_id],
    }
    return {name: reverse(f"stompconsole:{name}", args=keys.get(name, [])) for name in (*PAGES, *ACTIONS)}


@pytest.mark.parametrize("name", PAGES)
def test_nobody_sees_a_page_without_logging_in(name: str, urls: dict[str, str]) -> None:
    response = Client().get(urls[name])
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/?next=")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_the_permission_is_refused_in_our_shell(
    name: str, urls: dict[str, str], stranger: Client
) -> None:
    response = stranger.get(urls[name])
    assert response.status_code == 403
    assert "stompconsole.view_console" in text(response)
    assert elements(response, "nav") == []


@pytest.mark.parametrize("name", PAGES)
def test_the_view_permission_opens_every_page(name: str, urls: dict[str, str], onlooker: Client) -> None:
    assert onlooker.get(urls[name]).status_code == 200


@pytest.mark.long
@pytest.mark.parametrize(("name", "permission"), ACTIONS.items())
def test_each_action_needs_its_own_permission(
    name: str, permission: str, urls: dict[str, str], onlooker: Client
) -> None:
    response = onlooker.post(urls[name])
    assert response.status_code == 403
    assert permission in text(response)
    assert Client().post(urls[name])["Location"].startswith("/admin/login/")


@pytest.mark.parametrize(
    "name", [name for name in ACTIONS if name not in {"replay-plan", "trial-plan", "dead-letter-edit"}]
)
def test_an_action_is_not_done_by_a_link(name: str, urls: dict[str, str], client: Client) -> None:
    assert client.get(urls[name]).status_code == 405


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_needs_a_csrf_token(name: str, urls: dict[str, str], client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(urls[name]).status_code == 403
    assert Consumer.objects.get().paused is False


@pytest.mark.parametrize("name", ["overview", "consumer", "dead-letters", "dead-letter", "group", "replay"])
def test_what_is_not_allowed_is_seen_disabled_with_the_reason(
    name: str, urls: dict[str, str], onlooker: Client
) -> None:
    buttons = [
        button
        for button in elements(onlooker.get(urls[name]), "button", type="submit")
        if "formaction" in button
        or "primary" in button.get("class", "")
        or button.get("class") in ("do-pause", "danger")
    ]
    assert buttons
    for button in buttons:
        assert "disabled" in button
        assert button["title"].startswith("You may not ")


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("consumer", "nope", "no consumer named nope"),
        ("dead-letter", uuid.UUID(int=7), "no such dead letter"),
        ("dead-letter-body", uuid.UUID(int=7), "no such dead letter"),
        ("replay", 7_777, "no replay 7777"),
        ("dead-letter-edit", uuid.UUID(int=7), "no such dead letter"),
        ("group", 7_777, "no failure group 7777"),
        ("trial", 7_777, "no trial 7777"),
    ],
)
def test_what_is_not_there_is_said_in_our_shell(name: str, key: object, words: str, client: Client) -> None:
    response = client.get(reverse(f"stompconsole:{name}", args=[key]))
    assert response.status_code == 404
    assert words in text(response)
    assert elements(response, "a", href=reverse("stompconsole:dead-letters"))


def test_a_project_with_a_log_in_page_of_its_own_is_sent_there(db: None) -> None:
    with override_settings(LOGIN_URL="/enter/"):
        assert Client().get("/console/")["Location"] == "/enter/?next=/console/"


def test_a_project_that_has_set_none_is_sent_to_the_admin(db: None) -> None:
    with override_settings(LOGIN_URL="/accounts/login/"):
        assert Client().get("/console/")["Location"].startswith("/admin/login/")


def test_a_superuser_may_do_everything(db: None) -> None:
    client = Client()
    client.force_login(rows.make_user(is_superuser=True))
    consumer = rows.make_consumer()
    client.post(reverse("stompconsole:consumer-pause", args=[consumer.name]))
    assert Consumer.objects.get().paused is True


def test_a_form_does_not_send_the_browser_to_another_host(client: Client) -> None:
    consumer = rows.make_consumer()
    url = reverse("stompconsole:consumer-pause", args=[consumer.name])
    for evil in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert client.post(url, {"next": evil})["Location"] == consumer.get_absolute_url()


def test_a_body_is_saved_and_never_shown_by_the_browser(client: Client) -> None:
    letter = rows.make_letter(None, body=b"<script>alert(1)</script>", content_type="text/html")
    response = client.get(reverse("stompconsole:dead-letter-body", args=[letter.pk]))
    assert response.content == b"<script>alert(1)</script>"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_nothing_of_a_page_would_break_under_a_strict_content_security_policy(
    urls: dict[str, str], client: Client
) -> None:
    for name in PAGES:
        if name == "dead-letter-body":
            continue
        page = html(client.get(urls[name]))
        assert " style=" not in page
        assert "<style" not in page
        assert "javascript:" not in page
        assert not any(attribute in page for attribute in (" onclick=", " onload=", " hx-on"))
        sources = [script.get("src", "") for script in elements(client.get(urls[name]), "script")]
        assert sources
        assert all(source.startswith("/static/") for source in sources)


def test_the_pages_do_not_write(urls: dict[str, str], client: Client) -> None:
    before = list(DeadLetter.objects.values())
    for name in (*PAGES, "replay-plan"):
        client.get(urls[name])
    assert list(DeadLetter.objects.values()) == before
    assert Replay.objects.count() == 1


def test_nothing_is_loaded_from_elsewhere() -> None:
    for folder in ("static/stompconsole", "templates/stompconsole"):
        for file in (Path(__file__).parents[2] / folder).rglob("*.*"):
            found = re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]+", file.read_text())
            assert set(found) <= {"http://www.w3.org"}, file
