"""Failure groups: heaps, filters, a group's page, and what people say of it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from stompconsole.deadletters import counting
from stompconsole.models import AuditEntry, DeadLetterState, FailureGroup
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

URL = "/console/groups/"


def hrefs(client: Client, query: str = "") -> dict[str, str]:
    """Where each line leads, by what it says."""
    page = client.get(URL + query)
    return {link["title"]: link["href"] for link in elements(page, "a", **{"class": "name cut"})}


def test_without_dead_letters_the_page_says_so(client: Client) -> None:
    assert "No dead letters: every message was handled" in text(client.get(URL))


def test_the_largest_group_comes_first_with_its_count_and_its_place(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    traceback = 'Traceback (most recent call last):\n  File "/srv/app/orders.py", line 3, in price\n    x()\nKeyError'
    for _ in range(3):
        rows.make_letter(orders, traceback=traceback)
    rows.make_letter(orders, error_type="TimeoutError", error_message="POST ledger 17")
    page = text(client.get(URL))
    assert page.index("KeyError: 'sku'") < page.index("TimeoutError: POST ledger …")
    assert "srv/app/orders.py in price" in page
    assert list(hrefs(client)) == ["KeyError: 'sku' in srv/app/orders.py in price", "TimeoutError: POST ledger …"]


@pytest.mark.parametrize("by", list(counting.By))
def test_each_grouping_is_a_link_away_and_leads_to_its_dead_letters(client: Client, by: counting.By) -> None:
    rows.make_letter(rows.make_consumer(name="orders"), origin="/queue/<b>")
    page = client.get(f"{URL}?by={by.value}")
    assert len(elements(page, "a", **{"aria-current": "true"})) == 1
    [href] = hrefs(client, f"?by={by.value}").values()
    assert "KeyError" in text(client.get(href))


def test_what_has_no_origin_is_a_heap_of_its_own_that_leads_to_nothing_else(client: Client) -> None:
    rows.make_letter(None, origin="", error_message="lost")
    rows.make_letter(None, origin="/queue/a", error_message="known")
    href = hrefs(client, "?by=origin")[""]
    page = text(client.get(href))
    assert "lost" in page
    assert "known" not in page.replace("not known", "")


def test_nonsense_in_the_url_is_no_error(client: Client) -> None:
    rows.make_letter(None)
    for query in ("?by=x&page=-1", "?page=99999999", "?group=x", "?day=never", "?consumer=%00"):
        assert client.get(URL + query).status_code == 200


def test_a_group_has_its_counts_its_letters_and_leads_to_a_plan(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer(name="orders"))
    rows.make_letter(letter.consumer, state=DeadLetterState.DISCARDED)
    group = FailureGroup.objects.get()
    page = client.get(f"{URL}{group.pk}/")
    assert "dead 1" in text(page)
    assert "discarded 1" in text(page)
    assert "never replayed" in text(page)
    form = {"scope": "matching", "group": str(group.pk), "state": "dead"}
    assert client.post("/console/replays/new/", form)["Location"].endswith(
        f"scope=matching&state=dead&group={group.pk}"
    )


def test_a_replay_of_a_group_sends_that_group_and_is_shown_on_its_page(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    rows.make_letter(orders)
    rows.make_letter(orders, error_type="TimeoutError")
    group = FailureGroup.objects.get(error_type="KeyError")
    plan = client.get("/console/replays/new/", {"scope": "matching", "group": str(group.pk)})
    fields = {field["name"]: field.get("value", "") for field in elements(plan, "input") if "name" in field}
    client.post("/console/replays/new/", {**fields, "stop_on_same": ""})
    assert re.search(r"last replay .{1,20}: 1 to send", text(client.get(f"{URL}{group.pk}/")))
    rows.make_letter(orders)
    assert "last replay 1 to send" in text(client.get(URL))
    again = client.get("/console/replays/new/", {"scope": "matching", "group": str(group.pk)})
    assert re.search(r"The last replay of this group, .{1,20}: 1 to send\.", text(again))


def test_what_is_known_is_kept_and_shown_and_audited(client: Client, operator: User) -> None:
    rows.make_letter(None)
    group = FailureGroup.objects.get()
    form = {
        "owner": str(operator.pk),
        "note": "deploy 4.2, fix on the way <b>",
        "ticket": "https://tickets/77",
        "snooze": "1d",
        "expected": "discard",
    }
    page = client.post(f"{URL}{group.pk}/tend/", form, follow=True)
    assert "deploy 4.2, fix on the way &lt;b&gt;" in html(page)
    group.refresh_from_db()
    assert (group.owner, group.expected) == (operator, "discard")
    assert group.snoozed_until is not None
    assert group.snoozed_until > timezone.now() + timedelta(hours=23)
    assert AuditEntry.objects.get().detail == "owner, note, ticket, snoozed until, expected"
    listed = text(client.get(URL))
    assert "snoozed until" in listed
    assert "operator" in listed
    kept = {**form, "snooze": group.snoozed_until.isoformat()}
    client.post(f"{URL}{group.pk}/tend/", kept)
    assert AuditEntry.objects.count() == 1, "saving it as it is changes nothing"


def test_a_link_that_is_none_is_refused_with_what_was_typed(client: Client) -> None:
    rows.make_letter(None)
    group = FailureGroup.objects.get()
    page = client.post(f"{URL}{group.pk}/tend/", {"ticket": "javascript:alert(1)", "note": "typed"})
    assert page.status_code == 400
    assert "begins with http:// or https://" in text(page)
    assert "typed" in text(page)
    group.refresh_from_db()
    assert group.ticket == ""


def test_filters_that_make_no_sense_are_told_on_the_list(client: Client) -> None:
    rows.make_letter(None)
    page = text(client.get("/console/dead-letters/?text=attempts:many&failed_after=soon"))
    assert "attempts:many is no number" in page
    assert "'soon' is no time" in page
    assert "No dead letter matches" in page


def test_a_narrowed_list_keeps_its_filters_when_it_is_searched_and_replayed(client: Client) -> None:
    rows.make_letter(None, worker="w:1")
    page = client.get("/console/dead-letters/?worker=w:1&text=sku")
    assert len(elements(page, "input", type="hidden", name="worker", value="w:1")) == 2, (
        "in the search and in the choice"
    )
    assert "Dead letters of worker w:1 mentioning “sku”." in text(page)
