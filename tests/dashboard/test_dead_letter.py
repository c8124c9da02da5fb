"""One dead letter: why it died, what it is, what became of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from stompconsole.models import DeadLetter, Replay, ReplayItem
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

TRACEBACK = """Traceback (most recent call last):
  File "/srv/.venv/lib/python3.12/site-packages/django/db/transaction.py", line 80, in inner
    return func(*args)
  File "/srv/app/orders/handlers.py", line 41, in price_of
    return PRICES[line["sku"]]
KeyError: 'sku'
"""


def page_of(client: Client, letter: DeadLetter, query: str = "") -> str:
    return text(client.get(f"/console/dead-letters/{letter.pk}/{query}"))


def test_the_failure_comes_first_with_the_teams_own_frames(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(name="orders"), traceback=TRACEBACK)
    page = page_of(client, letter)
    assert page.index("Failure") < page.index("Body") < page.index("Headers") < page.index("History")
    assert "KeyError: 'sku'" in page
    assert "1 frame of django folded" in page
    assert "app/orders/handlers.py:41 price_of" in page
    assert "orders · /queue/orders → /queue/DLQ.orders · web:1 · 1 attempt · failed 1 min ago" in page


def test_json_is_set_out_line_by_line(client: Client) -> None:
    letter = rows.make_letter(None, body=b'{"order": 1, "lines": [{"qty": 2}]}', content_type="application/json")
    source = html(client.get(f"/console/dead-letters/{letter.pk}/"))
    assert '<span class="key">&quot;order&quot;</span>: <span class="literal">1</span>' in source
    assert "application/json · 35 B" in page_of(client, letter)


def test_the_body_can_be_seen_raw_and_as_hex(client: Client) -> None:
    letter = rows.make_letter(None, body=b'{"order": 1}')
    assert '{"order": 1}' in page_of(client, letter, "?body=text")
    assert "00000000 7b 22 6f 72 64 65 72 22 3a 20 31 7d" in page_of(client, letter, "?body=hex")


def test_a_binary_body_is_shown_as_hex(client: Client) -> None:
    letter = rows.make_letter(None, body=bytes(range(256)), content_type="application/json")
    assert "00000010 10 11 12 13" in page_of(client, letter)


@override_settings(STOMPCONSOLE={"MAX_BODY_SHOWN": 10})
def test_of_a_large_body_the_beginning_is_shown_and_the_rest_offered(client: Client) -> None:
    letter = rows.make_letter(None, body=b"0123456789abcdef" * 100)
    page = page_of(client, letter)
    assert "The first 10 B of 1.6 KB; download it to see the rest." in page
    assert "0123456789" in page
    assert "abcdef" not in page
    assert elements(
        client.get(f"/console/dead-letters/{letter.pk}/"), "a", href=f"/console/dead-letters/{letter.pk}/body/"
    )


def test_an_empty_body_is_called_empty(client: Client) -> None:
    assert "The body is empty." in page_of(client, rows.make_letter(None, body=b""))


def test_headers_are_told_apart_by_whom_they_are_from(client: Client) -> None:
    headers = {"tenant": "eu", "stompconsole-attempts": "3", "message-id": "m-1"}
    page = page_of(client, rows.make_letter(None, headers=headers))
    assert "Yours 1 sent again by a replay tenant eu" in page
    assert "Ours 1 added when it failed stompconsole-attempts 3" in page
    assert "The broker's 1 not sent again message-id m-1" in page


def test_earlier_deaths_are_on_tabs_of_their_own(client: Client) -> None:
    letter = rows.make_letter(None, traceback=TRACEBACK)
    first = rows.make_failure(letter, timezone.now() - timedelta(hours=2), error_type="ConnectionError", traceback="")
    assert "ConnectionError" not in page_of(client, letter).split("History")[0]
    earlier = page_of(client, letter, f"?failure={first.pk}").split("Body")[0]
    assert "ConnectionError" in earlier
    assert "handlers.py" not in earlier


def test_a_message_dead_lettered_by_the_broker_says_so(client: Client) -> None:
    page = page_of(client, rows.make_letter(None, error_type="", error_message="", origin=""))
    assert "Dead-lettered by the broker" in page
    assert "origin not known" in page


def test_the_history_tells_deaths_replays_and_discarding_newest_first(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(), ago_s=7200)
    now = timezone.now()
    replay = Replay.objects.create(selection="one", created_by=rows.make_user(name="ann"), reason="fixed")
    Replay.objects.filter(pk=replay.pk).update(created_at=now - timedelta(hours=1))
    ReplayItem.objects.create(
        replay=replay,
        dead_letter=letter,
        state="processed",
        active=False,
        sent_at=now - timedelta(minutes=50),
        outcome_at=now - timedelta(minutes=49),
    )
    history = page_of(client, letter).split("History")[1]
    told = ["processed", "sent back", f"put into replay {replay.pk} by ann: fixed", "failed: KeyError on web:1"]
    assert [history.index(words) for words in told] == sorted(history.index(words) for words in told)
    assert "captured from /queue/DLQ.orders" in history


def test_discarding_is_part_of_the_history(client: Client) -> None:
    letter = rows.make_letter(None)
    client.post("/console/dead-letters/discard/", {"id": str(letter.pk), "reason": "a test message"})
    history = page_of(client, letter).split("History")[1]
    assert "discarded by operator: a test message" in history


def test_next_and_previous_stay_within_the_filter(client: Client) -> None:
    orders, mail = rows.make_consumer(name="orders"), rows.make_consumer(name="mail")
    newest = rows.make_letter(orders, ago_s=1)
    rows.make_letter(mail, ago_s=2)
    middle = rows.make_letter(orders, ago_s=3)
    oldest = rows.make_letter(orders, ago_s=4)
    page = client.get(f"/console/dead-letters/{middle.pk}/?consumer=orders")
    assert "2 of 3" in text(page)
    [before], [after] = elements(page, "a", rel="prev"), elements(page, "a", rel="next")
    assert before["href"] == f"/console/dead-letters/{newest.pk}/?consumer=orders"
    assert after["href"] == f"/console/dead-letters/{oldest.pk}/?consumer=orders"
    assert elements(client.get(f"/console/dead-letters/{newest.pk}/?consumer=orders"), "a", rel="prev") == []


@pytest.mark.parametrize("state", ["replaying", "sent", "processed"])
def test_what_is_not_dead_can_be_neither_replayed_nor_discarded(client: Client, state: str) -> None:
    page = client.get(f"/console/dead-letters/{rows.make_letter(None, state=state).pk}/")
    [replay] = elements(page, "button", **{"class": "primary"})
    assert "disabled" in replay
    assert replay["title"].endswith(f"this one is {state}.")


def test_hostile_text_comes_out_as_text(client: Client) -> None:
    hostile = rows.HOSTILE
    letter = rows.make_letter(
        rows.make_consumer(),
        body=f'{{"{hostile[:8]}": "<script>alert(1)</script>"}}'.encode(),
        error_type=hostile,
        error_message=hostile,
        traceback=f'Traceback\n  File "{hostile[:20]}", line 1, in <script>alert(2)\n    <script>alert(3)\n{hostile}',
        headers={hostile: hostile},
        origin=hostile,
        destination=hostile,
        worker=hostile,
        handler=hostile,
        content_type=hostile,
    )
    replay = Replay.objects.create(
        selection=hostile, reason=hostile, created_by=rows.make_user(name="<script>alert(4)")
    )
    ReplayItem.objects.create(
        replay=replay, dead_letter=letter, state="skipped", active=False, note=hostile, outcome_at=timezone.now()
    )
    for query in ("", "?body=text", "?body=hex", "?failure=<script>alert(5)"):
        assert "<script>alert" not in html(client.get(f"/console/dead-letters/{letter.pk}/{query}"))


@pytest.mark.parametrize(
    "query", ["?body=nope", "?failure=nope", "?failure=%00", "?text=%00", "?consumer=nope&state=x"]
)
def test_a_bad_query_string_shows_the_page_all_the_same(client: Client, query: str) -> None:
    assert client.get(f"/console/dead-letters/{rows.make_letter(None).pk}/{query}").status_code == 200
