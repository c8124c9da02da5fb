"""The list of dead letters: found by filter, read page by page."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stompconsole.dashboard.paging import PAGE_SIZE
from stompconsole.models import DeadLetterState
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text

URL = "/console/dead-letters/"


def shown(client: Client, query: str = "") -> list[str]:
    """Ids of the dead letters on a page, from above."""
    links = [link["href"] for link in elements(client.get(URL + query), "a", **{"class": "name cut"})]
    return [re.findall(r"dead-letters/([0-9a-f-]+)/", link)[0] for link in links]


def test_dead_letters_are_listed_newest_first_with_what_happened(client: Client) -> None:
    consumer = rows.make_consumer(name="orders")
    older = rows.make_letter(consumer, ago_s=600)
    newer = rows.make_letter(consumer, ago_s=5, attempts=3, replays=1)
    assert shown(client) == [str(newer.pk), str(older.pk)]
    page = text(client.get(URL))
    assert "KeyError: 'sku'" in page
    assert "3 attempts replayed 1 time" in page.replace("attemptsreplayed", "attempts replayed")
    assert "10 min ago" in page


def test_a_list_shows_what_is_dead_unless_another_state_is_asked_for(client: Client) -> None:
    letters = {state: rows.make_letter(None, state=state, due_at=timezone.now()) for state in DeadLetterState}
    assert shown(client) == [str(letters[DeadLetterState.DEAD].pk)]
    for state, letter in letters.items():
        assert shown(client, f"?state={state}") == [str(letter.pk)]
    assert len(shown(client, "?state=all")) == len(DeadLetterState)
    assert "Dead 1 Scheduled 1 Replaying 1 Sent 1 Processed 1 Discarded 1 All 6" in text(client.get(URL))


def test_the_list_is_filtered_by_consumer_text_and_error(client: Client) -> None:
    orders, mail = rows.make_consumer(name="orders"), rows.make_consumer(name="mail")
    one = rows.make_letter(orders, search_text='{"sku": "A-17"}')
    two = rows.make_letter(mail, error_type="TimeoutError", error_message="POST ledger")
    assert shown(client, "?consumer=mail") == [str(two.pk)]
    assert shown(client, "?text=a-17") == [str(one.pk)]
    assert shown(client, "?text=post+ledger") == [str(two.pk)]
    assert shown(client, f"?text={one.pk}") == [str(one.pk)]
    assert shown(client, "?error_type=TimeoutError") == [str(two.pk)]
    assert shown(client, "?error_type=TimeoutError&consumer=orders") == []


@pytest.mark.long
def test_the_filters_stay_in_every_link_of_the_page(client: Client) -> None:
    consumer = rows.make_consumer(name="orders")
    for number in range(PAGE_SIZE + 1):
        rows.make_letter(consumer, ago_s=number)
    page = client.get(URL + "?consumer=orders&text=sku")
    [older] = elements(page, "a", rel="next")
    assert "consumer=orders" in older["href"]
    assert "text=sku" in older["href"]
    assert all("consumer=orders&text=sku" in link["href"] for link in elements(page, "a", **{"class": "name cut"}))


@pytest.mark.long
def test_pages_are_walked_forth_and_back_without_a_gap(client: Client) -> None:
    now = timezone.now()
    # Many at one moment: the id has to decide.
    made = [rows.make_letter(None, failed_at=now - timedelta(seconds=number // 40)) for number in range(120)]
    pages, query = [], ""
    while True:
        pages.append(shown(client, query))
        links = elements(client.get(URL + query), "a", rel="next")
        if not links:
            break
        query = links[0]["href"]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert sorted(itertools.chain(*pages)) == sorted(str(letter.pk) for letter in made)
    [back] = elements(client.get(URL + query), "a", rel="prev")
    assert shown(client, back["href"]) == pages[1]


@pytest.mark.parametrize(
    "query",
    [
        "?page=x",
        "?consumer=nope",
        "?consumer=%00&text=%00&state=%00&error_type=%00",
        "?state=nope",
        "?before=x",
        "?after=2026-01-01T00:00:00_",
        "?before=2026-01-01T00:00:00%2B00:00_nope",
        "?before=9999-99-99T00:00:00Z_1",
        "?before=2026-01-01T00:00:00_00000000-0000-0000-0000-000000000007",
        "?text=%ed%a0%80",
        "?text=" + "x" * 9000,
        "?text=%25%27%22--",
    ],
)
def test_a_bad_query_string_shows_a_page_all_the_same(client: Client, query: str) -> None:
    rows.make_letter(None)
    assert client.get(URL + query).status_code == 200


def test_a_state_or_consumer_that_does_not_exist_matches_nothing(client: Client) -> None:
    rows.make_letter(rows.make_consumer())
    assert shown(client, "?state=nope") == []
    assert shown(client, "?consumer=nope") == []
    assert "No dead letter matches" in text(client.get(URL + "?consumer=nope"))


def test_each_empty_list_says_why(client: Client) -> None:
    assert "No dead letters: every message was handled" in text(client.get(URL))
    assert "Nothing is discarded" in text(client.get(URL + "?state=discarded"))


def test_dead_letters_of_a_consumer_that_is_gone_are_still_there(client: Client) -> None:
    letter = rows.make_letter(None, consumer_name="orders")
    assert shown(client, "?consumer=orders") == [str(letter.pk)]
    assert "orders gone" in text(client.get(URL))


def test_hostile_text_comes_out_as_text(client: Client) -> None:
    consumer = rows.make_consumer()
    hostile = rows.HOSTILE
    rows.make_letter(
        consumer, error_type=hostile, error_message=hostile, origin=hostile, handler=hostile, state="discarded"
    )
    rows.make_letter(None, consumer_name=hostile[:50], error_type=hostile, error_message=hostile, origin=hostile)
    for query in ("?state=all", "?state=discarded", "?state=all&text=%3Cscript%3E&consumer=%3Cscript%3Ealert(9)"):
        page = html(client.get(URL + query))
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def test_a_choice_can_be_made_without_a_script(client: Client) -> None:
    letter = rows.make_letter(rows.make_consumer())
    page = client.get(URL)
    assert elements(page, "input", type="checkbox", name="id", value=str(letter.pk))
    assert elements(page, "input", type="checkbox", name="scope", value="matching")
    assert elements(page, "button", formaction="/console/replays/new/")
    assert elements(page, "button", formaction="/console/dead-letters/discard/")


def test_the_page_costs_as_many_queries_for_twenty_dead_letters_as_for_one(client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get(URL)
        return len(captured)

    rows.make_letter(rows.make_consumer())
    one = queries()
    for _ in range(19):
        rows.make_letter(rows.make_consumer())
    assert queries() == one


def test_bodies_are_not_read_for_a_list(client: Client) -> None:
    rows.make_letter(None, traceback="Traceback")
    with CaptureQueriesContext(connection) as captured:
        client.get(URL)
    assert not any('"body"' in query["sql"] or '"traceback"' in query["sql"] for query in captured)
