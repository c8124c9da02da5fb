"""The worst that messages, URLs and forms can hold, all the way: stored, listed, shown, searched, exported, edited and
sent again. A clear message each, nothing lost, nothing executed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from django.test import Client

from stompconsole.deadletters import exchange
from stompconsole.models import Broker, Consumer, DeadLetter, FailureGroup, Replay, ReplayItem, ReplayState
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text
from tests.deadletters.engines import running_engine
from tests.deadletters.making import Captures, died, make_broker, make_consumer
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
DEEP = b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"
LARGE = b'{"a": "' + b"x" * 50 * 2**20 + b'"}'
LONG = "\U0001f4e6" * 250
NOBODY = uuid.UUID(int=0)
PLAN = "/console/replays/new/"


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture
def consumer(wire: RunningDevBroker) -> Consumer:
    return make_consumer(make_broker(port=wire.port))


def stored(consumer: Consumer, headers: dict[str, str], body: bytes) -> DeadLetter:
    assert Captures(consumer).give((headers, body)) == [0], "it is acknowledged once it is stored"
    letter = DeadLetter.objects.get()
    assert bytes(letter.body) == body
    return letter


def walk(client: Client, letter: DeadLetter) -> dict[str, str]:
    """Every page a dead letter shows on, as they come out."""
    url = letter.get_absolute_url()
    pages = {
        "list": "/console/dead-letters/",
        "groups": "/console/groups/",
        "group": f"/console/groups/{letter.group_id}/",
        "letter": url,
        "raw": f"{url}?body=text",
        "hex": f"{url}?body=hex",
        "edit": f"{url}edit/",
        "plan": f"{PLAN}?id={letter.pk}",
        "edit many": f"{PLAN}edit/?scope=matching&state=dead",
    }
    seen = {}
    for name, address in pages.items():
        page = client.get(address)
        assert page.status_code == 200, name
        seen[name] = html(page)
        assert len(seen[name]) < 3 * 2**20, f"{name} is {len(seen[name]):,} characters"
    return seen


def sent_again(client: Client, letter: DeadLetter) -> Replay:
    [as_of] = elements(client.get(f"{PLAN}?id={letter.pk}"), "input", name="as_of")
    client.post(PLAN, {"id": str(letter.pk), "as_of": as_of["value"], "count": "1"})
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 60, "the replay is done")
    return Replay.objects.get()


def assert_arrived(client: Client, wire: RunningDevBroker, letter: DeadLetter) -> None:
    sent_again(client, letter)
    [message] = wire.messages(letter.origin)
    assert message.body == bytes(letter.body)


@pytest.mark.slow
def test_a_body_of_50_mb(client: Client, wire: RunningDevBroker, consumer: Consumer) -> None:
    letter = stored(consumer, died(consumer=consumer.name), LARGE)
    seen = walk(client, letter)
    assert "download it to see the rest" in seen["letter"]
    assert "too large to be changed here" in seen["edit"]
    edits = {"act": "set json", "target": "a", "value": "1", "when": "", "expected": ""}
    outlook = client.post(f"{PLAN}edit/", {"scope": "matching", "state": "dead", **edits})
    assert "its body is larger than 4 MB" in text(outlook)
    (line,) = exchange.lines(DeadLetter.objects.all())
    assert len(line) > len(LARGE)
    assert client.get(f"{letter.get_absolute_url()}body/").content == LARGE
    assert_arrived(client, wire, letter)


@pytest.mark.long
def test_a_header_of_a_million_characters(client: Client, wire: RunningDevBroker, consumer: Consumer) -> None:
    letter = stored(consumer, {**died(consumer=consumer.name), "long": "x" * 1_000_000}, b"{}")
    seen = walk(client, letter)
    assert "1,000,000 characters" in seen["letter"]
    form = {"name": ["color"], "value": ["red"], "body": "{}", "confirmed": "yes"}
    tried = client.post(f"{letter.get_absolute_url()}edit/", {**form, "name": ["long"], "value": ["x" * 1_000_000]})
    assert "long is longer than 8,000 bytes" in text(tried)
    assert DeadLetter.objects.filter(headers__has_key="long").exists()
    client.post(f"{letter.get_absolute_url()}edit/", form)
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 30, "the replay is done")
    [message] = wire.messages(letter.origin)
    assert (message.headers["color"], "long" in message.headers) == ("red", False)


def test_a_header_no_broker_takes_is_skipped_and_says_why(client: Client, consumer: Consumer) -> None:
    letter = stored(consumer, {**died(consumer=consumer.name), "long": "x" * 1_000_000}, b"{}")
    sent_again(client, letter)
    item = ReplayItem.objects.get()
    letter.refresh_from_db()
    assert (item.state, letter.state) == ("skipped", "dead")
    assert "connection ended" in item.note or "refuses it" in item.note


@pytest.mark.long
@pytest.mark.parametrize("body", [b"\xff\xfe\x00\x80", b"\xc3(", b"\0" * 100])
def test_invalid_utf_8(client: Client, wire: RunningDevBroker, consumer: Consumer, body: bytes) -> None:
    headers = {**died(consumer=consumer.name), "broken": "\udcff\0", "content-type": "application/json; charset=nope"}
    letter = stored(consumer, headers, body)
    seen = walk(client, letter)
    assert "It is no text" in seen["edit"] or "no text" in seen["edit"]
    assert client.get("/console/dead-letters/?text=%ff%fe%00body:%ff").status_code == 200
    (line,) = exchange.lines(DeadLetter.objects.all())
    DeadLetter.objects.all().delete()
    exchange.read([line], actor=None)
    assert bytes(DeadLetter.objects.get().body) == body
    assert_arrived(client, wire, DeadLetter.objects.get())


@pytest.mark.long
@pytest.mark.parametrize("body", [DEEP, b"[" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000])
def test_json_of_depth_10_000(client: Client, wire: RunningDevBroker, consumer: Consumer, body: bytes) -> None:
    letter = stored(consumer, died(consumer=consumer.name), body)
    walk(client, letter)
    assert client.get("/console/dead-letters/?text=json:a=1").status_code == 200
    form = {"name": [""], "value": [""], "body": body.decode() + " "}
    edited = client.post(f"{letter.get_absolute_url()}edit/", form)
    assert edited.status_code in {200, 400}
    edits = {"act": "set json", "target": "b", "value": "1", "when": "", "expected": ""}
    outlook = client.post(f"{PLAN}edit/", {"scope": "matching", "state": "dead", **edits})
    assert "1 can't be edited" in text(outlook)
    (line,) = exchange.lines(DeadLetter.objects.all())
    DeadLetter.objects.all().delete()
    exchange.read([line], actor=None)
    assert_arrived(client, wire, DeadLetter.objects.get())


@pytest.mark.long
@pytest.mark.parametrize("body", [b'{"a": 1e400}', b'{"a": NaN}', b"9" * 5_000, b'"\\u0000"', b'"\\ud800"'])
def test_json_no_database_takes(client: Client, wire: RunningDevBroker, consumer: Consumer, body: bytes) -> None:
    letter = stored(consumer, died(consumer=consumer.name), body)
    walk(client, letter)
    assert client.get("/console/dead-letters/?text=json:a=1e400").status_code == 200
    assert_arrived(client, wire, letter)


@pytest.mark.long
def test_a_body_of_many_levels_stays_a_page(client: Client, consumer: Consumer) -> None:
    body = b"[" * 600 + b",".join(b"1" for _ in range(30_000)) + b"]" * 600
    walk(client, stored(consumer, died(consumer=consumer.name), body))


def test_an_edit_among_many_lines_that_repeat_is_shown_at_once(client: Client, consumer: Consumer) -> None:
    lines = [f'"{number % 200}"' for number in range(30_000)]
    letter = stored(consumer, died(consumer=consumer.name), f"[{','.join(lines)}]".encode())
    lines[5], lines[-5] = '"first"', '"last"'
    page = client.post(f"{letter.get_absolute_url()}edit/", {"body": f"[{','.join(lines)}]"})
    assert '+ "first"' in " ".join(text(page).split())


def test_markup_in_every_shown_field(client: Client, wire: RunningDevBroker, consumer: Consumer) -> None:
    fields = dict.fromkeys(
        ("handler", "error_type", "error_message", "traceback", "worker", "message_id"), SCRIPT + "\"'&"
    )
    headers = died(consumer=SCRIPT, origin="/queue/<script>", extra={SCRIPT: SCRIPT, "content-type": SCRIPT}, **fields)
    letter = stored(consumer, headers, json.dumps({SCRIPT: SCRIPT}).encode())
    FailureGroup.objects.update(note=SCRIPT, ticket="https://x/" + SCRIPT)
    pages = walk(client, letter)
    query = f"text={SCRIPT}&error_type={SCRIPT}&consumer={SCRIPT}&origin={SCRIPT}&day={SCRIPT}&failed_after={SCRIPT}"
    pages["filters"] = html(client.get(f"/console/dead-letters/?{query}"))
    pages["audit"] = html(client.get(f"/console/audit/?text={SCRIPT}&since={SCRIPT}&who={SCRIPT}"))
    sent_again(client, letter)
    pages["replay"] = html(client.get(Replay.objects.get().get_absolute_url()))
    pages["replays"] = html(client.get("/console/replays/"))
    pages["overview"] = html(client.get("/console/"))
    for name, page in pages.items():
        assert "<script>alert" not in page, name
        assert 'href="javascript' not in page, name


def test_names_as_long_as_they_may_be(client: Client, wire: RunningDevBroker, consumer: Consumer) -> None:
    fields = {
        "handler": LONG * 2,
        "error_type": LONG,
        "worker": LONG,
        "message_id": LONG * 2,
        "origin": "/queue/" + LONG,
    }
    letter = stored(consumer, died(**fields, extra={"correlation-id": LONG, "content-type": LONG}), b"{}")
    walk(client, letter)
    assert client.get("/console/dead-letters/", {"origin": letter.origin, "worker": LONG}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "day=2026-99-99",
        "failed_after=yesterday",
        "failed_before=99999999999d",
        "group=x",
        "group=9999999999999999999999",
        "state=nope",
        "text=attempts:many",
        "text=json:..",
        "text=header:",
        "text=replayed:maybe",
        "text=%F0%28",
        "consumer=%00",
        "before=x_y",
        "before=0001-01-01T00:00:00Z_0",
        "after=2026-01-01T00:00:00Z_nope",
    ],
)
def test_filter_values_that_do_not_parse(client: Client, query: str) -> None:
    letter = rows.make_letter(rows.make_consumer())
    page = client.get(f"/console/dead-letters/?{query}")
    assert page.status_code == 200
    plan = client.get(f"{PLAN}?scope=matching&{query}")
    assert plan.status_code == 200
    if query.split("=", maxsplit=1)[0] not in {"before", "after"}:
        told = [note for note in elements(page, "p") if "warn" in note.get("class", "")]
        assert told or "No dead letter matches" in text(page)
        assert "Nothing to replay" in text(plan), "a slip never widens what is sent"
    assert client.get(f"{letter.get_absolute_url()}?{query}").status_code == 200
    assert client.get(f"/console/groups/?{query}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "dead-letters/nope/",
        f"dead-letters/{NOBODY}/",
        f"dead-letters/{NOBODY}/body/",
        f"dead-letters/{NOBODY}/edit/",
        f"dead-letters/{NOBODY}/edited/1/",
        "groups/999999999999999999/",
        "replays/99999999999999999999999/",
        "replays/1/",
        "consumers/nope/",
    ],
)
def test_an_id_that_is_none(client: Client, path: str) -> None:
    page = client.get(f"/console/{path}")
    assert page.status_code == 404
    assert elements(page, "nav"), "it is said in the console, from where one can go on"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("dead-letters/nope/", "“nope” is no id of a dead letter: that is a UUID, such as"),
        ("groups/-1/", "“-1” is no id of a failure group: that is a number, such as 17."),
        ("replays/1e3/", "“1e3” is no id of a replay"),
        ("trials/%3Cscript%3E/", "“<script>” is no id of a trial"),
        ("consumers/a b/", "“a b” is no id of a consumer: that is its name, of letters"),
        ("dead-letters/nope/body/", "There is no page “dead-letters/nope/body/” in the console."),
        (f"groups/{'x' * 5000}/", "xx…” is no id of a failure group"),
    ],
)
def test_an_id_of_another_kind_is_told_with_what_is_allowed(client: Client, path: str, words: str) -> None:
    page = client.get(f"/console/{path}")
    assert page.status_code == 404
    assert words in text(page)
    assert "<script>" not in html(page).partition("<main")[2]


def test_an_address_without_its_slash_is_found_all_the_same(client: Client) -> None:
    assert client.get("/console/replays").status_code == 301
    assert client.get("/console/replays/nope").status_code == 301
    assert Client().get("/console/replays/nope/").headers["Location"].startswith("/admin/login/")


def planned(client: Client, letter: DeadLetter) -> None:
    [as_of] = elements(client.get(f"{PLAN}?id={letter.pk}"), "input", name="as_of")
    client.post(PLAN, {"id": str(letter.pk), "as_of": as_of["value"], "count": "1"})


@pytest.mark.parametrize("gone", ["consumer", "broker", "origin"])
def test_what_was_deleted_meanwhile(client: Client, wire: RunningDevBroker, consumer: Consumer, gone: str) -> None:
    letter = stored(consumer, died(consumer=consumer.name), b"{}")
    planned(client, letter)
    if gone == "origin":
        DeadLetter.objects.update(origin="")
    else:
        Consumer.objects.all().delete()
    if gone == "broker":
        Broker.objects.all().delete()
    assert client.get(Replay.objects.get().get_absolute_url()).status_code == 200
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 20, "the replay is done")
    page = text(client.get(Replay.objects.get().get_absolute_url()))
    assert ("consumer has been deleted" if gone != "origin" else "is not known") in page
    letter.refresh_from_db()
    assert letter.state == "dead"
    assert "replay" in text(client.get(letter.get_absolute_url()))
