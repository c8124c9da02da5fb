"""Filters: what a URL says, tolerant of nonsense, and never wider than meant."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stompconsole.deadletters.filters import MAX_GROUPS, Filters, Group, preview, preview_of
from stompconsole.models import DeadLetterState
from tests.deadletters.making import make_consumer, make_dead_letters

pytestmark = pytest.mark.django_db(transaction=True)


def found(query: str) -> set[bytes]:
    return {bytes(row.body) for row in Filters.from_query(QueryDict(query)).queryset()}


@pytest.fixture
def _some() -> None:
    orders, invoices = make_consumer(name="orders"), make_consumer(name="invoices")
    make_dead_letters(orders, 2)
    make_dead_letters(orders, 1, body=b"discarded", state=DeadLetterState.DISCARDED, error_type="ValueError")
    make_dead_letters(invoices, 1, body=b"invoice", search_text='{"nr": "R-100%_x"}', correlation_id="corr-7")
    make_dead_letters(None, 1, body=b"orphan", consumer_name="removed")


ALL = {b"0", b"1", b"discarded", b"invoice", b"orphan"}


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize(
    ("query", "bodies"),
    [
        ("", ALL),
        ("consumer=orders", {b"0", b"1", b"discarded"}),
        ("consumer=orders&state=dead", {b"0", b"1"}),
        ("consumer=removed", {b"orphan"}),
        ("consumer=unheard-of", set()),
        ("state=unheard-of", set()),
        ("error_type=ValueError", {b"discarded"}),
        ("text=r-100%25_X", {b"invoice"}),
        ("text=100__x", set()),
        ("text=CORR-7", {b"invoice"}),
        ("text=%00R-100", {b"invoice"}),
        ("text=%ED%A0%80", set()),
        ("text=%20%20", ALL),
        ("page=2&sort=x", ALL),
    ],
)
def test_filters_find_what_they_say_and_nothing_more(query: str, bodies: set[bytes]) -> None:
    assert found(query) == bodies


@pytest.mark.usefixtures("_some")
def test_an_id_is_found_as_text() -> None:
    row = make_dead_letters(None, 1, body=b"this one")[0]
    assert found(f"text={row.pk}") == {b"this one"}
    assert found(f"text={uuid.uuid4()}") == set()


def test_a_query_string_leads_back_to_the_same_filters() -> None:
    filters = Filters(consumer="orders", text="a&b=ü", error_type="builtins.KeyError")
    assert Filters.from_query(QueryDict(filters.query_string())) == filters
    assert Filters().query_string() == ""


def test_a_lone_surrogate_is_left_out() -> None:
    assert Filters.from_query({"text": "a\ud800b", "consumer": "\0"}) == Filters(text="ab")


def test_a_preview_counts_what_is_dead_in_a_few_queries() -> None:
    consumer = make_consumer(name="orders")
    make_dead_letters(consumer, 3)
    make_dead_letters(consumer, 2, error_type="ValueError", origin="", replays=1)
    make_dead_letters(consumer, 1, state=DeadLetterState.SENT)
    make_dead_letters(None, 1)
    filters = Filters(text="sku")
    with CaptureQueriesContext(connection) as queries:
        seen = preview(filters)
    assert len(queries) == 5, "the consumers, their one broker, and three"
    assert (seen.count, seen.replayed_before, seen.without_origin, seen.without_consumer) == (6, 2, 2, 1)
    assert seen.by_error == (Group(label="builtins.KeyError", count=4), Group(label="ValueError", count=2))
    assert seen.by_origin == (Group(label="/queue/orders", count=4), Group(label="", count=2))
    assert seen.oldest is not None


def test_a_preview_says_how_many_have_errors_and_origins_beyond_the_most_frequent() -> None:
    for number in range(MAX_GROUPS + 2):
        make_dead_letters(None, 2 if number else 1, error_type=f"Error{number:02}", origin=f"/queue/{number:02}")
    seen = preview(Filters())
    assert [len(seen.by_error), len(seen.by_origin)] == [MAX_GROUPS] * 2
    assert (seen.of_other_errors, seen.of_other_origins) == (3, 3)
    few = preview(Filters(error_type="Error03"))
    assert (few.of_other_errors, few.of_other_origins) == (0, 0)


def test_a_preview_of_nothing_is_empty() -> None:
    seen = preview(Filters(consumer="unheard-of"))
    assert (seen.count, seen.by_error, seen.oldest) == (0, (), None)
    assert preview_of([uuid.uuid4()]).count == 0


def test_what_comes_later_is_not_in_what_was_counted() -> None:
    make_dead_letters(None, 2)
    as_of = timezone.now()
    make_dead_letters(None, 1)
    assert Filters().frozen(as_of).count() == 2
